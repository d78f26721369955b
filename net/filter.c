/*
 * Filters: what looks at packets on their way between a netdev and its peer. A netdev's filters stand in a row: packets that it
 * sends pass them from the first to the last, those that it receives the other way round.
 */
#include <stdlib.h>
#include <string.h>
#include "net/filter-int.h"
#include "util/error.h"

static const FilterKind *const kinds[] = { &filter_buffer, &filter_dump, &filter_mirror, &filter_redirector };
static const NetParam common[] = { { "qom-type", NET_TEXT }, { "id", NET_TEXT }, { "netdev", NET_TEXT }, { "queue", NET_TEXT },
                                   { "status", NET_TEXT }, { "position", NET_TEXT }, { "insert", NET_TEXT }, { 0 } };

static const FilterKind *find_kind(const char *type)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!strcmp(kinds[i]->name, type))
            return kinds[i];
    return NULL;
}

bool net_filter_is_type(const char *type)
{
    return find_kind(type) != NULL;
}

const char *const net_filter_types[] = { "filter-buffer", "filter-dump", "filter-mirror", "filter-redirector", NULL };

static int by_name(const void *a, const void *b)
{
    return strcmp(((const NetParam *)a)->name, ((const NetParam *)b)->name);
}

void net_filter_help(const char *type, GString *out)
{
    static const char *const kind_names[] = { "string", "bool", "uint32", "uint64" };
    const NetParam *tables[] = { common, find_kind(type)->params };
    NetParam all[16];
    unsigned n = 0;

    for (unsigned t = 0; t < 2; t++)
        for (const NetParam *p = tables[t]; p->name && n < G_N_ELEMENTS(all); p++)
            if (strcmp(p->name, "qom-type") && strcmp(p->name, "id"))
                all[n++] = *p;
    qsort(all, n, sizeof *all, by_name);
    g_string_append_printf(out, "%s options:\n", type);
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(out, "  %s=<%s>\n", all[i].name, strcmp(all[i].name, "queue") ? kind_names[all[i].kind] : "NetFilterDirection");
}

/* ---- Packets ---- */

/* From the filter at index i on, in the packet's direction. */
static bool run_from(NetClient *of, int i, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    const unsigned queue = sent_by ? FILTER_TX : FILTER_RX;

    for (; of->filters && i >= 0 && i < (int)of->filters->len; i += sent_by ? 1 : -1) {
        NetFilter *f = g_ptr_array_index(of->filters, i);

        if (f->on && (f->queues & queue) && f->kind->packet(f, sent_by, from, iov, n, size))
            return true;
    }
    return false;
}

bool net_filters_run(NetClient *of, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    return run_from(of, sent_by ? 0 : (int)of->filters->len - 1, sent_by, from, iov, n, size);
}

void filter_pass_on(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    guint i;

    if (!from || !g_ptr_array_find(f->of->filters, f, &i))
        return;
    if (run_from(f->of, (int)i + (sent_by ? 1 : -1), sent_by, from, iov, n, size))
        return;
    if (sent_by && from->peer && from->peer->filters && net_filters_run(from->peer, false, from, iov, n, size))
        return;
    net_deliver(from, iov, n, size);
}

void net_filters_forget(NetClient *from)
{
    for (unsigned i = 0; i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        for (unsigned j = 0; c->filters && j < c->filters->len; j++) {
            NetFilter *f = g_ptr_array_index(c->filters, j);

            if (f->kind->forget)
                f->kind->forget(f, from);
        }
    }
}

/* ---- Making them ---- */

static void filter_free(NetFilter *f)
{
    f->kind->close(f);
    g_free(f->id);
    g_free(f->position);
    g_free(f);
}

static NetFilter *find(const char *id, NetClient **of, guint *at)
{
    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        for (unsigned j = 0; c->filters && j < c->filters->len; j++) {
            NetFilter *f = g_ptr_array_index(c->filters, j);

            if (!strcmp(f->id, id)) {
                *of = c;
                *at = j;
                return f;
            }
        }
    }
    return NULL;
}

/* Where "head", "tail" or "id=OTHER" (before or behind it) is in the netdev's row; -1 with err. */
static int place(NetClient *of, const char *position, bool before, GError **err)
{
    NetClient *c;
    guint at;

    if (!strcmp(position, "head"))
        return 0;
    if (!strcmp(position, "tail"))
        return of->filters ? of->filters->len : 0;
    if (!g_str_has_prefix(position, "id="))
        error_set(err, "invalid parameter 'position': it is 'head', 'tail' or 'id=<id>'");
    else if (!find(position + 3, &c, &at))
        error_set(err, "filter '%s' not found", position + 3);
    else if (c != of)
        error_set(err, "filter '%s' belongs to a different netdev", position + 3);
    else
        return before ? at : at + 1;
    return -1;
}

static bool choose(Opts *o, const char *name, const char *const *values, unsigned *v, GError **err)
{
    const char *s = opts_get(o, name);

    for (*v = 0; s && strcmp(values[*v], s); ++*v)
        if (!values[*v + 1])
            return error_set(err, "Parameter '%s' does not accept value '%s'", name, s);
    return true;
}

static bool open_filter(NetFilter *f, Opts *o, GError **err)
{
    static const char *const queues[] = { "all", "rx", "tx", NULL }, *const status[] = { "on", "off", NULL },
                      *const insert[] = { "behind", "before", NULL };
    static const unsigned masks[] = { FILTER_RX | FILTER_TX, FILTER_RX, FILTER_TX };
    const char *netdev = opts_get(o, "netdev"), *position = opts_get(o, "position");
    unsigned queue, off, before;
    int at;

    if (!netdev)
        return error_set(err, "Parameter 'netdev' is missing");
    f->of = net_find_netdev(netdev);
    if (!f->of || !f->of->is_netdev)
        return error_set(err, "Parameter 'netdev' expects a network backend id");
    if (!choose(o, "queue", queues, &queue, err) || !choose(o, "status", status, &off, err) || !choose(o, "insert", insert, &before, err))
        return false;
    f->queues = masks[queue];
    f->on = !off;
    f->before = before;
    f->position = g_strdup(position ? position : "tail");
    at = place(f->of, f->position, before, err);
    if (at < 0 || !f->kind->open(f, o, err))
        return false;
    if (!f->of->filters)
        f->of->filters = g_ptr_array_new();
    g_ptr_array_insert(f->of->filters, at, f);
    return true;
}

bool net_filter_add(const char *type, const char *id, Opts *o, GError **err)
{
    const FilterKind *kind = find_kind(type);
    NetFilter *f;
    NetClient *c;
    guint at;

    if (!id)
        return error_set(err, "Parameter 'id' is missing");
    if (find(id, &c, &at))
        return error_set(err, "attempt to add duplicate property '%s' to object (type 'container')", id);
    if (!net_check_params(o, (const NetParam *const[]){ common, kind->params, NULL }, err))
        return false;
    f = g_malloc0(kind->size);
    f->kind = kind;
    f->id = g_strdup(id);
    if (open_filter(f, o, err))
        return true;
    filter_free(f);
    return false;
}

bool net_filter_del(const char *id, bool *found, GError **err)
{
    NetClient *c;
    NetFilter *f;
    guint at;

    f = find(id, &c, &at);
    *found = f != NULL;
    if (!f)
        return error_set(err, "object '%s' not found", id);
    if (f->kind->status) {
        f->on = false;
        f->kind->status(f);
    }
    g_ptr_array_remove_index(c->filters, at);
    filter_free(f);
    return true;
}

void net_filters_drop(NetClient *c)
{
    for (unsigned i = 0; c->filters && i < c->filters->len; i++)
        filter_free(g_ptr_array_index(c->filters, i));
    g_clear_pointer(&c->filters, g_ptr_array_unref);
}

void net_filters_print(NetClient *c, GString *out)
{
    static const char *const queues[] = { [FILTER_RX] = "rx", [FILTER_TX] = "tx", [FILTER_RX | FILTER_TX] = "all" };

    if (!c->filters || !c->filters->len)
        return;
    g_string_append(out, "filters:\n");
    for (unsigned i = 0; i < c->filters->len; i++) {
        NetFilter *f = g_ptr_array_index(c->filters, i);

        g_string_append_printf(out, "  - %s: type=%s", f->id, f->kind->name);
        f->kind->print(f, out);
        g_string_append_printf(out, ",position=%s,status=%s,insert=%s,netdev=%s,queue=%s\n", f->position, f->on ? "on" : "off",
                               f->before ? "before" : "behind", c->name, queues[f->queues]);
    }
}
