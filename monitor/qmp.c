/* QMP: greeting, negotiation, commands and their answers. */
#include <string.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

static GHashTable *by_name;

static bool index_command(const MonCommand *c, void *opaque)
{
    if (c->qmp)
        g_hash_table_insert(by_name, (char *)c->qmp, (MonCommand *)c);
    return true;
}

const MonCommand *qmp_find_command(const char *name)
{
    if (!by_name) {
        by_name = g_hash_table_new(g_str_hash, g_str_equal);
        foreach_command(index_command, NULL);
    }
    return g_hash_table_lookup(by_name, name);
}

json_t *qmp_version(void)
{
    unsigned major = 0, minor = 0, micro = 0;

    sscanf(MONITOR_VERSION, "%u.%u.%u", &major, &minor, &micro);
    return json_pack("{s:{s:i,s:i,s:i},s:s}", "qemu", "micro", micro, "minor", minor, "major", major,
                     "package", MONITOR_PACKAGE);
}

static int append(const char *buf, size_t len, void *opaque)
{
    g_string_append_len(opaque, buf, len);
    return 0;
}

void qmp_send(Monitor *mon, json_t *msg)
{
    json_dump_callback(msg, append, mon->out, JSON_ENSURE_ASCII | (mon->pretty ? JSON_INDENT(4) : 0));
    g_string_append(mon->out, "\r\n");
}

void qmp_opened(Monitor *mon)
{
    json_t *hello = json_pack("{s:{s:o,s:[s]}}", "QMP", "version", qmp_version(), "capabilities", "oob");

    mon->negotiated = mon->oob = false;
    json_stream_reset(&mon->json);
    qmp_send(mon, hello);
    json_decref(hello);
}

/* ---- Requests ---- */

static json_t *negotiate(Monitor *mon, json_t *args, GError **err)
{
    json_t *enable = json_object_get(args, "enable");
    bool oob = false;

    if (!qmp_check("{*enable:[<oob>]}", args, err))
        return NULL;
    for (size_t i = 0; i < json_array_size(enable); i++)
        oob = true;
    mon->negotiated = true;
    mon->oob = oob;
    return NULL;
}

json_t *qmp_run_command(Monitor *mon, const MonCommand *c, json_t *args, GError **err)
{
    if (!qmp_check(c->in, args, err))
        return NULL;
    return c->run(mon, args, err);
}

static const MonCommand *find_for(Monitor *mon, const char *name, bool oob, GError **err)
{
    const MonCommand *c = qmp_find_command(name);

    if (!mon->negotiated && strcmp(name, "qmp_capabilities")) {
        error_set_class(err, ERR_COMMAND_NOT_FOUND, "Expecting capabilities negotiation with 'qmp_capabilities'");
    } else if (!c) {
        error_set_class(err, ERR_COMMAND_NOT_FOUND, "The command %s has not been found", name);
    } else if (oob && !(c->flags & CMD_OOB)) {
        error_set(err, "The command %s does not support OOB", name);
    } else if (mon->negotiated && !strcmp(name, "qmp_capabilities")) {
        error_set_class(err, ERR_COMMAND_NOT_FOUND, "Capabilities negotiation is already complete, command ignored");
    } else {
        return c;
    }
    return NULL;
}

static bool check_request(Monitor *mon, json_t *req, const char **name, bool *oob, json_t **args, GError **err)
{
    const char *key;
    json_t *v;

    *name = NULL;
    json_object_foreach(req, key, v) {
        if (!strcmp(key, "execute") || (!strcmp(key, "exec-oob") && mon->oob)) {
            if (!json_is_string(v))
                return error_set(err, "QMP input member '%s' must be a string", key);
            if (*name)
                return error_set(err, "QMP input member '%s' clashes with '%s'", key, *oob ? "exec-oob" : "execute");
            *name = json_string_value(v);
            *oob = key[4] == '-';
        } else if (!strcmp(key, "arguments")) {
            if (!json_is_object(v))
                return error_set(err, "QMP input member 'arguments' must be an object");
            *args = v;
        } else if (strcmp(key, "id")) {
            return error_set(err, "QMP input member '%s' is unexpected", key);
        }
    }
    return *name || error_set(err, "QMP input lacks member 'execute'");
}

static json_t *handle(Monitor *mon, json_t *req, GError **err)
{
    const char *name;
    const MonCommand *c;
    json_t *args = NULL, *empty = NULL, *ret;
    bool oob = false;

    if (!json_is_object(req)) {
        error_set(err, "QMP input must be a JSON object");
        return NULL;
    }
    if (!check_request(mon, req, &name, &oob, &args, err))
        return NULL;
    c = find_for(mon, name, oob, err);
    if (!c)
        return NULL;
    if (!args)
        args = empty = json_object();
    ret = !strcmp(name, "qmp_capabilities") ? negotiate(mon, args, err) : qmp_run_command(mon, c, args, err);
    json_decref(empty);
    return ret;
}

static void answer(Monitor *mon, json_t *ret, GError *err, json_t *id)
{
    json_t *msg;

    if (err)
        msg = json_pack("{s:{s:s,s:s}}", "error", "class", error_class_name(err), "desc", err->message);
    else
        msg = json_pack("{s:o}", "return", ret ? ret : json_object());
    if (!msg)       /* a message with bytes that are not UTF-8 */
        msg = json_pack("{s:{s:s,s:s}}", "error", "class", error_class_name(err), "desc", "error text is not UTF-8");
    if (id)
        json_object_set(msg, "id", id);
    qmp_send(mon, msg);
    json_decref(msg);
}

void qmp_value(void *opaque, json_t *req, const char *why)
{
    Monitor *mon = opaque;
    GError *err = NULL;
    json_t *ret = NULL;

    if (mon->dead) {
        json_decref(req);
        return;
    }
    if (req)
        ret = handle(mon, req, &err);
    else
        error_set(&err, "%s", why);
    answer(mon, ret, err, req ? json_object_get(req, "id") : NULL);
    json_decref(req);
    g_clear_error(&err);
}

void qmp_read(Monitor *mon, const char *buf, size_t len)
{
    json_stream_feed(&mon->json, buf, len);
}
