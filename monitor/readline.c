/* Line editing.  Knows VT100's cursor keys; writes only CSI D (left), CSI K (erase to the end) and BEL. */
#include <string.h>
#include "monitor/readline.h"

#define COMPLETIONS_MAX 256

struct Readline {
    const ReadlineOps *ops;
    void *opaque;
    char *prompt;
    char line[READLINE_MAX + 1];
    unsigned len, pos;          /* characters; the cursor */
    enum { NORMAL, ESC, CSI, SS3 } state;
    unsigned csi;               /* CSI's parameter */

    char *history[READLINE_HISTORY];
    unsigned lines;
    int shown;                  /* the history line on the screen; -1: a new one */
    char *kept;                 /* the new line, while an old one is shown */

    GPtrArray *completions;
    unsigned word;              /* characters of the word to complete */
};

Readline *readline_new(const ReadlineOps *ops, void *opaque, const char *prompt)
{
    Readline *r = g_new0(Readline, 1);

    r->ops = ops;
    r->opaque = opaque;
    r->prompt = g_strdup(prompt);
    r->shown = -1;
    r->completions = g_ptr_array_new_with_free_func(g_free);
    return r;
}

void readline_free(Readline *r)
{
    for (unsigned i = 0; i < r->lines; i++)
        g_free(r->history[i]);
    g_free(r->kept);
    g_free(r->prompt);
    g_ptr_array_unref(r->completions);
    g_free(r);
}

const char *readline_history(const Readline *r, unsigned i)
{
    return i < r->lines ? r->history[i] : NULL;
}

static void print(Readline *r, const char *s)
{
    r->ops->print(r->opaque, s);
}

void readline_restart(Readline *r)
{
    r->len = r->pos = 0;
    r->line[0] = 0;
    r->state = NORMAL;
    r->shown = -1;
}

void readline_show_prompt(Readline *r)
{
    readline_restart(r);
    print(r, r->prompt);
    r->ops->flush(r->opaque);
}

/* ---- Drawing ---- */

static void left(Readline *r, unsigned n)
{
    while (n--)
        print(r, "\033[D");
}

/* The line from `from` on has changed, and the screen's cursor is there: draws the rest, puts the cursor to pos. */
static void redraw(Readline *r, unsigned from)
{
    print(r, r->line + from);
    print(r, "\033[K");
    left(r, r->len - r->pos);
}

static void move_to(Readline *r, unsigned pos)
{
    if (pos < r->pos) {
        left(r, r->pos - pos);
    } else {
        char c = r->line[pos];

        r->line[pos] = 0;
        print(r, r->line + r->pos);
        r->line[pos] = c;
    }
    r->pos = pos;
}

/* ---- Editing ---- */

static void insert(Readline *r, const char *s, unsigned n)
{
    unsigned from = r->pos;

    if (n > READLINE_MAX - r->len) {
        print(r, "\a");
        return;
    }
    memmove(r->line + r->pos + n, r->line + r->pos, r->len - r->pos + 1);
    memcpy(r->line + r->pos, s, n);
    r->len += n;
    r->pos += n;
    redraw(r, from);
}

static void delete(Readline *r, unsigned from, unsigned to)
{
    if (from == to)
        return;
    move_to(r, from);
    memmove(r->line + from, r->line + to, r->len - to + 1);
    r->len -= to - from;
    redraw(r, from);
}

static unsigned word_begin(const Readline *r)
{
    unsigned p = r->pos;

    while (p && g_ascii_isspace(r->line[p - 1]))
        p--;
    while (p && !g_ascii_isspace(r->line[p - 1]))
        p--;
    return p;
}

static void replace_line(Readline *r, const char *s)
{
    move_to(r, 0);
    g_strlcpy(r->line, s, sizeof(r->line));
    r->len = r->pos = strlen(r->line);
    redraw(r, 0);
}

/* ---- History: the newest line is the last; a line that is given again moves there ---- */

static void remember(Readline *r)
{
    unsigned i;
    char *s = NULL;

    if (!r->len)
        return;
    for (i = 0; i < r->lines && strcmp(r->history[i], r->line); i++)
        ;
    if (i < r->lines) {
        s = r->history[i];
    } else if (r->lines == READLINE_HISTORY) {
        g_free(r->history[0]);
        i = 0;
    } else {
        r->lines++;
    }
    memmove(r->history + i, r->history + i + 1, (r->lines - 1 - i) * sizeof(char *));
    r->history[r->lines - 1] = s ? s : g_strdup(r->line);
}

static void show_older(Readline *r)
{
    if (r->shown < 0) {
        if (!r->lines)
            return;
        g_free(r->kept);
        r->kept = g_strdup(r->line);
        r->shown = r->lines;
    }
    if (r->shown > 0)
        replace_line(r, r->history[--r->shown]);
}

static void show_newer(Readline *r)
{
    if (r->shown < 0)
        return;
    if (++r->shown < (int)r->lines) {
        replace_line(r, r->history[r->shown]);
    } else {
        r->shown = -1;
        replace_line(r, r->kept);
    }
}

/* ---- Completion ---- */

void readline_add_completion(Readline *r, const char *word)
{
    for (unsigned i = 0; i < r->completions->len; i++) {
        if (!strcmp(g_ptr_array_index(r->completions, i), word))
            return;
    }
    if (r->completions->len < COMPLETIONS_MAX)
        g_ptr_array_add(r->completions, g_strdup(word));
}

void readline_set_word(Readline *r, unsigned len)
{
    r->word = MIN(len, r->pos);
}

static unsigned common_prefix(const GPtrArray *words)
{
    const char *first = g_ptr_array_index(words, 0);
    unsigned n = strlen(first);

    for (unsigned i = 1; i < words->len; i++) {
        const char *w = g_ptr_array_index(words, i);
        unsigned k = 0;

        while (k < n && w[k] == first[k])
            k++;
        n = k;
    }
    return n;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_completions(Readline *r)
{
    unsigned widest = 1, columns;

    g_ptr_array_sort(r->completions, by_name);
    for (unsigned i = 0; i < r->completions->len; i++)
        widest = MAX(widest, strlen(g_ptr_array_index(r->completions, i)));
    columns = MAX(80 / (widest + 2), 1);
    print(r, "\n");
    for (unsigned i = 0; i < r->completions->len; i++) {
        g_autofree char *s = g_strdup_printf("%-*s%s", (int)widest + 2, (char *)g_ptr_array_index(r->completions, i),
                                             i % columns == columns - 1 || i == r->completions->len - 1 ? "\n" : "");
        print(r, s);
    }
    print(r, r->prompt);
    print(r, r->line);
    left(r, r->len - r->pos);
}

static void complete(Readline *r)
{
    g_autofree char *begun = g_strndup(r->line, r->pos);
    const char *first;
    unsigned n;

    g_ptr_array_set_size(r->completions, 0);
    r->word = 0;
    r->ops->complete(r->opaque, begun);
    if (!r->completions->len)
        return;
    first = g_ptr_array_index(r->completions, 0);
    n = common_prefix(r->completions);
    if (n > r->word)
        insert(r, first + r->word, n - r->word);
    if (r->completions->len > 1)
        list_completions(r);
    else if (n && first[n - 1] != '/')
        insert(r, " ", 1);
}

/* ---- Keys ---- */

static void enter(Readline *r)
{
    g_autofree char *s = NULL;

    remember(r);
    s = g_strdup(r->line);
    print(r, "\n");
    readline_restart(r);
    r->ops->line(r->opaque, s);
}

static void control(Readline *r, unsigned char c)
{
    switch (c) {
    case 1:         /* ^A */
        move_to(r, 0);
        break;
    case 2:         /* ^B */
        if (r->pos)
            move_to(r, r->pos - 1);
        break;
    case 4:         /* ^D */
        if (r->pos < r->len)
            delete(r, r->pos, r->pos + 1);
        break;
    case 5:         /* ^E */
        move_to(r, r->len);
        break;
    case 6:         /* ^F */
        if (r->pos < r->len)
            move_to(r, r->pos + 1);
        break;
    case 8:
    case 127:
        if (r->pos)
            delete(r, r->pos - 1, r->pos);
        break;
    case 9:
        complete(r);
        break;
    case 10:
    case 13:
        enter(r);
        break;
    case 11:        /* ^K */
        delete(r, r->pos, r->len);
        break;
    case 14:        /* ^N */
        show_newer(r);
        break;
    case 16:        /* ^P */
        show_older(r);
        break;
    case 21:        /* ^U */
        delete(r, 0, r->pos);
        break;
    case 23:        /* ^W */
        delete(r, word_begin(r), r->pos);
        break;
    case 27:
        r->state = ESC;
        break;
    }
}

static void cursor_key(Readline *r, unsigned char c)
{
    static const char keys[] = "ABCDHF";
    static const unsigned char as[] = { 16, 14, 6, 2, 1, 5 };
    const char *p = c ? strchr(keys, c) : NULL;

    if (p)
        control(r, as[p - keys]);
}

static void csi_byte(Readline *r, unsigned char c)
{
    static const unsigned char as[] = { 0, 1, 0, 4, 5, 0, 0, 1, 5 };   /* 1, 7 Home; 3 Delete; 4, 8 End */

    if (g_ascii_isdigit(c)) {
        r->csi = MIN(r->csi * 10 + c - '0', 1000);
        return;
    }
    if (c == ';') {
        r->csi = 1000;      /* modifiers: no key of ours has any */
        return;
    }
    r->state = NORMAL;
    if (c != '~')
        cursor_key(r, c);
    else if (r->csi < sizeof(as) && as[r->csi])
        control(r, as[r->csi]);
}

void readline_byte(Readline *r, unsigned char c)
{
    switch (r->state) {
    case NORMAL:
        if (c >= 32 && c != 127)
            insert(r, (char *)&c, 1);
        else
            control(r, c);
        break;
    case ESC:
        r->state = c == '[' ? CSI : c == 'O' ? SS3 : NORMAL;
        r->csi = 0;
        break;
    case CSI:
        csi_byte(r, c);
        break;
    case SS3:
        r->state = NORMAL;
        cursor_key(r, c);
        break;
    }
    r->ops->flush(r->opaque);
}
