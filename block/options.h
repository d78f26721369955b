/*
 * Options of drives and nodes: a flat JSON object whose keys are dotted ("file.filename") and whose values are
 * strings (from -drive and dotted keys) or typed (from JSON).  Drivers take what they know; what is left over is
 * an error of the user.  Private to block/ and the tools.
 */
#ifndef BLOCK_OPTIONS_H
#define BLOCK_OPTIONS_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/* "k=v,k2=v2": commas in values are doubled; "k" alone is k=on, "nok" is k=off; the first may be a bare value of
 * the key `implied`. Later ones win. */
json_t *jopts_parse(const char *str, const char *implied, GError **err);
/* Adds obj's members, nested ones under dotted keys, to opts. */
void jopts_flatten(json_t *opts, const char *prefix, json_t *obj);
/* The reverse, for printing: nested objects. */
json_t *jopts_crumple(json_t *opts);
/* "json:{...}" or JSON text -> flat options; NULL and err when it is none. */
json_t *jopts_from_json(const char *text, GError **err);
/* Moves "PREFIX*" out of opts, without the prefix. */
json_t *jopts_extract(json_t *opts, const char *prefix);
bool jopts_has_prefix(json_t *opts, const char *prefix);
void jopts_set(json_t *opts, const char *key, const char *value);
void jopts_set_default(json_t *opts, const char *key, const char *value);

/* As text, for reading only: strings as they are, numbers and booleans printed; NULL: absent or null.
 * Valid until opts changes. */
const char *jopts_get(json_t *opts, const char *key);
/* The same, removed from opts; malloc'ed. */
char *jopts_take(json_t *opts, const char *key);
/* These leave *val alone when the key is absent. */
bool jopts_take_bool(json_t *opts, const char *key, bool *val, GError **err);
bool jopts_take_size(json_t *opts, const char *key, uint64_t *val, GError **err);
bool jopts_take_number(json_t *opts, const char *key, uint64_t *val, GError **err);
/* names: NULL-terminated; *val is the index. */
bool jopts_take_enum(json_t *opts, const char *key, const char *const *names, int *val, GError **err);

/* "64k", "1.5G", "512": bytes; false when it is no size. def: the suffix of a plain number ('B', 'M'...). */
bool parse_size(const char *s, char def, uint64_t *val);
/* -EINVAL, -ERANGE or 0, as qemu-img tells them apart */
int parse_size_err(const char *s, char def, uint64_t *val);
#endif
