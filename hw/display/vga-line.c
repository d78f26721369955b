/* Drawers of one line of a graphics mode: from bytes of video RAM to x8r8g8b8 pixels. */
#include "hw/display/vga.h"
#include <string.h>

/* Bit n of a byte becomes bit 4 * n. */
static inline uint32_t bits_to_nibbles(uint8_t v)
{
    uint32_t x = v;

    x = (x | x << 12) & 0x000f000f;
    x = (x | x << 6) & 0x03030303;
    return (x | x << 3) & 0x11111111;
}

/* Bits 2n and 2n+1 become bits 4n and 4n+1. */
static inline uint32_t pairs_to_nibbles(uint8_t v)
{
    uint32_t x = v;

    x = (x | x << 4) & 0x0f0f;
    return (x | x << 2) & 0x3333;
}

/* n nibbles, the highest first. */
static uint32_t *put_nibbles(const VgaState *s, const VgaMode *m, uint32_t *to, uint32_t v, int n)
{
    while (n-- > 0) {
        uint32_t c = s->colors[v >> 4 * n & 0x0f];

        *to++ = c;
        if (m->doubled) {
            *to++ = c;
        }
    }
    return to;
}

/* Shift register mode 0: a bit of each plane makes a pixel. */
static void line_planar(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    for (unsigned n = m->width / (m->doubled ? 16 : 8); n > 0; n--, from += 4) {
        uint32_t v = 0;

        for (unsigned p = 0; p < 4; p++) {
            if (m->planes >> p & 1) {
                v |= bits_to_nibbles(from[p]) << p;
            }
        }
        to = put_nibbles(s, m, to, v, 8);
    }
}

/* Mode 1, CGA's: two bits of a plane make a pixel, planes 0 and 1 in turn; planes 2 and 3 give the upper bits. */
static void line_pairs(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    for (unsigned n = m->width / (m->doubled ? 16 : 8); n > 0; n--, from += 4) {
        for (unsigned p = 0; p < 2; p++) {
            uint32_t low = m->planes >> p & 1 ? pairs_to_nibbles(from[p]) : 0;
            uint32_t high = m->planes >> (p + 2) & 1 ? pairs_to_nibbles(from[p + 2]) : 0;

            to = put_nibbles(s, m, to, low | high << 2, 4);
        }
    }
}

static void line_8(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    for (unsigned x = 0; x < m->width; x++) {
        to[x] = s->colors[from[x]];
    }
}

static void line_8_doubled(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    for (unsigned x = 0; x < m->width / 2; x++) {
        to[2 * x] = to[2 * x + 1] = s->colors[from[x]];
    }
}

static inline uint32_t load16(const uint8_t *p, bool big) { return big ? p[0] << 8 | p[1] : p[0] | p[1] << 8; }

static void line_15(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    for (unsigned x = 0; x < m->width; x++, from += 2) {
        uint32_t v = load16(from, m->big_endian);

        to[x] = (v << 9 & 0xf80000) | (v << 6 & 0xf800) | (v << 3 & 0xf8);
    }
}

static void line_16(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    for (unsigned x = 0; x < m->width; x++, from += 2) {
        uint32_t v = load16(from, m->big_endian);

        to[x] = (v << 8 & 0xf80000) | (v << 5 & 0xfc00) | (v << 3 & 0xf8);
    }
}

static void line_24(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    int r = m->big_endian ? 0 : 2;

    for (unsigned x = 0; x < m->width; x++, from += 3) {
        to[x] = from[r] << 16 | from[1] << 8 | from[2 - r];
    }
}

static void line_32(const VgaState *s, const VgaMode *m, uint32_t *to, const uint8_t *from)
{
    int first = m->big_endian ? 1 : 2, step = m->big_endian ? 1 : -1;

    for (unsigned x = 0; x < m->width; x++, from += 4) {
        to[x] = from[first] << 16 | from[first + step] << 8 | from[first + 2 * step];
    }
}

unsigned vga_line_bytes(const VgaMode *m)
{
    if (m->shift < 2) {
        return m->width / (m->doubled ? 16 : 8) * 4;
    }
    return m->depth ? m->width * ((m->depth + 7) / 8) : m->width / 2;
}

VgaLineFn *vga_line_fn(const VgaMode *m)
{
    if (m->shift < 2) {
        return m->shift ? line_pairs : line_planar;
    }
    switch (m->depth) {
    case 8:
        return line_8;
    case 15:
        return line_15;
    case 16:
        return line_16;
    case 24:
        return line_24;
    case 32:
        return line_32;
    default:
        return line_8_doubled;
    }
}
