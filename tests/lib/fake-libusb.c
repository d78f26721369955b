/*
 * A libusb-1.0 with one device that isn't there, for tests/cli/test-usb-host: vendor 1209, product 0001, "Fake", at bus 3, port 1.2.
 * What is sent to bulk endpoint 2 comes back from endpoint 1; vendor request 1 stores a byte, 2 returns it, all else stalls.
 * With FAKE_USB_AWAY=FILE in the environment the device is plugged in while FILE exists.
 */
#include <libusb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { QUEUE = 64 };

struct libusb_context { int fd, timer; };
struct libusb_device { int refs; };
struct libusb_device_handle { libusb_device *dev; };

static struct libusb_context the_context;
static struct libusb_device the_device;
static struct libusb_transfer *queue[QUEUE];
static unsigned n_queue;
static unsigned char loop[2048], stored;
static int loop_bytes = -1, present, configured = 1;
static libusb_hotplug_callback_fn on_plug;

static const unsigned char device[18] = { 18, 1, 0, 1, 0, 0, 0, 8, 0x09, 0x12, 1, 0, 0, 1, 1, 2, 0, 1 };
static const unsigned char config[] = { 9, 2, 32, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 2, 255, 0, 0, 0, 7, 5, 0x81, 2, 64, 0, 0,
                                        7, 5, 0x02, 2, 64, 0, 0 };

static int is_there(void)
{
    const char *file = getenv("FAKE_USB_AWAY");

    return !file || access(file, F_OK) == 0;
}

int libusb_init(libusb_context **c)
{
    const struct itimerspec often = { { 0, 50000000 }, { 0, 50000000 } };

    the_context.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    the_context.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    timerfd_settime(the_context.timer, 0, &often, NULL);
    present = is_there();
    *c = &the_context;
    return 0;
}

const char *libusb_error_name(int e) { return "LIBUSB_ERROR"; }
void libusb_set_pollfd_notifiers(libusb_context *c, libusb_pollfd_added_cb a, libusb_pollfd_removed_cb r, void *o) {}

const struct libusb_pollfd **libusb_get_pollfds(libusb_context *c)
{
    static struct libusb_pollfd fds[2];
    const struct libusb_pollfd **list = calloc(3, sizeof *list);

    for (int i = 0; i < 2; i++) {
        fds[i].fd = i ? c->timer : c->fd;
        fds[i].events = POLLIN;
        list[i] = &fds[i];
    }
    return list;
}

void libusb_free_pollfds(const struct libusb_pollfd **list) { free(list); }
int libusb_has_capability(uint32_t what) { return 1; }

int libusb_hotplug_register_callback(libusb_context *c, int events, int flags, int vid, int pid, int class, libusb_hotplug_callback_fn fn,
                                     void *o, libusb_hotplug_callback_handle *h)
{
    on_plug = fn;
    return 0;
}

/* ---- Transfers ---- */

static void control(struct libusb_transfer *t)
{
    unsigned char *s = t->buffer, *data = s + 8;
    const int size = s[6] | s[7] << 8;
    const unsigned char *from = NULL;
    int n = 0;

    t->status = LIBUSB_TRANSFER_COMPLETED;
    if (s[0] == 0x80 && s[1] == 6 && (s[3] == 1 || s[3] == 2)) {
        from = s[3] == 1 ? device : config;
        n = s[3] == 1 ? sizeof device : sizeof config;
    } else if (s[0] == 0xc0 && s[1] == 2) {
        from = &stored;
        n = 1;
    } else if (s[0] == 0x40 && s[1] == 1 && size == 1) {
        stored = data[0];
    } else {
        t->status = LIBUSB_TRANSFER_STALL;
    }
    t->actual_length = from ? n < size ? n : size : size;
    if (from)
        memcpy(data, from, t->actual_length);
}

/* False: not yet. */
static int carry_out(struct libusb_transfer *t)
{
    if (t->type == LIBUSB_TRANSFER_TYPE_CONTROL) {
        control(t);
        return 1;
    }
    t->status = LIBUSB_TRANSFER_COMPLETED;
    if (t->endpoint == 2) {
        memcpy(loop, t->buffer, t->length);
        t->actual_length = loop_bytes = t->length;
        return 1;
    }
    if (loop_bytes < 0)
        return 0;
    t->actual_length = loop_bytes < t->length ? loop_bytes : t->length;
    memcpy(t->buffer, loop, t->actual_length);
    loop_bytes = -1;
    return 1;
}

struct libusb_transfer *libusb_alloc_transfer(int iso) { return calloc(1, sizeof(struct libusb_transfer)); }
void libusb_free_transfer(struct libusb_transfer *t) { free(t); }

int libusb_submit_transfer(struct libusb_transfer *t)
{
    const uint64_t one = 1;

    if (n_queue == QUEUE || !present)
        return LIBUSB_ERROR_NO_DEVICE;
    queue[n_queue++] = t;
    return write(the_context.fd, &one, 8) == 8 ? 0 : LIBUSB_ERROR_IO;
}

int libusb_cancel_transfer(struct libusb_transfer *t)
{
    t->flags |= 0x80;
    return 0;
}

int libusb_handle_events_timeout_completed(libusb_context *c, struct timeval *tv, int *done)
{
    uint64_t v;
    unsigned n = n_queue;

    if (read(c->fd, &v, 8) < 0 && read(c->timer, &v, 8) < 0 && !n)
        return 0;
    if (present != is_there()) {
        present = !present;
        on_plug(c, &the_device, present ? LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED : LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, NULL);
    }
    for (unsigned i = 0; i < n; i++) {
        struct libusb_transfer *t = queue[0];

        memmove(queue, queue + 1, --n_queue * sizeof queue[0]);
        if (t->flags & 0x80)
            t->status = LIBUSB_TRANSFER_CANCELLED;
        else if (!present)
            t->status = LIBUSB_TRANSFER_NO_DEVICE;
        else if (!carry_out(t)) {
            queue[n_queue++] = t;
            continue;
        }
        t->flags = 0;
        t->callback(t);
    }
    return 0;
}

/* ---- Devices ---- */

ssize_t libusb_get_device_list(libusb_context *c, libusb_device ***list)
{
    *list = calloc(2, sizeof **list);
    if (present)
        (*list)[0] = &the_device;
    return present;
}

void libusb_free_device_list(libusb_device **list, int unref) { free(list); }
uint8_t libusb_get_bus_number(libusb_device *d) { return 3; }
uint8_t libusb_get_device_address(libusb_device *d) { return 7; }
int libusb_get_device_speed(libusb_device *d) { return LIBUSB_SPEED_FULL; }

int libusb_get_port_numbers(libusb_device *d, uint8_t *p, int n)
{
    p[0] = 1;
    p[1] = 2;
    return 2;
}

int libusb_get_device_descriptor(libusb_device *d, struct libusb_device_descriptor *out)
{
    memcpy(out, device, 18);
    return 0;
}

int libusb_get_active_config_descriptor(libusb_device *d, struct libusb_config_descriptor **out)
{
    static struct libusb_endpoint_descriptor eps[2] = {
        { .bEndpointAddress = 0x81, .bmAttributes = 2, .wMaxPacketSize = 64 },
        { .bEndpointAddress = 2, .bmAttributes = 2, .wMaxPacketSize = 64 },
    };
    static struct libusb_interface_descriptor alt = { .bNumEndpoints = 2, .endpoint = eps };
    static struct libusb_interface iface = { .altsetting = &alt, .num_altsetting = 1 };
    static struct libusb_config_descriptor c = { .bNumInterfaces = 1, .interface = &iface };

    if (!configured)
        return LIBUSB_ERROR_NOT_FOUND;
    *out = &c;
    return 0;
}

void libusb_free_config_descriptor(struct libusb_config_descriptor *c) {}

int libusb_open(libusb_device *d, libusb_device_handle **h)
{
    *h = calloc(1, sizeof **h);
    (*h)->dev = d;
    return 0;
}

int libusb_wrap_sys_device(libusb_context *c, intptr_t fd, libusb_device_handle **h) { return libusb_open(&the_device, h); }
void libusb_close(libusb_device_handle *h) { free(h); }
libusb_device *libusb_get_device(libusb_device_handle *h) { return h->dev; }
int libusb_set_auto_detach_kernel_driver(libusb_device_handle *h, int on) { return 0; }
int libusb_claim_interface(libusb_device_handle *h, int n) { return 0; }
int libusb_release_interface(libusb_device_handle *h, int n) { return 0; }
int libusb_set_interface_alt_setting(libusb_device_handle *h, int n, int alt) { return alt ? LIBUSB_ERROR_NOT_FOUND : 0; }
int libusb_clear_halt(libusb_device_handle *h, unsigned char ep) { return 0; }
int libusb_reset_device(libusb_device_handle *h) { return 0; }

int libusb_set_configuration(libusb_device_handle *h, int n)
{
    configured = n > 0;
    return 0;
}

int libusb_get_string_descriptor_ascii(libusb_device_handle *h, uint8_t n, unsigned char *out, int size)
{
    return strlen(strncpy((char *)out, n == 2 ? "Fake" : "Nobody", size));
}
