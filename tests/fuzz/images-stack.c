/*
 * Filters and protocols in odd combinations: raw with offset and size, blkdebug with rules, copy-on-read, null-co,
 * qcow2 below them, described by options that the input picks. The files below are in memory.
 */
#include <stdio.h>
#include <string.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/options.h"
#include "tests/fuzz/libimages.h"

const char fuzz_name[] = "images-stack";
const char *const fuzz_found[] = { NULL };

static const char *const numbers[] = {
    "0", "512", "1", "4096", "65536", "1M", "511", "-1", "9223372036854775807", "9223372036854775296", "18446744073709551615",
    "0x7ffffffffffffe00", "8E", "1e3", "1.5k", "", "x", "1073741824", "2147483648", "100", "2", "5", "28", "off", "on",
};
static const char *const drivers[] = { "raw", "blkdebug", "copy-on-read", "null-co", "null-aio", "qcow2", "mem", "nonsense" };
static const char *const events[] = { "none", "pwritev", "read_aio", "write_aio", "flush_to_disk", "l2_load", "pwritev_zero", "" };
static const char *const types[] = { "read", "write", "write-zeroes", "discard", "flush", "block-status", "other" };

#define PICK(list, n) ((list)[(n) % G_N_ELEMENTS(list)])

static char *number(const Record *r)
{
    return r->a & 128 ? g_strdup_printf("%u", r->a & 64 ? r->v & ~511u : r->v) : g_strdup(PICK(numbers, r->v));
}

/* A rule of blkdebug. */
static void set_rule(json_t *o, const char *prefix, const Record *r)
{
    static const char *const keys[] = { "event", "iotype", "errno", "sector", "once", "immediately", "state", "new_state", "foo" };
    g_autofree char *value = NULL, *key = NULL;
    unsigned k = r->b % G_N_ELEMENTS(keys);

    key = g_strdup_printf("%s%s.%u.%s", prefix, r->a & 8 ? "set-state" : "inject-error", r->a & 3, keys[k]);
    value = k == 0 ? g_strdup(PICK(events, r->v)) : k == 1 ? g_strdup(PICK(types, r->v)) : number(r);
    jopts_set(o, key, value);
}

/* An option of the node at that depth: each record tells one. */
static void set_option(json_t *o, const char *prefix, const Record *r)
{
    static const char *const keys[] = {
        "offset", "size", "align", "max-transfer", "read-zeroes", "read-only", "auto-read-only", "cache.direct",
        "cache.no-flush", "discard", "detect-zeroes", "force-share", "node-name", "driver", "filename", "backing", "l2-cache-size",
        "cache-size", "overlap-check", "lazy-refcounts", "refcount-cache-size", "cache-clean-interval", "bottom", "config", "raw",
    };
    static const char *const words[] = { "unmap", "ignore", "on", "off", "all", "none", "n1", "back", "image", "mem:image", "mem:back" };
    g_autofree char *key = g_strconcat(prefix, PICK(keys, r->b), NULL), *value = r->a & 1 ? g_strdup(PICK(words, r->v)) : number(r);

    jopts_set(o, key, value);
}

/* Nodes from the top down, to a file in memory. */
static json_t *describe(const Record *r, size_t n, unsigned shape)
{
    json_t *o = json_object();
    GString *prefix = g_string_new(NULL);

    for (unsigned depth = 0; depth < 1 + (shape & 3) + (shape >> 2 & 7 ? 0 : 20); depth++) {
        g_autofree char *key = g_strconcat(prefix->str, "driver", NULL);
        const char *d = PICK(drivers, (shape >> 3) + depth * (1 + (shape >> 6)));

        for (size_t i = 0; i < n; i++) {
            if (r[i].kind >= REC_OPS || r[i].kind % 4 != (depth & 3))
                continue;
            if (r[i].kind & 4)
                d = PICK(drivers, r[i].v);
            else if (!strcmp(d, "blkdebug") && r[i].kind & 8)
                set_rule(o, prefix->str, &r[i]);
            else
                set_option(o, prefix->str, &r[i]);
        }
        if (!json_object_get(o, key))
            jopts_set(o, key, d);
        g_string_append(prefix, !strcmp(d, "blkdebug") ? "image." : "file.");
    }
    {
        g_autofree char *driver = g_strconcat(prefix->str, "driver", NULL), *file = g_strconcat(prefix->str, "filename", NULL);

        jopts_set_default(o, driver, "mem");
        jopts_set_default(o, file, "image");
    }
    g_string_free(prefix, TRUE);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t disk[300000];
    static bool begun;
    Record r[(INPUT_MAX - INPUT_HEAD) / sizeof(Record)];
    BlockBackend *b;
    GError *e = NULL;
    json_t *o;
    size_t n;

    if (!begun)
        fuzz_init();
    begun = true;
    if (size < INPUT_HEAD || size > INPUT_MAX)
        return 0;
    n = (size - INPUT_HEAD) / sizeof(Record);
    memcpy(r, data + INPUT_HEAD, n * sizeof(Record));
    fuzz_begin();
    mem_set(&mem_files[0], disk, sizeof(disk) - data[2] % 3 * 77);
    mem_set(&mem_files[1], disk, sizeof(disk) / 2);
    mem_set(&mem_files[2], "", 0);
    o = describe(r, n, data[0]);
    b = blk_open(NULL, o, data[1] & 3 ? OPEN_RDWR | OPEN_UNMAP : 0, &e);
    if (!b) {
        if (!e || !*e->message)
            g_error("no message");
        g_error_free(e);
        return 0;
    }
    mem_yields = data[1] & 16;
    image_ops(b, r, n, mem_yields);
    mem_yields = false;
    blk_unref(b);
    return 0;
}
