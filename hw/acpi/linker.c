/*
 * Commands of etc/table-loader: see linker.h.
 */
#include <string.h>
#include "hw/acpi/linker.h"

enum { CMD_ALLOCATE = 1, CMD_ADD_POINTER, CMD_ADD_CHECKSUM, CMD_WRITE_POINTER };
enum { ZONE_HIGH = 1, ZONE_FSEG };

typedef char FileName[56];
typedef struct __attribute__((packed)) Command {
    uint32_t what;
    union {
        struct __attribute__((packed)) { FileName file; uint32_t align; uint8_t zone; } alloc;
        struct __attribute__((packed)) { FileName file, to; uint32_t off; uint8_t size; } pointer;
        struct __attribute__((packed)) { FileName file; uint32_t off, start, len; } checksum;
        struct __attribute__((packed)) { FileName file, to; uint32_t off, to_off; uint8_t size; } write;
        uint8_t pad[124];
    };
} Command;
G_STATIC_ASSERT(sizeof(Command) == 128);

void linker_allocate(GByteArray *cmds, const char *file, uint32_t align, bool fseg)
{
    Command c = { .what = GUINT32_TO_LE(CMD_ALLOCATE) };

    g_strlcpy(c.alloc.file, file, sizeof c.alloc.file);
    c.alloc.align = GUINT32_TO_LE(align);
    c.alloc.zone = fseg ? ZONE_FSEG : ZONE_HIGH;
    g_byte_array_prepend(cmds, (uint8_t *)&c, sizeof c);
}

void linker_add_pointer(GByteArray *cmds, const char *file, uint32_t off, uint8_t size, const char *to)
{
    Command c = { .what = GUINT32_TO_LE(CMD_ADD_POINTER) };

    g_strlcpy(c.pointer.file, file, sizeof c.pointer.file);
    g_strlcpy(c.pointer.to, to, sizeof c.pointer.to);
    c.pointer.off = GUINT32_TO_LE(off);
    c.pointer.size = size;
    g_byte_array_append(cmds, (uint8_t *)&c, sizeof c);
}

void linker_add_checksum(GByteArray *cmds, const char *file, uint32_t off, uint32_t start, uint32_t len)
{
    Command c = { .what = GUINT32_TO_LE(CMD_ADD_CHECKSUM) };

    g_strlcpy(c.checksum.file, file, sizeof c.checksum.file);
    c.checksum.off = GUINT32_TO_LE(off);
    c.checksum.start = GUINT32_TO_LE(start);
    c.checksum.len = GUINT32_TO_LE(len);
    g_byte_array_append(cmds, (uint8_t *)&c, sizeof c);
}

void linker_write_pointer(GByteArray *cmds, const char *file, uint32_t off, uint8_t size, const char *to, uint32_t to_off)
{
    Command c = { .what = GUINT32_TO_LE(CMD_WRITE_POINTER) };

    g_strlcpy(c.write.file, file, sizeof c.write.file);
    g_strlcpy(c.write.to, to, sizeof c.write.to);
    c.write.off = GUINT32_TO_LE(off);
    c.write.to_off = GUINT32_TO_LE(to_off);
    c.write.size = size;
    g_byte_array_append(cmds, (uint8_t *)&c, sizeof c);
}
