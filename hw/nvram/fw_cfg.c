/*
 * fw_cfg: the firmware configuration device of QEMU's PC: ports 0x510 (selector) and 0x511 (data), and DMA at 0x514.
 *
 * The interface follows QEMU's docs/specs/fw_cfg. Items have a 16-bit key; from FW_CFG_FILE_FIRST on they are files,
 * in the order of their names, which the item FW_CFG_FILE_DIR lists. Writing goes through DMA only.
 * Not modelled: the write channel of the data port (gone since QEMU 2.4), the memory-mapped variant.
 */
#include <string.h>
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"

#define INVALID_ENTRY 0xffff
#define DMA_SIGNATURE "QEMU CFG"

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

typedef struct Item {
    char *name;                 /* files */
    uint8_t *data;
    size_t len;
    bool owned, writable;
    RamBlock *ram;
    FwCfgSelect *select;
    FwCfgWrite *write;
    void *opaque;
} Item;

struct FwCfg {
    Device dev;
    /* guest state */
    uint16_t cur_entry;
    uint32_t cur_offset;
    uint64_t dma_addr;
    /* loaded lengths of the ACPI files, for `loaded` */
    uint64_t mr_size[3];
    /* properties */
    bool dma, acpi_mr_restore;
    uint16_t file_slots;
    /* host side */
    Item fixed[2][FW_CFG_FILE_FIRST];   /* generic; of the architecture */
    GPtrArray *files;                   /* Item *, sorted by name */
    GByteArray *dir;                    /* FW_CFG_FILE_DIR as last selected */
};

/* ---- Items ---- */

static void item_clear(Item *i)
{
    if (i->owned)
        g_free(i->data);
    g_free(i->name);
    memset(i, 0, sizeof *i);
}

static void item_free(void *p)
{
    item_clear(p);
    g_free(p);
}

static Item *fixed_item(FwCfg *f, uint16_t key)
{
    unsigned n = key & ~(FW_CFG_WRITE_CHANNEL | FW_CFG_ARCH);

    return n < FW_CFG_FILE_FIRST ? &f->fixed[!!(key & FW_CFG_ARCH)][n] : NULL;
}

/* The item of a key; NULL: there is none, it reads as zeros. */
static Item *find_item(FwCfg *f, uint16_t key)
{
    unsigned n = key & ~(FW_CFG_WRITE_CHANNEL | FW_CFG_ARCH);

    if (n < FW_CFG_FILE_FIRST)
        return fixed_item(f, key);
    n -= FW_CFG_FILE_FIRST;
    return !(key & FW_CFG_ARCH) && n < f->files->len ? g_ptr_array_index(f->files, n) : NULL;
}

static Item *find_file(FwCfg *f, const char *name)
{
    for (unsigned i = 0; i < f->files->len; i++) {
        Item *it = g_ptr_array_index(f->files, i);

        if (!strcmp(it->name, name))
            return it;
    }
    return NULL;
}

static void build_directory(FwCfg *f)
{
    uint32_t count = GUINT32_TO_BE(f->files->len);
    Item *dir = fixed_item(f, FW_CFG_FILE_DIR);

    g_byte_array_set_size(f->dir, 0);
    g_byte_array_append(f->dir, (uint8_t *)&count, 4);
    for (unsigned i = 0; i < f->files->len; i++) {
        const Item *it = g_ptr_array_index(f->files, i);
        struct { uint32_t size; uint16_t select, reserved; char name[FW_CFG_MAX_NAME]; } e = {
            .size = GUINT32_TO_BE(it->len), .select = GUINT16_TO_BE(FW_CFG_FILE_FIRST + i),
        };

        g_strlcpy(e.name, it->name, sizeof e.name);
        g_byte_array_append(f->dir, (uint8_t *)&e, sizeof e);
    }
    dir->data = f->dir->data;
    dir->len = f->dir->len;
}

/* ---- Registers ---- */

static void select_item(FwCfg *f, uint16_t key)
{
    Item *it;

    f->cur_offset = 0;
    if ((key & ~(FW_CFG_WRITE_CHANNEL | FW_CFG_ARCH)) >= FW_CFG_FILE_FIRST + f->file_slots) {
        f->cur_entry = INVALID_ENTRY;
        return;
    }
    f->cur_entry = key;
    if (key == FW_CFG_FILE_DIR)
        build_directory(f);
    it = find_item(f, key);
    if (it && it->select)
        it->select(it->opaque);
}

static uint64_t data_read(void *opaque, uint64_t off, unsigned size)
{
    FwCfg *f = opaque;
    Item *it = f->cur_entry == INVALID_ENTRY ? NULL : find_item(f, f->cur_entry);

    if (size != 1 || !it || !it->data || f->cur_offset >= it->len)
        return 0;
    return it->data[f->cur_offset++];
}

static void selector_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    if (size == 2 && off == 0)
        select_item(opaque, val);
}

/* Moves n bytes between the item at the current offset and the guest. */
static bool transfer(FwCfg *f, Item *it, unsigned op, uint64_t addr, uint32_t n, bool whole)
{
    uint8_t *p = it->data + f->cur_offset;

    if (op & DMA_READ)
        return dma_write(&f->dev, addr, p, n);
    if (op & DMA_WRITE) {
        if (!it->writable || !whole || !dma_read(&f->dev, addr, p, n))
            return false;
        if (it->write)
            it->write(it->opaque, f->cur_offset, n);
    }
    return true;
}

/* Zeros; ends where memory does, so that a length of 4 GiB costs no more than the guest has. */
static bool zero_guest(FwCfg *f, uint64_t addr, uint32_t len)
{
    for (uint32_t n; len; addr += n, len -= n) {
        n = MIN(len, 0x10000);
        if (!dma_set(&f->dev, addr, 0, n))
            return false;
    }
    return true;
}

/* One command: the item's rest first, then (reads) zeros. */
static bool run_command(FwCfg *f, unsigned op, uint64_t addr, uint32_t len)
{
    Item *it = f->cur_entry == INVALID_ENTRY ? NULL : find_item(f, f->cur_entry);

    if (!(op & (DMA_READ | DMA_WRITE | DMA_SKIP)) || !len)
        return true;
    if (op & DMA_READ)
        op = DMA_READ;
    if (it && it->data && f->cur_offset < it->len) {
        uint32_t n = MIN(len, it->len - f->cur_offset);

        if (!transfer(f, it, op, addr, n, n == len))
            return false;
        f->cur_offset += n;
        addr += n;
        len -= n;
    }
    if (!len || op & DMA_SKIP)
        return !(op & DMA_WRITE) || !len;
    return op & DMA_READ ? zero_guest(f, addr, len) : false;
}

static void run_dma(FwCfg *f)
{
    struct { uint32_t control, length; uint64_t address; } cmd;
    uint64_t at = f->dma_addr;
    uint32_t control;
    bool ok;

    f->dma_addr = 0;
    if (!dma_read(&f->dev, at, &cmd, sizeof cmd)) {
        control = GUINT32_TO_BE(DMA_ERROR);
        dma_write(&f->dev, at, &control, 4);
        return;
    }
    control = GUINT32_FROM_BE(cmd.control);
    if (control & DMA_SELECT)
        select_item(f, control >> 16);
    ok = run_command(f, control, GUINT64_FROM_BE(cmd.address), GUINT32_FROM_BE(cmd.length));
    control = GUINT32_TO_BE(ok ? 0 : DMA_ERROR);
    dma_write(&f->dev, at, &control, 4);
}

static uint64_t dma_reg_read(void *opaque, uint64_t off, unsigned size)
{
    FwCfg *f = opaque;
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(f->dma && off + i < 8 ? DMA_SIGNATURE[off + i] : 0xff) << 8 * i;
    return v;
}

static void dma_reg_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    FwCfg *f = opaque;

    if (!f->dma || size != 4 || off % 4)
        return;
    if (off == 0) {
        f->dma_addr = (uint64_t)GUINT32_SWAP_LE_BE((uint32_t)val) << 32;
    } else {
        f->dma_addr |= GUINT32_SWAP_LE_BE((uint32_t)val);
        run_dma(f);
    }
}

/* ---- Adding ---- */

static bool is_fw_cfg(Device *d, void *found)
{
    if (d->type != &fw_cfg_io_type)
        return true;
    *(Device **)found = d;
    return false;
}

FwCfg *fw_cfg_find(Machine *m)
{
    Device *d = NULL;

    machine_foreach_device(m, is_fw_cfg, &d);
    return DEVICE(d, FwCfg);
}

bool fw_cfg_dma_enabled(const FwCfg *f)
{
    return f->dma;
}

void fw_cfg_take_bytes(FwCfg *f, uint16_t key, void *data, size_t len)
{
    Item *it = fixed_item(f, key);

    g_assert(it);
    item_clear(it);
    it->data = data;
    it->len = len;
    it->owned = true;
}

void fw_cfg_add_bytes(FwCfg *f, uint16_t key, const void *data, size_t len)
{
    fw_cfg_take_bytes(f, key, g_memdup2(data, len), len);
}

void fw_cfg_add_string(FwCfg *f, uint16_t key, const char *s)
{
    fw_cfg_add_bytes(f, key, s, strlen(s) + 1);
}

void fw_cfg_add_i16(FwCfg *f, uint16_t key, uint16_t v)
{
    v = GUINT16_TO_LE(v);
    fw_cfg_add_bytes(f, key, &v, sizeof v);
}

void fw_cfg_add_i32(FwCfg *f, uint16_t key, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    fw_cfg_add_bytes(f, key, &v, sizeof v);
}

void fw_cfg_add_i64(FwCfg *f, uint16_t key, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    fw_cfg_add_bytes(f, key, &v, sizeof v);
}

/* A new, empty file in its place; NULL with err. */
static Item *new_file(FwCfg *f, const char *name, GError **err)
{
    unsigned at = 0;
    Item *it;

    if (!*name || strlen(name) >= FW_CFG_MAX_NAME) {
        error_set(err, *name ? "name too long (max. %d char)" : "name of a fw_cfg file is empty", FW_CFG_MAX_NAME - 1);
        return NULL;
    }
    if (find_file(f, name)) {
        error_set(err, "duplicate fw_cfg file name: %s", name);
        return NULL;
    }
    if (f->files->len >= f->file_slots) {
        error_set(err, "fw_cfg has no place for file %s: raise fw_cfg_io's property x-file-slots above %u", name, f->file_slots);
        return NULL;
    }
    while (at < f->files->len && strcmp(((Item *)g_ptr_array_index(f->files, at))->name, name) < 0)
        at++;
    it = g_new0(Item, 1);
    it->name = g_strdup(name);
    g_ptr_array_insert(f->files, at, it);
    return it;
}

bool fw_cfg_take_file(FwCfg *f, const char *name, void *data, size_t len, GError **err)
{
    Item *it = new_file(f, name, err);

    if (!it) {
        g_free(data);
        return false;
    }
    it->data = data;
    it->len = len;
    it->owned = true;
    return true;
}

bool fw_cfg_add_file(FwCfg *f, const char *name, const void *data, size_t len, GError **err)
{
    return fw_cfg_take_file(f, name, g_memdup2(data, len), len, err);
}

bool fw_cfg_add_file_i32(FwCfg *f, const char *name, uint32_t v, GError **err)
{
    v = GUINT32_TO_LE(v);
    return fw_cfg_add_file(f, name, &v, sizeof v, err);
}

bool fw_cfg_add_file_ref(FwCfg *f, const char *name, void *data, size_t len, bool writable, FwCfgSelect *select,
                         FwCfgWrite *write, void *opaque, GError **err)
{
    Item *it = new_file(f, name, err);

    if (!it)
        return false;
    it->data = data;
    it->len = len;
    it->writable = writable;
    it->select = select;
    it->write = write;
    it->opaque = opaque;
    return true;
}

bool fw_cfg_add_file_ram(FwCfg *f, const char *name, RamBlock *ram, size_t len, FwCfgSelect *select, void *opaque, GError **err)
{
    if (!fw_cfg_add_file_ref(f, name, ram->host, len, false, select, NULL, opaque, err))
        return false;
    find_file(f, name)->ram = ram;
    return true;
}

bool fw_cfg_modify_file(FwCfg *f, const char *name, const void *data, size_t len, GError **err)
{
    Item *it = find_file(f, name);

    if (!it)
        return fw_cfg_add_file(f, name, data, len, err);
    if (it->owned)
        g_free(it->data);
    it->data = g_memdup2(data, len);
    it->len = len;
    it->owned = true;
    return true;
}

void fw_cfg_resize_file(FwCfg *f, const char *name, size_t len)
{
    Item *it = find_file(f, name);

    if (it && (!it->ram || len <= it->ram->max_size))
        it->len = len;
}

const void *fw_cfg_get_file(FwCfg *f, const char *name, size_t *len)
{
    const Item *it = find_file(f, name);

    *len = it ? it->len : 0;
    return it ? it->data : NULL;
}

const void *fw_cfg_get_bytes(FwCfg *f, uint16_t key, size_t *len)
{
    const Item *it = fixed_item(f, key);

    *len = it ? it->len : 0;
    return it ? it->data : NULL;
}

/* ---- Life ---- */

static bool fw_cfg_realize(Device *d, GError **err)
{
    FwCfg *f = DEVICE(d, FwCfg);

    if (f->file_slots < 0x10 || f->file_slots > FW_CFG_WRITE_CHANNEL - FW_CFG_FILE_FIRST)
        return error_set(err, "\"file_slots\" must be between 0x10 and 0x%x", FW_CFG_WRITE_CHANNEL - FW_CFG_FILE_FIRST);
    f->files = g_ptr_array_new_with_free_func(item_free);
    f->dir = g_byte_array_new();
    fw_cfg_add_bytes(f, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_i32(f, FW_CFG_ID, f->dma ? 3 : 1);
    return true;
}

static void fw_cfg_unrealize(Device *d)
{
    FwCfg *f = DEVICE(d, FwCfg);

    memset(fixed_item(f, FW_CFG_FILE_DIR), 0, sizeof(Item));
    for (unsigned i = 0; i < 2 * FW_CFG_FILE_FIRST; i++)
        item_clear(&f->fixed[0][0] + i);
    g_clear_pointer(&f->files, g_ptr_array_unref);
    g_clear_pointer(&f->dir, g_byte_array_unref);
}

static void fw_cfg_reset(Device *d)
{
    select_item(DEVICE(d, FwCfg), FW_CFG_SIGNATURE);
}

/* ---- State ---- */

/* In the order of the stream: the files whose lengths it carries. */
static const char *const acpi_files[3] = { "etc/acpi/tables", "etc/table-loader", "etc/acpi/rsdp" };

static uint64_t file_size(const void *obj, unsigned n)
{
    const Item *it = find_file((FwCfg *)obj, acpi_files[n]);

    return it ? it->len : 0;
}

static bool set_file_size(void *obj, unsigned n, uint64_t v, GError **err)
{
    const Item *it = find_file(obj, acpi_files[n]);

    if (v > (it && it->ram ? it->ram->max_size : 0))
        return error_set(err, "%s: %" G_GUINT64_FORMAT " bytes are too many", acpi_files[n], v);
    ((FwCfg *)obj)->mr_size[n] = v;
    return true;
}

static uint64_t get_table_size(const void *obj) { return file_size(obj, 0); }
static uint64_t get_linker_size(const void *obj) { return file_size(obj, 1); }
static uint64_t get_rsdp_size(const void *obj) { return file_size(obj, 2); }
static bool set_table_size(void *obj, uint64_t v, GError **err) { return set_file_size(obj, 0, v, err); }
static bool set_linker_size(void *obj, uint64_t v, GError **err) { return set_file_size(obj, 1, v, err); }
static bool set_rsdp_size(void *obj, uint64_t v, GError **err) { return set_file_size(obj, 2, v, err); }

/* Whole pages need no telling: the RAM section carries their size. */
static bool acpi_mr_needed(const void *obj)
{
    return ((const FwCfg *)obj)->acpi_mr_restore && (file_size(obj, 0) | file_size(obj, 1) | file_size(obj, 2)) & 0xfff;
}

static bool dma_needed(const void *obj)
{
    return ((const FwCfg *)obj)->dma;
}

static bool fw_cfg_load(void *obj, GError **err)
{
    FwCfg *f = obj;

    f->dma_addr = 0;
    memset(f->mr_size, 0, sizeof f->mr_size);
    return true;
}

static bool fw_cfg_loaded(void *obj, int version, GError **err)
{
    FwCfg *f = obj;

    for (unsigned i = 0; i < 3; i++) {
        Item *it = find_file(f, acpi_files[i]);

        if (it && it->ram)
            it->len = f->mr_size[i] ? f->mr_size[i] : it->ram->size;
    }
    if (f->cur_entry == FW_CFG_FILE_DIR)
        build_directory(f);
    return true;
}

static const StateTable dma_state = {
    .name = "fw_cfg/dma", .needed = dma_needed,
    .fields = (const Field[]){ FIELD(FwCfg, dma_addr, .keep = true), {0} },
};
static const StateTable acpi_mr_state = {
    .name = "fw_cfg/acpi_mr", .version = 1, .min_version = 1, .needed = acpi_mr_needed,
    .fields = (const Field[]){
        VIRTUAL("table_mr_size", 8, .get = get_table_size, .set = set_table_size),
        VIRTUAL("linker_mr_size", 8, .get = get_linker_size, .set = set_linker_size),
        VIRTUAL("rsdp_mr_size", 8, .get = get_rsdp_size, .set = set_rsdp_size),
        {0}
    },
};

static const StateTable fw_cfg_state = {
    .name = "fw_cfg", .version = 2, .min_version = 2, .load = fw_cfg_load, .loaded = fw_cfg_loaded,
    .fields = (const Field[]){
        FIELD(FwCfg, cur_entry),
        FIELD(FwCfg, cur_offset, .since = 2),
        HOST(FwCfg, dev),
        DERIVED(FwCfg, mr_size),
        HOST(FwCfg, dma), HOST(FwCfg, acpi_mr_restore), HOST(FwCfg, file_slots),
        HOST(FwCfg, fixed), HOST(FwCfg, files), HOST(FwCfg, dir),
        {0}
    },
    .subsections = (const StateTable *const[]){ &dma_state, &acpi_mr_state, NULL },
};

static const Property fw_cfg_props[] = {
    PROP(FwCfg, dma, "dma_enabled", PROP_BOOL, true),
    PROP(FwCfg, file_slots, "x-file-slots", PROP_U16, 32),
    PROP(FwCfg, acpi_mr_restore, "acpi-mr-restore", PROP_BOOL, true),
    {0}
};

static const PioRange fw_cfg_pio[] = {
    { 0x510, 2, 4, data_read, selector_write, "fwcfg" },
    { 0x514, 8, 4, dma_reg_read, dma_reg_write, "fwcfg.dma" },
    {0}
};

const DeviceType fw_cfg_io_type = {
    .name = "fw_cfg_io", .desc = "firmware configuration", .internal = true, .size = sizeof(FwCfg),
    .props = fw_cfg_props, .state = &fw_cfg_state, .pio = fw_cfg_pio,
    .realize = fw_cfg_realize, .unrealize = fw_cfg_unrealize, .reset = fw_cfg_reset,
};
