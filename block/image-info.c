/* What can be told about an image. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block/aio.h"
#include "block/image-info.h"
#include "util/error.h"

char *size_text(uint64_t val)
{
    static const char suffix[] = " KMGTPE";
    char unit[4] = "B";
    int i;

    /* the next unit from 1000 on, not from 1024 */
    for (i = 0; i < 6 && (double)val / (double)(UINT64_C(1) << (i * 10)) >= 1000; i++)
        ;
    if (i)
        g_snprintf(unit, sizeof(unit), "%ciB", suffix[i]);
    return g_strdup_printf("%0.3g %s", (double)val / (double)(UINT64_C(1) << (i * 10)), unit);
}

typedef struct ListArgs { BlockNode *n; SnapshotInfo *list; int count; } ListArgs;

static void list_co(void *opaque)
{
    ListArgs *a = opaque;

    a->count = a->n->drv->snapshot_list(a->n, &a->list);
}

static json_t *snapshots_json(BlockNode *n)
{
    ListArgs a = { n };
    json_t *out;

    if (!n->drv->snapshot_list)
        return NULL;
    aio_run_sync(list_co, &a);
    if (a.count <= 0) {
        g_free(a.list);
        return NULL;
    }
    out = json_array();
    for (int i = 0; i < a.count; i++) {
        SnapshotInfo *s = &a.list[i];
        json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id", s->id, "name", s->name, "vm-state-size",
                              (json_int_t)s->vm_state_size, "date-sec", (json_int_t)s->date_sec, "date-nsec",
                              (json_int_t)s->date_nsec, "vm-clock-sec", (json_int_t)(s->vm_clock_ns / 1000000000),
                              "vm-clock-nsec", (json_int_t)(s->vm_clock_ns % 1000000000));

        if (s->icount != UINT64_MAX)
            json_object_set_new(j, "icount", json_integer(s->icount));
        json_array_append_new(out, j);
    }
    g_free(a.list);
    return out;
}

static void add_backing(BlockNode *n, json_t *j, bool chain, GError **err)
{
    if (n->backing_file) {
        g_autofree char *full = backing_path(n->file && *n->file->node->exact_filename ? n->file->node->exact_filename
                                             : n->filename, n->backing_file, NULL);

        json_object_set_new(j, "backing-filename", json_string(n->backing_file));
        if (full)
            json_object_set_new(j, "full-backing-filename", json_string(full));
        if (n->backing_format)
            json_object_set_new(j, "backing-filename-format", json_string(n->backing_format));
    }
    if (chain && n->backing) {
        json_t *b = image_info(node_skip_filters(n->backing->node), true, err);

        if (b)
            json_object_set_new(j, "backing-image", b);
    }
}

json_t *image_info(BlockNode *n, bool chain, GError **err)
{
    NodeInfo ni = { 0 };
    int64_t len = node_length(n), alloc = node_allocated(n);
    json_t *j, *x;

    if (len < 0) {
        error_set_errno(err, (int)len, "Can't get image size '%s'", n->exact_filename);
        return NULL;
    }
    j = json_pack("{s:s, s:s, s:I}", "filename", n->filename, "format", n->drv->name, "virtual-size", (json_int_t)len);
    if (alloc >= 0)
        json_object_set_new(j, "actual-size", json_integer(alloc));
    if (n->drv->info && n->drv->info(n, &ni) && ni.cluster_size)
        json_object_set_new(j, "cluster-size", json_integer(ni.cluster_size));
    json_object_set_new(j, "dirty-flag", json_boolean(ni.is_dirty));
    x = n->drv->specific_info ? n->drv->specific_info(n) : NULL;
    if (x)
        json_object_set_new(j, "format-specific", x);
    add_backing(n, j, chain, err);
    x = snapshots_json(n);
    if (x)
        json_object_set_new(j, "snapshots", x);
    return j;
}

/* ---- as text */

static const char *str(json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static int64_t num(json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

void snapshot_print(GString *out, const SnapshotInfo *sn)
{
    char date[64] = "", clock[64], icount[32] = "";
    g_autofree char *size = NULL;
    time_t t;
    struct tm tm;
    uint64_t secs;

    if (!sn) {
        g_string_append_printf(out, "%-10s%-17s%8s%20s%13s%11s", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
        return;
    }
    t = sn->date_sec;
    localtime_r(&t, &tm);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    secs = sn->vm_clock_ns / 1000000000;
    g_snprintf(clock, sizeof(clock), "%02d:%02d:%02d.%03d", (int)(secs / 3600), (int)(secs / 60 % 60), (int)(secs % 60),
               (int)(sn->vm_clock_ns / 1000000 % 1000));
    if (sn->icount != UINT64_MAX)
        g_snprintf(icount, sizeof(icount), "%" PRIu64, sn->icount);
    size = size_text(sn->vm_state_size);
    g_string_append_printf(out, "%-9s %-16s %8s%20s%13s%11s", sn->id, sn->name, size, date, clock, icount);
}

static void print_snapshots(GString *out, json_t *list)
{
    size_t i;
    json_t *s;

    g_string_append(out, "Snapshot list:\n");
    snapshot_print(out, NULL);
    g_string_append_c(out, '\n');
    json_array_foreach(list, i, s) {
        SnapshotInfo sn = { .date_sec = num(s, "date-sec"), .vm_state_size = num(s, "vm-state-size"),
                            .vm_clock_ns = num(s, "vm-clock-sec") * UINT64_C(1000000000) + num(s, "vm-clock-nsec"),
                            .icount = json_object_get(s, "icount") ? (uint64_t)num(s, "icount") : UINT64_MAX };

        g_strlcpy(sn.id, str(s, "id"), sizeof(sn.id));
        g_strlcpy(sn.name, str(s, "name"), sizeof(sn.name));
        snapshot_print(out, &sn);
        g_string_append_c(out, '\n');
    }
}

/* The order in which QEMU's dictionaries list their keys: by a hash of 512 chains, the newest of a chain first. */
static unsigned key_rank(const char *key)
{
    uint32_t v = UINT32_C(0x238f13af) * (uint32_t)strlen(key);

    for (unsigned i = 0; key[i]; i++)
        v += (uint32_t)(unsigned char)key[i] << (i * 5 % 24);
    return (UINT32_C(1103515243) * v + 12345) % 512;
}

static int by_rank(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    unsigned rx = key_rank(x), ry = key_rank(y);

    return rx != ry ? (rx < ry ? -1 : 1) : strcmp(x, y);
}

const char **json_keys_ranked(json_t *j)
{
    size_t n = json_object_size(j), i = 0;
    const char **keys = g_new(const char *, n + 1), *k;
    json_t *v;

    json_object_foreach(j, k, v)
        keys[i++] = k;
    keys[i] = NULL;
    qsort(keys, n, sizeof(*keys), by_rank);
    return keys;
}

static void dump_to(GString *s, json_t *j)
{
    size_t i;
    json_t *v;

    if (json_is_object(j)) {
        g_autofree const char **keys = json_keys_ranked(j);

        g_string_append_c(s, '{');
        for (i = 0; keys[i]; i++) {
            g_string_append_printf(s, "%s\"%s\": ", i ? ", " : "", keys[i]);
            dump_to(s, json_object_get(j, keys[i]));
        }
        g_string_append_c(s, '}');
    } else if (json_is_array(j)) {
        g_string_append_c(s, '[');
        json_array_foreach(j, i, v) {
            g_string_append(s, i ? ", " : "");
            dump_to(s, v);
        }
        g_string_append_c(s, ']');
    } else {
        char *text = json_dumps(j, JSON_ENCODE_ANY);

        g_string_append(s, text);
        free(text);
    }
}

char *json_dump_ranked(json_t *j)
{
    GString *s = g_string_new(NULL);

    dump_to(s, j);
    return g_string_free(s, FALSE);
}

static void print_members(GString *out, json_t *data, unsigned depth);

static void print_member(GString *out, json_t *v, const char *label, unsigned depth)
{
    bool nested = json_is_object(v) || json_is_array(v);
    size_t i;
    json_t *e;

    g_string_append_printf(out, "%*s%s:%s", depth * 4, "", label, nested ? "\n" : " ");
    if (json_is_object(v)) {
        print_members(out, v, depth + 1);
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, e) {
            g_autofree char *index = g_strdup_printf("[%zu]", i);

            print_member(out, e, index, depth + 1);
        }
    } else if (json_is_string(v)) {
        g_string_append_printf(out, "%s\n", json_string_value(v));
    } else if (json_is_boolean(v)) {
        g_string_append(out, json_is_true(v) ? "true\n" : "false\n");
    } else {
        g_string_append_printf(out, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
    }
}

static void print_members(GString *out, json_t *data, unsigned depth)
{
    g_autofree const char **keys = json_keys_ranked(data);

    for (unsigned i = 0; keys[i]; i++) {
        g_autofree char *label = g_strdelimit(g_strdup(keys[i]), "-", ' ');

        print_member(out, json_object_get(data, keys[i]), label, depth);
    }
}

void image_info_print_specific(GString *out, json_t *spec)
{
    g_string_append(out, "Format specific information:\n");
    print_members(out, json_object_get(spec, "data"), 1);
}

void image_info_print(GString *out, json_t *j)
{
    g_autofree char *size = size_text(num(j, "virtual-size")), *disk = NULL;
    const char *backing = str(j, "backing-filename"), *full = str(j, "full-backing-filename");

    disk = json_object_get(j, "actual-size") ? size_text(num(j, "actual-size")) : g_strdup("unavailable");
    g_string_append_printf(out, "image: %s\nfile format: %s\nvirtual size: %s (%" PRId64 " bytes)\ndisk size: %s\n",
                           str(j, "filename"), str(j, "format"), size, num(j, "virtual-size"), disk);
    if (json_object_get(j, "cluster-size"))
        g_string_append_printf(out, "cluster_size: %" PRId64 "\n", num(j, "cluster-size"));
    if (json_is_true(json_object_get(j, "dirty-flag")))
        g_string_append(out, "cleanly shut down: no\n");
    if (backing) {
        g_string_append_printf(out, "backing file: %s", backing);
        if (!full)
            g_string_append(out, " (cannot determine actual path)");
        else if (strcmp(backing, full))
            g_string_append_printf(out, " (actual path: %s)", full);
        g_string_append_c(out, '\n');
        if (str(j, "backing-filename-format"))
            g_string_append_printf(out, "backing file format: %s\n", str(j, "backing-filename-format"));
    }
    if (json_object_get(j, "snapshots"))
        print_snapshots(out, json_object_get(j, "snapshots"));
    if (json_object_get(j, "format-specific"))
        image_info_print_specific(out, json_object_get(j, "format-specific"));
}
