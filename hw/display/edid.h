/*
 * EDID: what a monitor says of itself. VESA's E-EDID 1.4 with a CTA-861 extension and, for pictures too large for the
 * base block, a DisplayID 1.3 one.
 */
#ifndef HW_DISPLAY_EDID_H
#define HW_DISPLAY_EDID_H
#include <stddef.h>
#include <stdint.h>

#define EDID_SIZE 384
#define EDID_WINDOW 256                 /* what bochs-display shows of it */

typedef struct EdidInfo {
    uint32_t xres, yres;    /* preferred size; 0: 1280, 800 */
    uint32_t xmax, ymax;    /* larger ones are not listed; 0: no limit */
    uint32_t refresh_rate;  /* mHz; 0: 75 Hz */
} EdidInfo;

/* Fills in the defaults. */
void edid_defaults(EdidInfo *info);
void edid_generate(uint8_t edid[EDID_SIZE], const EdidInfo *info);
#endif
