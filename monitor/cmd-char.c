/* Commands on chardevs, and file descriptors that come over them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "util/fdset.h"

/* ---- Listings ---- */

static void list_chardev(Chardev *c, void *opaque)
{
    json_array_append_new(opaque, json_pack("{s:b,s:s,s:s}", "frontend-open", chr_frontend_open(c), "filename", chr_filename(c),
                                            "label", chr_id(c)));
}

static json_t *query_chardev(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    chr_foreach(list_chardev, a);
    return a;
}

static void print_chardev(Monitor *mon, json_t *args)
{
    json_t *a = query_chardev(mon, args, NULL), *o;
    size_t i;

    json_array_foreach(a, i, o)
        mon_printf(mon, "%s: filename=%s\n", arg_str(o, "label"), arg_str(o, "filename"));
    json_decref(a);
}

static json_t *query_backends(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    for (const char *const *p = chr_type_names(); *p; p++)
        json_array_append_new(a, json_pack("{s:s}", "name", *p));
    return a;
}

typedef struct Completing { const char *begun; CompleteAdd *add; void *opaque; } Completing;

static void complete_one(Chardev *c, void *opaque)
{
    Completing *x = opaque;

    if (g_str_has_prefix(chr_id(c), x->begun))
        x->add(x->opaque, chr_id(c));
}

void complete_chardev(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    Completing x = { begun, add, opaque };

    if (nb == 1)
        chr_foreach(complete_one, &x);
}

/* ---- chardev-add ---- */

static void set(GHashTable *opts, const char *key, json_t *v)
{
    char *s = json_is_string(v) ? g_strdup(json_string_value(v)) : json_is_boolean(v) ? g_strdup(json_is_true(v) ? "on" : "off")
              : json_is_integer(v) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(v)) : NULL;

    if (s)
        g_hash_table_replace(opts, g_strdup(key), s);
}

/* A SocketAddressLegacy as options. */
static bool set_address(GHashTable *opts, json_t *addr, bool local, GError **err)
{
    const char *type = arg_str(addr, "type"), *key;
    json_t *data = json_object_get(addr, "data"), *v;

    if (!strcmp(type, "vsock"))
        return error_set(err, "socket addresses of type 'vsock' are not supported");
    json_object_foreach(data, key, v) {
        if (local)
            set(opts, !strcmp(key, "host") ? "localaddr" : !strcmp(key, "port") ? "localport" : key, v);
        else
            set(opts, !strcmp(key, "str") ? "fd" : key, v);
    }
    return true;
}

/* fd: a name given to getfd, or a number. */
static bool resolve_fd(GHashTable *opts, GError **err)
{
    const char *name = g_hash_table_lookup(opts, "fd");
    int fd;

    if (!name)
        return true;
    fd = monitor_fd_param(name, err);
    if (fd >= 0)
        g_hash_table_replace(opts, g_strdup("fd"), g_strdup_printf("%d", fd));
    return fd >= 0;
}

static GHashTable *backend_opts(const char *type, json_t *data, GError **err)
{
    g_autoptr(GHashTable) opts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    bool file = !strcmp(type, "file");
    const char *key;
    json_t *v;

    json_object_foreach(data, key, v) {
        if (!strcmp(key, "addr") || !strcmp(key, "remote") || !strcmp(key, "local")) {
            if (!set_address(opts, v, key[0] == 'l', err))
                return NULL;
        } else {
            set(opts, !strcmp(key, "device") || (file && !strcmp(key, "out")) ? "path" : file && !strcmp(key, "in") ? "input-path" : key, v);
        }
    }
    /* QMP's defaults are others than the command line's. */
    if (!strcmp(type, "socket")) {
        if (!g_hash_table_contains(opts, "server"))
            set(opts, "server", json_true());
        if (!g_hash_table_contains(opts, "wait") && !strcmp(g_hash_table_lookup(opts, "server"), "on"))
            set(opts, "wait", json_false());
    }
    return resolve_fd(opts, err) ? g_steal_pointer(&opts) : NULL;
}

static json_t *chardev_add(Monitor *mon, json_t *args, GError **err)
{
    const char *id = arg_str(args, "id");
    json_t *backend = json_object_get(args, "backend");
    const char *type = arg_str(backend, "type");
    g_autoptr(GHashTable) opts = NULL;
    g_autoptr(GError) why = NULL;
    Chardev *c = NULL;

    if (chr_find(id)) {
        error_set(err, "Chardev with id '%s' already exists", id);
        return NULL;
    }
    opts = backend_opts(type, json_object_get(backend, "data"), &why);
    if (opts)
        c = chr_new(!strcmp(type, "console") ? "stdio" : type, id, opts, &why);
    if (!c)
        error_set(err, "Failed to add chardev '%s': %s", id, why->message);
    else if (g_str_has_prefix(chr_filename(c), "pty:"))
        return json_pack("{s:s}", "pty", chr_filename(c) + 4);
    return NULL;
}

static void hmp_chardev_add(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!chr_new_opts(arg_str(args, "args"), &err))
        mon_print_error(mon, err);
}

static json_t *chardev_remove(Monitor *mon, json_t *args, GError **err)
{
    chr_remove(arg_str(args, "id"), err);
    return NULL;
}

static json_t *chardev_send_break(Monitor *mon, json_t *args, GError **err)
{
    chr_send_break(arg_str(args, "id"), err);
    return NULL;
}

static void complete_type(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    if (nb == 1)
        complete_from(chr_type_names(), begun, add, opaque);
}

/* ---- Ring buffers ---- */

static json_t *ringbuf_write(Monitor *mon, json_t *args, GError **err)
{
    const char *data = arg_str(args, "data"), *format = arg_str(args, "format");
    g_autofree guchar *raw = NULL;
    gsize len = strlen(data);

    if (format && !strcmp(format, "base64")) {
        raw = g_base64_decode(data, &len);
        data = (char *)raw;
    }
    chr_ringbuf_write(arg_str(args, "device"), data, len, err);
    return NULL;
}

/* JSON is UTF-8: other bytes become U+FFFD. */
static json_t *ringbuf_read(Monitor *mon, json_t *args, GError **err)
{
    const char *format = arg_str(args, "format");
    int64_t max = arg_int(args, "size", 0);
    g_autofree uint8_t *buf = NULL;
    g_autofree char *text = NULL;
    size_t len;

    if (max <= 0) {
        error_set(err, "size must be greater than zero");
        return NULL;
    }
    if (!chr_ringbuf_read(arg_str(args, "device"), max, &buf, &len, err))
        return NULL;
    text = format && !strcmp(format, "base64") ? g_base64_encode(buf, len) : g_utf8_make_valid((char *)buf, len);
    return json_string(text);
}

/* Control characters are shown as such, so that the terminal survives. */
static void hmp_ringbuf_read(Monitor *mon, json_t *args)
{
    g_autofree uint8_t *buf = NULL;
    GError *err = NULL;
    size_t len;

    if (!chr_ringbuf_read(arg_str(args, "device"), MAX(arg_int(args, "size", 0), 0), &buf, &len, &err)) {
        mon_print_error(mon, err);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (buf[i] == '\\')
            mon_printf(mon, "\\\\");
        else if (buf[i] == 0x7f || (buf[i] < 0x20 && buf[i] != '\n' && buf[i] != '\t'))
            mon_printf(mon, "\\u%04X", buf[i]);
        else
            mon_printf(mon, "%c", buf[i]);
    }
    mon_printf(mon, "\n");
}

/* ---- Descriptors ---- */

static GHashTable *named_fds;       /* name -> fd + 1 */

static int received(Monitor *mon, GError **err)
{
    int fd = chr_take_fd(&mon->fe);

    if (fd < 0)
        error_set(err, "No file descriptor supplied via SCM_RIGHTS");
    return fd;
}

int monitor_take_fd(const char *name, GError **err)
{
    int fd = named_fds ? GPOINTER_TO_INT(g_hash_table_lookup(named_fds, name)) - 1 : -1;

    if (fd < 0)
        error_set(err, "File descriptor named '%s' has not been found", name);
    else
        g_hash_table_remove(named_fds, name);
    return fd;
}

int monitor_fd_param(const char *name, GError **err)
{
    char *end;
    gint64 n;

    if (!g_ascii_isdigit(*name))
        return monitor_take_fd(name, err);
    n = g_ascii_strtoll(name, &end, 10);
    if (*end || n > G_MAXINT) {
        error_set(err, "Invalid file descriptor number '%s'", name);
        return -1;
    }
    return n;
}

static json_t *getfd(Monitor *mon, json_t *args, GError **err)
{
    const char *name = arg_str(args, "fdname");
    int fd = received(mon, err), old;

    if (fd < 0)
        return NULL;
    if (g_ascii_isdigit(*name)) {
        close(fd);
        error_set(err, "Parameter 'fdname' expects a name not starting with a digit");
        return NULL;
    }
    if (!named_fds)
        named_fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    old = GPOINTER_TO_INT(g_hash_table_lookup(named_fds, name)) - 1;
    if (old >= 0)
        close(old);
    g_hash_table_replace(named_fds, g_strdup(name), GINT_TO_POINTER(fd + 1));
    return NULL;
}

static json_t *closefd(Monitor *mon, json_t *args, GError **err)
{
    const char *name = arg_str(args, "fdname");
    int fd = monitor_take_fd(name, NULL);

    if (fd >= 0)
        close(fd);
    else
        error_set(err, "File descriptor named '%s' not found", name);
    return NULL;
}

static json_t *add_fd(Monitor *mon, json_t *args, GError **err)
{
    int fd = received(mon, err);
    int64_t set;

    if (fd < 0)
        return NULL;
    if (arg_has(args, "fdset-id") && arg_int(args, "fdset-id", 0) < 0) {
        close(fd);
        error_set(err, "Parameter 'fdset-id' expects a non-negative value");
        return NULL;
    }
    set = fdset_add(arg_int(args, "fdset-id", -1), fd, arg_str(args, "opaque"), err);
    return set < 0 ? NULL : json_pack("{s:I,s:i}", "fdset-id", (json_int_t)set, "fd", fd);
}

static json_t *remove_fd(Monitor *mon, json_t *args, GError **err)
{
    fdset_remove(arg_int(args, "fdset-id", 0), arg_int(args, "fd", -1), err);
    return NULL;
}

static void list_fd(int64_t set, int fd, const char *note, void *opaque)
{
    json_t *a = opaque, *last = json_array_get(a, json_array_size(a) - 1), *o = json_pack("{s:i}", "fd", fd);

    if (!json_array_size(a) || arg_int(last, "fdset-id", -1) != set) {
        last = json_pack("{s:[],s:I}", "fds", "fdset-id", (json_int_t)set);
        json_array_append_new(a, last);
    }
    if (note)
        json_object_set_new(o, "opaque", json_string(note));
    json_array_append_new(json_object_get(last, "fds"), o);
}

static json_t *query_fdsets(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    fdset_foreach(list_fd, a);
    return a;
}

const MonCommand commands_char[] = {
    { "info chardev", .params = "", .help = "show the character devices", .qmp = "query-chardev", .out = "[ChardevInfo]",
      .run = query_chardev, .print = print_chardev, .flags = CMD_PRECONFIG },
    { .qmp = "query-chardev-backends", .out = "[{name:str}]", .run = query_backends },
    { "chardev-add", "args:line", "args", "add chardev", .qmp = "chardev-add", .in = "{id:str backend:ChardevBackend}",
      .out = "{*pty:str}", .run = chardev_add, .print = hmp_chardev_add, .complete = complete_type },
    { "chardev-remove", "id:str", "id", "remove chardev", .qmp = "chardev-remove", .in = "{id:str}", .run = chardev_remove,
      .complete = complete_chardev },
    { "chardev-send-break", "id:str", "id", "send a break on chardev", .qmp = "chardev-send-break", .in = "{id:str}",
      .run = chardev_send_break, .complete = complete_chardev },
    { "ringbuf_write", "device:str data:str", "device data", "Write to a ring buffer character device", .qmp = "ringbuf-write",
      .in = "{device:str data:str *format:<utf8|base64>}", .run = ringbuf_write, .complete = complete_chardev },
    { "ringbuf_read", "device:str size:int", "device size", "Read from a ring buffer character device", .qmp = "ringbuf-read",
      .in = "{device:str size:int *format:<utf8|base64>}", .out = "str", .run = ringbuf_read, .print = hmp_ringbuf_read,
      .complete = complete_chardev },
    { "getfd", "fdname:str", "getfd name", "receive a file descriptor via SCM rights and assign it a name", .qmp = "getfd",
      .in = "{fdname:str}", .run = getfd },
    { "closefd", "fdname:str", "closefd name", "close a file descriptor previously passed via SCM rights", .qmp = "closefd",
      .in = "{fdname:str}", .run = closefd },
    { .qmp = "add-fd", .in = "{*fdset-id:int *opaque:str}", .out = "{fdset-id:int fd:int}", .run = add_fd },
    { .qmp = "remove-fd", .in = "{fdset-id:int *fd:int}", .run = remove_fd },
    { .qmp = "query-fdsets", .out = "[FdsetInfo]", .run = query_fdsets },
    { 0 },
};
