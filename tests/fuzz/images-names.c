/*
 * File names and option strings: "json:{...}", "blkdebug:...", "nbd:...", dotted keys as --image-opts and -blockdev take them, sizes.
 * The input is text, or says which of a few words are put together. Nothing outside of memory is opened: a name that leads there
 * is only taken apart.
 */
#include <string.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/options.h"
#include "tests/fuzz/libimages.h"

const char fuzz_name[] = "images-names";
const char *const fuzz_found[] = { NULL };

static const char *const words[] = {
    "json:", "{", "}", "\"driver\"", ":", "\"raw\"", "\"qcow2\"", "\"mem\"", "\"file\"", "\"filename\"", "\"image\"",
    ",", "[", "]", "1", "null", "true", "\"backing\"", "\"node-name\"", "\"n\"", "driver=raw", "file.driver=mem",
    "file.filename=image", "file=mem:image", "backing=", "mem:image", "mem:back", "blkdebug:", "blkdebug::mem:image",
    "blkverify:", "blkverify:mem:image:mem:back", "nbd:unix:x", "nbd+unix:", "?socket=", "nbd:", ":exportname=", "=",
    ",,", ".", "..", "0", "offset=", "size=", "\\", "\"", "raw:", "json:{\"driver\":\"raw\",\"file\":\"mem:image\"}",
    "driver=qcow2", "file.file.", "file.", "\xff", "\xc3", "e", "9223372036854775807", "-1", "null-co:", "k",
    "null-co", "driver=null-co", " ", "{\"driver\":", "node-name=", "file.0", "discard=unmap", "driver=copy-on-read",
    "image.driver=mem",
};

static char *text_of(const uint8_t *data, size_t size)
{
    GString *s = g_string_new(NULL);

    if (data[0] & 1)
        return g_strndup((const char *)data + 1, size - 1);
    for (size_t i = 1; i < size; i++) {
        if (data[i] < 2 * G_N_ELEMENTS(words))
            g_string_append(s, words[data[i] / 2]);
        else
            g_string_append_c(s, data[i] & 127 ? data[i] & 127 : 'x');
    }
    return g_string_free(s, FALSE);
}

/* Names that lead out: files, sockets, devices. */
static bool leads_out(const char *t)
{
    static const char *const out[] = { "/", "nbd", "rbd", "host_device", "\\u", "driver=file", "\"file\"", "config", "blkdebug", "fi" };

    for (unsigned i = 0; i < G_N_ELEMENTS(out); i++)
        if (strstr(t, out[i]) && !(i == 6 && !strstr(t, "driver\":\"file")) && !(i == 9 && !strstr(t, "driver=fi")))
            return true;
    return !g_str_has_prefix(t, "json:") && !path_has_protocol(t) && !strchr(t, '=');
}

static void try_open(const char *name, json_t *o)
{
    GError *e = NULL;
    BlockBackend *b = blk_open(name, o, OPEN_RDWR, &e);
    Record r = { .kind = REC_OPS, .v = 100, .b = 8 };

    if (b) {
        image_op(b, &r);
        blk_unref(b);
    } else {
        if (!e || !*e->message)
            g_error("no message");
        g_error_free(e);
    }
}

static void parse_only(const char *t)
{
    GError *e = NULL;
    json_t *o, *tree;
    uint64_t v;

    for (unsigned i = 0; block_drivers[i]; i++) {
        if (!block_drivers[i]->parse_filename || !g_str_has_prefix(t, block_drivers[i]->name))
            continue;
        o = json_object();
        if (!block_drivers[i]->parse_filename(t, o, &e))
            g_clear_error(&e);
        json_decref(o);
    }
    parse_size(t, 'B', &v);
    o = jopts_from_json(t, NULL);
    if (!o)
        o = jopts_parse(t, "file", NULL);
    if (o) {
        tree = jopts_crumple(o);
        json_decref(tree);
        json_decref(jopts_extract(o, "file."));
        json_decref(o);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    g_autofree char *t = NULL;
    json_t *o;

    if (!begun)
        fuzz_init();
    begun = true;
    if (size < 2 || size > INPUT_MAX)
        return 0;
    fuzz_begin();
    for (int i = 0; i < MEM_FILES; i++)
        mem_set(&mem_files[i], "some text that is no image", 26);
    t = text_of(data, size);
    parse_only(t);
    if (leads_out(t))
        return 0;
    try_open(t, NULL);
    o = jopts_parse(t, "file", NULL);
    if (o)
        try_open(NULL, o);
    return 0;
}
