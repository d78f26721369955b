/*
 * A terminal's screen: ECMA-48 / VT102 with ANSI colours, UTF-8 shown with the characters of code page 437.
 */
#ifndef UI_VT_H
#define UI_VT_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define VT_HISTORY 512          /* lines that scrolled off and are kept */
#define VT_MAX 512              /* columns, rows */

typedef struct VtCell {
    uint8_t ch;                 /* code page 437 */
    uint8_t attr;               /* foreground | background << 4 */
} VtCell;

typedef struct VtPen {
    uint8_t fg, bg;             /* 0..7 */
    bool bold, reverse;
    bool line_drawing;          /* DEC's special graphics */
} VtPen;

typedef struct Vt {
    unsigned cols, rows;
    VtCell *cells;              /* a ring of rows + VT_HISTORY lines */
    unsigned top;               /* line of the ring that is the screen's first */
    unsigned history;           /* lines kept above it */
    unsigned back;              /* lines that the view is scrolled back */

    unsigned x, y, saved_x, saved_y, region_top, region_bottom;
    VtPen pen, saved_pen;
    bool wrap_pending, autowrap, insert, cursor_on;

    enum { VT_TEXT, VT_ESC, VT_CSI, VT_STRING, VT_CHARSET, VT_SKIP } state;
    unsigned params[16], nparams;
    bool private, param_seen;
    uint32_t rune;              /* of a UTF-8 sequence */
    unsigned rune_left;

    bool changed;
    void (*reply)(void *opaque, const char *s);     /* answers of the terminal */
    void *opaque;
} Vt;

void vt_init(Vt *v, unsigned cols, unsigned rows);
void vt_fini(Vt *v);
void vt_write(Vt *v, const uint8_t *bytes, int len);
void vt_scroll_back(Vt *v, int lines);
/* Row y of the view, with history. */
const VtCell *vt_row(const Vt *v, unsigned y);
/* Where the cursor is in the view; false: not visible. */
bool vt_cursor(const Vt *v, unsigned *x, unsigned *y);
#endif
