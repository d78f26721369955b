/*
 * SMBIOS structures, as SMBIOS 2.8 (with the 64-bit entry point: 3.0) has them: types 0, 1, 2, 3, 4, 8, 11, 16, 17, 19, 32,
 * 41 and 127. Without options: 1, 3, 4, 16, 17, 19, 32 and 127.
 */
#include <string.h>
#include "hw/i386/smbios-int.h"
#include "util/error.h"

#define DIMM_SIZE (16ull << 30)
#define ARRAY_HANDLE 0x1000

typedef struct Build {
    const Smbios *s;
    const SmbiosFacts *f;
    GByteArray *out;
    unsigned count, longest;
    guint start;                        /* of the structure being written */
    GPtrArray *strings;                 /* its strings, not owned */
    bool v3;
} Build;

static void le(Build *b, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(b->out, (uint8_t *)&v, n);
}

/* A string field: the string's number, 0 when there is none. */
static void string(Build *b, const char *s)
{
    if (s && *s)
        g_ptr_array_add(b->strings, (char *)s);
    le(b, s && *s ? b->strings->len : 0, 1);
}

/* What the user gave, or the machine's. */
static void option(Build *b, SmbiosString id, const char *def)
{
    string(b, b->s->str[id] ? b->s->str[id] : def);
}

static void begin(Build *b, uint8_t type, uint16_t handle)
{
    b->start = b->out->len;
    g_ptr_array_set_size(b->strings, 0);
    le(b, type, 1);
    le(b, 0, 1);                        /* length: end */
    le(b, handle, 2);
}

static void end(Build *b)
{
    b->out->data[b->start + 1] = b->out->len - b->start;
    for (unsigned i = 0; i < b->strings->len; i++) {
        const char *s = g_ptr_array_index(b->strings, i);

        g_byte_array_append(b->out, (const uint8_t *)s, strlen(s) + 1);
    }
    le(b, 0, b->strings->len ? 1 : 2);
    b->count++;
    b->longest = MAX(b->longest, b->out->len - b->start);
}

/* A structure that files do not replace and, unless it is always there, that options asked for. */
static bool wanted(const Build *b, unsigned type, bool always)
{
    return !smbios_bit(b->s->loaded, type) && (always || smbios_bit(b->s->given, type));
}

static void put_bios(Build *b)
{
    begin(b, 0, 0);
    option(b, T0_VENDOR, NULL);
    option(b, T0_VERSION, NULL);
    le(b, 0xe800, 2);                   /* the BIOS's segment */
    option(b, T0_DATE, NULL);
    le(b, 0, 1);                        /* 64 KiB */
    le(b, 8, 8);                        /* characteristics: none are given */
    le(b, 0, 1);
    le(b, 0x14 | b->s->uefi << 3, 1);   /* virtual machine, targeted content */
    le(b, b->s->bios_major, 1);
    le(b, b->s->bios_minor, 1);
    le(b, 0xffff, 2);                   /* no embedded controller */
    end(b);
}

static void put_system(Build *b)
{
    const uint8_t *u = b->s->has_uuid ? b->s->uuid : b->f->uuid;
    uint8_t mixed[16] = { u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6] };

    memcpy(mixed + 8, u + 8, 8);
    begin(b, 1, 0x100);
    option(b, T1_MANUFACTURER, "QEMU");
    option(b, T1_PRODUCT, b->f->desc);
    option(b, T1_VERSION, b->f->machine);
    option(b, T1_SERIAL, NULL);
    g_byte_array_append(b->out, mixed, 16);
    le(b, 6, 1);                        /* woken by the power switch */
    option(b, T1_SKU, NULL);
    option(b, T1_FAMILY, NULL);
    end(b);
}

static void put_board(Build *b)
{
    begin(b, 2, 0x200);
    option(b, T2_MANUFACTURER, "QEMU");
    option(b, T2_PRODUCT, b->f->desc);
    option(b, T2_VERSION, b->f->machine);
    option(b, T2_SERIAL, NULL);
    option(b, T2_ASSET, NULL);
    le(b, 1, 1);                        /* hosts others */
    option(b, T2_LOCATION, NULL);
    le(b, 0x300, 2);                    /* in this chassis */
    le(b, 0xa, 1);                      /* motherboard */
    le(b, 0, 1);
    end(b);
}

static void put_chassis(Build *b)
{
    begin(b, 3, 0x300);
    option(b, T3_MANUFACTURER, "QEMU");
    le(b, 1, 1);                        /* other */
    option(b, T3_VERSION, b->f->machine);
    option(b, T3_SERIAL, NULL);
    option(b, T3_ASSET, NULL);
    le(b, 0x02030303, 4);               /* boot-up, power and thermal state safe; security unknown */
    le(b, 0, 8);
    option(b, T3_SKU, NULL);
    end(b);
}

static void put_processor(Build *b, unsigned n)
{
    const SmbiosFacts *f = b->f;
    const Smbios *s = b->s;
    g_autofree char *socket = g_strdup_printf("%s%2x", s->str[T4_SOCKET] ? s->str[T4_SOCKET] : "CPU", n);

    begin(b, 4, 0x400 + n);
    string(b, socket);
    le(b, 3, 1);                        /* central processor, family: other */
    le(b, 1, 1);
    option(b, T4_MANUFACTURER, "QEMU");
    le(b, s->processor_id ? s->processor_id : f->cpuid_version | (uint64_t)f->cpuid_features << 32, 8);
    option(b, T4_VERSION, f->machine);
    le(b, 0, 3);                        /* voltage, external clock */
    le(b, s->max_speed, 2);
    le(b, s->current_speed, 2);
    le(b, 0x41, 1);                     /* there, enabled */
    le(b, 1, 1);
    le(b, 0xffffffffffff, 6);           /* no handles of caches */
    option(b, T4_SERIAL, NULL);
    option(b, T4_ASSET, NULL);
    option(b, T4_PART, NULL);
    le(b, MIN(f->cores, 255), 1);
    le(b, MIN(f->cores, 255), 1);
    le(b, MIN(f->threads, 255), 1);
    le(b, 2, 2);                        /* characteristics: unknown */
    le(b, 1, 2);
    if (b->v3) {
        le(b, f->cores, 2);
        le(b, f->cores, 2);
        le(b, f->threads, 2);
    }
    end(b);
}

static void put_ports(Build *b)
{
    for (unsigned i = 0; i < b->s->ports->len; i++) {
        const SmbiosPort *p = &g_array_index(b->s->ports, SmbiosPort, i);

        begin(b, 8, i);
        string(b, p->internal);
        le(b, 0, 1);                    /* connector inside: none */
        string(b, p->external);
        le(b, p->connector, 1);
        le(b, p->port, 1);
        end(b);
    }
}

static void put_oem(Build *b)
{
    if (!b->s->oem->len)
        return;
    begin(b, 11, 0xe00);
    le(b, b->s->oem->len, 1);
    for (unsigned i = 0; i < b->s->oem->len; i++)
        g_ptr_array_add(b->strings, g_ptr_array_index(b->s->oem, i));
    end(b);
}

static void put_memory_array(Build *b, unsigned dimms)
{
    uint64_t kib = b->f->ram_size >> 10;
    bool large = kib >= 0x80000000;

    begin(b, 16, ARRAY_HANDLE);
    le(b, 1, 1);                        /* other location; system memory; multi-bit ECC */
    le(b, 3, 1);
    le(b, 6, 1);
    le(b, large ? 0x80000000 : kib, 4);
    le(b, 0xfffe, 2);
    le(b, dimms, 2);
    le(b, large ? b->f->ram_size : 0, 8);
    end(b);
}

static void put_dimm(Build *b, unsigned n, uint64_t size)
{
    const char *prefix = b->s->str[T17_LOCATOR] ? b->s->str[T17_LOCATOR] : "DIMM";
    g_autofree char *locator = g_strdup_printf("%s %u", prefix, n);

    begin(b, 17, 0x1100 + n);
    le(b, ARRAY_HANDLE, 2);
    le(b, 0xfffe, 2);
    le(b, 0xffffffff, 4);               /* widths: unknown */
    le(b, MIN(size >> 20, 0x7fff), 2);
    le(b, 9, 1);                        /* DIMM */
    le(b, 0, 1);
    string(b, locator);
    option(b, T17_BANK, NULL);
    le(b, 7, 1);                        /* RAM */
    le(b, 2, 2);                        /* detail: other */
    le(b, b->s->memory_speed, 2);
    option(b, T17_MANUFACTURER, "QEMU");
    option(b, T17_SERIAL, NULL);
    option(b, T17_ASSET, NULL);
    option(b, T17_PART, NULL);
    le(b, 0, 1);                        /* rank */
    le(b, 0, 4);                        /* size, where 15 bits are too few: DIMM_SIZE is not */
    le(b, b->s->memory_speed, 2);
    le(b, 0, 6);
    end(b);
}

static void put_memory(Build *b)
{
    uint64_t left = b->f->ram_size;
    unsigned dimms = (left + DIMM_SIZE - 1) / DIMM_SIZE;

    if (wanted(b, 16, true))
        put_memory_array(b, dimms);
    for (unsigned i = 0; i < dimms && wanted(b, 17, true); i++) {
        put_dimm(b, i, MIN(left, DIMM_SIZE));
        left -= MIN(left, DIMM_SIZE);
    }
}

static void put_mapped_range(Build *b, unsigned n, uint64_t base, uint64_t size)
{
    uint64_t first = base >> 10, last = first + (size >> 10) - 1;
    bool large = last >= 0xffffffff;

    begin(b, 19, 0x1300 + n);
    le(b, large ? 0xffffffff : first, 4);
    le(b, large ? 0xffffffff : last, 4);
    le(b, ARRAY_HANDLE, 2);
    le(b, 1, 1);
    le(b, large ? base : 0, 8);
    le(b, large ? base + size - 1 : 0, 8);
    end(b);
}

static void put_mapped(Build *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->f->e820->len; i++) {
        const E820Entry *e = &g_array_index(b->f->e820, E820Entry, i);

        if (GUINT32_FROM_LE(e->type) == E820_RAM)
            put_mapped_range(b, n++, GUINT64_FROM_LE(e->base), GUINT64_FROM_LE(e->size));
    }
}

static bool put_onboard(Build *b, GError **err)
{
    for (unsigned i = 0; i < b->s->onboard->len; i++) {
        const SmbiosOnboard *d = &g_array_index(b->s->onboard, SmbiosOnboard, i);
        uint8_t bus = 0, devfn = 0;

        if (d->pcidev && (!b->f->find_pci || !b->f->find_pci(b->f->opaque, d->pcidev, &bus, &devfn)))
            return error_set(err, "No PCI device %s for SMBIOS type 41 entry %s", d->pcidev,
                             d->designation ? d->designation : "(null)");
        begin(b, 41, 0x2900 + i);
        string(b, d->designation);
        le(b, 0x80 | d->kind, 1);       /* enabled */
        le(b, d->instance, 1);
        le(b, 0, 2);                    /* segment */
        le(b, bus, 1);
        le(b, devfn, 1);
        end(b);
    }
    return true;
}

static bool put_all(Build *b, GError **err)
{
    if (wanted(b, 0, false))
        put_bios(b);
    if (wanted(b, 1, true))
        put_system(b);
    if (wanted(b, 2, false))
        put_board(b);
    if (wanted(b, 3, true))
        put_chassis(b);
    for (unsigned i = 0; i < b->f->sockets && wanted(b, 4, true); i++)
        put_processor(b, i);
    if (wanted(b, 8, false))
        put_ports(b);
    put_oem(b);
    put_memory(b);
    if (wanted(b, 19, true))
        put_mapped(b);
    if (wanted(b, 32, true)) {
        begin(b, 32, 0x2000);
        le(b, 0, 7);                    /* boot status: no errors */
        end(b);
    }
    if (!put_onboard(b, err))
        return false;
    begin(b, 127, 0x7f00);
    end(b);
    return true;
}

/* Checksums and the address are the firmware's to fill in. */
static void put_anchor(const Build *b, bool entry64, GByteArray *anchor)
{
    struct __attribute__((packed)) {
        char sm[4];
        uint8_t sum, len, major, minor;
        uint16_t longest;
        uint8_t revision, pad[5];
        char dmi[5];
        uint8_t dmi_sum;
        uint16_t tables_len;
        uint32_t tables_at;
        uint16_t count;
        uint8_t bcd;
    } v2 = {
        "_SM_", 0, sizeof v2, 2, 8, GUINT16_TO_LE(b->longest), 0, { 0 }, "_DMI_", 0, GUINT16_TO_LE(b->out->len), 0,
        GUINT16_TO_LE(b->count), 0x28,
    };
    struct __attribute__((packed)) {
        char sm3[5];
        uint8_t sum, len, major, minor, rev, entry_rev, pad;
        uint32_t max_len;
        uint64_t tables_at;
    } v3 = { "_SM3_", 0, sizeof v3, 3, 0, 0, 1, 0, GUINT32_TO_LE(b->out->len), 0 };

    if (entry64)
        g_byte_array_append(anchor, (uint8_t *)&v3, sizeof v3);
    else
        g_byte_array_append(anchor, (uint8_t *)&v2, sizeof v2);
}

bool smbios_build(const Smbios *s, const SmbiosFacts *f, bool entry64, GByteArray *anchor, GByteArray *tables, GError **err)
{
    Build b = { .s = s, .f = f, .out = tables, .strings = g_ptr_array_new(), .v3 = entry64 };
    bool ok;

    g_byte_array_append(tables, s->blobs->data, s->blobs->len);
    b.count = s->n_blobs;
    b.longest = s->longest_blob;
    ok = put_all(&b, err);
    g_ptr_array_unref(b.strings);
    if (!ok)
        return false;
    if (!entry64 && tables->len > 0xffff)
        return error_set(err, "SMBIOS 2.1 table length %u exceeds 65535", tables->len);
    put_anchor(&b, entry64, anchor);
    return true;
}
