/*
 * SMBus host controller (PIIX4 data sheet 290562, 10.2; block transfers and auxiliary control as in the 82801).
 *
 * A transaction runs when the guest first reads the status, so that it can see HOST_BUSY: there are BIOSes that wait
 * for it. Not modelled: interrupts and SMIs, the slave port, alerts, PEC.
 */
#include "hw/acpi/pm-smbus.h"
#include "hw/core/machine.h"

enum { HSTSTS = 0, HSTCNT = 2, HSTCMD, HSTADD, HSTDAT0, HSTDAT1, BLKDAT, AUXCTL = 0xd };
enum { STS_BUSY = 1, STS_INTR = 2, STS_DEV_ERR = 4, STS_FAILED = 0x10, STS_BYTE_DONE = 0x80 };
enum { CTL_INTREN = 1, CTL_KILL = 2, CTL_PROTOCOL_SHIFT = 2, CTL_LAST_BYTE = 0x20, CTL_START = 0x40 };
enum { AUX_BLOCK_BUFFER = 2, AUX_MASK = 3 };
enum { QUICK, BYTE, BYTE_DATA, WORD_DATA, PROC_CALL, BLOCK_DATA, I2C_BLOCK_READ };

static bool is_read(const PmSmbus *s)
{
    return s->addr & 1;
}

static uint8_t slave(const PmSmbus *s)
{
    return s->addr >> 1;
}

static void finish(PmSmbus *s, uint8_t status)
{
    s->op_done = true;
    s->stat = (s->stat & ~STS_BUSY) | status;
}

/* The guest is to fetch or bring the next byte of a block. */
static void await_byte(PmSmbus *s)
{
    s->op_done = false;
    s->stat |= STS_BUSY | STS_BYTE_DONE;
}

/* ---- Transactions ---- */

static int write_block(PmSmbus *s)
{
    return smbus_write_block(s->bus, slave(s), s->cmd, s->data, s->data0, !s->i2c_enable);
}

static void block_read(PmSmbus *s)
{
    int n = smbus_read_block(s->bus, slave(s), s->cmd, s->data, PM_SMBUS_BLOCK, !s->i2c_enable);

    if (n < 0) {
        s->stat |= STS_DEV_ERR;
        return;
    }
    s->data0 = n;
    s->index = 0;
    s->op_done = false;
    if (s->auxctl & AUX_BLOCK_BUFFER) {
        s->stat |= STS_INTR;
    } else {
        s->blkdata = s->data[0];
        await_byte(s);
    }
}

static void block_write(PmSmbus *s)
{
    if (!(s->auxctl & AUX_BLOCK_BUFFER)) {
        s->index = 0;
        s->data[0] = s->blkdata;
        await_byte(s);
        return;
    }
    if (s->index != s->data0 || write_block(s) < 0) {
        s->index = 0;
        s->stat |= STS_DEV_ERR;
        return;
    }
    s->index = 0;
    finish(s, STS_INTR);
}

/* Slave address, then the place to read from (HSTDAT1), then bytes until the guest asks for the last one. */
static void i2c_block_read(PmSmbus *s)
{
    if (!i2c_start(s->bus, slave(s), false)) {
        s->stat |= STS_DEV_ERR;
        return;
    }
    i2c_send(s->bus, s->data1);
    if (!i2c_start(s->bus, slave(s), true)) {
        i2c_end(s->bus);
        s->stat |= STS_DEV_ERR;
        return;
    }
    s->in_i2c_block_read = true;
    s->blkdata = i2c_recv(s->bus);
    await_byte(s);
}

/* Commands of at most two bytes: result in v, negative: nobody answered. */
static int short_command(PmSmbus *s, unsigned protocol)
{
    bool read = is_read(s);

    switch (protocol) {
    case QUICK:
        return smbus_quick(s->bus, slave(s), read);
    case BYTE:
        return read ? smbus_receive_byte(s->bus, slave(s)) : smbus_send_byte(s->bus, slave(s), s->cmd);
    case BYTE_DATA:
        return read ? smbus_read_byte(s->bus, slave(s), s->cmd) : smbus_write_byte(s->bus, slave(s), s->cmd, s->data0);
    case WORD_DATA:
        return read ? smbus_read_word(s->bus, slave(s), s->cmd)
                    : smbus_write_word(s->bus, slave(s), s->cmd, s->data0 | s->data1 << 8);
    default:
        return -1;
    }
}

static void transaction(PmSmbus *s)
{
    unsigned protocol = s->ctl >> CTL_PROTOCOL_SHIFT & 7;
    int v;

    if (s->stat & STS_DEV_ERR)
        return;
    if (protocol == BLOCK_DATA) {
        if (is_read(s))
            block_read(s);
        else
            block_write(s);
        return;
    }
    if (protocol == I2C_BLOCK_READ) {
        i2c_block_read(s);
        return;
    }
    v = short_command(s, protocol);
    if (v < 0) {
        s->stat |= STS_DEV_ERR;
        return;
    }
    if (is_read(s) && protocol != QUICK)
        s->data0 = v;
    if (is_read(s) && protocol == WORD_DATA)
        s->data1 = v >> 8;
    s->stat |= STS_INTR;
}

static void abandon(PmSmbus *s)
{
    s->index = 0;
    s->op_done = true;
    if (s->in_i2c_block_read) {
        s->in_i2c_block_read = false;
        i2c_nack(s->bus);
        i2c_end(s->bus);
    }
}

static void write_control(PmSmbus *s, uint8_t val)
{
    s->ctl = val & ~CTL_START;
    if (val & CTL_START) {
        if (!s->op_done)
            abandon(s);
        s->start_on_status_read = !(val & CTL_INTREN);
        if (s->start_on_status_read)
            s->stat |= STS_BUSY;
        else
            transaction(s);
    }
    if (val & CTL_KILL) {
        abandon(s);
        finish(s, STS_FAILED);
    }
}

/* The guest has seen BYTE_DONE of a block that goes byte by byte: on to the next. */
static void next_byte(PmSmbus *s)
{
    bool last = s->ctl & CTL_LAST_BYTE;

    s->index = (s->index + 1) % PM_SMBUS_BLOCK;
    if (!is_read(s) && !s->in_i2c_block_read) {
        if (s->index == s->data0 % PM_SMBUS_BLOCK) {
            finish(s, write_block(s) < 0 ? STS_DEV_ERR : STS_INTR);
            return;
        }
        s->data[s->index] = s->blkdata;
        s->stat |= STS_BYTE_DONE;
        return;
    }
    s->blkdata = s->in_i2c_block_read ? i2c_recv(s->bus) : s->data[s->index];
    if (last) {
        abandon(s);
        finish(s, STS_INTR);
    } else {
        s->stat |= STS_BYTE_DONE;
    }
}

/* ---- Registers ---- */

static void smbus_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    PmSmbus *s = opaque;

    switch (off) {
    case HSTSTS:
        s->stat &= ~(val & ~STS_BUSY);
        if (!s->op_done && !(s->auxctl & AUX_BLOCK_BUFFER))
            next_byte(s);
        break;
    case HSTCNT: write_control(s, val); break;
    case HSTCMD: s->cmd = val; break;
    case HSTADD: s->addr = val; break;
    case HSTDAT0: s->data0 = val; break;
    case HSTDAT1: s->data1 = val; break;
    case BLKDAT:
        if (s->auxctl & AUX_BLOCK_BUFFER) {
            s->data[s->index % PM_SMBUS_BLOCK] = val;
            s->index = s->index % PM_SMBUS_BLOCK + 1;
        } else {
            s->blkdata = val;
        }
        break;
    case AUXCTL: s->auxctl = val & AUX_MASK; break;
    }
}

static uint8_t read_block_data(PmSmbus *s)
{
    uint8_t v;

    if (!(s->auxctl & AUX_BLOCK_BUFFER))
        return s->blkdata;
    s->index %= PM_SMBUS_BLOCK;
    v = s->data[s->index++];
    if (!s->op_done && s->index == s->data0) {
        s->index = 0;
        finish(s, 0);
    }
    return v;
}

static uint64_t smbus_read(void *opaque, uint64_t off, unsigned size)
{
    PmSmbus *s = opaque;
    uint8_t v;

    switch (off) {
    case HSTSTS:
        v = s->stat;
        if (s->start_on_status_read) {
            s->start_on_status_read = false;
            s->stat &= ~STS_BUSY;
            transaction(s);
        }
        return v;
    case HSTCNT: return s->ctl;
    case HSTCMD: return s->cmd;
    case HSTADD: return s->addr;
    case HSTDAT0: return s->data0;
    case HSTDAT1: return s->data1;
    case BLKDAT: return read_block_data(s);
    case AUXCTL: return s->auxctl;
    default: return 0;
    }
}

static const RegionOps smbus_ops = { .read = smbus_read, .write = smbus_write, .min = 1, .max = 1 };

/* ---- Life ---- */

void pm_smbus_init(PmSmbus *s, Device *d)
{
    s->op_done = true;
    s->bus = i2c_bus_new(d, "i2c");
    region_init_io(&s->io, d, "pm-smbus", PM_SMBUS_PORTS, &smbus_ops, s);
}

void pm_smbus_fini(PmSmbus *s)
{
    region_fini(&s->io);
}

static const Field smbus_fields[] = {
    FIELD(PmSmbus, stat, .name = "smb_stat"), FIELD(PmSmbus, ctl, .name = "smb_ctl"), FIELD(PmSmbus, cmd, .name = "smb_cmd"),
    FIELD(PmSmbus, addr, .name = "smb_addr"), FIELD(PmSmbus, data0, .name = "smb_data0"),
    FIELD(PmSmbus, data1, .name = "smb_data1"), FIELD(PmSmbus, index, .name = "smb_index", .max = PM_SMBUS_BLOCK),
    FIELD(PmSmbus, data, .name = "smb_data"), FIELD(PmSmbus, auxctl, .name = "smb_auxctl", .reset = AUX_BLOCK_BUFFER),
    FIELD(PmSmbus, blkdata, .name = "smb_blkdata"), FIELD(PmSmbus, i2c_enable),
    FIELD(PmSmbus, op_done, .reset = true), FIELD(PmSmbus, in_i2c_block_read),
    FIELD(PmSmbus, start_on_status_read, .name = "start_transaction_on_status_read"), HOST(PmSmbus, bus), HOST(PmSmbus, io), {0}
};

const StateTable pm_smbus_state = { .name = "pmsmb", .version = 1, .min_version = 1, .fields = smbus_fields };
