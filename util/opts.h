/*
 * Option texts: "value,key=value,flag" and JSON objects, as the command line and the monitor give them.
 * A comma within a value is written twice. "flag" means flag=on, "noflag" flag=off.
 */
#ifndef UTIL_OPTS_H
#define UTIL_OPTS_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Opt { char *name, *value; bool used; } Opt;
typedef struct Opts { char *text; GArray *list; } Opts;     /* list of Opt, in order */

/* implied: the name of a first item without '=' ("driver"); NULL: such an item is a flag. A text that begins with '{' is
 * JSON: nested members become dotted names, array elements name.0, name.1. NULL with err. */
Opts *opts_parse(const char *text, const char *implied, GError **err);
void opts_free(Opts *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Opts, opts_free)

/* The last value of a name, or NULL; marks every one of that name as used. Owned by o. */
const char *opts_get(Opts *o, const char *name);
bool opts_has(const Opts *o, const char *name);
/* Typed: the default when absent; false with err ("-what text: ...") when it does not parse. */
bool opts_get_bool(Opts *o, const char *name, bool def, bool *v, GError **err);
bool opts_get_u64(Opts *o, const char *name, uint64_t def, uint64_t max, uint64_t *v, GError **err);
bool opts_get_size(Opts *o, const char *name, uint64_t def, uint64_t *v, GError **err);   /* default unit: bytes */
void opts_set(Opts *o, const char *name, const char *value);
/* All used? Else err names the first that is not, and the nearest in known (NULL-terminated; may be NULL). */
bool opts_all_used(const Opts *o, const char *what, const char *const *known, GError **err);
/* What QEMU takes as an id or node name: a letter, then letters, digits, "-", ".", "_". */
bool id_wellformed(const char *id);
/* "64M" -> bytes; unit: multiplier of a number without suffix. */
bool parse_size_text(const char *s, uint64_t unit, uint64_t *v);
bool parse_bool_text(const char *s, bool *v);
bool parse_u64_text(const char *s, uint64_t *v);    /* 0x.., decimal */
#endif
