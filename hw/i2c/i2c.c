/*
 * The I2C bus: one master, slaves found by their address (NXP UM10204).
 *
 * Not modelled: 10-bit addresses, the general call, clock stretching, other masters.
 */
#include "hw/i2c/i2c.h"
#include "hw/core/machine.h"
#include "util/error.h"

#define NOBODY 0xff

bool i2c_start(I2cBus *b, uint8_t address, bool recv)
{
    if (!b->current) {
        for (unsigned i = 0; i < b->bus.children->len && !b->current; i++) {
            I2cDevice *d = g_ptr_array_index(b->bus.children, i);

            if (d->address == address)
                b->current = d;
        }
    }
    if (!b->current)
        return false;
    if (((const I2cClass *)b->current->dev.type->class_data)->event(b->current, recv ? I2C_START_RECV : I2C_START_SEND))
        return true;
    i2c_end(b);
    return false;
}

static const I2cClass *class_of(const I2cBus *b)
{
    return b->current->dev.type->class_data;
}

bool i2c_send(I2cBus *b, uint8_t byte)
{
    return b->current && class_of(b)->send(b->current, byte);
}

uint8_t i2c_recv(I2cBus *b)
{
    return b->current ? class_of(b)->recv(b->current) : 0xff;
}

void i2c_nack(I2cBus *b)
{
    if (b->current)
        class_of(b)->event(b->current, I2C_NACK);
}

void i2c_end(I2cBus *b)
{
    I2cDevice *d = b->current;

    b->current = NULL;
    if (d)
        ((const I2cClass *)d->dev.type->class_data)->event(d, I2C_FINISH);
}

/* ---- The bus ---- */

static void bus_unplug(Bus *bus, Device *d)
{
    I2cBus *b = (I2cBus *)(void *)bus;

    if (b->current && &b->current->dev == d)
        b->current = NULL;
}

static void bus_reset(Bus *bus)
{
    ((I2cBus *)(void *)bus)->current = NULL;
}

static void bus_save(void *obj)
{
    I2cBus *b = obj;

    b->saved_address = b->current ? b->current->address : NOBODY;
}

static bool bus_loaded(void *obj, int version, GError **err)
{
    I2cBus *b = obj;

    b->current = NULL;
    for (unsigned i = 0; i < b->bus.children->len; i++) {
        I2cDevice *d = g_ptr_array_index(b->bus.children, i);

        if (d->address == b->saved_address)
            b->current = d;
    }
    return true;
}

static const Field bus_fields[] = {
    HOST(I2cBus, bus), FIELD(I2cBus, saved_address, .reset = NOBODY), DERIVED(I2cBus, current), {0}
};

static const StateTable bus_state = {
    .name = "i2c_bus", .version = 1, .min_version = 1, .fields = bus_fields, .save = bus_save, .loaded = bus_loaded,
};

const BusType i2c_bus_type = {
    .name = "i2c-bus", .unplug = bus_unplug, .reset = bus_reset, .state = &bus_state, .size = sizeof(I2cBus),
};

I2cBus *i2c_bus_new(Device *master, const char *name)
{
    I2cBus *b = (I2cBus *)(void *)bus_new(&i2c_bus_type, master, name);

    b->saved_address = NOBODY;
    return b;
}

/* ---- What all slaves have ---- */

static const Field device_fields[] = { HOST(I2cDevice, dev), FIELD(I2cDevice, address, .equal = true, .keep = true), {0} };

const StateTable i2c_device_state = { .name = "I2CSlave", .version = 1, .min_version = 1, .fields = device_fields };

const DeviceType i2c_device_type = {
    .name = "i2c-slave", .bus = "i2c-bus", .internal = true, .size = sizeof(I2cDevice),
    .props = (const Property[]){ PROP(I2cDevice, address, "address", PROP_U8, 0), {0} },
};
