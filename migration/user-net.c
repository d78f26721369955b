/* Sections "slirp": the state of user networks. */
#include "migration/format.h"
#include "migration/user-net.h"
#include "net/user.h"
#include "util/error.h"
#include "util/loop.h"

typedef struct Saving {
    MigStream *s;
    uint32_t instance, *id;
    json_t *desc;
} Saving;

static bool save_one(NetClient *c, void *opaque)
{
    Saving *x = opaque;
    g_autoptr(GByteArray) data = g_byte_array_new();
    int version = net_is_user(c) ? net_user_save(c, data) : -1;

    if (version < 0) {
        x->instance += net_is_user(c);
        return true;
    }
    put_u8(x->s, MIG_SECTION_FULL);
    put_u32(x->s, *x->id);
    put_text(x->s, "slirp");
    put_u32(x->s, x->instance);
    put_u32(x->s, version);
    put_bytes(x->s, data->data, data->len);
    put_u8(x->s, MIG_SECTION_FOOTER);
    put_u32(x->s, (*x->id)++);
    if (x->desc)
        json_array_append_new(x->desc, json_pack("{s:s,s:i,s:i,s:[{s:s,s:i,s:s}]}", "name", "slirp", "instance_id", (int)x->instance,
                                                 "size", (int)data->len, "fields", "name", "data", "size", (int)data->len,
                                                 "type", "buffer"));
    x->instance++;
    return true;
}

void user_nets_save(MigStream *s, uint32_t *id, json_t *desc)
{
    net_foreach(save_one, &(Saving){ s, 0, id, desc });
}

typedef struct Finding { uint32_t left; NetClient *found; } Finding;

static bool find_one(NetClient *c, void *opaque)
{
    Finding *f = opaque;

    if (net_is_user(c) && !f->left--)
        f->found = c;
    return !f->found;
}

static bool read_bytes(void *s, void *buf, size_t n)
{
    return get_bytes(s, buf, n);
}

bool user_net_load(MigStream *s, uint32_t instance, int version, GError **err)
{
    Finding f = { instance, NULL };
    bool ok;

    machine_lock();
    net_foreach(find_one, &f);
    ok = f.found ? net_user_load(f.found, version, read_bytes, s, err)
                 : error_set(err, "the stream has a section 'slirp' (instance %u): this machine has fewer user networks", instance);
    machine_unlock();
    return ok;
}
