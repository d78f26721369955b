/*
 * Floppy controller: registers, phases, reset, state.
 *
 * Intel 82078 data sheet; ports 3F1-3F5 and 3F7. Not modelled: power-down, perpendicular timing, the tape drive.
 *
 * Phases (MSR says which): command (RQM) -> execution (RQM+NONDMA, or neither with DMA) -> result (RQM+DIO) -> command.
 */
#include <string.h>
#include "hw/block/fdc-int.h"
#include "hw/isa/isa.h"
#include "util/error.h"
#include "util/log.h"

void fdc_raise_irq(Fdc *s)
{
    s->sra |= SRA_INTPEND;
    line_set(&s->irq, 1);
    s->reset_sensei = 0;
}

void fdc_lower_irq(Fdc *s)
{
    s->sra &= ~SRA_INTPEND;
    s->status0 = 0;
    line_set(&s->irq, 0);
}

void fdc_to_command(Fdc *s)
{
    s->phase = PHASE_COMMAND;
    s->data_dir = DIR_WRITE;
    s->data_pos = 0;
    s->data_len = 1;
    s->msr &= ~(MSR_CMDBUSY | MSR_DIO);
    s->msr |= MSR_RQM;
}

void fdc_to_result(Fdc *s, unsigned len)
{
    s->phase = PHASE_RESULT;
    s->data_dir = DIR_READ;
    s->data_len = len;
    s->data_pos = 0;
    s->msr |= MSR_CMDBUSY | MSR_RQM | MSR_DIO;
}

void fdc_reset_chip(Fdc *s, bool irq)
{
    timer_stop(&s->result_timer);
    if (s->dma_chan < 8)
        isa_dma_release_dreq(&s->dev, s->dma_chan);
    fdc_lower_irq(s);
    s->sra = 0;
    s->srb = 0xc0;
    if (!s->drives[1].blk)
        s->sra |= SRA_nDRV2;
    s->cur_drv = 0;
    s->dor = DOR_nRESET | (s->dma_chan < 8 ? DOR_DMAEN : 0);
    s->msr = MSR_RQM;
    s->reset_sensei = 0;
    timer_stop(&s->result_timer);
    s->data_pos = s->data_len = 0;
    s->data_state = 0;
    s->data_dir = DIR_WRITE;
    for (int i = 0; i < 2; i++)
        floppy_recalibrate(&s->drives[i]);
    fdc_to_command(s);
    if (irq) {
        s->status0 |= SR0_RDYCHG;
        fdc_raise_irq(s);
        s->reset_sensei = 4;
    }
}

/* ---- Registers ---- */

static uint8_t read_dir(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    return d->blk && (s->dor & (DOR_MOTEN0 << s->cur_drv)) && d->media_changed ? 0x80 : 0;
}

static uint64_t fdc_read(void *opaque, uint64_t reg, unsigned size)
{
    Fdc *s = opaque;
    uint8_t v;

    switch (reg & 7) {
    case 0: return s->sra;
    case 1:
        v = s->srb;
        s->srb = 0xc0;
        return v;
    case 2: return (s->dor & ~DOR_SELMASK) | s->cur_drv;
    case 3: return s->tdr;
    case 4:
        s->dsr &= ~DSR_PWRDOWN;
        s->dor |= DOR_nRESET;
        return s->msr;
    case 5: return fdc_fifo_read(s);
    case 7: return read_dir(s);
    default: return 0xff;
    }
}

static void write_dor(Fdc *s, uint8_t v)
{
    s->srb = (s->srb & ~0x23) | (v & DOR_MOTEN0 ? 1 : 0) | (v & DOR_MOTEN1 ? 2 : 0) | (v & DOR_SELMASK ? 0x20 : 0);
    if (!(v & DOR_nRESET)) {
        s->dor = v;
        return;
    }
    if (!(s->dor & DOR_nRESET)) {
        fdc_reset_chip(s, true);
        s->dsr &= ~DSR_PWRDOWN;
    }
    s->cur_drv = v & DOR_SELMASK;
    s->dor = v;
}

static void write_dsr(Fdc *s, uint8_t v)
{
    if (!(s->dor & DOR_nRESET))
        return;
    if (v & DSR_SWRESET) {
        s->dor &= ~DOR_nRESET;
        fdc_reset_chip(s, true);
        s->dor |= DOR_nRESET;
    }
    if (v & DSR_PWRDOWN)
        fdc_reset_chip(s, true);
    s->dsr = v;
}

static void fdc_write(void *opaque, uint64_t reg, uint64_t val, unsigned size)
{
    Fdc *s = opaque;

    switch (reg & 7) {
    case 2: write_dor(s, val); break;
    case 3:
        if (s->dor & DOR_nRESET)
            s->tdr = val & 3;
        break;
    case 4: write_dsr(s, val); break;
    case 5: fdc_fifo_write(s, val); break;
    case 7:                                 /* CCR: the data rate */
        if (s->dor & DOR_nRESET)
            s->dsr = (s->dsr & ~DSR_RATEMASK) | (val & DSR_RATEMASK);
        break;
    }
}

static uint64_t fdc_read_1(void *opaque, uint64_t off, unsigned size) { return fdc_read(opaque, off + 1, size); }
static void fdc_write_1(void *opaque, uint64_t off, uint64_t val, unsigned size) { fdc_write(opaque, off + 1, val, size); }
static uint64_t fdc_read_7(void *opaque, uint64_t off, unsigned size) { return fdc_read(opaque, 7, size); }
static void fdc_write_7(void *opaque, uint64_t off, uint64_t val, unsigned size) { fdc_write(opaque, 7, val, size); }

static const PioRange fdc_ports[] = { { 1, 5, 1, fdc_read_1, fdc_write_1 }, { 7, 1, 1, fdc_read_7, fdc_write_7 }, { 0 } };

/* ---- State ---- */

static uint64_t get_dor(const void *obj)
{
    const Fdc *s = obj;

    return (s->dor & ~DOR_SELMASK) | s->cur_drv;
}

static bool set_dor(void *obj, uint64_t v, GError **err)
{
    Fdc *s = obj;

    s->dor = v & ~DOR_SELMASK;
    s->cur_drv = v & DOR_SELMASK;
    return true;
}

/* What MSR says of the phase: streams leave the phase out when this is right. */
static FdcPhase phase_by_msr(const Fdc *s)
{
    if (s->msr & MSR_NONDMA)
        return PHASE_EXECUTION;
    if (!(s->msr & MSR_RQM))
        return PHASE_EXECUTION;
    return s->msr & MSR_DIO ? PHASE_RESULT : PHASE_COMMAND;
}

static bool phase_needed(const void *obj)
{
    const Fdc *s = obj;

    return phase_by_msr(s) != s->phase;
}

static bool sensei_needed(const void *obj)
{
    return ((const Fdc *)obj)->reset_sensei;
}

static bool timer_needed(const void *obj)
{
    return timer_armed(&((const Fdc *)obj)->result_timer);
}

static bool changed_needed(const void *obj)
{
    const FloppyDrive *d = obj;

    return d->blk && d->media_changed != 1;
}

static bool perpendicular_needed(const void *obj)
{
    return ((const FloppyDrive *)obj)->perpendicular;
}

static bool drive_before_load(void *obj, GError **err)
{
    FloppyDrive *d = obj;

    d->media_changed = 1;
    d->perpendicular = 0;
    return true;
}

static bool fdc_before_load(void *obj, GError **err)
{
    Fdc *s = obj;

    s->phase = PHASE_RECONSTRUCT;
    s->reset_sensei = 0;
    timer_stop(&s->result_timer);
    return true;
}

static bool fdc_loaded(void *obj, int version, GError **err)
{
    Fdc *s = obj;

    if (s->phase == PHASE_RECONSTRUCT)
        s->phase = phase_by_msr(s);
    if (s->data_pos > s->data_len || (s->phase != PHASE_EXECUTION && s->data_len > FD_SECTOR))
        return error_set(err, "fdc: data_pos: %u of %u bytes is not possible", s->data_pos, s->data_len);
    s->irq.level = !!(s->sra & SRA_INTPEND);
    return true;
}

static const Field changed_fields[] = { FIELD(FloppyDrive, media_changed), { 0 } };
static const StateTable changed_state = { .name = "fdrive/media_changed", .version = 1, .min_version = 1,
                                          .fields = changed_fields, .needed = changed_needed };
static const Field rate_fields[] = { FIELD(FloppyDrive, media_rate, .keep = true), { 0 } };
static const StateTable rate_state = { .name = "fdrive/media_rate", .version = 1, .min_version = 1, .fields = rate_fields };
static const Field perp_fields[] = { FIELD(FloppyDrive, perpendicular), { 0 } };
static const StateTable perp_state = { .name = "fdrive/perpendicular", .version = 1, .min_version = 1, .fields = perp_fields,
                                       .needed = perpendicular_needed };
static const Field drive_fields[] = {
    FIELD(FloppyDrive, head, .max = 1), FIELD(FloppyDrive, track), FIELD(FloppyDrive, sect),
    HOST(FloppyDrive, fdc), HOST(FloppyDrive, blk), HOST(FloppyDrive, type), HOST(FloppyDrive, max_track),
    HOST(FloppyDrive, last_sect), HOST(FloppyDrive, double_sided), HOST(FloppyDrive, ro), HOST(FloppyDrive, media_inserted),
    HOST(FloppyDrive, media_validated), HOST(FloppyDrive, rate), { 0 }
};
static const StateTable drive_state = {
    .name = "fdrive", .version = 1, .min_version = 1, .fields = drive_fields, .load = drive_before_load,
    .subsections = (const StateTable *const[]){ &changed_state, &rate_state, &perp_state, NULL },
};
static const Field sensei_fields[] = { FIELD(Fdc, reset_sensei, .min = 0, .max = 4), { 0 } };
static const StateTable sensei_state = { .name = "fdc/reset_sensei", .version = 1, .min_version = 1, .fields = sensei_fields,
                                         .needed = sensei_needed };
static const Field timer_fields[] = { FIELD(Fdc, result_timer), { 0 } };
static const StateTable timer_state = { .name = "fdc/result_timer", .version = 1, .min_version = 1, .fields = timer_fields,
                                        .needed = timer_needed };
static const Field phase_fields[] = { FIELD(Fdc, phase, .max = PHASE_RESULT), { 0 } };
static const StateTable phase_state = { .name = "fdc/phase", .version = 1, .min_version = 1, .fields = phase_fields,
                                        .needed = phase_needed };

/* The controller proper, nested in its card's section. */
static const Field fdc_fields[] = {
    FIELD(Fdc, sra), FIELD(Fdc, srb), VIRTUAL("dor_vmstate", 1, .get = get_dor, .set = set_dor), FIELD(Fdc, tdr),
    FIELD(Fdc, dsr), FIELD(Fdc, msr), FIELD(Fdc, status0), FIELD(Fdc, status1), FIELD(Fdc, status2),
    FIELD(Fdc, fifo), FIELD(Fdc, data_pos), FIELD(Fdc, data_len), FIELD(Fdc, data_state), FIELD(Fdc, data_dir, .max = DIR_VERIFY),
    FIELD(Fdc, eot), FIELD(Fdc, timer0), FIELD(Fdc, timer1), FIELD(Fdc, precomp_trk), FIELD(Fdc, config, .reset = CONFIG_EIS | 0x20),
    FIELD(Fdc, lock), FIELD(Fdc, pwrd), FIELD(Fdc, num_floppies, .equal = true, .keep = true),
    STRUCTS(Fdc, drives, &drive_state), LOCAL(Fdc, dor), LOCAL(Fdc, cur_drv), HOST(Fdc, dev), FIELD(Fdc, irq), HOST(Fdc, bus),
    HOST(Fdc, iobase), HOST(Fdc, irq_num), HOST(Fdc, dma_chan), HOST(Fdc, fd_type), HOST(Fdc, fallback), { 0 }
};
static const StateTable fdc_inner = {
    .name = "fdc", .version = 2, .min_version = 2, .fields = fdc_fields, .load = fdc_before_load, .loaded = fdc_loaded,
    .subsections = (const StateTable *const[]){ &sensei_state, &timer_state, &phase_state, NULL },
};
static const Field card_fields[] = {
    { .name = "state", .kind = F_STRUCT, .off = 0, .size = sizeof(Fdc), .elt = sizeof(Fdc), .sub = &fdc_inner }, { 0 }
};
static const StateTable fdc_state = { .name = "fdc", .version = 2, .min_version = 2, .fields = card_fields };

/* ---- Life ---- */

static bool fdc_realize(Device *d, GError **err)
{
    Fdc *s = DEVICE(d, Fdc);

    s->num_floppies = 2;
    s->bus = bus_new(&floppy_bus_type, d, NULL);
    s->bus->max_devices = 2;
    timer_init(&s->result_timer, d, fdc_result_timer, s);
    for (int i = 0; i < 2; i++) {
        s->drives[i].type = DRIVE_NONE;
        s->drives[i].media_changed = 1;
        s->drives[i].fdc = s;
    }
    if (!isa_map_ports(d, "fdc", s->iobase, fdc_ports, err) || !isa_connect_irq(d, &s->irq, s->irq_num, err))
        return false;
    return s->dma_chan >= 8 || isa_dma_connect(d, s->dma_chan, fdc_dma, s, err);
}

static void fdc_reset(Device *d)
{
    Fdc *s = DEVICE(d, Fdc);

    for (int i = 0; i < 2; i++)
        s->drives[i].media_changed = 1;
    fdc_reset_chip(s, false);
}

static const char *const type_names[] = { "144", "288", "120", "none", "auto", NULL };

#define TYPE_PROP(m, n, d) PROP(Fdc, m, n, PROP_ENUM, d, .names = type_names, .type_name = "FdcDriveType", \
                                .help = "FDC drive type, 144/288/120/none/auto")
static const Property fdc_props[] = {
    PROP(Fdc, iobase, "iobase", PROP_U32, 0x3f0), PROP(Fdc, irq_num, "irq", PROP_U32, 6), PROP(Fdc, dma_chan, "dma", PROP_U32, 2),
    TYPE_PROP(fd_type[0], "fdtypeA", DRIVE_AUTO), TYPE_PROP(fd_type[1], "fdtypeB", DRIVE_AUTO),
    TYPE_PROP(fallback, "fallback", DRIVE_288), { 0 }
};

const DeviceType isa_fdc_type = {
    .name = "isa-fdc", .desc = "virtual floppy controller", .bus = "ISA", .category = CAT_STORAGE, .size = sizeof(Fdc),
    .props = fdc_props, .state = &fdc_state, .realize = fdc_realize, .reset = fdc_reset,
};
