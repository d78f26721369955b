/*
 * Saving and loading a whole stream.
 *
 * A stream is: magic, version; configuration; sections (RAM: a start, parts, an end; devices: one full section each), each
 * with a footer that repeats its number; the end mark; a description of the device sections, which nobody needs.
 */
#include <inttypes.h>
#include <string.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/params.h"
#include "migration/postcopy.h"
#include "migration/savevm.h"
#include "migration/user-net.h"
#include "util/error.h"

/* ---- Saving ---- */

void save_header(MigStream *s, Machine *m)
{
    const char *name = m->type->name;

    put_u32(s, MIG_MAGIC);
    put_u32(s, MIG_VERSION);
    put_u8(s, MIG_CONFIGURATION);
    put_u32(s, strlen(name));
    put_bytes(s, name, strlen(name));
    if (migration_cap(CAP_VALIDATE_UUID)) {
        put_u8(s, MIG_SUBSECTION);
        put_text(s, "configuration/uuid");
        put_u32(s, 1);
        put_bytes(s, m->cfg->uuid, 16);
    }
}

void save_device_sections(MigStream *s, Machine *m, RunState was, json_t *desc)
{
    SectionList *l = sections_new(m);
    uint32_t next = MIG_ID_FIRST + l->all->len;
    json_t *waste = desc ? NULL : json_array();

    sections_set_state(l, was);
    sections_save(l, s, desc);
    user_nets_save(s, &next, desc ? desc : waste);
    json_decref(waste);
    sections_free(l);
}

void save_devices(MigStream *s, Machine *m, RunState was)
{
    json_t *desc = json_array(), *all = json_pack("{s:i,s:o}", "page_size", MIG_PAGE, "devices", desc);
    char *text;

    save_device_sections(s, m, was, desc);
    put_u8(s, MIG_EOF);
    text = json_dumps(all, 0);
    json_decref(all);
    put_u8(s, MIG_VMDESC);
    put_u32(s, strlen(text));
    put_bytes(s, text, strlen(text));
    free(text);
}

/* ---- Loading ---- */

#define MAX_PACKAGE (64u << 20)

struct Load {
    MigStream *s;
    Machine *m;
    SectionList *list;
    RamLoad *ram;
    int ram_version;            /* 0: not begun */
    bool devices;               /* have begun */
    uint32_t ram_id;
    bool return_path;
    LoadResult *res;
    PostcopyLoad *post;         /* the source may go over to post-copy */
    Load *outer;                /* of a package: the whole's; else itself */
    bool package;               /* this is what came in one piece: devices of post-copy */
    bool quit;                  /* another thread reads on */
    bool run;                   /* the guest may */
};

static bool load_uuid(Load *l, GError **err)
{
    uint8_t uuid[16];

    if (!get_bytes(l->s, uuid, 16))
        return false;
    if (migration_cap(CAP_VALIDATE_UUID) && memcmp(uuid, l->m->cfg->uuid, 16))
        return error_set(err, "configuration: the source's UUID differs from this machine's");
    return true;
}

static bool load_capabilities(Load *l, GError **err)
{
    uint32_t n = get_u32(l->s);
    char name[256];

    while (n-- && !stream_error(l->s)) {
        if (!get_text(l->s, name))
            return false;
        if (!migration_cap_by_name(name))
            return error_set(err, "configuration: the source uses the capability '%s', which is off here", name);
    }
    return true;
}

static bool load_configuration_part(Load *l, GError **err)
{
    char name[256];
    uint32_t version;

    get_u8(l->s);
    if (!get_text(l->s, name))
        return false;
    version = get_u32(l->s);
    if (version != 1)
        return error_set(err, "configuration: '%s' has version %u, 1 was expected", name, version);
    if (!strcmp(name, "configuration/uuid"))
        return load_uuid(l, err);
    if (!strcmp(name, "configuration/capabilities"))
        return load_capabilities(l, err);
    if (!strcmp(name, "configuration/target-page-bits"))
        return get_u32(l->s) == 12 || error_set(err, "configuration: the source's pages are not 4 KiB");
    return error_set(err, "configuration: unknown subsection '%s'", name);
}

static bool load_configuration(Load *l, GError **err)
{
    StateInput *in = stream_input(l->s);
    uint32_t len = get_u32(l->s);
    char name[256];

    if (stream_error(l->s))
        return false;
    if (len >= sizeof name)
        return error_set(err, "configuration: a machine name of %u bytes", len);
    if (!get_bytes(l->s, name, len))
        return false;
    name[len] = 0;
    if (strcmp(name, l->m->type->name))
        return error_set(err, "configuration: the machine type is '%s' there and '%s' here", name, l->m->type->name);
    while (!stream_at_end(l->s) && *in->p == MIG_SUBSECTION)
        if (!load_configuration_part(l, err))
            return false;
    return true;
}

static bool load_footer(Load *l, const char *name, uint32_t id, GError **err)
{
    uint32_t got;

    if (get_u8(l->s) != MIG_SECTION_FOOTER)
        return !stream_error(l->s) && error_set(err, "section '%s': it does not end where it should: this version's section has "
                                                "another length, or it is damaged", name);
    got = get_u32(l->s);
    return got == id || (!stream_error(l->s) && error_set(err, "section '%s': its footer says 0x%x instead of 0x%x", name, got, id));
}

static bool load_device(Load *l, const char *name, uint32_t instance, uint32_t version, GError **err)
{
    Section *d = sections_find(l->list, name, instance);
    g_autofree char *where = instance ? g_strdup_printf("%s (instance %u)", name, instance) : g_strdup(name);
    bool ok;

    if (!d)
        return error_set(err, "the stream has a section '%s' (instance %u), which this machine has not: the source has other devices",
                         name, instance);
    if (d->loaded)
        return error_set(err, "section '%s' comes twice", where);
    machine_lock();
    map_begin(l->m);
    ok = state_load_from(d->table, d->obj, version > INT_MAX ? -1 : (int)version, stream_input(l->s), where, err);
    map_commit(l->m);
    machine_unlock();
    d->loaded = true;
    return ok;
}

/* A section that names itself. */
static bool load_named(Load *l, unsigned type, GError **err)
{
    uint32_t id = get_u32(l->s), instance, version;
    uint64_t devices;
    char name[256];

    if (!get_text(l->s, name))
        return false;
    instance = get_u32(l->s);
    version = get_u32(l->s);
    if (stream_error(l->s))
        return false;
    if (type == MIG_SECTION_FULL && !l->devices) {
        l->devices = true;
        if (!ram_load_begin(l->ram, err))
            return false;
    }
    if (type == MIG_SECTION_FULL && !strcmp(name, "slirp"))
        return user_net_load(l->s, instance, (int)MIN(version, (uint32_t)INT_MAX), err) && load_footer(l, name, id, err);
    if (type == MIG_SECTION_FULL)
        return load_device(l, name, instance, version, err) && load_footer(l, name, id, err);
    if (strcmp(name, "ram") || instance)
        return error_set(err, "the stream has a section '%s' (instance %u), which can't be loaded in parts", name, instance);
    if (l->ram_version)
        return error_set(err, "section 'ram' begins twice");
    l->ram_version = version;
    l->ram_id = id;
    if (!ram_load_section(l->ram, l->s, version, err) || !load_footer(l, name, id, err))
        return false;
    return !ram_load_by_index(l->ram, &devices) || stream_seek(l->s, devices);
}

static bool load_part(Load *l, GError **err)
{
    uint32_t id = get_u32(l->s);

    if (stream_error(l->s))
        return false;
    if (!l->ram_version || id != l->ram_id)
        return error_set(err, "the stream goes on with a section 0x%x that has not begun", id);
    return ram_load_section(l->ram, l->s, l->ram_version, err) && load_footer(l, "ram", id, err);
}

static bool say_pong(Load *l, uint32_t value, GError **err)
{
    bool ok = l->post ? postcopy_say_value(l->post, RP_PONG, value) : channel_answer(stream_channel(l->s), RP_PONG, value);

    return ok || postcopy_listens(l->post) || error_set(err, "cannot answer the source");
}

/* ---- Commands of post-copy ---- */

static bool load_advise(Load *l, unsigned len, GError **err)
{
    uint64_t sizes, page;

    if (!l->res->listen || !l->return_path || l->post || l->ram_version || (len && len != 16))
        return error_set(err, "the source offers post-copy at the wrong time");
    if (!migration_cap(CAP_POSTCOPY_RAM))
        return error_set(err, "RAM postcopy is disabled but have %u byte advise: 'postcopy-ram' must be on here, too", len);
    if (!len)
        return error_set(err, "RAM postcopy is enabled but have 0 byte advise");
    sizes = get_u64(l->s);
    page = get_u64(l->s);
    if (stream_error(l->s))
        return stream_failed(l->s, err);
    if (sizes != MIG_PAGE || page != MIG_PAGE)
        return error_set(err, "post-copy: the source has pages of other sizes (0x%" PRIx64 ", 0x%" PRIx64 ")", sizes, page);
    l->post = postcopy_load_new(l->m, stream_channel(l->s), err);
    ram_load_postcopy(l->ram, l->post);
    return l->post;
}

typedef struct Package { Channel ch; uint8_t *data; size_t len, at; } Package;

static ssize_t read_package(Channel *c, void *buf, size_t n)
{
    Package *p = (Package *)c;

    n = MIN(n, p->len - p->at);
    memcpy(buf, p->data + p->at, n);
    p->at += n;
    return n;
}

static void free_package(Channel *c)
{
}

static bool load_sections(Load *l, GError **err);

/* The devices, while another thread goes on with the stream (from LISTEN on). */
static bool load_package(Load *l, GError **err)
{
    static const ChannelOps ops = { .read = read_package, .free = free_package };
    Package p = { .ch.ops = &ops, .len = get_u32(l->s) };
    Load inner;
    bool ok;

    if (!l->post || l->package || postcopy_listens(l->post) || p.len > MAX_PACKAGE)
        return error_set(err, "post-copy: a package of %zu bytes at the wrong time", p.len);
    p.data = g_try_malloc(p.len);
    if (p.len && !p.data)
        return error_set(err, "post-copy: there is no memory for a package of %zu bytes", p.len);
    ok = get_bytes(l->s, p.data, p.len) || stream_failed(l->s, err);
    if (ok) {
        inner = *l;
        inner.package = true;
        inner.s = stream_new(&p.ch);
        l->quit = true;
        ok = load_sections(&inner, err) && sections_complete(l->list, err) &&
             (inner.run || error_set(err, "post-copy: the package does not end with the command to run"));
        if (!ok && !*err)
            stream_failed(inner.s, err);
        stream_free(inner.s);
    }
    g_free(p.data);
    return ok;
}

static bool load_listen(Load *l, GError **err)
{
    if (!l->package || postcopy_listens(l->post) || !ram_load_complete(l->ram, err))
        return *err ? false : error_set(err, "post-copy: it begins at the wrong time");
    if (!postcopy_listen(l->post, err))
        return false;
    l->res->listen(l->outer, l->post);
    return true;
}

static bool load_recovery(Load *l, unsigned cmd, GError **err)
{
    char name[256];

    if (l->package || !postcopy_listens(l->post))
        return error_set(err, "post-copy: command 0x%x, but the connection was never broken", cmd);
    if (cmd == CMD_RECV_BITMAP)
        return get_text(l->s, name) ? postcopy_send_received(l->post, name, err) : stream_failed(l->s, err);
    postcopy_say_value(l->post, RP_RESUME_ACK, 1);
    postcopy_ask_again(l->post);
    if (l->res->resumed)
        l->res->resumed();
    return true;
}

static bool load_command(Load *l, GError **err)
{
    unsigned cmd = get_u16(l->s), len = get_u16(l->s);

    if (stream_error(l->s))
        return false;
    switch (cmd) {
    case CMD_OPEN_RETURN_PATH:
        l->return_path = true;
        return len == 0 || error_set(err, "command OPEN_RETURN_PATH with %u bytes", len);
    case CMD_PING:
        if (len != 4 || !l->return_path)
            return error_set(err, "command PING with %u bytes, or without a return path", len);
        return say_pong(l, get_u32(l->s), err);
    case CMD_POSTCOPY_ADVISE:
        return load_advise(l, len, err);
    case CMD_POSTCOPY_RAM_DISCARD:
        if (!l->post || l->package)
            return error_set(err, "post-copy: the source discards pages at the wrong time");
        return postcopy_discard(l->post, l->m, l->s, len, err);
    case CMD_PACKAGED:
        return load_package(l, err);
    case CMD_POSTCOPY_LISTEN:
        return load_listen(l, err);
    case CMD_POSTCOPY_RUN:
        l->run = l->package && postcopy_listens(l->post);
        return l->run || error_set(err, "post-copy: the command to run at the wrong time");
    case CMD_RECV_BITMAP: case CMD_POSTCOPY_RESUME:
        return load_recovery(l, cmd, err);
    default:
        return error_set(err, "unknown command 0x%x of %u bytes", cmd, len);
    }
}

static bool load_sections(Load *l, GError **err)
{
    while (!l->quit) {
        unsigned type;
        bool ok;

        if (l->package && stream_at_end(l->s))
            return true;
        type = get_u8(l->s);

        if (stream_error(l->s))
            return false;
        switch (type) {
        case MIG_SECTION_START: case MIG_SECTION_FULL:
            ok = load_named(l, type, err);
            break;
        case MIG_SECTION_PART: case MIG_SECTION_END:
            ok = load_part(l, err);
            break;
        case MIG_COMMAND:
            ok = load_command(l, err);
            break;
        case MIG_EOF:
            return true;
        default:
            return error_set(err, "unknown section type %u", type);
        }
        if (!ok)
            return false;
    }
    return true;
}

/* The description is read, so that the source sees an orderly end. */
static void skip_description(MigStream *s)
{
    char waste[4096];
    uint32_t left;

    if (stream_at_end(s) || *stream_input(s)->p != MIG_VMDESC)
        return;
    get_u8(s);
    for (left = get_u32(s); left && !stream_error(s); left -= MIN(left, sizeof waste))
        get_bytes(s, waste, MIN(left, sizeof waste));
}

static bool load_frame(Load *l, GError **err)
{
    uint32_t magic = get_u32(l->s), version = get_u32(l->s);

    if (stream_error(l->s))
        return false;
    if (magic != MIG_MAGIC)
        return error_set(err, "Not a migration stream");
    if (version != MIG_VERSION)
        return error_set(err, "Unsupported migration stream version %u", version);
    if (stream_at_end(l->s) || *stream_input(l->s)->p != MIG_CONFIGURATION)
        return error_set(err, "Configuration section missing");
    get_u8(l->s);
    return load_configuration(l, err);
}

static bool load_all(Load *l, GError **err)
{
    if (!load_frame(l, err) || !load_sections(l, err))
        return false;
    if (l->quit)
        return true;
    if (!ram_load_complete(l->ram, err) || !sections_complete(l->list, err))
        return false;
    skip_description(l->s);
    return true;
}

static Load *load_new(MigStream *s, Machine *m, LoadResult *res)
{
    Load *l = g_new0(Load, 1);
    uint64_t base;

    *l = (Load){ .s = s, .m = m, .res = res, .outer = l };
    machine_lock();
    l->list = sections_new(m);
    l->ram = ram_load_new(m);
    if (channel_is_lazy(stream_channel(s), &base))
        ram_load_lazily(l->ram, channel_fd(stream_channel(s)), base);
    machine_unlock();
    ram_load_over(l->ram, res->multi);
    if (res->multi)
        multi_recv_start(res->multi, l->ram);
    return l;
}

void load_free(Load *l)
{
    postcopy_load_free(l->post);
    sections_free(l->list);
    ram_load_free(l->ram);
    g_free(l);
}

bool load_stream(MigStream *s, Machine *m, LoadResult *res, GError **err)
{
    Load *l = load_new(s, m, res);
    bool ok = load_all(l, err);

    if (!ok && !*err)
        stream_failed(s, err);
    if (!ok && res->multi)
        multi_recv_error(res->multi, err);
    g_clear_pointer(&res->multi, multi_recv_free);
    res->return_path = l->return_path;
    res->has_state = ok && sections_get_state(l->list, &res->state);
    res->postcopy = postcopy_listens(l->post);
    if (!res->postcopy)
        load_free(l);
    return ok;
}

/* ---- While the guest runs ---- */

bool load_rest(Load *l, bool *broken, GError **err)
{
    Load rest = *l;
    bool ok;

    rest.quit = false;
    ok = load_sections(&rest, err);
    *broken = !ok && stream_is_broken(rest.s);
    if (!ok && !*err)
        stream_failed(rest.s, err);
    return ok;
}

void load_rest_from(Load *l, MigStream *s)
{
    l->s = s;
}

MigStream *load_rest_stream(const Load *l)
{
    return l->s;
}
