/* SMBus 2.0 on top of I2C: the master's commands, and the slave's view of them. */
#include "hw/i2c/i2c.h"
#include "util/log.h"

/* ---- Master ---- */

int smbus_quick(I2cBus *b, uint8_t address, bool read)
{
    if (!i2c_start(b, address, read))
        return -1;
    i2c_end(b);
    return 0;
}

/* Sends the bytes and leaves the bus to the caller. */
static bool start_send(I2cBus *b, uint8_t address, const uint8_t *bytes, unsigned n)
{
    if (!i2c_start(b, address, false))
        return false;
    for (unsigned i = 0; i < n; i++)
        i2c_send(b, bytes[i]);
    return true;
}

static int send_all(I2cBus *b, uint8_t address, const uint8_t *bytes, unsigned n)
{
    if (!start_send(b, address, bytes, n))
        return -1;
    i2c_end(b);
    return 0;
}

int smbus_receive_byte(I2cBus *b, uint8_t address)
{
    uint8_t v;

    if (!i2c_start(b, address, true))
        return -1;
    v = i2c_recv(b);
    i2c_nack(b);
    i2c_end(b);
    return v;
}

int smbus_send_byte(I2cBus *b, uint8_t address, uint8_t data)
{
    return send_all(b, address, &data, 1);
}

/* Command, repeated start, then n bytes; the last one is not acknowledged. */
static int command_read(I2cBus *b, uint8_t address, uint8_t command, uint8_t *out, unsigned n)
{
    if (!start_send(b, address, &command, 1) || !i2c_start(b, address, true)) {
        i2c_end(b);
        return -1;
    }
    for (unsigned i = 0; i < n; i++)
        out[i] = i2c_recv(b);
    i2c_nack(b);
    i2c_end(b);
    return 0;
}

int smbus_read_byte(I2cBus *b, uint8_t address, uint8_t command)
{
    uint8_t v;

    return command_read(b, address, command, &v, 1) < 0 ? -1 : v;
}

int smbus_write_byte(I2cBus *b, uint8_t address, uint8_t command, uint8_t data)
{
    const uint8_t bytes[] = { command, data };

    return send_all(b, address, bytes, sizeof bytes);
}

int smbus_read_word(I2cBus *b, uint8_t address, uint8_t command)
{
    uint8_t v[2];

    return command_read(b, address, command, v, 2) < 0 ? -1 : v[0] | v[1] << 8;
}

int smbus_write_word(I2cBus *b, uint8_t address, uint8_t command, uint16_t data)
{
    const uint8_t bytes[] = { command, data, data >> 8 };

    return send_all(b, address, bytes, sizeof bytes);
}

int smbus_read_block(I2cBus *b, uint8_t address, uint8_t command, uint8_t *data, unsigned max, bool with_len)
{
    unsigned n = max;

    if (!start_send(b, address, &command, 1) || !i2c_start(b, address, true)) {
        i2c_end(b);
        return -1;
    }
    if (with_len)
        n = MIN(i2c_recv(b), max);
    for (unsigned i = 0; i < n; i++)
        data[i] = i2c_recv(b);
    i2c_nack(b);
    i2c_end(b);
    return n;
}

int smbus_write_block(I2cBus *b, uint8_t address, uint8_t command, const uint8_t *data, unsigned len, bool with_len)
{
    if (!start_send(b, address, &command, 1))
        return -1;
    len = MIN(len, 32);
    if (with_len)
        i2c_send(b, len);
    for (unsigned i = 0; i < len; i++)
        i2c_send(b, data[i]);
    i2c_end(b);
    return 0;
}

/* ---- Slave ---- */

enum { CONFUSED = -1, IDLE, WRITE_DATA, READ_DATA, DONE };

static bool confused(SmbusDevice *d, const char *what)
{
    log_guest("SMBus device 0x%x: %s\n", d->i2c.address, what);
    d->mode = CONFUSED;
    return false;
}

static void flush_write(SmbusDevice *d)
{
    const SmbusClass *k = d->i2c.dev.type->class_data;

    if (d->data_len > 0)
        k->write_data(d, d->data_buf, d->data_len);
    d->data_len = 0;
}

bool smbus_event(I2cDevice *i2c, I2cEvent ev)
{
    SmbusDevice *d = (SmbusDevice *)(void *)i2c;

    switch (ev) {
    case I2C_START_SEND:
        if (d->mode != IDLE)
            return confused(d, "start of a write in the middle of a transfer");
        d->mode = WRITE_DATA;
        return true;
    case I2C_START_RECV:
        if (d->mode == WRITE_DATA)
            flush_write(d);
        else if (d->mode != IDLE)
            return confused(d, "start of a read in the middle of a transfer");
        d->mode = READ_DATA;
        return true;
    case I2C_FINISH:
        if (d->mode == WRITE_DATA)
            flush_write(d);
        d->mode = IDLE;
        d->data_len = 0;
        return true;
    case I2C_NACK:
        d->mode = d->mode == READ_DATA || d->mode == DONE ? DONE : CONFUSED;
        return true;
    }
    return false;
}

uint8_t smbus_recv(I2cDevice *i2c)
{
    SmbusDevice *d = (SmbusDevice *)(void *)i2c;
    const SmbusClass *k = d->i2c.dev.type->class_data;

    return d->mode == READ_DATA && k->receive_byte ? k->receive_byte(d) : 0xff;
}

bool smbus_send(I2cDevice *i2c, uint8_t byte)
{
    SmbusDevice *d = (SmbusDevice *)(void *)i2c;

    if (d->mode != WRITE_DATA)
        return confused(d, "data out of turn");
    if (d->data_len >= SMBUS_BUFFER)
        return false;
    d->data_buf[d->data_len++] = byte;
    return true;
}

bool smbus_busy(const SmbusDevice *d)
{
    return d->mode != IDLE;
}

static const Field smbus_fields[] = {
    STRUCT(SmbusDevice, i2c, &i2c_device_state), FIELD(SmbusDevice, mode, .min = (uint64_t)CONFUSED, .max = DONE),
    FIELD(SmbusDevice, data_len, .min = 0, .max = SMBUS_BUFFER), FIELD(SmbusDevice, data_buf), {0}
};

const StateTable smbus_device_state = { .name = "smbus-device", .version = 1, .min_version = 1, .fields = smbus_fields };
