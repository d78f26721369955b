/* The log of -d and -D: items are switched on by name; a switched-off item costs one test. */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H
#include <glib.h>
#include <stdbool.h>

typedef enum LogItem {
    LOG_GUEST_ERROR = 1 << 0,   /* guest_errors: what real hardware would leave undefined */
    LOG_UNIMP = 1 << 1,         /* unimp: registers and commands not modelled */
    LOG_RESET = 1 << 2,         /* cpu_reset */
    LOG_INT = 1 << 3,           /* int */
    LOG_TRACE = 1 << 4,         /* trace:PATTERN */
} LogItem;

extern unsigned log_mask;       /* LogItems that are on; read without a lock */
/* Comma-separated items as -d takes them; "help" lists them on stdout. */
bool log_set_items(const char *items, GError **err);
bool log_set_file(const char *path, GError **err);
void log_list_items(GString *out);
void log_printf(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
#define log_item(item, ...) do { if (G_UNLIKELY(log_mask & (item))) log_printf(__VA_ARGS__); } while (0)
/* The guest did something that real hardware leaves undefined: said once for each place. */
#define log_guest(...) do { static gint said_; if (G_UNLIKELY(log_mask & LOG_GUEST_ERROR) && !g_atomic_int_add(&said_, 1)) \
    log_printf(__VA_ARGS__); } while (0)
#define log_unimp(...) log_item(LOG_UNIMP, __VA_ARGS__)
#endif
