/* What chardev/'s back-ends share; for front-ends see char.h. */
#ifndef CHARDEV_CHAR_INT_H
#define CHARDEV_CHAR_INT_H
#include "chardev/char.h"

typedef struct ChardevType {
    const char *name, *alias;
    size_t size;                    /* of the instance, which begins with a Chardev */
    bool closed_at_first;           /* OPENED comes later, from the back-end */
    bool (*open)(Chardev *c, GHashTable *opts, GError **err);
    /* 0 <= result <= len; what can never be delivered counts as taken. */
    int (*write)(Chardev *c, const uint8_t *buf, int len);
    /* Call chr_be_writable(c) once when write takes something again; NULL: write takes everything. */
    void (*want_write)(Chardev *c);
    /* Input that waits in the back-end itself: deliver_input hands over what the front-end takes; main thread. */
    bool (*has_input)(Chardev *c);
    void (*deliver_input)(Chardev *c);
    bool (*serial_params)(Chardev *c, const ChrSerialParams *p);
    bool (*set_break)(Chardev *c, bool on);
    bool (*get_modem)(Chardev *c, unsigned *lines);
    bool (*set_modem)(Chardev *c, unsigned lines);
    bool (*pp_read)(Chardev *c, ChrParallelReg reg, uint8_t *value);
    bool (*pp_write)(Chardev *c, ChrParallelReg reg, uint8_t value);
    void (*close)(Chardev *c);      /* also after a failed open */
} ChardevType;

struct Chardev {
    const ChardevType *type;
    char *id, *filename;
    CharFrontend *fe;               /* the one front-end; of a mux: the one with the focus */
    bool open;                      /* somebody is at the other end */
    GByteArray *queue;              /* what chr_printf could not get rid of */
    bool wants_write;               /* want_write was called, chr_be_writable is yet to come */
    int log_fd;
    guint deliver;                  /* source of deliver_input */
};

extern const ChardevType chardev_null, chardev_file, chardev_pipe, chardev_pty, chardev_tty, chardev_parallel, chardev_stdio,
    chardev_socket, chardev_udp, chardev_ringbuf, chardev_vc, chardev_mux;

/* ---- From back-ends ---- */
int chr_be_can_read(Chardev *c);
void chr_be_read(Chardev *c, const uint8_t *buf, int len);      /* len <= chr_be_can_read() */
void chr_be_event(Chardev *c, ChrEvent event);
void chr_be_writable(Chardev *c);
void chr_set_filename(Chardev *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void chr_send_event(CharFrontend *f, ChrEvent event);

/* A mux and its front-ends (mux.c). */
bool mux_attach(Chardev *c, CharFrontend *f, GError **err);
void mux_detach(Chardev *c, CharFrontend *f);
void mux_set_focus(Chardev *c, CharFrontend *f);
int mux_can_read(Chardev *c);
void mux_read(Chardev *c, const uint8_t *buf, int len);
void mux_event(Chardev *c, ChrEvent event);
void mux_accept_input(Chardev *c);
bool mux_in_use(Chardev *c);
CharFrontend *mux_frontend(Chardev *c, unsigned i);     /* NULL: no such */

/* ---- Options ---- */

/* "a,b=c,nod" as keys and values; the first value may stand without its key when implied is set.
 * Fails on an option that no chardev has. `legacy`: "server" for "server=on" is not worth a warning. */
GHashTable *chr_parse_opts(const char *optstr, const char *implied, bool legacy, GError **err);
/* The type's name (in *type) and options that a legacy file name stands for. */
GHashTable *chr_parse_filename(const char *filename, const char **type, GError **err);
const char *chr_opt(GHashTable *opts, const char *key);         /* NULL: not given */
/* Booleans and numbers have been checked when the options were parsed. */
bool chr_opt_bool(GHashTable *opts, const char *key, bool def);
uint64_t chr_opt_num(GHashTable *opts, const char *key, uint64_t def);
bool chr_check_opts(GHashTable *opts, GError **err);

/* ---- File descriptors ---- */

/* Polls fd for input, and calls fn whenever there is some and the front-end can take it. `hangup` (may be NULL) is
 * called when the other end has gone while the front-end took nothing for a second. */
typedef struct ChrReader ChrReader;
ChrReader *chr_reader_new(Chardev *c, int fd, void (*fn)(Chardev *c), void (*hangup)(Chardev *c));
void chr_reader_free(ChrReader *r);

/* An input and an output fd, either of which may be -1, or both the same: files, pipes, terminals, devices. */
typedef struct FdChardev {
    Chardev chr;
    int in, out;
    bool is_sock;           /* in and out are a socket that others share: no O_NONBLOCK of its own */
    bool poll_first;        /* out may block: ask before each write */
    ChrReader *reader;
    guint out_source;
} FdChardev;
void fd_chardev_start(FdChardev *f, int in, int out);
int fd_chardev_write(Chardev *c, const uint8_t *buf, int len);
void fd_chardev_want_write(Chardev *c);
void fd_chardev_close(Chardev *c);
/* Calls chr_be_writable(c) when fd is writable; *source is the id, 0 when it is not waiting. */
void chr_watch_out(Chardev *c, int fd, guint *source);
bool chr_set_nonblock(int fd);
/* A terminal of settings that pass everything through unchanged. */
struct termios;
void chr_termios_raw(struct termios *t);

/* "/dev/fdset/N" and plain paths; -1 with *err set. */
int chr_open_path(const char *path, int flags, GError **err);
#endif
