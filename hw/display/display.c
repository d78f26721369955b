/* The user interface's view of the machine: run state, shutdown, delays in guest time (sendkey). */
#include "chardev/char.h"
#include "hw/display/display.h"

typedef struct DisplayHost {
    Machine *machine;
    Timer timer;
    void (*fn)(void *arg);
    void *arg;
} DisplayHost;

static bool is_running(void *opaque)
{
    DisplayHost *h = opaque;

    return machine_is_running(h->machine) || machine_state(h->machine) == RUN_SUSPENDED;
}

static void window_closed(void *opaque)
{
    machine_request_shutdown(((DisplayHost *)opaque)->machine, CAUSE_HOST_UI);
}

static void delay_over(void *opaque)
{
    DisplayHost *h = opaque;

    h->fn(h->arg);
}

static void delay(void *opaque, unsigned ms, void (*fn)(void *arg), void *arg)
{
    DisplayHost *h = opaque;

    h->fn = fn;
    h->arg = arg;
    timer_arm(&h->timer, vm_now(h->machine->root) + ms * (NS_PER_S / 1000));
}

static void send_event(void *opaque, const char *name, json_t *data)
{
    machine_event(((DisplayHost *)opaque)->machine, name, "o", data);
}

static void state_changed(void *opaque, bool running, RunState s)
{
    ui_run_state_changed(running);
}

static void machine_ends(void *opaque)
{
    DisplayHost *h = opaque;

    display_stop();
    timer_stop(&h->timer);
}

void display_connect(Machine *m)
{
    DisplayHost *h = g_new0(DisplayHost, 1);    /* lives as long as the process */
    UiHost host = { .opaque = h, .is_running = is_running, .close = window_closed, .delay = delay, .event = send_event };

    h->machine = m;
    timer_init(&h->timer, m->root, delay_over, h);
    ui_set_host(&host);
    machine_observe_state(m, state_changed, h);
    machine_observe_exit(m, machine_ends, h);
}

/* ---- Text consoles ---- */

static void vc_input(void *opaque, const uint8_t *bytes, int len)
{
    chr_vc_input(opaque, bytes, len);
}

static void *vc_create(Chardev *chr, unsigned width, unsigned height, unsigned cols, unsigned rows, GError **err)
{
    return text_console_new(chr_id(chr), cols ? cols : width / 8, rows ? rows : height / 16, vc_input, chr, err);
}

static void vc_write(void *console, const uint8_t *buf, int len)
{
    text_console_write(console, buf, len);
}

static void vc_destroy(void *console)
{
    text_console_free(console);
}

void display_enable_vc(void)
{
    static const ChrVcOps ops = { .create = vc_create, .write = vc_write, .destroy = vc_destroy };

    chr_set_vc_ops(&ops);
}
