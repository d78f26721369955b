/*
 * The queue of a PS/2 device. Replies to commands overtake events that wait: they are put in front of the read pointer.
 */
#include "hw/input/ps2-int.h"

static const Field ps2_fields[] = {
    FIELD(Ps2, write_cmd, .reset = (uint32_t)PS2_NO_CMD, .min = (uint64_t)PS2_NO_CMD, .max = 0xff),
    FIELD(Ps2, rptr, .name = "queue.rptr", .max = PS2_RING - 1),
    FIELD(Ps2, wptr, .name = "queue.wptr", .max = PS2_RING - 1),
    FIELD(Ps2, count, .name = "queue.count", .max = PS2_RING),
    FIELD(Ps2, data, .name = "queue.data"),
    LOCAL(Ps2, cwptr, .reset = UINT32_MAX),
    HOST(Ps2, dev), FIELD(Ps2, irq),
    {0}
};

const StateTable ps2_state = { .name = "PS2 Common State", .version = 3, .min_version = 2, .fields = ps2_fields };

static void raise_irq(Ps2 *s)
{
    line_set(&s->irq, 1);
}

bool ps2_queue(Ps2 *s, const uint8_t *b, unsigned n)
{
    if (s->count + (int)n > PS2_QUEUE)
        return false;
    for (unsigned i = 0; i < n; i++) {
        s->data[s->wptr] = b[i];
        s->wptr = (s->wptr + 1) % PS2_RING;
    }
    s->count += n;
    raise_irq(s);
    return true;
}

void ps2_drop_reply(Ps2 *s)
{
    if (s->cwptr < 0)
        return;
    s->count -= (s->cwptr - s->rptr) & (PS2_RING - 1);
    s->rptr = s->cwptr;
    s->cwptr = -1;
    line_set(&s->irq, s->count > 0);
}

void ps2_reply(Ps2 *s, const uint8_t *b, unsigned n)
{
    ps2_drop_reply(s);
    s->cwptr = s->rptr;
    s->rptr = (s->rptr - (int)n) & (PS2_RING - 1);
    for (unsigned i = 0; i < n; i++)
        s->data[(s->rptr + i) % PS2_RING] = b[i];
    s->count += n;
    raise_irq(s);
}

void ps2_clear(Ps2 *s)
{
    s->rptr = s->wptr = s->count = 0;
    s->cwptr = -1;
    line_set(&s->irq, 0);
}

uint8_t ps2_last(const Ps2 *s)
{
    return s->data[(s->rptr - 1) & (PS2_RING - 1)];
}

/* An empty queue gives its last byte again. */
uint8_t ps2_read(Device *d)
{
    Ps2 *s = DEVICE(d, Ps2);
    uint8_t val;

    if (!s->count)
        return ps2_last(s);
    val = s->data[s->rptr];
    s->rptr = (s->rptr + 1) % PS2_RING;
    s->count--;
    if (s->rptr == s->cwptr)
        s->cwptr = -1;
    line_set(&s->irq, 0);       /* an edge for the next byte */
    if (s->count)
        raise_irq(s);
    return val;
}

bool ps2_check(Ps2 *s)
{
    unsigned reply = s->cwptr < 0 ? 0 : (s->cwptr - s->rptr) & (PS2_RING - 1);

    s->count = MIN(s->count, PS2_QUEUE + PS2_REPLY);
    s->wptr = (s->rptr + s->count) % PS2_RING;
    s->irq.level = s->count > 0;
    return reply <= (unsigned)s->count;
}
