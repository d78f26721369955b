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

void save_devices(MigStream *s, Machine *m, RunState was)
{
    SectionList *l = sections_new(m);
    uint32_t next = MIG_ID_FIRST + l->all->len;
    json_t *desc = json_array(), *all = json_pack("{s:i,s:o}", "page_size", MIG_PAGE, "devices", desc);
    char *text;

    sections_set_state(l, was);
    sections_save(l, s, desc);
    user_nets_save(s, &next, desc);
    sections_free(l);
    put_u8(s, MIG_EOF);
    text = json_dumps(all, 0);
    json_decref(all);
    put_u8(s, MIG_VMDESC);
    put_u32(s, strlen(text));
    put_bytes(s, text, strlen(text));
    free(text);
}

/* ---- Loading ---- */

typedef struct Load {
    MigStream *s;
    Machine *m;
    SectionList *list;
    RamLoad *ram;
    int ram_version;            /* 0: not begun */
    bool devices;               /* have begun */
    uint32_t ram_id;
    bool return_path;
} Load;

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
        return channel_answer(stream_channel(l->s), RP_PONG, get_u32(l->s)) || error_set(err, "cannot answer the source");
    case CMD_POSTCOPY_ADVISE: case CMD_POSTCOPY_LISTEN: case CMD_POSTCOPY_RUN: case CMD_POSTCOPY_RAM_DISCARD:
    case CMD_POSTCOPY_RESUME: case CMD_PACKAGED:
        return error_set(err, "the source wants post-copy (postcopy-ram), which is not supported");
    default:
        return error_set(err, "unknown command 0x%x of %u bytes", cmd, len);
    }
}

static bool load_sections(Load *l, GError **err)
{
    for (;;) {
        unsigned type = get_u8(l->s);
        bool ok;

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

static bool load_all(Load *l, GError **err)
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
    if (!load_configuration(l, err) || !load_sections(l, err) || !ram_load_complete(l->ram, err) ||
        !sections_complete(l->list, err))
        return false;
    skip_description(l->s);
    return true;
}

bool load_stream(MigStream *s, Machine *m, LoadResult *res, GError **err)
{
    Load l = { .s = s, .m = m };
    uint64_t base;
    bool ok;

    machine_lock();
    l.list = sections_new(m);
    l.ram = ram_load_new(m);
    if (channel_is_lazy(stream_channel(s), &base))
        ram_load_lazily(l.ram, channel_fd(stream_channel(s)), base);
    machine_unlock();
    ram_load_over(l.ram, res->multi);
    if (res->multi)
        multi_recv_start(res->multi, l.ram);
    ok = load_all(&l, err);
    if (!ok && !*err)
        stream_failed(s, err);
    if (!ok && res->multi)
        multi_recv_error(res->multi, err);
    g_clear_pointer(&res->multi, multi_recv_free);
    res->return_path = l.return_path;
    res->has_state = ok && sections_get_state(l.list, &res->state);
    sections_free(l.list);
    ram_load_free(l.ram);
    return ok;
}
