/*
 * "bochs-display": a frame buffer with the Bochs VBE registers in its MMIO BAR and nothing of a VGA. 1234:1111.
 *
 *   BAR 0   video RAM        BAR 2   000 EDID   500 VBE's registers   600 size and byte order register
 *
 * Shows 16 and 32 bits per pixel; with registers that do not fit, the last picture stays.
 */
#include "hw/display/edid.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "util/error.h"
#include <string.h>

#define BIG_ENDIAN_ID 0xbebebebe
#define LITTLE_ENDIAN_ID 0x1e1e1e1e

typedef struct Picture {
    uint32_t width, height, bytes, stride;
    uint64_t offset;
    bool big_endian;
} Picture;

typedef struct BochsDisplay {
    PciDevice pci;

    /* guest state */
    uint16_t vbe_regs[VBE_REGS];
    bool big_endian_fb;

    /* set up by realize */
    Region vram, mmio, mmio_edid, mmio_vbe, mmio_ext;
    uint8_t *vram_ptr;
    Console *con;
    EdidInfo edid_info;
    uint8_t edid[EDID_SIZE];
    Picture shown;
    bool redraw, log_on;

    /* properties */
    uint64_t vgamem;
    bool has_edid;
} BochsDisplay;

/* ---- Registers ---- */

static uint64_t edid_read(void *opaque, uint64_t off, unsigned size)
{
    return off < EDID_SIZE ? ((BochsDisplay *)opaque)->edid[off] : 0;
}

static uint64_t regs_read(void *opaque, uint64_t off, unsigned size)
{
    BochsDisplay *s = opaque;
    unsigned i = off >> 1;

    return i == VBE_ID ? 0xb0c5 : i < VBE_REGS ? s->vbe_regs[i] : i == VBE_MEMORY_64K ? s->vgamem >> 16 : 0xffff;
}

static void regs_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    BochsDisplay *s = opaque;

    if (off >> 1 < VBE_REGS) {
        s->vbe_regs[off >> 1] = val;
        console_kick(s->con);
    }
}

static uint64_t ext_read(void *opaque, uint64_t off, unsigned size)
{
    BochsDisplay *s = opaque;

    if (size != 4) {
        return 0;
    }
    return off == 0 ? 8 : off == 4 ? (s->big_endian_fb ? BIG_ENDIAN_ID : LITTLE_ENDIAN_ID) : 0;
}

static void ext_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    BochsDisplay *s = opaque;

    if (off == 4 && size == 4 && (val == BIG_ENDIAN_ID || val == LITTLE_ENDIAN_ID)) {
        s->big_endian_fb = val == BIG_ENDIAN_ID;
        console_kick(s->con);
    }
}

static const RegionOps hole_ops;
static const RegionOps edid_ops = { .read = edid_read, .max = 1, .unaligned = true };
static const RegionOps regs_ops = { .read = regs_read, .write = regs_write, .min = 2, .max = 2 };
static const RegionOps ext_ops = { .read = ext_read, .write = ext_write, .max = 4, .unaligned = true };

/* ---- Picture ---- */

/* What the registers describe; false: nothing that can be shown. */
static bool picture_now(const BochsDisplay *s, Picture *p)
{
    const uint16_t *r = s->vbe_regs;

    memset(p, 0, sizeof *p);
    p->bytes = r[VBE_BPP] / 8;
    if (!(r[VBE_ENABLE] & VBE_ENABLED) || (r[VBE_BPP] != 16 && r[VBE_BPP] != 32)) {
        return false;
    }
    p->width = r[VBE_XRES];
    p->height = r[VBE_YRES];
    p->stride = MAX(r[VBE_VIRT_WIDTH], r[VBE_XRES]) * p->bytes;
    p->offset = r[VBE_X_OFFSET] * p->bytes + (uint64_t)r[VBE_Y_OFFSET] * p->stride;
    p->big_endian = s->big_endian_fb;
    return p->width >= 64 && p->height >= 64 && p->width <= VBE_MAX_XRES && p->height <= VBE_MAX_YRES &&
           p->offset + (uint64_t)p->stride * p->height <= s->vgamem;
}

static void set_surface(BochsDisplay *s, const Picture *p)
{
    pixman_format_code_t f = p->bytes == 2 ? PIXMAN_r5g6b5 : p->big_endian ? PIXMAN_b8g8r8x8 : PIXMAN_x8r8g8b8;
    Surface *shared = NULL;

    if (p->bytes == 4 || !p->big_endian) {
        shared = surface_new_shared(p->width, p->height, f, p->stride, s->vram_ptr + p->offset);
    }
    if (shared) {
        console_set_surface(s->con, shared);
    } else {
        console_resize(s->con, p->width, p->height);
    }
}

/* 16 bits that pixman cannot show in place: big-endian, or lines that begin at odd places. */
static void copy_line(BochsDisplay *s, const Picture *p, unsigned y)
{
    Surface *surface = console_surface(s->con);
    uint32_t *to = (uint32_t *)(void *)(surface_data(surface) + (size_t)y * surface_stride(surface));
    const uint8_t *from = s->vram_ptr + p->offset + (size_t)y * p->stride;

    for (unsigned x = 0; x < p->width; x++, from += p->bytes) {
        uint32_t v = p->big_endian ? from[0] << 8 | from[1] : from[0] | from[1] << 8;
        uint32_t r = v >> 11 & 0x1f, g = v >> 5 & 0x3f, b = v & 0x1f;

        to[x] = (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
    }
}

static int bochs_update(void *opaque)
{
    BochsDisplay *s = opaque;
    unsigned first, last = 0;
    bool all = s->redraw || !s->log_on, carried = false;
    Picture p;

    if (!picture_now(s, &p)) {
        return CONSOLE_IDLE;
    }
    if (memcmp(&p, &s->shown, sizeof p)) {
        memcpy(&s->shown, &p, sizeof p);
        set_surface(s, &p);
        all = true;
    }
    s->redraw = false;
    first = p.height;
    region_dirty_sync(&s->vram);
    for (unsigned y = 0; y < p.height; y++) {
        uint64_t at = p.offset + (uint64_t)y * p.stride, end = at + p.stride;
        /* The page that this line shares with the one before has been cleared with that. */
        bool dirty = region_dirty_test_clear(&s->vram, at, p.stride) || (carried && at % 4096);

        carried = dirty && end % 4096;
        if (all || dirty) {
            if (!console_surface(s->con)->shared) {
                copy_line(s, &p, y);
            }
            first = MIN(first, y);
            last = y;
        }
    }
    if (first < p.height) {
        console_update(s->con, 0, first, p.width, last - first + 1);
    }
    return CONSOLE_POLL;
}

static void bochs_invalidate(void *opaque)
{
    BochsDisplay *s = opaque;

    s->redraw = true;
    console_kick(s->con);
}

static void bochs_watched(void *opaque, bool on)
{
    BochsDisplay *s = opaque;

    s->log_on = on;
    s->redraw = true;
    region_log_dirty(&s->vram, on);
}

static const ConsoleOps console_ops = { .update = bochs_update, .invalidate = bochs_invalidate, .watched = bochs_watched };

/* ---- Life ---- */

static bool bochs_realize(Device *d, GError **err)
{
    BochsDisplay *s = DEVICE(d, BochsDisplay);
    g_autofree char *prefix = device_section_prefix(d);
    g_autofree char *block = g_strdup_printf("%s/bochs-display-vram", prefix ? prefix : "");

    if (s->vgamem < 4 << 20) {
        return error_set(err, "bochs-display: video memory too small");
    }
    if (s->vgamem > 256 << 20) {
        return error_set(err, "bochs-display: video memory too big");
    }
    s->vgamem = s->vgamem & (s->vgamem - 1) ? 1ull << g_bit_storage(s->vgamem) : s->vgamem;
    if (!region_init_ram(&s->vram, d->machine, d, "bochs-display-vram", block, s->vgamem, err)) {
        return false;
    }
    s->vram_ptr = region_ram_ptr(&s->vram);
    region_init_io(&s->mmio, d, "bochs-display-mmio", 4096, &hole_ops, s);
    region_init_io(&s->mmio_vbe, d, "bochs dispi interface", 2 * VBE_INDICES, &regs_ops, s);
    region_init_io(&s->mmio_ext, d, "qemu extended regs", 8, &ext_ops, s);
    region_add(&s->mmio, 0x500, &s->mmio_vbe);
    region_add(&s->mmio, 0x600, &s->mmio_ext);
    if (s->has_edid) {
        edid_defaults(&s->edid_info);
        edid_generate(s->edid, &s->edid_info);
        region_init_io(&s->mmio_edid, d, "edid", EDID_WINDOW, &edid_ops, s);
        region_add(&s->mmio, 0, &s->mmio_edid);
    }
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM | PCI_BAR_PREFETCH, &s->vram);
    pci_register_bar(&s->pci, 2, PCI_BAR_MEM, &s->mmio);
    s->con = console_new(&console_ops, s, device_name(d), 0);
    return true;
}

static void bochs_unrealize(Device *d)
{
    BochsDisplay *s = DEVICE(d, BochsDisplay);

    console_free(s->con);
    region_fini(&s->mmio_edid);
    region_fini(&s->mmio_vbe);
    region_fini(&s->mmio_ext);
    region_fini(&s->mmio);
    region_fini(&s->vram);
    region_free_ram(d->machine, s->vram.ram);
}

static bool bochs_loaded(void *obj, int version, GError **err)
{
    bochs_invalidate(obj);
    return true;
}

static const StateTable bochs_state = {
    .name = "bochs-display",
    .fields = (const Field[]){
        PCI_STATE(BochsDisplay, pci, .name = "pci"),
        FIELD(BochsDisplay, vbe_regs),
        FIELD(BochsDisplay, big_endian_fb),
        HOST(BochsDisplay, vram), HOST(BochsDisplay, mmio), HOST(BochsDisplay, mmio_edid), HOST(BochsDisplay, mmio_vbe),
        HOST(BochsDisplay, mmio_ext), HOST(BochsDisplay, vram_ptr), HOST(BochsDisplay, con), HOST(BochsDisplay, edid_info),
        HOST(BochsDisplay, edid), HOST(BochsDisplay, shown), HOST(BochsDisplay, redraw), HOST(BochsDisplay, log_on),
        HOST(BochsDisplay, vgamem), HOST(BochsDisplay, has_edid),
        {0}
    },
    .loaded = bochs_loaded,
};

static const Property bochs_props[] = {
    PROP(BochsDisplay, vgamem, "vgamem", PROP_SIZE, 16 << 20),
    PROP(BochsDisplay, has_edid, "edid", PROP_BOOL, true, .help = ""),
    PROP(BochsDisplay, edid_info.xres, "xres", PROP_U32, 0),
    PROP(BochsDisplay, edid_info.yres, "yres", PROP_U32, 0),
    PROP(BochsDisplay, edid_info.xmax, "xmax", PROP_U32, 0),
    PROP(BochsDisplay, edid_info.ymax, "ymax", PROP_U32, 0),
    PROP(BochsDisplay, edid_info.refresh_rate, "refresh_rate", PROP_U32, 0),
    {0}
};

const DeviceType bochs_display_type = {
    .name = "bochs-display", .bus = "PCI", .parent = &pci_device_type, .category = CAT_DISPLAY, .hotplug = true,
    .size = sizeof(BochsDisplay), .props = bochs_props, .state = &bochs_state,
    .class_data = &(const PciClass){ .vendor = 0x1234, .device = 0x1111, .revision = 2, .class_id = 0x0380,
                                     .romfile = "vgabios-bochs-display.bin" },
    .realize = bochs_realize, .unrealize = bochs_unrealize,
};
