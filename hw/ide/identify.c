/*
 * IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data (ATA/ATAPI-6, 8.15 and 8.16): 256 words, strings with swapped bytes.
 */
#include <string.h>
#include "hw/ide/ide-int.h"

static void put(IdeDrive *d, unsigned word, uint16_t v)
{
    d->identify[2 * word] = v;
    d->identify[2 * word + 1] = v >> 8;
}

static void put_string(IdeDrive *d, unsigned word, const char *s, unsigned words)
{
    size_t n = strlen(s);

    for (unsigned i = 0; i < 2 * words; i++)
        d->identify[(2 * word + i) ^ 1] = i < n ? s[i] : ' ';
}

static void put_sectors(IdeDrive *d)
{
    uint64_t chs = (uint64_t)d->cyls * d->heads * d->secs, lba28 = MIN(d->sectors, (1u << 28) - 1);

    put(d, 57, chs);
    put(d, 58, chs >> 16);
    put(d, 60, lba28);
    put(d, 61, lba28 >> 16);
    for (unsigned i = 0; i < 4; i++)
        put(d, 100 + i, d->sectors >> (16 * i));
}

static void put_wwn(IdeDrive *d)
{
    for (unsigned i = 0; d->wwn && i < 4; i++)
        put(d, 108 + i, d->wwn >> (48 - 16 * i));
}

void ata_identify(IdeDrive *d)
{
    unsigned exponent = 0;

    memset(d->identify, 0, sizeof d->identify);
    put(d, 0, 0x0040);                              /* fixed device */
    put(d, 1, MIN(d->cyls, 65535));
    put(d, 3, d->heads);
    put(d, 4, 512 * d->secs);
    put(d, 5, 512);
    put(d, 6, d->secs);
    put_string(d, 10, d->serial, 10);
    put(d, 20, 3);
    put(d, 21, 512);
    put(d, 22, 4);
    put_string(d, 23, d->version, 4);
    put_string(d, 27, d->model, 20);
    put(d, 47, 0x8000 | 16);                        /* READ MULTIPLE: up to 16 */
    put(d, 48, 1);
    put(d, 49, 1 << 11 | 1 << 9 | 1 << 8);          /* IORDY, LBA, DMA */
    put(d, 51, 0x200);
    put(d, 52, 0x200);
    put(d, 53, 1 | 2 | 4);                          /* words 54-58, 64-70 and 88 are valid */
    put(d, 54, d->cyls);
    put(d, 55, d->heads);
    put(d, 56, d->secs);
    put_sectors(d);
    put(d, 59, d->mult_sectors ? 0x100 | d->mult_sectors : 0);
    put(d, 62, 0x07);
    put(d, 63, 0x07);
    put(d, 64, 0x03);                               /* PIO modes 3 and 4 */
    for (unsigned w = 65; w <= 68; w++)
        put(d, w, 120);                             /* cycle times, ns */
    if (d->discard)
        put(d, 69, 1 << 14);                        /* TRIM is deterministic */
    put(d, 80, 0xf0);                               /* ATA-4 to ATA-7 */
    put(d, 81, 0x16);
    put(d, 82, 1 << 14 | 1 << 5 | 1);               /* NOP, write cache, SMART */
    put(d, 83, 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10);  /* FLUSH CACHE (EXT), LBA48 */
    put(d, 84, 1 << 14 | (d->wwn ? 1 << 8 : 0));
    put(d, 85, 1 << 14 | 1 | (blk_write_cache(d->blk) ? 1 << 5 : 0));
    put(d, 86, 1 << 13 | 1 << 12 | 1 << 10);
    put(d, 87, 1 << 14 | (d->wwn ? 1 << 8 : 0));
    put(d, 88, 0x3f | 1 << 13);                     /* ultra DMA 5 */
    put(d, 93, 1 | 1 << 14 | 0x2000);
    if (d->physical_block > 512) {
        exponent = __builtin_ctz(d->physical_block / 512);
        put(d, 106, 0x6000 | exponent);
    }
    put_wwn(d);
    put(d, 169, d->discard);
    put(d, 217, d->rotation_rate);
    put(d, 105, d->discard ? 1 : 0);
}

void atapi_identify(IdeDrive *d)
{
    memset(d->identify, 0, sizeof d->identify);
    put(d, 0, 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5);  /* packet device, CD, removable, DRQ within 50 us, 12-byte packets */
    put_string(d, 10, d->serial, 10);
    put(d, 20, 3);
    put(d, 21, 512);
    put(d, 22, 4);
    put_string(d, 23, d->version, 4);
    put_string(d, 27, d->model, 20);
    put(d, 48, 1);
    put(d, 49, 1 << 9 | 1 << 8);
    put(d, 53, 7);
    put(d, 62, 7);
    put(d, 63, 7);
    put(d, 64, 3);
    put(d, 65, 0xb4);
    put(d, 66, 0xb4);
    put(d, 67, 0x12c);
    put(d, 68, 0xb4);
    put(d, 71, 30);                                 /* ns to release the bus */
    put(d, 72, 30);
    put(d, 80, 0x1e);                               /* ATA-1 to ATA-4 */
    put_wwn(d);
    put(d, 87, d->wwn ? 1 << 8 : 0);
    put(d, 88, 0x3f | 1 << 13);
}
