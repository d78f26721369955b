/*
 * Character devices: the list of them, front-ends, and the way of a byte between the two.
 *
 * Output: chr_write -> [queue] -> type->write -> log file.  Input: type's source -> chr_be_read -> the
 * front-end's handler.  A mux stands between as a chardev that is itself the front-end of another.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"
#include "util/opts.h"

static GPtrArray *chardevs;                 /* in the order of creation */
static GHashTable *aliases;                 /* second names: "serial0" of a -serial chardev:ID */

/* In the order that -chardev help prints. */
static const ChardevType *const types[] = {
    &chardev_stdio, &chardev_ringbuf, &chardev_mux, &chardev_pipe, &chardev_null, &chardev_socket, &chardev_vc,
    &chardev_parallel, &chardev_udp, &chardev_file, &chardev_tty, &chardev_pty,
};

const char *const *chr_type_names(void)
{
    static const char *names[2 * G_N_ELEMENTS(types) + 1];
    unsigned n = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        names[n++] = types[i]->name;
        if (types[i]->alias)
            names[n++] = types[i]->alias;
    }
    return names;
}

void chr_print_types(GString *out)
{
    g_string_append(out, "Available chardev backend types: \n");
    for (const char *const *p = chr_type_names(); *p; p++)
        g_string_append_printf(out, "  %s\n", *p);
}

static const ChardevType *find_type(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        if (!strcmp(types[i]->name, name) || (types[i]->alias && !strcmp(types[i]->alias, name)))
            return types[i];
    }
    return NULL;
}

Chardev *chr_find(const char *id)
{
    for (unsigned i = 0; chardevs && i < chardevs->len; i++) {
        Chardev *c = g_ptr_array_index(chardevs, i);

        if (!strcmp(c->id, id))
            return c;
    }
    return aliases ? g_hash_table_lookup(aliases, id) : NULL;
}

static void add_alias(const char *id, Chardev *c)
{
    if (chr_find(id))
        return;
    if (!aliases)
        aliases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert(aliases, g_strdup(id), c);
}

static gboolean is_alias_of(gpointer id, gpointer chr, gpointer c)
{
    return chr == c;
}

void chr_foreach(void (*fn)(Chardev *chr, void *opaque), void *opaque)
{
    for (unsigned i = 0; chardevs && i < chardevs->len; i++)
        fn(g_ptr_array_index(chardevs, i), opaque);
}

const char *chr_id(const Chardev *c)
{
    return c->id;
}

const char *chr_filename(const Chardev *c)
{
    return c->filename;
}

void chr_set_filename(Chardev *c, const char *fmt, ...)
{
    va_list ap;

    g_free(c->filename);
    va_start(ap, fmt);
    c->filename = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

bool chr_in_use(const Chardev *c)
{
    return c->type == &chardev_mux ? mux_in_use((Chardev *)c) : c->fe != NULL;
}

bool chr_frontend_open(const Chardev *c)
{
    return c->fe && (c->fe->can_read || c->fe->read || c->fe->event);
}

/* ---- Making and removing ---- */

static void free_chardev(Chardev *c)
{
    if (aliases)
        g_hash_table_foreach_remove(aliases, is_alias_of, c);
    if (c->type->close)
        c->type->close(c);
    if (c->deliver)
        g_source_remove(c->deliver);
    if (c->log_fd >= 0)
        close(c->log_fd);
    if (c->queue)
        g_byte_array_unref(c->queue);
    g_free(c->id);
    g_free(c->filename);
    g_free(c);
}

static bool open_log(Chardev *c, GHashTable *opts, GError **err)
{
    const char *path = chr_opt(opts, "logfile");
    bool append = chr_opt_bool(opts, "logappend", false);

    if (!path)
        return true;
    c->log_fd = chr_open_path(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), err);
    return c->log_fd >= 0;
}

static bool valid_id(const char *id, GError **err)
{
    return id_wellformed(id) || error_set(err, "Parameter 'id' expects an identifier\n"
            "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
}

static Chardev *make(const ChardevType *type, const char *id, GHashTable *opts, GError **err)
{
    Chardev *c = g_malloc0(type->size);

    c->type = type;
    c->id = g_strdup(id);
    c->log_fd = -1;
    c->filename = g_strdup(type->name);
    if (!open_log(c, opts, err) || !type->open(c, opts, err)) {
        free_chardev(c);
        return NULL;
    }
    if (!type->closed_at_first)
        c->open = true;
    if (!chardevs)
        chardevs = g_ptr_array_new();
    g_ptr_array_add(chardevs, c);
    return c;
}

/* mux=on: the chardev itself becomes ID-base, and the mux in front of it has the name ID. */
static Chardev *make_muxed(const ChardevType *type, const char *id, GHashTable *opts, GError **err)
{
    g_autoptr(GHashTable) mux = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *base_id = g_strconcat(id, "-base", NULL);
    Chardev *base, *c;

    if (chr_find(base_id)) {
        error_set(err, "Duplicate ID '%s' for chardev", base_id);
        return NULL;
    }
    base = make(type, base_id, opts, err);
    if (!base)
        return NULL;
    g_hash_table_insert(mux, "chardev", base_id);
    c = make(&chardev_mux, id, mux, err);
    if (!c)
        chr_remove(base_id, NULL);
    return c;
}

Chardev *chr_new(const char *type_name, const char *id, GHashTable *opts, GError **err)
{
    const ChardevType *type = find_type(type_name);

    if (!type) {
        const char *near = nearest_name(type_name, chr_type_names());

        error_set(err, "'%s' is not a valid char driver name%s%s%s", type_name, near ? " (did you mean '" : "", near ? near : "",
                  near ? "'?)" : "");
        return NULL;
    }
    if (!chr_check_opts(opts, err))
        return NULL;
    if (chr_find(id)) {
        error_set(err, "Duplicate ID '%s' for chardev", id);
        return NULL;
    }
    return (chr_opt_bool(opts, "mux", false) && type != &chardev_mux ? make_muxed : make)(type, id, opts, err);
}

Chardev *chr_new_opts(const char *optstr, GError **err)
{
    g_autoptr(GHashTable) opts = chr_parse_opts(optstr, "backend", false, err);
    const char *id, *backend;

    if (!opts)
        return NULL;
    id = chr_opt(opts, "id");
    backend = chr_opt(opts, "backend");
    if (!backend)
        error_set(err, "chardev: \"%s\" missing backend", id ? id : "");
    else if (!id)
        error_set(err, "chardev: no id specified");
    else if (valid_id(id, err))
        return chr_new(backend, id, opts, err);
    return NULL;
}

static bool (*monitor_hook)(Chardev *chr, GError **err);

void chr_set_monitor_hook(bool (*fn)(Chardev *chr, GError **err))
{
    monitor_hook = fn;
}

Chardev *chr_open(const char *id, const char *filename, GError **err)
{
    g_autoptr(GHashTable) opts = NULL;
    const char *type, *name = filename;
    Chardev *c;

    if (!strcmp(filename, "none"))
        return NULL;
    if (g_str_has_prefix(filename, "chardev:")) {
        c = chr_find(filename + 8);
        if (c)
            add_alias(id, c);
        else
            error_set(err, "chardev \"%s\" not found", filename + 8);
        return c;
    }
    if (g_str_has_prefix(filename, "mon:"))
        name += 4;
    opts = chr_parse_filename(name, &type, err);
    if (!opts)
        return NULL;
    if (name != filename) {
        g_hash_table_insert(opts, g_strdup("mux"), g_strdup("on"));
        /* Ctrl-a x leaves; Ctrl-c is the guest's. */
        if (!strcmp(type, "stdio"))
            g_hash_table_insert(opts, g_strdup("signal"), g_strdup("off"));
    }
    c = chr_new(type, id, opts, err);
    if (c && name != filename && monitor_hook && !monitor_hook(c, err))
        return NULL;
    return c;
}

bool chr_remove(const char *id, GError **err)
{
    Chardev *c = chr_find(id);

    if (!c)
        return error_set_class(err, ERR_GENERIC, "Chardev '%s' not found", id);
    if (chr_in_use(c))
        return error_set(err, "Chardev '%s' is busy", id);
    g_ptr_array_remove(chardevs, c);
    free_chardev(c);
    return true;
}

void chr_cleanup(void)
{
    /* From the last: a mux goes before its base. */
    while (chardevs && chardevs->len) {
        Chardev *c = g_ptr_array_index(chardevs, chardevs->len - 1);

        g_ptr_array_set_size(chardevs, chardevs->len - 1);
        for (unsigned i = 0; c->type == &chardev_mux && i < 4; i++) {
            if (mux_frontend(c, i))
                mux_frontend(c, i)->chr = NULL;
        }
        if (c->fe)
            c->fe->chr = NULL;
        free_chardev(c);
    }
}

/* ---- Front-ends ---- */

bool chr_attach(CharFrontend *f, Chardev *c, GError **err)
{
    f->chr = NULL;
    f->opened = false;
    if (!c)
        return true;
    if (c->type == &chardev_mux) {
        if (!mux_attach(c, f, err))
            return false;
    } else {
        if (c->fe)
            return error_set(err, "Device '%s' is in use", c->id);
        c->fe = f;
    }
    f->chr = c;
    return true;
}

void chr_send_event(CharFrontend *f, ChrEvent event)
{
    if (event == CHR_EVENT_OPENED)
        f->opened = true;
    else if (event == CHR_EVENT_CLOSED)
        f->opened = false;
    if (f->event)
        f->event(f->opaque, event);
}

void chr_set_handlers(CharFrontend *f, ChrCanRead *can_read, ChrRead *read, ChrEventFn *event, void *opaque)
{
    f->can_read = can_read;
    f->read = read;
    f->event = event;
    f->opaque = opaque;
    if (!f->chr || !(can_read || read || event))
        return;
    if (f->chr->type == &chardev_mux)
        mux_set_focus(f->chr, f);
    if (f->chr->open)
        chr_send_event(f, CHR_EVENT_OPENED);
    chr_accept_input(f);
}

void chr_detach(CharFrontend *f)
{
    Chardev *c = f->chr;

    chr_remove_watch(f);
    f->can_read = NULL;
    f->read = NULL;
    f->event = NULL;
    f->chr = NULL;
    if (!c)
        return;
    if (c->type == &chardev_mux)
        mux_detach(c, f);
    else
        c->fe = NULL;
}

static gboolean deliver(gpointer opaque)
{
    Chardev *c = opaque;

    c->deliver = 0;
    c->type->deliver_input(c);
    return G_SOURCE_REMOVE;
}

void chr_accept_input(CharFrontend *f)
{
    Chardev *c = f->chr;

    if (!c)
        return;
    if (c->type->has_input && c->type->has_input(c)) {
        /* Not at once: this may be a vCPU thread, in the middle of the front-end's own work. */
        if (!c->deliver)
            c->deliver = g_idle_add_full(G_PRIORITY_DEFAULT, deliver, c, NULL);
    } else if (c->type == &chardev_mux) {
        mux_accept_input(c);
    } else {
        /* Sources look at can_read before each poll: make the loop go round. */
        g_main_context_wakeup(NULL);
    }
}

bool chr_is_open(const CharFrontend *f)
{
    return f->chr && f->chr->open;
}

/* ---- Output ---- */

static void write_log(Chardev *c, const uint8_t *buf, int len)
{
    while (c->log_fd >= 0 && len > 0) {
        ssize_t n = write(c->log_fd, buf, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf += n;
        len -= n;
    }
}

static int write_through(Chardev *c, const uint8_t *buf, int len)
{
    int n = c->type->write(c, buf, len);

    if (n > 0)
        write_log(c, buf, n);
    return n;
}

static void want_write(Chardev *c)
{
    if (!c->wants_write && c->type->want_write) {
        c->wants_write = true;
        c->type->want_write(c);
    }
}

/* True when nothing is queued any more. */
static bool flush_queue(Chardev *c)
{
    while (c->queue && c->queue->len) {
        int n = write_through(c, c->queue->data, c->queue->len);

        if (n <= 0) {
            want_write(c);
            return false;
        }
        g_byte_array_remove_range(c->queue, 0, n);
    }
    return true;
}

int chr_write(CharFrontend *f, const void *buf, int len)
{
    Chardev *c = f->chr;

    if (!c || len <= 0)
        return MAX(len, 0);
    return flush_queue(c) ? write_through(c, buf, len) : 0;
}

void chr_printf(CharFrontend *f, const char *fmt, ...)
{
    g_autofree char *s = NULL;
    va_list ap;
    int len, n;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    len = strlen(s);
    n = chr_write(f, s, len);
    if (n < len) {
        if (!f->chr->queue)
            f->chr->queue = g_byte_array_new();
        g_byte_array_append(f->chr->queue, (const uint8_t *)s + n, len - n);
        want_write(f->chr);
    }
}

/* Taken out before it is called: ready may add the next watch. */
static void call_ready(CharFrontend *f)
{
    ChrReadyFn *ready = f->ready;

    if (ready) {
        f->ready = NULL;
        ready(f->ready_opaque);
    }
}

void chr_be_writable(Chardev *c)
{
    c->wants_write = false;
    if (!flush_queue(c))
        return;
    if (c->type == &chardev_mux) {
        for (unsigned i = 0; i < 4; i++) {
            if (mux_frontend(c, i))
                call_ready(mux_frontend(c, i));
        }
    } else if (c->fe) {
        call_ready(c->fe);
    }
}

static gboolean ready_at_once(gpointer opaque)
{
    CharFrontend *f = opaque;

    f->watch = 0;
    call_ready(f);
    return G_SOURCE_REMOVE;
}

void chr_add_watch(CharFrontend *f, ChrReadyFn *ready, void *opaque)
{
    f->ready = ready;
    f->ready_opaque = opaque;
    if (f->chr && f->chr->type->want_write)
        want_write(f->chr);
    else if (!f->watch)
        f->watch = g_idle_add_full(G_PRIORITY_DEFAULT, ready_at_once, f, NULL);
}

void chr_remove_watch(CharFrontend *f)
{
    f->ready = NULL;
    if (f->watch)
        g_source_remove(f->watch);
    f->watch = 0;
}

/* ---- Input, from the back-ends ---- */

int chr_be_can_read(Chardev *c)
{
    if (c->type == &chardev_mux)
        return mux_can_read(c);
    return c->fe && c->fe->can_read && c->fe->read ? MAX(c->fe->can_read(c->fe->opaque), 0) : 0;
}

void chr_be_read(Chardev *c, const uint8_t *buf, int len)
{
    if (len <= 0)
        return;
    if (c->type == &chardev_mux)
        mux_read(c, buf, len);
    else if (c->fe && c->fe->read)
        c->fe->read(c->fe->opaque, buf, len);
}

void chr_be_event(Chardev *c, ChrEvent event)
{
    if (event == CHR_EVENT_OPENED)
        c->open = true;
    else if (event == CHR_EVENT_CLOSED)
        c->open = false;
    if (event == CHR_EVENT_CLOSED && c->queue)
        g_byte_array_set_size(c->queue, 0);     /* meant for the one who has left */
    if (c->type == &chardev_mux)
        mux_event(c, event);
    else if (c->fe)
        chr_send_event(c->fe, event);
    if (event == CHR_EVENT_CLOSED && c->wants_write)
        chr_be_writable(c);                     /* front-ends that wait now lose their bytes instead */
}

bool chr_send_break(const char *id, GError **err)
{
    Chardev *c = chr_find(id);

    if (!c)
        return error_set(err, "Chardev '%s' not found", id);
    chr_be_event(c, CHR_EVENT_BREAK);
    return true;
}

/* ---- Line parameters ---- */

#define CALL(f, op, ...) ((f)->chr && (f)->chr->type->op && (f)->chr->type->op((f)->chr, __VA_ARGS__))

bool chr_set_serial_params(CharFrontend *f, const ChrSerialParams *p)
{
    return CALL(f, serial_params, p);
}

bool chr_set_break(CharFrontend *f, bool on)
{
    return CALL(f, set_break, on);
}

bool chr_get_modem(CharFrontend *f, unsigned *lines)
{
    return CALL(f, get_modem, lines);
}

bool chr_set_modem(CharFrontend *f, unsigned lines)
{
    return CALL(f, set_modem, lines);
}

bool chr_pp_read(CharFrontend *f, ChrParallelReg reg, uint8_t *value)
{
    return CALL(f, pp_read, reg, value);
}

bool chr_pp_write(CharFrontend *f, ChrParallelReg reg, uint8_t value)
{
    return CALL(f, pp_write, reg, value);
}
