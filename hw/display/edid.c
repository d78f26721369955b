/* The EDID of QEMU's monitor: same bytes, so that a guest that moves keeps its screen. See edid.h. */
#include "hw/display/edid.h"
#include <stdbool.h>
#include <string.h>

#define BLOCK 128
#define DPI 100

/* Where a mode stands: a bit of the established timings (byte 35, 36), one of the eight standard timings while there is
 * room, else a bit of "established timings III"; a video code of the CTA extension. */
typedef struct EdidMode {
    uint16_t x, y;
    uint8_t established, timings3, bit;     /* bytes; 0: not there */
    uint8_t aspect;                         /* as standard timing; NO_STANDARD: cannot be one */
    uint8_t vic;
} EdidMode;

enum { ASPECT_16_10 = 0x00, ASPECT_4_3 = 0x40, ASPECT_5_4 = 0x80, ASPECT_16_9 = 0xc0, NO_STANDARD = 1 };

static const EdidMode modes[] = {
    { 5120, 2160, .aspect = NO_STANDARD, .vic = 125 },
    { 4096, 2160, .aspect = NO_STANDARD, .vic = 101 },
    { 3840, 2160, .aspect = NO_STANDARD, .vic = 96 },
    { 2560, 1080, .aspect = NO_STANDARD, .vic = 89 },
    { 2048, 1152, .aspect = ASPECT_16_9 },
    { 1920, 1080, .aspect = ASPECT_16_9, .vic = 31 },
    { 3840, 2160, .aspect = NO_STANDARD, .vic = 97 },
    { 1920, 1200, .aspect = ASPECT_16_10, .timings3 = 10, .bit = 0 },
    { 1600, 1200, .aspect = ASPECT_4_3, .timings3 = 9, .bit = 2 },
    { 1680, 1050, .aspect = ASPECT_16_10, .timings3 = 9, .bit = 5 },
    { 1440, 900, .aspect = ASPECT_16_10, .timings3 = 8, .bit = 5 },
    { 1280, 1024, .aspect = ASPECT_5_4, .timings3 = 7, .bit = 1 },
    { 1280, 960, .aspect = ASPECT_4_3, .timings3 = 7, .bit = 3 },
    { 1280, 768, .aspect = NO_STANDARD, .timings3 = 7, .bit = 6 },
    { 1920, 1440, .aspect = ASPECT_4_3, .timings3 = 11, .bit = 5 },
    { 1856, 1392, .aspect = ASPECT_4_3, .timings3 = 10, .bit = 3 },
    { 1792, 1344, .aspect = ASPECT_4_3, .timings3 = 10, .bit = 5 },
    { 1400, 1050, .aspect = NO_STANDARD, .timings3 = 8, .bit = 1 },
    { 1360, 768, .aspect = NO_STANDARD, .timings3 = 8, .bit = 7 },
    { 1024, 768, .established = 36, .bit = 3 },
    { 800, 600, .established = 35, .bit = 0 },
    { 640, 480, .established = 35, .bit = 5 },
};

typedef struct Timing {
    uint32_t x, x_blank, x_front, x_sync, y, y_blank, y_front, y_sync, clock;  /* clock in 10 kHz */
} Timing;

static Timing timing(const EdidInfo *info)
{
    uint64_t x = info->xres, y = info->yres;
    Timing t = {
        .x = x, .x_blank = x * 35 / 100, .x_front = x * 25 / 100, .x_sync = x * 3 / 100,
        .y = y, .y_blank = y * 35 / 1000, .y_front = y * 5 / 1000, .y_sync = y * 5 / 1000,
    };

    t.clock = info->refresh_rate * (unsigned __int128)((x + t.x_blank) * (y + t.y_blank)) / 10000000;
    return t;
}

static uint32_t millimetres(uint32_t pixels) { return (uint64_t)pixels * 254 / (10 * DPI); }

static void put16(uint8_t *p, unsigned v) { p[0] = v; p[1] = v >> 8; }

static void put_checksum(uint8_t *p, unsigned len)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < len; i++) {
        sum += p[i];
    }
    p[len] = -sum;
}

/* A descriptor of 18 bytes that is not a timing. */
static uint8_t *descriptor(uint8_t **next, uint8_t type)
{
    uint8_t *d = *next;

    memset(d, 0, 18);
    d[3] = type;
    *next += 18;
    return d;
}

static void text_descriptor(uint8_t **next, uint8_t type, const char *text)
{
    uint8_t *d = descriptor(next, type);
    size_t len = strlen(text);

    memset(d + 5, ' ', 13);
    memcpy(d + 5, text, len);
    d[5 + len] = '\n';
}

static void timing_descriptor(uint8_t **next, const Timing *t)
{
    uint8_t *d = descriptor(next, 0);
    uint32_t w = millimetres(t->x), h = millimetres(t->y);

    put16(d, t->clock);
    d[2] = t->x;
    d[3] = t->x_blank;
    d[4] = (t->x >> 4 & 0xf0) | (t->x_blank >> 8 & 0x0f);
    d[5] = t->y;
    d[6] = t->y_blank;
    d[7] = (t->y >> 4 & 0xf0) | (t->y_blank >> 8 & 0x0f);
    d[8] = t->x_front;
    d[9] = t->x_sync;
    d[10] = (t->y_front & 0x0f) << 4 | (t->y_sync & 0x0f);
    d[11] = (t->x_front >> 2 & 0xc0) | (t->x_sync >> 4 & 0x30) | (t->y_front >> 2 & 0x0c) | (t->y_sync >> 4 & 0x03);
    d[12] = w;
    d[13] = h;
    d[14] = (w >> 4 & 0xf0) | (h >> 8 & 0x0f);
    d[17] = 0x18;                       /* digital, separate sync */
}

static void range_descriptor(uint8_t **next)
{
    static const uint8_t range[] = { 50, 125, 30, 160, 2550 / 10, 1 };    /* Hz, Hz, kHz, kHz, 10 MHz; no formula */
    uint8_t *d = descriptor(next, 0xfd);

    memcpy(d + 5, range, sizeof range);
    memcpy(d + 11, "\n      ", 7);
}

static void put_modes(uint8_t *edid, uint8_t *timings3, uint8_t *cta, const EdidInfo *info)
{
    unsigned standard = 38;

    memset(edid + standard, 0x01, 16);
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        const EdidMode *m = &modes[i];

        if ((info->xmax && m->x > info->xmax) || (info->ymax && m->y > info->ymax)) {
            continue;
        }
        if (m->established) {
            edid[m->established] |= 1 << m->bit;
        } else if (standard < 54) {
            if (m->aspect != NO_STANDARD) {
                edid[standard++] = m->x / 8 - 31;
                edid[standard++] = m->aspect;
            }
        } else if (m->timings3) {
            timings3[m->timings3 - 6] |= 1 << m->bit;
        }
        if (m->vic) {
            cta[5 + (cta[4]++ & 0x1f)] = m->vic;
        }
    }
}

static void base_block(uint8_t *edid, uint8_t *cta, const EdidInfo *info, const Timing *t, bool large)
{
    static const uint8_t head[] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    static const uint8_t srgb[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 };
    uint8_t *next = edid + 54, *timings3;
    uint32_t w = millimetres(info->xres) / 10, h = millimetres(info->yres) / 10;

    memcpy(edid, head, sizeof head);
    edid[8] = 0x49;                     /* "RHT" */
    edid[9] = 0x14;
    put16(edid + 10, 0x1234);
    edid[16] = 42;                      /* week, year - 1990 */
    edid[17] = 2014 - 1990;
    edid[18] = 1;                       /* version 1.4 */
    edid[19] = 4;
    edid[20] = 0xa5;                    /* digital, 8 bits a colour, DisplayPort */
    edid[21] = w > 255 ? 255 : w;
    edid[22] = h > 255 ? 255 : h;
    edid[23] = 220 - 100;               /* gamma 2.2 */
    edid[24] = 0x06;                    /* sRGB, first timing is the preferred one */
    memcpy(edid + 25, srgb, sizeof srgb);
    if (!large) {
        timing_descriptor(&next, t);
    }
    timings3 = descriptor(&next, 0xf7) + 6;
    timings3[-1] = 10;
    put_modes(edid, timings3, cta, info);
    range_descriptor(&next);
    text_descriptor(&next, 0xfc, "QEMU Monitor");
    while (next < edid + 126) {
        descriptor(&next, 0x10);
    }
    edid[126] = large ? 2 : 1;
    put_checksum(edid, BLOCK - 1);
}

static void cta_head(uint8_t *cta)
{
    cta[0] = 0x02;
    cta[1] = 3;
    cta[4] = 2 << 5;                    /* video data block */
}

static void cta_finish(uint8_t *cta)
{
    uint8_t *next = cta + 5 + (cta[4] & 0x1f);

    cta[2] = next - cta;
    while (next + 18 <= cta + BLOCK - 1) {
        descriptor(&next, 0x10);
    }
    put_checksum(cta, BLOCK - 1);
}

static void displayid_block(uint8_t *b, const Timing *t)
{
    static const uint8_t head[] = { 0x70, 0x13, 23, 3, 0, 3, 0, 20 };   /* 1.3, stand-alone; type I detailed timing */
    uint8_t *d = b + sizeof head;

    memcpy(b, head, sizeof head);
    put16(d, t->clock);
    d[2] = t->clock >> 16;
    d[3] = 0x88;                        /* preferred, aspect undefined */
    put16(d + 4, t->x - 1);
    put16(d + 6, t->x_blank - 1);
    put16(d + 8, t->x_front - 1);
    put16(d + 10, t->x_sync - 1);
    put16(d + 12, t->y - 1);
    put16(d + 14, t->y_blank - 1);
    put16(d + 16, t->y_front - 1);
    put16(d + 18, t->y_sync - 1);
    put_checksum(b + 1, 27);
    put_checksum(b, BLOCK - 1);
}

void edid_defaults(EdidInfo *info)
{
    info->xres = info->xres ? info->xres : 1280;
    info->yres = info->yres ? info->yres : 800;
}

void edid_generate(uint8_t edid[EDID_SIZE], const EdidInfo *wanted)
{
    EdidInfo info = *wanted;
    Timing t;
    bool large;

    edid_defaults(&info);
    info.refresh_rate = info.refresh_rate ? info.refresh_rate : 75000;
    t = timing(&info);
    large = t.x > 4095 || t.y > 4095 || t.clock > 65535;
    memset(edid, 0, EDID_SIZE);
    cta_head(edid + BLOCK);
    base_block(edid, edid + BLOCK, &info, &t, large);
    cta_finish(edid + BLOCK);
    if (large) {
        displayid_block(edid + 2 * BLOCK, &t);
    }
}
