/*
 * QMP's types, from short texts: checking what a client sends, and telling it what it may send.
 *
 *   str int num bool any null      built in; size is an int
 *   [T]                            array
 *   <a|b|c>                        one of these strings
 *   {a:T *b:T}                     object; * may be absent; "..." at the end: whatever else
 *   {t:<x|y> ?t x={...} y={...}}   and with more members, depending on t
 *   (T / T)                        alternate
 *   Name                           one of qmp_types
 */
#ifndef MONITOR_QMP_SCHEMA_H
#define MONITOR_QMP_SCHEMA_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

typedef struct QmpTypeRow { const char *name, *text; } QmpTypeRow;
extern const QmpTypeRow qmp_types[];        /* ends with an empty row */

/* Checks args against an object type's text; NULL text: no arguments. */
bool qmp_check(const char *text, json_t *args, GError **err);
/* query-qmp-schema. */
json_t *qmp_schema(void);
/* The strings of an enumeration, NULL-terminated; owned by the schema. NULL: no such enumeration. */
const char *const *qmp_enum(const char *type_name);
#endif
