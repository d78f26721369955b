/* The SMBus host controller of the PIIX4 and its descendants. */
#ifndef HW_ACPI_PM_SMBUS_H
#define HW_ACPI_PM_SMBUS_H
#include "hw/core/memory.h"
#include "hw/i2c/i2c.h"

#define PM_SMBUS_PORTS 64
#define PM_SMBUS_BLOCK 32

typedef struct PmSmbus {
    uint8_t stat, ctl, cmd, addr, data0, data1;
    uint32_t index;                     /* in data */
    uint8_t data[PM_SMBUS_BLOCK];
    uint8_t auxctl, blkdata;
    bool i2c_enable;                    /* blocks without length bytes */
    bool op_done;                       /* no block transfer waits for the guest's next byte */
    bool in_i2c_block_read;
    bool start_on_status_read;          /* a transaction that begins when the guest looks at the status */

    I2cBus *bus;
    Region io;
} PmSmbus;

extern const StateTable pm_smbus_state;
void pm_smbus_init(PmSmbus *s, Device *d);      /* makes the bus "i2c"; the owner maps s->io */
void pm_smbus_fini(PmSmbus *s);
#endif
