/* A text console of the window: the ui gives it; without one it swallows what is written. */
#include <string.h>
#include "chardev/char-int.h"

#define INPUT_MAX 4096      /* keys that nobody reads: more are dropped */

typedef struct VcChardev {
    Chardev chr;
    void *console;
    GByteArray *input;
} VcChardev;

static const ChrVcOps *ops;

void chr_set_vc_ops(const ChrVcOps *o)
{
    ops = o;
}

static bool vc_open(Chardev *c, GHashTable *opts, GError **err)
{
    VcChardev *v = (VcChardev *)c;

    v->input = g_byte_array_new();
    if (!ops)
        return true;
    v->console = ops->create(c, MIN(chr_opt_num(opts, "width", 0), 9999), MIN(chr_opt_num(opts, "height", 0), 9999),
                             MIN(chr_opt_num(opts, "cols", 0), 9999), MIN(chr_opt_num(opts, "rows", 0), 9999), err);
    return v->console != NULL;
}

static int vc_write(Chardev *c, const uint8_t *buf, int len)
{
    VcChardev *v = (VcChardev *)c;

    if (v->console)
        ops->write(v->console, buf, len);
    return len;
}

static bool vc_has_input(Chardev *c)
{
    return ((VcChardev *)c)->input->len;
}

static void vc_deliver_input(Chardev *c)
{
    VcChardev *v = (VcChardev *)c;
    uint8_t buf[256];
    int n;

    while (v->input->len && (n = chr_be_can_read(c)) > 0) {
        n = MIN(n, MIN((int)v->input->len, (int)sizeof(buf)));
        memcpy(buf, v->input->data, n);
        g_byte_array_remove_range(v->input, 0, n);
        chr_be_read(c, buf, n);
    }
}

void chr_vc_input(Chardev *c, const uint8_t *buf, int len)
{
    VcChardev *v = (VcChardev *)c;
    int room = INPUT_MAX - (int)v->input->len;

    if (len > 0 && room > 0)
        g_byte_array_append(v->input, buf, MIN(len, room));
    vc_deliver_input(c);
}

static void vc_close(Chardev *c)
{
    VcChardev *v = (VcChardev *)c;

    if (v->console)
        ops->destroy(v->console);
    g_byte_array_unref(v->input);
}

const ChardevType chardev_vc = {
    .name = "vc", .size = sizeof(VcChardev), .open = vc_open, .write = vc_write, .has_input = vc_has_input,
    .deliver_input = vc_deliver_input, .close = vc_close,
};
