/*
 * Character devices: a byte stream between a front-end (serial port, parallel port, debug
 * console, monitor, debugger) and a back-end on the host (terminal, pty, file, socket, ...).
 *
 *     CharFrontend fe;                       embedded in the device
 *     chr_attach(&fe, chr, &err);            takes chr; one front-end a chardev, four a mux
 *     chr_set_handlers(&fe, can_read, read, event, dev);
 *     n = chr_write(&fe, buf, len);          0 <= n <= len: what was accepted
 *     chr_add_watch(&fe, retry, dev);        ... and when to come back with the rest
 *     chr_detach(&fe);
 *
 * A front-end without a chardev (chr NULL or never attached) is legal: it never receives, and
 * what it writes is gone, like a plug with no cable.
 *
 * Threads: everything here runs under the machine lock.  Handlers are called on the main thread,
 * from sources of GLib's default main context (whose poll drops the machine lock); calls from a
 * vCPU thread that holds the lock are as good.  Nothing here blocks on the other end of the
 * line, except a server that was told to wait for its client while the machine is being built.
 */
#ifndef CHARDEV_CHAR_H
#define CHARDEV_CHAR_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Chardev Chardev;

typedef enum ChrEvent {
    CHR_EVENT_BREAK,        /* a break condition was received */
    CHR_EVENT_OPENED,       /* the other end is there; also told when handlers are set on an open chardev */
    CHR_EVENT_CLOSED,       /* the other end is gone; what is written from now on is dropped */
    CHR_EVENT_MUX_IN,       /* this front-end of a mux has the input from now on */
    CHR_EVENT_MUX_OUT,      /* and now another one has */
} ChrEvent;

/* How many bytes the front-end takes now; when it grows from 0 call chr_accept_input. */
typedef int ChrCanRead(void *opaque);
/* 1 <= len <= what can_read said. */
typedef void ChrRead(void *opaque, const uint8_t *buf, int len);
typedef void ChrEventFn(void *opaque, ChrEvent event);
/* The back-end takes bytes again, or has gone away.  Called once: to be called again, add again. */
typedef void ChrReadyFn(void *opaque);

typedef struct CharFrontend {
    Chardev *chr;           /* NULL: nothing attached */

    /* The rest is chardev/'s. */
    ChrCanRead *can_read;
    ChrRead *read;
    ChrEventFn *event;
    void *opaque;
    int slot;               /* of a mux */
    bool opened;            /* OPENED was told last */
    guint watch;            /* source id of chr_add_watch, or 0 */
    ChrReadyFn *ready;
    void *ready_opaque;
} CharFrontend;

/* ---- Front-ends ---- */

/* Connects f (zeroed memory) to chr, which may be NULL.  Fails when chr is in use. */
bool chr_attach(CharFrontend *f, Chardev *chr, GError **err);
/* Any handler may be NULL: no can_read means no input.  A mux turns its input to the front-end
 * that set its handlers last. */
void chr_set_handlers(CharFrontend *f, ChrCanRead *can_read, ChrRead *read, ChrEventFn *event, void *opaque);
/* Lets go of the chardev and of the watch; the chardev stays. */
void chr_detach(CharFrontend *f);

/* Offers len bytes, returns how many were taken: fewer than len (perhaps 0) when the line is busy.
 * Never blocks.  With nobody at the other end everything is taken and dropped. */
int chr_write(CharFrontend *f, const void *buf, int len);
/* As printf; what the line does not take at once is queued without bound in the front-end's
 * chardev, before anything that is written later.  For small, host-generated text. */
void chr_printf(CharFrontend *f, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* After chr_write took less than it was offered: calls ready(opaque) when it is worth trying
 * again.  One watch a front-end, a new one replaces it. */
void chr_add_watch(CharFrontend *f, ChrReadyFn *ready, void *opaque);
void chr_remove_watch(CharFrontend *f);
/* can_read would give more than before. */
void chr_accept_input(CharFrontend *f);
/* A file descriptor that came with the last bytes over a Unix socket (SCM_RIGHTS), or -1; the caller owns it. */
int chr_take_fd(CharFrontend *f);
/* Is somebody at the other end? */
bool chr_is_open(const CharFrontend *f);

/* ---- Line parameters; false where the back-end has no such thing (most have not) ---- */

typedef struct ChrSerialParams { unsigned speed; char parity; /* 'N', 'E', 'O' */ unsigned data_bits, stop_bits; } ChrSerialParams;
/* Modem lines, as TIOCM_* has them. */
enum { CHR_MODEM_CTS = 1, CHR_MODEM_DSR = 2, CHR_MODEM_RI = 4, CHR_MODEM_CD = 8, CHR_MODEM_DTR = 16, CHR_MODEM_RTS = 32 };

bool chr_set_serial_params(CharFrontend *f, const ChrSerialParams *p);
bool chr_set_break(CharFrontend *f, bool on);
bool chr_get_modem(CharFrontend *f, unsigned *lines);
bool chr_set_modem(CharFrontend *f, unsigned lines);    /* DTR and RTS */

/* The registers of a PC parallel port; data_dir is bit 5 of the control register. */
typedef enum ChrParallelReg { CHR_PP_DATA, CHR_PP_STATUS, CHR_PP_CONTROL } ChrParallelReg;
bool chr_pp_read(CharFrontend *f, ChrParallelReg reg, uint8_t *value);
bool chr_pp_write(CharFrontend *f, ChrParallelReg reg, uint8_t value);

/* ---- Making and finding chardevs ---- */

/* What follows -chardev: "socket,id=x,path=/tmp/s,server=on,wait=off". */
Chardev *chr_new_opts(const char *optstr, GError **err);
/* What follows -serial, -parallel, -monitor, -gdb, ...: "stdio", "tcp::4444,server,nowait", "telnet:...", "unix:PATH",
 * "file:PATH", "pty", "vc:80Cx24C", "mon:stdio", "chardev:ID", "/dev/ttyS0", ...  The chardev gets this id; that of
 * "chardev:ID" is found by it as well as by its own.  "none" gives NULL with *err unset; so NULL alone is no failure. */
Chardev *chr_open(const char *id, const char *filename, GError **err);
/* From a type's name and options as keys and values, both strings (chardev-add of QMP). */
Chardev *chr_new(const char *type, const char *id, GHashTable *opts, GError **err);
Chardev *chr_find(const char *id);
/* Fails when it is in use or not there. */
bool chr_remove(const char *id, GError **err);
/* At the end of the process: closes all; terminals get their old settings back. */
void chr_cleanup(void);
/* No chardev may have standard input and output; option: because of what ("-daemonize"). */
void chr_forbid_stdio(const char *option);
/* Puts terminals back; safe in a signal handler. */
void chr_restore_terminals(void);

const char *chr_id(const Chardev *chr);
/* As in query-chardev: "pty:/dev/pts/3", "disconnected:unix:/tmp/s,server=on", ... */
const char *chr_filename(const Chardev *chr);
bool chr_in_use(const Chardev *chr);
bool chr_frontend_open(const Chardev *chr);     /* a front-end with handlers is attached */
void chr_foreach(void (*fn)(Chardev *chr, void *opaque), void *opaque);
/* The names of the types in -chardev help's order, NULL at the end. */
const char *const *chr_type_names(void);
/* "Available chardev backend types: ..." */
void chr_print_types(GString *out);

/* Writes into, takes out of, a ring buffer chardev. */
bool chr_ringbuf_write(const char *id, const void *buf, size_t len, GError **err);
/* At most max bytes; the caller frees *buf. */
bool chr_ringbuf_read(const char *id, size_t max, uint8_t **buf, size_t *len, GError **err);
/* Sends a break to the front-end, as if it had come from the other end. */
bool chr_send_break(const char *id, GError **err);

/* ---- Hooks, set before any chardev is made ---- */

/* "mon:..." wants a monitor as well on the chardev it has made. */
void chr_set_monitor_hook(bool (*fn)(Chardev *chr, GError **err));
/* Ctrl-a s: flush the disks; Ctrl-a x: leave. */
void chr_set_mux_hooks(void (*flush_disks)(void), void (*quit)(void));

/* Text consoles.  create gives the console's handle; input comes back by chr_vc_input.
 * Sizes are 0 where the option did not say. */
typedef struct ChrVcOps {
    void *(*create)(Chardev *chr, unsigned width, unsigned height, unsigned cols, unsigned rows, GError **err);
    void (*write)(void *console, const uint8_t *buf, int len);
    void (*destroy)(void *console);
} ChrVcOps;
/* Without these a vc takes everything and shows it nowhere. */
void chr_set_vc_ops(const ChrVcOps *ops);
/* What was typed; queued until the front-end takes it. */
void chr_vc_input(Chardev *chr, const uint8_t *buf, int len);
#endif
