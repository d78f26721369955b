/* Commands on the guest's memory and ports: x, xp, print, i, o, sum, memsave, pmemsave, address translation. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"
#include "target/i386/cpu.h"

/* One value of `size` bytes in a format of x: o d u x, or c. `pad`: to columns. */
static void print_value(Monitor *mon, uint64_t v, char format, unsigned size, bool pad)
{
    static const unsigned char octal[] = { 3, 6, 0, 11, 0, 0, 0, 22 }, decimal[] = { 3, 5, 0, 10, 0, 0, 0, 20 };
    int w = size - 1;

    switch (format) {
    case 'o':
        mon_printf(mon, "%#*" PRIo64, pad ? octal[w] : 0, v);
        break;
    case 'x':
        if (pad)
            mon_printf(mon, "0x%0*" PRIx64, (int)size * 2, v);
        else
            mon_printf(mon, "%#" PRIx64, v);
        break;
    case 'u':
        mon_printf(mon, "%*" PRIu64, pad ? decimal[w] : 0, v);
        break;
    case 'd':
        mon_printf(mon, "%*" PRId64, pad ? decimal[w] : 0, (int64_t)v);
        break;
    case 'c':
        if (v < 0x7f && g_ascii_isprint(v) && v != '\'' && v != '\\')
            mon_printf(mon, "'%c'", (char)v);
        else if (v == '\n' || v == '\r' || v == '\'' || v == '\\')
            mon_printf(mon, "'\\%c'", v == '\n' ? 'n' : v == '\r' ? 'r' : (char)v);
        else
            mon_printf(mon, "'\\x%02" PRIx64 "'", v);
        break;
    }
}

/* Little-endian; also d shows words below 64 bits without a sign. */
static uint64_t word(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static bool read_memory(Monitor *mon, uint64_t addr, void *buf, size_t len, bool physical)
{
    Vcpu *v = mon_vcpu(mon);

    if (!physical)
        return x86_memory_rw(x86_cpu_of(v), addr, buf, len, false);
    mem_copy(mon_machine, addr, buf, len, false);
    return true;
}

static void dump(Monitor *mon, json_t *args, bool physical)
{
    uint64_t addr = arg_int(args, "addr", 0);
    char format = arg_int(args, "format", 'x');
    int64_t count = arg_int(args, "count", 1);
    unsigned size = arg_int(args, "size", 4), per_line;
    uint8_t buf[64];

    if (format == 'i') {
        mon_printf(mon, "there is no disassembler: /%" PRId64 "xb shows the bytes\n", count * 8);
        return;
    }
    if (!physical && !mon_vcpu(mon)) {
        mon_printf(mon, "Can not dump without CPU\n");
        return;
    }
    per_line = size == 1 ? 8 : 16 / size;
    if (format == 'c') {        /* the size says how many */
        count *= size;
        per_line *= size;
        size = 1;
    }
    while (count > 0 && mon->out->len < 16 << 20) {
        unsigned n = MIN(count, per_line);

        mon_printf(mon, "%016" PRIx64 ":", addr);
        if (!read_memory(mon, addr, buf, n * size, physical)) {
            mon_printf(mon, " Cannot access memory\n");
            return;
        }
        for (unsigned i = 0; i < n; i++) {
            mon_printf(mon, " ");
            print_value(mon, word(buf + i * size, size), format, size, true);
        }
        mon_printf(mon, "\n");
        addr += n * size;
        count -= n;
    }
}

static void dump_virtual(Monitor *mon, json_t *args)
{
    dump(mon, args, false);
}

static void dump_physical(Monitor *mon, json_t *args)
{
    dump(mon, args, true);
}

static void print_expr(Monitor *mon, json_t *args)
{
    char format = arg_int(args, "format", 'x');

    print_value(mon, arg_int(args, "val", 0), format == 'i' ? 'd' : format, 8, false);
    mon_printf(mon, "\n");
}

/* ---- Ports ---- */

static unsigned port_size(json_t *args)
{
    int64_t size = arg_int(args, "size", 4);

    return size == 2 || size == 4 ? size : 1;
}

static void port_read(Monitor *mon, json_t *args)
{
    unsigned size = port_size(args), digits = MAX(arg_int(args, "size", 4), 1) * 2;
    uint16_t port = arg_int(args, "addr", 0);

    mon_printf(mon, "port%c[0x%04x] = 0x%0*" PRIx64 "\n", size == 4 ? 'l' : size == 2 ? 'w' : 'b', port, (int)digits,
               pio_read(mon_machine, port, size));
}

static void port_write(Monitor *mon, json_t *args)
{
    pio_write(mon_machine, arg_int(args, "addr", 0), arg_int(args, "val", 0), port_size(args));
}

/* ---- Sums and files ---- */

/* The BSD checksum, of physical memory. */
static void sum(Monitor *mon, json_t *args)
{
    uint32_t addr = arg_int(args, "start", 0), len = arg_int(args, "size", 0);
    uint16_t s = 0;
    uint8_t buf[4096];

    while (len) {
        unsigned n = MIN(len, sizeof(buf));

        mem_copy(mon_machine, addr, buf, n, false);
        for (unsigned i = 0; i < n; i++)
            s = ((s >> 1) | (s << 15)) + buf[i];
        addr += n;
        len -= n;
    }
    mon_printf(mon, "%05d\n", s);
}

#define SAVE_EXTRA (UINT64_C(8) << 30)

static json_t *save(Monitor *mon, json_t *args, bool physical, GError **err)
{
    uint64_t begin = arg_int(args, "val", 0), addr = begin;
    int64_t size = arg_int(args, "size", 0), left = size;
    int64_t cpu = arg_int(args, "cpu-index", mon->cpu);    /* QMP's default: 0 */
    const char *path = arg_str(args, "filename");
    Vcpu *v = cpu >= 0 && cpu < mon_machine->vcpus->len ? g_ptr_array_index(mon_machine->vcpus, cpu) : NULL;
    uint8_t buf[16384];
    bool ok = true;
    FILE *f;

    if (!physical && !v) {
        error_set(err, "Parameter 'cpu-index' expects a CPU number");
        return NULL;
    }
    /* More than RAM and all holes below and above it would only fill the disk. */
    if (size < 0 || (uint64_t)size > mon_machine->cfg->ram_size + SAVE_EXTRA) {
        error_set(err, "Parameter 'size' expects at most %" PRIu64 " bytes", mon_machine->cfg->ram_size + SAVE_EXTRA);
        return NULL;
    }
    f = fopen(path, "wbe");
    if (!f) {
        error_set_errno(err, errno, "Could not open '%s'", path);
        return NULL;
    }
    while (left && ok) {
        size_t n = MIN(left, (int64_t)sizeof(buf));

        if (physical)
            mem_copy(mon_machine, addr, buf, n, false);
        else if (!x86_memory_rw(x86_cpu_of(v), addr, buf, n, false))
            ok = error_set(err, "Invalid addr 0x%016" PRIx64 "/size %" PRId64 " specified", begin, size);
        if (ok && fwrite(buf, 1, n, f) != n)
            ok = error_set(err, "An IO error has occurred");
        addr += n;
        left -= n;
    }
    if (fclose(f) && ok)
        error_set(err, "An IO error has occurred");
    return NULL;
}

static json_t *memsave(Monitor *mon, json_t *args, GError **err)
{
    return save(mon, args, false, err);
}

static json_t *pmemsave(Monitor *mon, json_t *args, GError **err)
{
    return save(mon, args, true, err);
}

static void hmp_memsave(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!mon_vcpu(mon)) {
        mon_printf(mon, "No CPU available\n");
        return;
    }
    save(mon, args, false, &err);
    if (err)
        mon_print_error(mon, err);
}

/* ---- Addresses ---- */

static void gva2gpa(Monitor *mon, json_t *args)
{
    Vcpu *v = mon_vcpu(mon);
    uint64_t pa;

    if (!v) {
        mon_printf(mon, "No cpu\n");
        return;
    }
    pa = x86_virt_to_phys(x86_cpu_of(v), arg_int(args, "addr", 0));
    if (pa == UINT64_MAX)
        mon_printf(mon, "Unmapped\n");
    else
        mon_printf(mon, "gpa: %#" PRIx64 "\n", pa);
}

const MonCommand commands_mem[] = {
    { "x", "fmt:fmt addr:expr", "/fmt addr", "virtual memory dump starting at 'addr'", .print = dump_virtual },
    { "xp", "fmt:fmt addr:expr", "/fmt addr", "physical memory dump starting at 'addr'", .print = dump_physical },
    { "print|p", "fmt:fmt val:expr", "/fmt expr", "print expression value (use $reg for CPU register access)", .print = print_expr },
    { "i", "fmt:fmt addr:int", "/fmt addr", "I/O port read", .print = port_read },
    { "o", "fmt:fmt addr:int val:int", "/fmt addr value", "I/O port write", .print = port_write },
    { "sum", "start:int size:int", "addr size", "compute the checksum of a memory region", .print = sum },
    { "memsave", "val:expr size:int filename:str", "addr size file", "save to disk virtual memory dump starting at 'addr' of size 'size'",
      .qmp = "memsave", .in = "{val:int size:int filename:str *cpu-index:int}", .run = memsave, .print = hmp_memsave },
    { "pmemsave", "val:expr size:int filename:str", "addr size file", "save to disk physical memory dump starting at 'addr' of size 'size'",
      .qmp = "pmemsave", .in = "{val:int size:int filename:str}", .run = pmemsave },
    { "gva2gpa", "addr:expr", "addr", "print the guest physical address corresponding to a guest virtual address", .print = gva2gpa },
    { 0 },
};
