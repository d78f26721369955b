/*
 * -display curses: consoles as text in the terminal. The screen of a graphics mode is only named. Alt+1..9 shows another
 * console. Everything happens on the main thread: on a refresh of the console, when the terminal has input, when its size
 * changes.
 */
#include "ui/curses-int.h"
#include "ui/display.h"
#include "util/error.h"
#include <curses.h>
#include <errno.h>
#include <glib-unix.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MESSAGE_ATTR 0x09           /* light blue */
#define NO_CELL 0xffffffff

typedef struct Terminal {
    SCREEN *screen;
    DisplayListener listener;
    TextScreen text;
    char message[64];
    int left, top;              /* of the text in the terminal; negative: what is not seen */
    uint32_t *drawn;            /* LINES * COLS: cells of the text; NO_CELL: nothing */
    bool utf8, cp437;           /* cp437: of what is drawn */
    gunichar chars[2][256];     /* of the guest's font; of code page 437 */
    bool active;                /* the terminal is ours */
    guint input, resize;
    int resize_fd;
    struct sigaction old_winch;
} Terminal;

static Terminal term = { .resize_fd = -1 };

/* ---- Characters ---- */

/* Code page 437's pictures in the places of control characters. */
static const uint16_t pictures[32] = {
    ' ', 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b, 0x263c,
    0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};

static bool convert_font(gunichar to[256], const char *charset, GError **err)
{
    g_autoptr(GError) local = NULL;

    for (unsigned i = 0; i < 256; i++) {
        const char c = i;
        g_autofree char *s = i < 32 ? NULL : g_convert(&c, 1, "UTF-8", charset, NULL, NULL, &local);

        if (g_error_matches(local, G_CONVERT_ERROR, G_CONVERT_ERROR_NO_CONVERSION)) {
            return error_set(err, "-display curses: Could not convert font glyphs from %s: 'Invalid argument'", charset);
        }
        g_clear_error(&local);
        to[i] = i < 32 ? pictures[i] : s && *s ? g_utf8_get_char(s) : ' ';
        if (to[i] == 0xad) {                /* a soft hyphen: some terminals give it no room */
            to[i] = '-';
        } else if (!g_unichar_isprint(to[i]) || g_unichar_iszerowidth(to[i]) || g_unichar_iswide(to[i])) {
            to[i] = i == 0x7f ? 0x2302 : ' ';
        }
    }
    return true;
}

/* What a terminal without Unicode has instead: lines from its own set of graphics, letters without accents. */
static const cchar_t *plain_graphic(gunichar c)
{
    switch (c) {
    case 0x2500: case 0x2550:
        return WACS_HLINE;
    case 0x2502: case 0x2551:
        return WACS_VLINE;
    case 0x250c: case 0x2552: case 0x2553: case 0x2554:
        return WACS_ULCORNER;
    case 0x2510: case 0x2555: case 0x2556: case 0x2557:
        return WACS_URCORNER;
    case 0x2514: case 0x2558: case 0x2559: case 0x255a:
        return WACS_LLCORNER;
    case 0x2518: case 0x255b: case 0x255c: case 0x255d:
        return WACS_LRCORNER;
    case 0x251c: case 0x255e: case 0x255f: case 0x2560:
        return WACS_LTEE;
    case 0x2524: case 0x2561: case 0x2562: case 0x2563:
        return WACS_RTEE;
    case 0x252c: case 0x2564: case 0x2565: case 0x2566:
        return WACS_TTEE;
    case 0x2534: case 0x2567: case 0x2568: case 0x2569:
        return WACS_BTEE;
    case 0x253c: case 0x256a: case 0x256b: case 0x256c:
        return WACS_PLUS;
    case 0x2591: case 0x2592: case 0x2593:
        return WACS_CKBOARD;
    case 0x2588:
        return WACS_BLOCK;
    case 0x2190: case 0x25c4:
        return WACS_LARROW;
    case 0x2192: case 0x25ba:
        return WACS_RARROW;
    case 0x2191: case 0x25b2:
        return WACS_UARROW;
    case 0x2193: case 0x25bc:
        return WACS_DARROW;
    default:
        return NULL;
    }
}

static bool in_locale(gunichar c)
{
    char buf[MB_LEN_MAX];
    mbstate_t state = { 0 };

    return c < 0x80 || wcrtomb(buf, c, &state) != (size_t)-1;
}

static void make_cell(cchar_t *to, gunichar c, attr_t attr, short pair)
{
    const cchar_t *plain = term.utf8 || in_locale(c) ? NULL : plain_graphic(c);
    wchar_t text[CCHARW_MAX + 1] = { c };
    attr_t unused;
    short unused_pair;

    if (plain) {
        getcchar(plain, text, &unused, &unused_pair, NULL);
        attr |= unused & A_ALTCHARSET;
    } else if (!term.utf8 && !in_locale(c)) {
        text[0] = '?';
    }
    setcchar(to, text, attr, pair, NULL);
}

/* ---- Drawing ---- */

/* A VGA counts blue 1, red 4; a terminal the other way round. */
static int color_of(unsigned vga)
{
    return (vga & 2) | (vga & 1) << 2 | (vga >> 2 & 1);
}

static short pair_of(unsigned fg, unsigned bg)
{
    return has_colors() ? color_of(bg) * 8 + 7 - color_of(fg) : 0;      /* pair 0 is white on black */
}

static void init_colors(void)
{
    if (!has_colors()) {
        return;
    }
    start_color();
    for (unsigned i = 1; i < 64; i++) {
        init_pair(i, 7 - i % 8, i / 8);
    }
}

static void draw_cell(int y, int x, uint16_t cell)
{
    unsigned attr = cell >> 8;
    cchar_t c;

    make_cell(&c, term.chars[term.cp437][cell & 0xff], attr & 8 ? A_BOLD : 0,
              pair_of(attr & 7, attr >> 4 & 7));
    mvadd_wch(y, x, &c);
}

/* The text stands in the middle; what is larger than the terminal is cut at all sides, but the cursor stays in view. */
static int place(int text, int room, int cursor)
{
    int at = (room - text) / 2;

    if (room < text && cursor >= 0) {
        at = CLAMP(at, -cursor, room - 1 - cursor);
    }
    return at;
}

static void message_text(Console *con)
{
    TextScreen *t = &term.text;
    Surface *s = console_surface(con);
    size_t len;

    if (t->message) {
        g_strlcpy(term.message, t->message, sizeof term.message);
    } else {
        snprintf(term.message, sizeof term.message, "%d x %d Graphic mode", surface_width(s), surface_height(s));
    }
    len = strlen(term.message);
    text_screen_resize(t, len, 1);
    for (size_t i = 0; i < len; i++) {
        t->cells[i] = (uint8_t)term.message[i] | MESSAGE_ATTR << 8;
    }
}

static void forget(void)
{
    g_free(term.drawn);
    term.drawn = g_malloc(sizeof *term.drawn * LINES * COLS);
    memset(term.drawn, 0xff, sizeof *term.drawn * LINES * COLS);
    erase();
}

static void draw_text(void)
{
    const TextScreen *t = &term.text;
    int left = place(t->cols, COLS, t->cursor_x), top = place(t->rows, LINES, t->cursor_y);

    if (left != term.left || top != term.top || t->cp437 != term.cp437) {
        term.left = left;
        term.top = top;
        term.cp437 = t->cp437;
        forget();
    }
    for (int y = 0; y < LINES; y++) {
        for (int x = 0; x < COLS; x++) {
            bool inside = y >= top && y < top + (int)t->rows && x >= left && x < left + (int)t->cols;
            uint32_t cell = inside ? t->cells[(y - top) * t->cols + x - left] : NO_CELL;
            uint32_t *drawn = &term.drawn[y * COLS + x];

            if (cell != *drawn) {
                *drawn = cell;
                draw_cell(y, x, inside ? cell : 0x0720);
            }
        }
    }
}

static void show(DisplayListener *l)
{
    TextScreen *t = &term.text;
    bool cursor;

    if (!term.active || !l->shown) {
        return;
    }
    console_text(l->shown, t);
    if (!t->cols) {
        message_text(l->shown);
    }
    draw_text();
    cursor = t->cursor_x >= 0 && t->cursor_x < (int)t->cols && t->cursor_y < (int)t->rows;
    curs_set(cursor);
    if (cursor) {
        move(t->cursor_y + term.top, t->cursor_x + term.left);
    }
    refresh();
}

static const DisplayListenerOps listener_ops = { .name = "curses", .refresh = show };

/* ---- Keys ---- */

static bool console_key(const Stroke *s)
{
    Console *con;

    if (!s->alt || s->text < '1' || s->text > '9') {
        return false;
    }
    con = console_by_index(s->text - '1');
    if (con && con != term.listener.shown) {
        listener_show(&term.listener, con);
        listener_kick(&term.listener);
    }
    return true;
}

static void to_text_console(Console *con, const Stroke *s)
{
    char utf8[8] = { 0 };

    if (s->alt) {
        text_console_type(con, "\033");
    }
    if (s->text && !(s->mods & LAYOUT_CTRL)) {
        g_unichar_to_utf8(s->text, utf8);
        text_console_type(con, utf8);
    } else if (s->key) {
        text_console_key(con, s->key, s->mods & LAYOUT_CTRL);
    }
}

static gboolean on_input(gint fd, GIOCondition cond, gpointer opaque)
{
    Stroke s;

    if (cond & (G_IO_HUP | G_IO_ERR)) {     /* the terminal has gone: SIGHUP, if it was ours, ends vmemu */
        term.input = 0;
        return G_SOURCE_REMOVE;
    }
    while (strokes_read(&s)) {
        Console *con = term.listener.shown;

        if (console_key(&s) || !con) {
            continue;
        }
        if (console_is_graphic(con)) {
            stroke_send(&s, con);
        } else {
            to_text_console(con, &s);
        }
    }
    return G_SOURCE_CONTINUE;
}

/* ---- Size ---- */

static void on_winch(int sig)
{
    int saved = errno;
    uint64_t one = 1;

    if (write(term.resize_fd, &one, sizeof one) < 0) {
        /* it counts already */
    }
    errno = saved;
}

static gboolean on_resize(gint fd, GIOCondition cond, gpointer opaque)
{
    struct winsize w;
    uint64_t n;

    if (read(fd, &n, sizeof n) < 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_row || !w.ws_col) {
        return G_SOURCE_CONTINUE;
    }
    resizeterm(w.ws_row, w.ws_col);
    forget();
    clear();
    listener_kick(&term.listener);
    return G_SOURCE_CONTINUE;
}

static void watch_size(void)
{
    struct sigaction act = { .sa_handler = on_winch, .sa_flags = SA_RESTART };

    term.resize_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    term.resize = g_unix_fd_add(term.resize_fd, G_IO_IN, on_resize, NULL);
    sigaction(SIGWINCH, &act, &term.old_winch);
}

/* ---- Start and end ---- */

/* Also when something calls exit. */
static void give_back(void)
{
    if (term.active) {
        term.active = false;
        endwin();
    }
}

static bool terminal_open(GError **err)
{
    const char *name = g_getenv("TERM");

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return error_set(err, "-display curses: standard input and output have to be a terminal");
    }
    setlocale(LC_CTYPE, "");
    term.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    set_escdelay(25);
    term.screen = name && *name ? newterm(name, stdout, stdin) : NULL;
    if (!term.screen) {
        return error_set(err, "-display curses: cannot use a terminal of the type '%s' (TERM)", name ? name : "");
    }
    return true;
}

static bool curses_start(const DisplayOptions *o, GError **err)
{
    static bool at_exit;

    if (!convert_font(term.chars[0], o->charset ? o->charset : "CP437", err) || !convert_font(term.chars[1], "CP437", err) ||
        !terminal_open(err)) {
        return false;
    }
    term.active = true;
    if (!at_exit) {
        atexit(give_back);
        at_exit = true;
    }
    raw();
    noecho();
    nonl();
    nodelay(stdscr, true);
    keypad(stdscr, true);
    intrflush(stdscr, false);
    init_colors();
    strokes_init();
    watch_size();
    forget();
    clear();
    term.input = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_input, NULL);
    term.listener.ops = &listener_ops;
    term.listener.text = true;
    listener_add(&term.listener);
    return true;
}

static void curses_stop(void)
{
    listener_remove(&term.listener);
    if (term.input) {
        g_source_remove(term.input);
        term.input = 0;
    }
    sigaction(SIGWINCH, &term.old_winch, NULL);
    g_source_remove(term.resize);
    close(term.resize_fd);
    give_back();
    text_screen_free(&term.text);
    g_clear_pointer(&term.drawn, g_free);
}

const DisplayModule vmemu_display_module = { .name = "curses", .start = curses_start, .stop = curses_stop, .leave = give_back };
