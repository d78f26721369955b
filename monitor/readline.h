/* Line editing on a terminal: history, completion, Emacs' keys. */
#ifndef MONITOR_READLINE_H
#define MONITOR_READLINE_H
#include <glib.h>
#include <stdbool.h>

#define READLINE_MAX 4095
#define READLINE_HISTORY 64

typedef struct Readline Readline;
typedef struct ReadlineOps {
    void (*print)(void *opaque, const char *s);         /* "\n" stands for a new line */
    void (*flush)(void *opaque);
    void (*line)(void *opaque, const char *line);       /* Enter was pressed */
    void (*complete)(void *opaque, const char *begun);  /* what stands left of the cursor: call readline_add_completion */
} ReadlineOps;

Readline *readline_new(const ReadlineOps *ops, void *opaque, const char *prompt);
void readline_free(Readline *r);
void readline_show_prompt(Readline *r);     /* at the begin of an empty line */
void readline_restart(Readline *r);         /* forgets what was typed */
void readline_byte(Readline *r, unsigned char c);
void readline_add_completion(Readline *r, const char *word);
void readline_set_word(Readline *r, unsigned len);      /* the last len characters are the word that is being completed */
const char *readline_history(const Readline *r, unsigned i);    /* NULL: no more */
#endif
