/*
 * etc/table-loader: what the firmware is to do with the ACPI files: place them in memory, add their addresses to
 * pointers within them, and set checksums (the interface that SeaBIOS and EDK2 share). Commands are 128 bytes long.
 */
#ifndef HW_ACPI_LINKER_H
#define HW_ACPI_LINKER_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Allocations run before everything else, the latest first. */
void linker_allocate(GByteArray *cmds, const char *file, uint32_t align, bool fseg);
/* cmds[file][off, off+size) += address of `to`. */
void linker_add_pointer(GByteArray *cmds, const char *file, uint32_t off, uint8_t size, const char *to);
/* The byte at `off` makes the sum of [start, start+len) zero. */
void linker_add_checksum(GByteArray *cmds, const char *file, uint32_t off, uint32_t start, uint32_t len);
/* Writes the address of `to` + to_off into the writable fw_cfg file. */
void linker_write_pointer(GByteArray *cmds, const char *file, uint32_t off, uint8_t size, const char *to, uint32_t to_off);
#endif
