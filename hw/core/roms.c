/* info roms: what was loaded into memory, or into fw_cfg, before the guest started. */
#include <inttypes.h>
#include "hw/core/machine.h"

typedef struct Rom { RomKind kind; char *name; uint64_t addr, size; } Rom;

static void clear(void *p)
{
    g_free(((Rom *)p)->name);
}

/* Those with an address stand in its order, files of fw_cfg before them and tables behind. */
static bool before(const Rom *a, const Rom *b)
{
    return a->kind != b->kind ? a->kind < b->kind : a->addr < b->addr;
}

void machine_add_rom(Machine *m, RomKind kind, const char *name, uint64_t addr, uint64_t size)
{
    Rom r = { kind, g_strdup(name), addr, size };
    unsigned at;

    if (!m->roms) {
        m->roms = g_array_new(false, false, sizeof r);
        g_array_set_clear_func(m->roms, clear);
    }
    for (at = m->roms->len; at && before(&r, &g_array_index(m->roms, Rom, at - 1)); at--)
        ;
    g_array_insert_val(m->roms, at, r);
}

void machine_print_roms(Machine *m, GString *out)
{
    for (unsigned i = 0; m->roms && i < m->roms->len; i++) {
        const Rom *r = &g_array_index(m->roms, Rom, i);

        if (r->kind == ROM_FW_CFG)
            g_string_append_printf(out, "fw=genroms/%s size=0x%06" PRIx64 " name=\"%s\"\n", r->name, r->size, r->name);
        else if (r->kind == ROM_TABLE)
            g_string_append_printf(out, "/rom@%s size=0x%06" PRIx64 " name=\"%s\"\n", r->name, r->size, r->name);
        else
            g_string_append_printf(out, "addr=%016" PRIx64 " size=0x%06" PRIx64 " mem=rom name=\"%s\"\n", r->addr, r->size,
                                   r->name);
    }
}
