/* Between smbios.c, which builds the structures, and smbios-opts.c, which parses -smbios. */
#ifndef HW_I386_SMBIOS_INT_H
#define HW_I386_SMBIOS_INT_H
#include "hw/i386/tables.h"

/* The strings that -smbios may set, by type. */
typedef enum SmbiosString {
    T0_VENDOR, T0_VERSION, T0_DATE,
    T1_MANUFACTURER, T1_PRODUCT, T1_VERSION, T1_SERIAL, T1_SKU, T1_FAMILY,
    T2_MANUFACTURER, T2_PRODUCT, T2_VERSION, T2_SERIAL, T2_ASSET, T2_LOCATION,
    T3_MANUFACTURER, T3_VERSION, T3_SERIAL, T3_ASSET, T3_SKU,
    T4_SOCKET, T4_MANUFACTURER, T4_VERSION, T4_SERIAL, T4_ASSET, T4_PART,
    T17_LOCATOR, T17_BANK, T17_MANUFACTURER, T17_SERIAL, T17_ASSET, T17_PART,
    SMBIOS_STRINGS
} SmbiosString;

typedef struct SmbiosPort { char *internal, *external; uint8_t connector, port; } SmbiosPort;
typedef struct SmbiosOnboard { char *designation, *pcidev; uint8_t kind, instance; } SmbiosOnboard;

struct Smbios {
    char *str[SMBIOS_STRINGS];          /* NULL: not given */
    uint8_t given[32];                  /* bitmap: types that options gave fields of */
    uint8_t loaded[32];                 /* types that a file gave */
    GByteArray *blobs;                  /* structures from files */
    unsigned n_blobs, longest_blob;
    bool bios_release, uefi, has_uuid;
    uint8_t bios_major, bios_minor, uuid[16];
    uint64_t processor_id;              /* 0: the CPU's */
    uint16_t max_speed, current_speed, memory_speed;
    GArray *ports;                      /* type 8 */
    GPtrArray *oem;                     /* type 11: char * */
    GArray *onboard;                    /* type 41 */
};

static inline bool smbios_bit(const uint8_t *map, unsigned type) { return map[type / 8] >> type % 8 & 1; }
static inline void smbios_set_bit(uint8_t *map, unsigned type) { map[type / 8] |= 1 << type % 8; }
#endif
