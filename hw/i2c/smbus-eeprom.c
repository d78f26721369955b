/*
 * A 256-byte serial EEPROM on SMBus, as memory modules carry one for their SPD data (24C02).
 *
 * The board leaves them empty, like QEMU's PC does. Writes take no time and are never protected.
 */
#include <string.h>
#include "hw/i2c/i2c.h"

#define EEPROM_SIZE 256

typedef struct SmbusEeprom {
    SmbusDevice smbus;
    uint8_t data[EEPROM_SIZE];
    uint8_t offset;
    bool accessed;

    uint8_t contents[EEPROM_SIZE];      /* after reset */
} SmbusEeprom;

static uint8_t receive_byte(SmbusDevice *d)
{
    SmbusEeprom *s = (SmbusEeprom *)(void *)d;

    s->accessed = true;
    return s->data[s->offset++];
}

static void write_data(SmbusDevice *d, const uint8_t *buf, unsigned len)
{
    SmbusEeprom *s = (SmbusEeprom *)(void *)d;

    s->accessed = true;
    s->offset = buf[0];
    for (unsigned i = 1; i < len; i++)
        s->data[s->offset++] = buf[i];
}

static void eeprom_reset(Device *d)
{
    SmbusEeprom *s = DEVICE(d, SmbusEeprom);

    memcpy(s->data, s->contents, EEPROM_SIZE);
}

/* QEMU sends the section only of EEPROMs that the guest has looked at. */
static bool eeprom_needed(const void *obj)
{
    const SmbusEeprom *s = obj;

    return s->accessed || smbus_busy(&s->smbus);
}

static const Field eeprom_fields[] = {
    STRUCT(SmbusEeprom, smbus, &smbus_device_state, .name = "smbusdev"), FIELD(SmbusEeprom, data),
    FIELD(SmbusEeprom, offset), FIELD(SmbusEeprom, accessed), HOST(SmbusEeprom, contents), {0}
};

static const StateTable eeprom_state = {
    .name = "smbus-eeprom", .version = 1, .min_version = 1, .fields = eeprom_fields, .needed = eeprom_needed,
};

const DeviceType smbus_eeprom_type = {
    .name = "smbus-eeprom", .bus = "i2c-bus", .parent = &i2c_device_type, .internal = true, .size = sizeof(SmbusEeprom),
    .state = &eeprom_state, .reset = eeprom_reset,
    .class_data = &(const SmbusClass){ { smbus_event, smbus_recv, smbus_send }, write_data, receive_byte },
};

bool smbus_eeprom_create(I2cBus *b, uint8_t address, const uint8_t *contents, GError **err)
{
    Device *d = device_new(b->bus.parent->machine, &smbus_eeprom_type, err);

    if (!d)
        return false;
    device_set_int(d, "address", address);
    if (contents)
        memcpy(DEVICE(d, SmbusEeprom)->contents, contents, EEPROM_SIZE);
    return device_realize(d, &b->bus, err);
}
