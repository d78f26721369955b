/*
 * The core of a standard VGA with the Bochs VBE extensions, for the devices that contain one (VGA, secondary-vga,
 * isa-vga): registers, memory windows and drawing. IBM's VGA registers; the VBE interface ("dispi") as in
 * the Bochs VGABIOS' documentation, id B0C5.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H
#include "hw/core/device.h"
#include "hw/core/memory.h"
#include "ui/console.h"

/* Sequencer. */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_CHAR_MAP, SEQ_MEMORY_MODE };
enum { SEQ_CLOCKING_8DOT = 0x01, SEQ_CLOCKING_DOT_HALF = 0x08, SEQ_MEMORY_CHAIN4 = 0x08 };
/* Graphics controller. */
enum { GR_SET_RESET, GR_ENABLE_SET_RESET, GR_COLOR_COMPARE, GR_ROTATE, GR_READ_MAP, GR_MODE, GR_MISC, GR_DONT_CARE,
       GR_BIT_MASK };
enum { GR_MODE_READ1 = 0x08, GR_MODE_ODD_EVEN = 0x10, GR_MISC_GRAPHICS = 0x01 };
/* Attribute controller. */
enum { AR_MODE = 0x10, AR_OVERSCAN, AR_PLANE_ENABLE, AR_PANNING, AR_COLOR_SELECT };
enum { AR_MODE_LINE_GRAPHICS = 0x04, AR_MODE_P54 = 0x80, AR_INDEX_VIDEO_ON = 0x20 };
/* CRT controller. */
enum { CR_H_TOTAL, CR_H_DISPLAY_END, CR_V_TOTAL = 6, CR_OVERFLOW, CR_PRESET_ROW, CR_MAX_SCAN, CR_CURSOR_START,
       CR_CURSOR_END, CR_START_HIGH, CR_START_LOW, CR_CURSOR_HIGH, CR_CURSOR_LOW, CR_V_SYNC_END = 0x11,
       CR_V_DISPLAY_END, CR_OFFSET, CR_MODE = 0x17, CR_LINE_COMPARE };
/* VBE: indices and bits of the enable register. */
enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
       VBE_Y_OFFSET, VBE_REGS, VBE_MEMORY_64K = VBE_REGS, VBE_INDICES };
enum { VBE_ENABLED = 0x01, VBE_GET_CAPS = 0x02, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NO_CLEAR = 0x80 };
enum { VBE_MAX_XRES = 16000, VBE_MAX_YRES = 12000, VBE_MAX_BPP = 32 };

#define VGA_TEXT_MAX (160 * 100)        /* cells; larger text screens are not drawn */
#define VGA_BANK 0x10000
#define VGA_LINE_MAX (VBE_MAX_XRES * 4) /* bytes of video RAM that one line shows, at most */

/* What the registers say is to be drawn: compared as a whole to find a change of mode. */
typedef struct VgaMode {
    enum { VGA_NOTHING, VGA_BLANK, VGA_TEXT, VGA_GRAPHICS } kind;
    uint32_t width, height;             /* of the surface, pixels */
    uint32_t start, pitch, compare;     /* bytes into video RAM, bytes a line (a row of text); the split's line */
    /* graphics */
    uint8_t shift, depth;               /* shift register mode 0..3; VBE's bits per pixel, 0: plain VGA */
    bool doubled;                       /* each pixel is two wide */
    bool shared, big_endian;            /* the surface shows video RAM itself */
    uint8_t cr17, planes;
    uint32_t repeat;                    /* each line is shown repeat + 1 times */
    uint32_t lines;
    /* text */
    uint32_t cols, rows, cell_w, cell_h;
    uint32_t font[2];                   /* bytes into video RAM, without and with attribute bit 3 */
    bool ninth_dot;                     /* line graphics characters run into the ninth column */
    uint32_t cursor;                    /* cell's byte in video RAM; UINT32_MAX: none */
    uint8_t cursor_from, cursor_to;
} VgaMode;

typedef struct VgaState {
    /* guest state */
    uint32_t latch;
    uint8_t sr_index, sr[8];
    uint8_t gr_index, gr[16];
    uint8_t ar_index, ar[21];
    uint32_t ar_flip_flop;
    uint8_t cr_index, cr[256];
    uint8_t msr, fcr, st00, st01;
    uint8_t dac_state, dac_sub_index, dac_read_index, dac_write_index, dac_cache[3];
    uint8_t palette[768];
    uint32_t bank_offset;
    uint8_t is_vbe;
    uint16_t vbe_index, vbe_regs[VBE_REGS];
    uint32_t vbe_start_addr;            /* 4-byte units */
    uint32_t vbe_line_offset, vbe_bank_mask;
    bool big_endian_fb;

    /* follow from it */
    uint8_t sr_now[8];                  /* the sequencer's registers, as an enabled VBE overrides them */

    /* set up by realize */
    bool big_endian_default;
    Device *dev;
    uint32_t vram_size;                 /* a power of two, at least 1 MiB */
    uint8_t *vram_ptr;
    Region vram, lowmem, chain4;
    Region *space;                      /* where lowmem and chain4 are; NULL: no legacy window */
    Console *con;

    /* drawing: what the surface shows */
    bool redraw, log_on, trap_on;
    VgaMode shown;
    uint32_t colors[256], shown_colors[256];
    uint32_t *cells;                    /* VGA_TEXT_MAX: character, attribute and cursor of each */
    uint8_t *fonts;                     /* 2 * 256 * 32 */
    uint64_t blink_at;                  /* ns of guest time */
    bool cursor_on, shown_cursor_on;
    gint64 changed_at;                  /* us: video RAM's last change */
    uint8_t *line;                      /* a line that wraps around the end of video RAM */
    unsigned long *dirty;               /* pages to draw, a bit each */
} VgaState;

extern const StateTable vga_state;

/* Makes video RAM and console. vram_mb is rounded up to a power of two, 1..512; block: the RAM block's name. */
bool vga_init(VgaState *s, Device *d, uint32_t vram_mb, const char *block, GError **err);
void vga_fini(VgaState *s);
void vga_reset(VgaState *s);
/* Puts the window at A0000 into space. */
void vga_map_legacy(VgaState *s, Region *space);

/* Ports 3B0..3DF, one byte; the opaque is the VgaState. */
uint64_t vga_port_read(void *opaque, uint64_t port, unsigned size);
void vga_port_write(void *opaque, uint64_t port, uint64_t val, unsigned size);
/* A region of ports that begins at 3B4, 3BA, 3C0, 3D4 or 3DA: offsets are from there. */
extern const RegionOps vga_ops_3b4, vga_ops_3ba, vga_ops_3c0, vga_ops_3d4, vga_ops_3da;
extern const RegionOps vga_ops_vbe;     /* 1CE..1D1 */

/* VBE. */
static inline bool vbe_enabled(const VgaState *s) { return s->vbe_regs[VBE_ENABLE] & VBE_ENABLED; }
uint16_t vbe_read(VgaState *s, unsigned index);
void vbe_write(VgaState *s, unsigned index, uint16_t val);
void vbe_settle(VgaState *s);           /* makes an enabled VBE's registers fit each other and video RAM */
void vbe_update_registers(VgaState *s); /* what an enabled VBE does to the VGA's registers */

/* For the files of the core. */
void vga_update_windows(VgaState *s);
void vga_mem_init(VgaState *s);
void vga_trap_init(VgaState *s);
extern const ConsoleOps vga_console_ops;
void vga_mode_text(const VgaState *s, VgaMode *m);
/* Draws what has changed; true: more than the cursor's blinking. */
bool vga_draw_text(VgaState *s, const VgaMode *m, bool all, bool colors);
/* The text that is shown. */
void vga_read_text(const VgaState *s, TextScreen *t);
typedef void VgaLineFn(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from);
/* How many bytes of video RAM a line shows, and who draws it. */
unsigned vga_line_bytes(const VgaMode *m);
VgaLineFn *vga_line_fn(const VgaMode *m);
/* Is one of these bytes' pages to be drawn? */
bool vga_dirty(const VgaState *s, uint32_t off, uint32_t len);
#endif
