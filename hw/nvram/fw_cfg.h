/*
 * fw_cfg: what the machine tells its firmware (and Linux): numbered items and named files.
 *
 * Items are added by the board and by devices in realize or when the machine is ready; keys of files follow
 * the order of their names, so they are settled only when the machine starts. Every call needs the machine lock.
 * Data is copied, except where it says "ref" or "take".
 */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H
#include "hw/core/memory.h"

typedef struct FwCfg FwCfg;
extern const DeviceType fw_cfg_io_type;

/* Fixed keys (little-endian values). Keys with FW_CFG_ARCH are the PC's own. */
enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03, FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, FW_CFG_MACHINE_ID = 0x06, FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_KERNEL_CMDLINE = 0x09, FW_CFG_INITRD_ADDR = 0x0a, FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_NUMA = 0x0d, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12, FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15, FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_WRITE_CHANNEL = 0x4000, FW_CFG_ARCH = 0x8000,
    FW_CFG_ACPI_TABLES = 0x8000, FW_CFG_SMBIOS_ENTRIES = 0x8001, FW_CFG_IRQ0_OVERRIDE = 0x8002, FW_CFG_E820 = 0x8003,
    FW_CFG_HPET = 0x8004,
};
#define FW_CFG_MAX_NAME 56              /* of a file, with its closing zero */

/* The machine's fw_cfg, or NULL. */
FwCfg *fw_cfg_find(Machine *m);
bool fw_cfg_dma_enabled(const FwCfg *f);

/* Fixed items: setting one again replaces it. */
void fw_cfg_add_bytes(FwCfg *f, uint16_t key, const void *data, size_t len);
void fw_cfg_take_bytes(FwCfg *f, uint16_t key, void *data, size_t len);     /* g_malloc'ed: now its */
void fw_cfg_add_string(FwCfg *f, uint16_t key, const char *s);              /* with its closing zero */
void fw_cfg_add_i16(FwCfg *f, uint16_t key, uint16_t v);
void fw_cfg_add_i32(FwCfg *f, uint16_t key, uint32_t v);
void fw_cfg_add_i64(FwCfg *f, uint16_t key, uint64_t v);

/* Files. false: the name is too long or taken, or there are no more places (property x-file-slots). */
typedef void FwCfgSelect(void *opaque);                         /* the guest selects it: bring the data up to date */
typedef void FwCfgWrite(void *opaque, uint64_t off, size_t len);/* after the guest has written this part of the data */
bool fw_cfg_add_file(FwCfg *f, const char *name, const void *data, size_t len, GError **err);
bool fw_cfg_take_file(FwCfg *f, const char *name, void *data, size_t len, GError **err);
/* Data stays the caller's and may change; guests may write to it when `writable`. Callbacks may be NULL. */
bool fw_cfg_add_file_ref(FwCfg *f, const char *name, void *data, size_t len, bool writable, FwCfgSelect *select,
                         FwCfgWrite *write, void *opaque, GError **err);
/* Data is the first len bytes of a RAM block, which takes part in migration (the ACPI tables). */
bool fw_cfg_add_file_ram(FwCfg *f, const char *name, RamBlock *ram, size_t len, FwCfgSelect *select, void *opaque, GError **err);
bool fw_cfg_add_file_i32(FwCfg *f, const char *name, uint32_t v, GError **err);
/* New contents of a file; makes it when it isn't there. */
bool fw_cfg_modify_file(FwCfg *f, const char *name, const void *data, size_t len, GError **err);
/* Another length of a file added by reference or in RAM. */
void fw_cfg_resize_file(FwCfg *f, const char *name, size_t len);
/* The contents as they are; NULL when there is none. */
const void *fw_cfg_get_file(FwCfg *f, const char *name, size_t *len);
const void *fw_cfg_get_bytes(FwCfg *f, uint16_t key, size_t *len);

/* One -fw_cfg option: "[name=]NAME,file=PATH" or ",string=TEXT". */
bool fw_cfg_add_option(FwCfg *f, const char *text, GError **err);
#endif
