/*
 * USB keyboards: the queue holds scan codes of set 1 (that is how the stream has them); they become usages of page 7 (HID Usage
 * Tables) when a report is fetched, one a report, so that no key is missed.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/usb/hid.h"

enum { PREFIX_E0 = 0xe0, PREFIX_E1 = 0xe1, BREAK = 0x80, AFTER_E0 = 0x100, AFTER_E1 = 0x200 };
enum { USAGE_ROLLOVER = 1, USAGE_PAUSE = 0x48, USAGE_FIRST_MODIFIER = 0xe0, USAGE_LAST_MODIFIER = 0xe7 };
enum { REPORT_KEYS = 6, SET1_CTRL = 0x1d };

void hid_keyboard_key(void *opaque, QKeyCode key, bool down)
{
    Hid *h = opaque;
    const unsigned code = key_codes[key].number & 0x7f, up = down ? 0 : BREAK;
    uint8_t seq[3];
    unsigned n = 0;

    machine_request_wakeup(h->dev->dev.machine);
    if (!code)
        return;
    if (key == QKEY_PAUSE) {
        seq[n++] = PREFIX_E1;
        seq[n++] = SET1_CTRL | up;
        seq[n++] = 0x45 | up;
    } else {
        if (key_codes[key].number & 0x80)
            seq[n++] = PREFIX_E0;
        seq[n++] = code | up;
    }
    if (h->n + n > HID_QUEUE)
        return;
    for (unsigned i = 0; i < n; i++)
        h->keycodes[(h->head + h->n++) % HID_QUEUE] = seq[i];
    h->changed(h->dev);
}

static uint8_t usage_of(unsigned code, bool e0)
{
    return key_codes[key_from_number(e0 ? 0xe000 | code : code)].hid;
}

static void hold(Hid *h, uint8_t usage)
{
    for (int i = 0; i < h->keys; i++)
        if (h->key[i] == usage)
            return;
    if (h->keys < (int)sizeof h->key)
        h->key[h->keys++] = usage;
}

static void release(Hid *h, uint8_t usage)
{
    for (int i = 0; i < h->keys; i++) {
        if (h->key[i] == usage) {
            h->key[i] = h->key[--h->keys];
            h->key[h->keys] = 0;
            return;
        }
    }
}

/* One code of the queue. */
static void process(Hid *h)
{
    uint8_t code = h->keycodes[h->head], usage;
    const bool e0 = h->modifiers & AFTER_E0, e1 = h->modifiers & AFTER_E1;

    h->head = (h->head + 1) % HID_QUEUE;
    h->n--;
    if (code == PREFIX_E0 || code == PREFIX_E1) {
        h->modifiers |= code == PREFIX_E0 ? AFTER_E0 : AFTER_E1;
        return;
    }
    if (e1 && (code & 0x7f) == SET1_CTRL)   /* of Pause: its own code follows */
        return;
    h->modifiers &= ~(AFTER_E0 | AFTER_E1);
    usage = e1 ? USAGE_PAUSE : usage_of(code & 0x7f, e0);
    if (!usage)
        return;
    if (usage >= USAGE_FIRST_MODIFIER && usage <= USAGE_LAST_MODIFIER) {
        const unsigned bit = 1u << (usage & 7);

        h->modifiers = code & BREAK ? h->modifiers & ~bit : h->modifiers | bit;
    } else if (code & BREAK) {
        release(h, usage);
    } else {
        hold(h, usage);
    }
}

unsigned hid_keyboard_report(Hid *h, uint8_t *buf, unsigned len)
{
    uint8_t r[2 + REPORT_KEYS] = { 0 };

    if (len < 2)
        return 0;
    if (h->n)
        process(h);
    r[0] = h->modifiers;
    if (h->keys > REPORT_KEYS)
        memset(r + 2, USAGE_ROLLOVER, REPORT_KEYS);
    else
        memcpy(r + 2, h->key, REPORT_KEYS);
    len = MIN(len, sizeof r);
    memcpy(buf, r, len);
    return len;
}
