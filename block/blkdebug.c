/*
 * The filter "blkdebug": makes requests fail on purpose. For tests.
 *
 *   blkdebug:CONFIG-FILE:IMAGE, or image= with inject-error.N.{event,iotype,errno,sector,once,immediately,state} and
 *   set-state.N.{event,state,new_state}; align=, max-transfer=, opt-write-zero= ... : limits that are shown to the parent
 *
 * Not modelled: events inside qcow2 (a rule whose event is not "none", "pwritev", "readv" ... never fires), suspended
 * requests, take-child-perms.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/graph-ops.h"
#include "block/options.h"
#include "util/error.h"

enum { IO_READ = 1, IO_WRITE = 2, IO_ZERO = 4, IO_DISCARD = 8, IO_FLUSH = 16, IO_STATUS = 32 };

typedef struct Rule {
    bool set_state, once, immediately, spent;
    char *event;                        /* "none": any request */
    unsigned types;
    uint64_t state, new_state, error, sector;
    bool has_sector;
} Rule;

typedef struct DebugState { GArray *rules; uint64_t state; uint64_t align, max_transfer; } DebugState;

/* ---- options */

static unsigned types_of(const char *s)
{
    static const struct { const char *name; unsigned t; } names[] = {
        { "read", IO_READ }, { "write", IO_WRITE }, { "write-zeroes", IO_ZERO }, { "discard", IO_DISCARD }, { "flush", IO_FLUSH },
        { "block-status", IO_STATUS },
    };

    for (unsigned i = 0; s && i < G_N_ELEMENTS(names); i++)
        if (!strcmp(names[i].name, s))
            return names[i].t;
    return s ? 0 : IO_READ | IO_WRITE | IO_ZERO | IO_DISCARD | IO_FLUSH;
}

static bool take_rule(DebugState *s, json_t *o, bool set_state, GError **err)
{
    Rule r = { .set_state = set_state, .error = EIO, .event = jopts_take(o, "event") };
    g_autofree char *type = jopts_take(o, "iotype");
    uint64_t state = 0, new_state = 0;
    const char *key;
    json_t *v;
    bool ok;

    if (!r.event || !strcmp(r.event, "none")) {
        g_free(r.event);
        r.event = g_strdup("none");
    }
    r.types = types_of(type);
    r.has_sector = jopts_get(o, "sector") && strcmp(jopts_get(o, "sector"), "-1");
    if (!r.has_sector)
        json_object_del(o, "sector");
    ok = jopts_take_number(o, "state", &state, err) && jopts_take_number(o, "new_state", &new_state, err) &&
        jopts_take_number(o, "errno", &r.error, err) && jopts_take_number(o, "sector", &r.sector, err) &&
        jopts_take_bool(o, "once", &r.once, err) && jopts_take_bool(o, "immediately", &r.immediately, err);
    r.state = state;
    r.new_state = new_state;
    json_object_foreach(o, key, v) {
        ok = ok && error_set(err, "Invalid parameter '%s'", key);
        break;
    }
    if (ok && (!r.types || r.error > 4095))
        ok = error_set(err, "Invalid value for 'iotype' or 'errno'");
    g_array_append_val(s->rules, r);
    return ok;
}

static bool take_rules(DebugState *s, json_t *opts, const char *kind, GError **err)
{
    for (unsigned i = 0; i < 1000; i++) {
        g_autofree char *prefix = g_strdup_printf("%s.%u.", kind, i);
        json_t *o = jopts_extract(opts, prefix);
        bool any = json_object_size(o) > 0, ok = !any || take_rule(s, o, kind[0] == 's', err);

        json_decref(o);
        if (!ok)
            return false;
        if (!any)
            break;
    }
    return true;
}

/* The file: sections [inject-error] and [set-state] of key = "value". */
static bool read_config(DebugState *s, const char *file, GError **err)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    json_t *o = NULL;
    bool set_state = false, ok = true;

    if (!g_file_get_contents(file, &text, NULL, NULL))
        return error_set_errno(err, errno, "Could not read blkdebug config file");
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l && ok; l++) {
        char *p = g_strstrip(*l), *eq = strchr(p, '=');

        if (*p == '[') {
            ok = !o || take_rule(s, o, set_state, err);
            json_decref(o);
            o = json_object();
            set_state = g_str_has_prefix(p, "[set-state");
        } else if (*p && *p != '#' && eq && o) {
            char *value = g_strstrip(eq + 1);
            size_t n = strlen(value);

            *eq = 0;
            if (n >= 2 && *value == '"' && value[n - 1] == '"') {
                value[n - 1] = 0;
                value++;
            }
            jopts_set(o, g_strstrip(p), value);
        }
    }
    ok = ok && (!o || take_rule(s, o, set_state, err));
    json_decref(o);
    return ok;
}

static bool debug_parse_filename(const char *filename, json_t *opts, GError **err)
{
    const char *p = filename + strlen("blkdebug:"), *colon;

    if (!g_str_has_prefix(filename, "blkdebug:"))
        return error_set(err, "File name string must start with 'blkdebug:'");
    colon = strchr(p, ':');
    if (!colon)
        return error_set(err, "blkdebug requires both config file and image path");
    if (colon != p) {
        g_autofree char *config = g_strndup(p, colon - p);

        jopts_set(opts, "config", config);
    }
    jopts_set(opts, "image.filename", colon + 1);
    return true;
}

static bool debug_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    DebugState *s = n->state;
    g_autofree char *config = jopts_take(opts, "config");

    s->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
    s->state = 1;
    if ((config && !read_config(s, config, err)) || !take_rules(s, opts, "inject-error", err) ||
        !take_rules(s, opts, "set-state", err) || !jopts_take_size(opts, "align", &s->align, err) ||
        !jopts_take_size(opts, "max-transfer", &s->max_transfer, err))
        return false;
    if (s->align & (s->align - 1) || s->align > (1u << 30))
        return error_set(err, "Cannot meet constraints with align %" G_GUINT64_FORMAT, s->align);
    if (s->max_transfer > INT32_MAX || (s->max_transfer && s->align && s->max_transfer % s->align))
        return error_set(err, "Cannot meet constraints with max-transfer %" G_GUINT64_FORMAT, s->max_transfer);
    if (!node_open_child(n, NULL, opts, "image", ROLE_FILTERED | ROLE_PRIMARY, false, err))
        return false;
    n->read_only |= node_storage(n)->node->read_only;
    n->length = node_length(node_storage(n)->node);
    return true;
}

static void debug_close(BlockNode *n)
{
    DebugState *s = n->state;

    for (unsigned i = 0; s->rules && i < s->rules->len; i++)
        g_free(g_array_index(s->rules, Rule, i).event);
    if (s->rules)
        g_array_free(s->rules, TRUE);
}

/* ---- requests */

/* Rules named after an event of requests. */
static bool fits(const Rule *r, unsigned type)
{
    static const struct { const char *event; unsigned t; } events[] = {
        { "none", ~0u }, { "read_aio", IO_READ }, { "write_aio", IO_WRITE }, { "flush_to_disk", IO_FLUSH }, { "flush_to_os", IO_FLUSH },
        { "pwritev", IO_WRITE }, { "pwritev_zero", IO_ZERO },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(events); i++)
        if (!strcmp(events[i].event, r->event))
            return events[i].t & type;
    return false;
}

static int verdict(BlockNode *n, unsigned type, int64_t offset, int64_t bytes)
{
    DebugState *s = n->state;
    uint64_t state = s->state;
    int ret = 0;

    for (unsigned i = 0; i < s->rules->len; i++) {
        Rule *r = &g_array_index(s->rules, Rule, i);

        if (r->spent || (r->state && r->state != state) || !fits(r, type) || (!r->set_state && !(r->types & type)))
            continue;
        if (r->set_state) {
            s->state = r->new_state;
            continue;
        }
        if (r->has_sector && ((int64_t)(r->sector * 512) < offset || (int64_t)(r->sector * 512) >= offset + MAX(bytes, 1)))
            continue;
        if (!ret)
            ret = -(int)r->error;
        r->spent = r->once;
    }
    return ret;
}

static int debug_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int ret = verdict(n, IO_READ, offset, bytes);

    return ret ? ret : node_co_read(node_storage(n), offset, bytes, v, vo, flags);
}

static int debug_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int ret = verdict(n, IO_WRITE, offset, bytes);

    return ret ? ret : node_co_write(node_storage(n), offset, bytes, v, vo, flags);
}

static int debug_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    int ret = verdict(n, IO_ZERO, offset, bytes);

    return ret ? ret : node_co_zero(node_storage(n), offset, bytes, flags);
}

static int debug_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    int ret = verdict(n, IO_DISCARD, offset, bytes);

    return ret ? ret : node_co_discard(node_storage(n), offset, bytes);
}

static int debug_co_flush(BlockNode *n)
{
    int ret = verdict(n, IO_FLUSH, 0, 0);

    return ret ? ret : node_co_flush(node_storage(n)->node);
}

static int debug_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    int ret = 0;
    DebugState *s = n->state;

    for (unsigned i = 0; i < s->rules->len && !ret; i++)
        if (g_array_index(s->rules, Rule, i).types == IO_STATUS)
            ret = verdict(n, IO_STATUS, offset, bytes);
    *pnum = bytes;
    *map = offset;
    *file = node_storage(n)->node;
    return ret ? ret : STATUS_RAW;
}

static int debug_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    return node_co_truncate(node_storage(n), length, exact, p, err);
}

static int64_t debug_length(BlockNode *n)
{
    return node_length(node_storage(n)->node);
}

static void debug_limits(BlockNode *n)
{
    DebugState *s = n->state;

    if (!node_storage(n))
        return;
    n->limits = node_storage(n)->node->limits;
    if (s->align)
        n->limits.request_align = MAX(n->limits.request_align, s->align);
    if (s->max_transfer)
        n->limits.max_transfer = s->max_transfer;
}

const BlockDriver driver_blkdebug = {
    .name = "blkdebug", .is_protocol = true, .state_size = sizeof(DebugState), .parse_filename = debug_parse_filename,
    .open = debug_open, .close = debug_close, .co_read = debug_co_read, .co_write = debug_co_write, .co_zero = debug_co_zero,
    .co_discard = debug_co_discard, .co_flush = debug_co_flush, .co_status = debug_co_status, .co_truncate = debug_co_truncate,
    .length = debug_length, .refresh_limits = debug_limits, .write_flags = BLK_FUA,
    .zero_flags = BLK_FUA | BLK_MAY_UNMAP | BLK_NO_FALLBACK,
};
