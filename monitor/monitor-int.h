/* Inside the monitor: its state, the command table, arguments. */
#ifndef MONITOR_MONITOR_INT_H
#define MONITOR_MONITOR_INT_H
#include "hw/core/device.h"
#include "accel/accel.h"
#include "monitor/json-stream.h"
#include "monitor/monitor.h"
#include "monitor/readline.h"
#include "util/error.h"

struct Monitor {
    CharFrontend fe;
    GString *out;               /* not yet taken by the chardev */
    bool qmp, pretty;
    bool memory;                /* output is collected in `out`, there is no chardev */
    int cpu;                    /* the default CPU of HMP commands */
    unsigned suspended;
    GByteArray *pending;        /* input that came while suspended */

    /* HMP */
    Readline *rl;               /* NULL: lines without editing */
    GString *line;
    bool mux_out;               /* another front-end of the mux has the input */
    bool greeted;
    bool print_error;           /* the command printed one */

    /* QMP */
    JsonStream json;
    bool negotiated, oob, dead;
};

enum { CMD_OOB = 1 << 0, CMD_PRECONFIG = 1 << 1 };

typedef void CompleteAdd(void *opaque, const char *word);
/* nb: which argument is being typed (1: the first). */
typedef void CompleteFn(int nb, const char *begun, CompleteAdd *add, void *opaque);

typedef struct MonCommand {
    /* HMP: "cont|c", "info status"; NULL: none. Arguments are "name:type" each, see hmp-args.c. */
    const char *name, *args, *params, *help;
    /* QMP; NULL: none. Types as in qmp-schema.h; NULL: nothing. */
    const char *qmp, *in, *out, *features;
    /* Does it. args is an object; the result is a new reference, NULL stands for {} unless err is set. */
    json_t *(*run)(Monitor *mon, json_t *args, GError **err);
    /* HMP's own way; NULL: run, and print an error. */
    void (*print)(Monitor *mon, json_t *args);
    CompleteFn *complete;
    unsigned flags;
    bool (*present)(void);      /* NULL: always; else, whether this program has it */
} MonCommand;

/* All rows that are present: fn returns false to stop. */
void foreach_command(bool (*fn)(const MonCommand *c, void *opaque), void *opaque);

/* Tables end with an empty row. */
extern const MonCommand commands_run[], commands_info[], commands_memory[], commands_mem[], commands_char[], commands_block[],
    commands_cpu[], commands_device[], commands_ui[], commands_net[], commands_misc[], commands_qom[], commands_migrate[],
    commands_vnc[], commands_job[], commands_nbd[];
/* A device's property as JSON; NULL with err. */
json_t *qom_value(Device *d, const Property *p, GError **err);
extern const MonCommand *const command_tables[]; /* NULL-terminated */
typedef struct QmpEvent { const char *name, *data; } QmpEvent;
extern const QmpEvent qmp_events[];

extern Machine *mon_machine;
extern MonitorHost mon_host;
extern GPtrArray *monitors;

/* ---- Arguments ---- */
static inline const char *arg_str(json_t *args, const char *name) { return json_string_value(json_object_get(args, name)); }
static inline bool arg_has(json_t *args, const char *name) { return json_object_get(args, name) != NULL; }
static inline bool arg_bool(json_t *args, const char *name) { return json_is_true(json_object_get(args, name)); }
int64_t arg_int(json_t *args, const char *name, int64_t def);

/* ---- monitor.c ---- */
Monitor *monitor_new_memory(int cpu);
void monitor_free(Monitor *mon);
void monitor_flush(Monitor *mon);
void monitor_suspend(Monitor *mon);         /* takes no input until resumed */
void monitor_resume(Monitor *mon);
void mon_puts(Monitor *mon, const char *s);
/* "Error: ..." and frees err. */
void mon_print_error(Monitor *mon, GError *err);
Vcpu *mon_vcpu(Monitor *mon);               /* the monitor's default CPU; NULL: there is none */

/* ---- qmp.c ---- */
void qmp_opened(Monitor *mon);
void qmp_read(Monitor *mon, const char *buf, size_t len);
void qmp_value(void *mon, json_t *value, const char *why);  /* JsonStreamFn */
void qmp_send(Monitor *mon, json_t *msg);
json_t *qmp_run_command(Monitor *mon, const MonCommand *c, json_t *args, GError **err);
json_t *qmp_version(void);
const MonCommand *qmp_find_command(const char *name);

/* ---- hmp.c ---- */
void hmp_run_line(Monitor *mon, const char *line);
void hmp_help(Monitor *mon, const char *name);
void hmp_complete(Monitor *mon, const char *line, Readline *rl);
bool hmp_name_matches(const char *names, const char *name, size_t len);

/* ---- hmp-args.c ---- */
typedef struct HmpArg {
    char name[32], type[12];
    bool optional;
} HmpArg;
/* The next description of a command's args at *args, which moves behind it; false: there is none. */
bool hmp_next_arg(const char **args, HmpArg *a);
void hmp_skip_spaces(const char **p);
/* What stands at p as c's arguments: a new object; NULL with err. */
json_t *hmp_parse_args(Monitor *mon, const MonCommand *c, const char *p, GError **err);

/* Evaluates an expression at *p and moves *p behind it (hmp-expr.c). */
bool hmp_expr(Monitor *mon, const char **p, int64_t *value, GError **err);
/* A register of the monitor's CPU, by its name in expressions. */
bool mon_register(Monitor *mon, const char *name, uint64_t *value, GError **err);

/* ---- help for completions ---- */
void complete_from(const char *const *words, const char *begun, CompleteAdd *add, void *opaque);
void complete_chardev(int nb, const char *begun, CompleteAdd *add, void *opaque);
void complete_device_type(int nb, const char *begun, CompleteAdd *add, void *opaque);
void complete_device_id(int nb, const char *begun, CompleteAdd *add, void *opaque);
void complete_key(int nb, const char *begun, CompleteAdd *add, void *opaque);
#endif
