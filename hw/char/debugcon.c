/*
 * isa-debugcon: what is written to port 0xe9 goes to a chardev (as in Bochs); reading gives 0xe9, so that a guest can
 * tell that the port is there.
 */
#include "chardev/char.h"
#include "hw/char/serial.h"
#include "hw/isa/isa.h"
#include "util/error.h"

#define MAX_QUEUED 65536        /* bytes that wait for a back-end that is busy; the rest is lost */

typedef struct DebugCon {
    Device dev;

    /* host side */
    CharFrontend chr;
    GByteArray *queue;

    /* set-up */
    uint32_t iobase, readback;
} DebugCon;

static void flush(void *opaque)
{
    DebugCon *s = opaque;
    int n = chr_write(&s->chr, s->queue->data, s->queue->len);

    g_byte_array_remove_range(s->queue, 0, n);
    if (s->queue->len)
        chr_add_watch(&s->chr, flush, s);
}

static void debugcon_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    DebugCon *s = opaque;
    uint8_t b = val;

    if (!s->queue->len && chr_write(&s->chr, &b, 1) == 1)
        return;
    if (s->queue->len < MAX_QUEUED)
        g_byte_array_append(s->queue, &b, 1);
    if (s->queue->len == 1)
        chr_add_watch(&s->chr, flush, s);
}

static uint64_t debugcon_read(void *opaque, uint64_t off, unsigned size)
{
    return ((DebugCon *)opaque)->readback;
}

static const PioRange ports[] = { { 0, 1, 1, debugcon_read, debugcon_write }, {0} };

static bool debugcon_realize(Device *d, GError **err)
{
    DebugCon *s = DEVICE(d, DebugCon);

    if (!s->chr.chr)
        return error_set(err, "Can't create debugcon device, empty char device");
    if (!isa_map_ports(d, "isa-debugcon", s->iobase, ports, err))
        return false;
    s->queue = g_byte_array_new();
    chr_set_handlers(&s->chr, NULL, NULL, NULL, s);
    return true;
}

static void debugcon_unrealize(Device *d)
{
    DebugCon *s = DEVICE(d, DebugCon);

    chr_detach(&s->chr);
    g_byte_array_unref(s->queue);
}

static const Property debugcon_props[] = {
    PROP(DebugCon, iobase, "iobase", PROP_U32, 0xe9),
    PROP(DebugCon, chr, "chardev", PROP_CHR, 0),
    PROP(DebugCon, readback, "readback", PROP_U32, 0xe9),
    {0}
};

const DeviceType isa_debugcon_type = {
    .name = "isa-debugcon", .bus = "ISA", .size = sizeof(DebugCon),
    .props = debugcon_props, .realize = debugcon_realize, .unrealize = debugcon_unrealize,
    .host = (const Field[]) {
        HOST(DebugCon, dev), HOST(DebugCon, chr), HOST(DebugCon, queue), HOST(DebugCon, iobase), HOST(DebugCon, readback), {0}
    },
};
