/*
 * The host's USB devices through libusb, on GLib's main loop: a module (vmemu-usb-host.so); see usb-host.h.
 *
 * A packet of the guest's becomes a transfer of the same length; until that is over the guest gets NAK, and usb_wakeup makes the
 * controller ask again. Addresses, configurations, settings and halted endpoints are told to the host's kernel by its own calls.
 * Not modelled: isochronous endpoints, suspending, streams.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <libusb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hw/usb/usb-host.h"
#include "util/error.h"
#include "util/log.h"
#include "util/loop.h"

enum { ENDPOINTS = 16, MAX_PATH = 8, FULL_SPEED_PACKET = 64 };

typedef enum PipeState { PIPE_IDLE, PIPE_BUSY, PIPE_DONE } PipeState;

typedef struct Pipe {
    struct UsbHostReal *real;
    struct libusb_transfer *transfer;   /* NULL: no such endpoint */
    PipeState state;
    uint8_t *data;                      /* with room for a setup packet */
    unsigned offset;                    /* of data: what the guest has fetched, or sent */
} Pipe;

typedef struct UsbHostReal {
    UsbHost *s;
    libusb_device_handle *handle;
    int fd;                             /* hostdevice='s, or -1 */
    char product[128];
    uint8_t interfaces;                 /* claimed ones: 0 .. n-1 */
    Pipe control, in[ENDPOINTS], out[ENDPOINTS];
    uint8_t setup[8];
    bool gone;
} UsbHostReal;

static libusb_context *context;
static GSList *hosts;                   /* all UsbHost */
static GHashTable *watches;             /* fd -> GLib's source */
static BottomHalf *scan_bh;

/* ---- The main loop ---- */

static gboolean on_fd(gint fd, GIOCondition cond, gpointer unused)
{
    struct timeval none = { 0, 0 };

    libusb_handle_events_timeout_completed(context, &none, NULL);
    return G_SOURCE_CONTINUE;
}

static void LIBUSB_CALL fd_added(int fd, short events, void *unused)
{
    const GIOCondition cond = (events & POLLIN ? G_IO_IN : 0) | (events & POLLOUT ? G_IO_OUT : 0);

    g_hash_table_replace(watches, GINT_TO_POINTER(fd), GUINT_TO_POINTER(g_unix_fd_add(fd, cond, on_fd, NULL)));
}

static void LIBUSB_CALL fd_removed(int fd, void *unused)
{
    const guint id = GPOINTER_TO_UINT(g_hash_table_lookup(watches, GINT_TO_POINTER(fd)));

    if (id)
        g_source_remove(id);
    g_hash_table_remove(watches, GINT_TO_POINTER(fd));
}

static int LIBUSB_CALL plugged(libusb_context *c, libusb_device *dev, libusb_hotplug_event event, void *unused)
{
    for (GSList *l = hosts; l && event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT; l = l->next) {
        UsbHostReal *r = ((UsbHost *)l->data)->real;

        if (r && libusb_get_device(r->handle) == dev)
            r->gone = true;
    }
    bh_schedule(scan_bh);
    return 0;
}

static void scan(void *unused);

static bool open_library(GError **err)
{
    const struct libusb_pollfd **fds;
    int ret;

    if (context)
        return true;
    ret = libusb_init(&context);
    if (ret < 0)
        return error_set(err, "libusb: %s", libusb_error_name(ret));
    watches = g_hash_table_new(NULL, NULL);
    scan_bh = bh_new(scan, NULL);
    libusb_set_pollfd_notifiers(context, fd_added, fd_removed, NULL);
    fds = libusb_get_pollfds(context);
    for (unsigned i = 0; fds && fds[i]; i++)
        fd_added(fds[i]->fd, fds[i]->events, NULL);
    libusb_free_pollfds(fds);
    if (libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG))
        libusb_hotplug_register_callback(context, LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, 0,
                                         LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY, plugged, NULL, NULL);
    return true;
}

/* ---- Transfers ---- */

static void LIBUSB_CALL transfer_done(struct libusb_transfer *t)
{
    Pipe *p = t->user_data;

    p->state = PIPE_DONE;
    p->offset = 0;
    if (t->status == LIBUSB_TRANSFER_NO_DEVICE) {
        p->real->gone = true;
        bh_schedule(scan_bh);
    }
    usb_wakeup(&p->real->s->usb);
}

static UsbResult result_of(const struct libusb_transfer *t)
{
    switch (t->status) {
    case LIBUSB_TRANSFER_COMPLETED: return USB_OK;
    case LIBUSB_TRANSFER_STALL: return USB_STALL;
    case LIBUSB_TRANSFER_OVERFLOW: return USB_BABBLE;
    default: return USB_NODEV;
    }
}

static UsbResult submit(Pipe *p, unsigned length)
{
    p->transfer->length = length;
    p->offset = 0;
    if (libusb_submit_transfer(p->transfer) < 0)
        return USB_NODEV;
    p->state = PIPE_BUSY;
    return USB_NAK;
}

static void wait_pipe(Pipe *p)
{
    if (!p->transfer || p->state != PIPE_BUSY)
        return;
    libusb_cancel_transfer(p->transfer);
    while (p->state == PIPE_BUSY) {
        struct timeval second = { 1, 0 };

        if (libusb_handle_events_timeout_completed(context, &second, NULL) < 0)
            return;
    }
}

static void pipe_init(UsbHostReal *r, Pipe *p, uint8_t endpoint, uint8_t type)
{
    const bool is_control = type == LIBUSB_TRANSFER_TYPE_CONTROL;

    if (p->transfer || type == LIBUSB_TRANSFER_TYPE_ISOCHRONOUS)
        return;
    p->real = r;
    p->data = g_malloc(is_control ? LIBUSB_CONTROL_SETUP_SIZE + USB_CONTROL_BYTES : 2048);
    p->transfer = libusb_alloc_transfer(0);
    p->transfer->dev_handle = r->handle;
    p->transfer->endpoint = endpoint;
    p->transfer->type = type;
    p->transfer->buffer = p->data;
    p->transfer->callback = transfer_done;
    p->transfer->user_data = p;
}

static void pipe_fini(Pipe *p)
{
    wait_pipe(p);
    if (p->transfer && p->state != PIPE_BUSY) {
        libusb_free_transfer(p->transfer);
        g_free(p->data);
    }
    memset(p, 0, sizeof *p);
}

/* ---- Configurations ---- */

static void close_pipes(UsbHostReal *r)
{
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        pipe_fini(&r->in[i]);
        pipe_fini(&r->out[i]);
    }
    for (; r->interfaces; r->interfaces--)
        libusb_release_interface(r->handle, r->interfaces - 1);
}

static void open_interface(UsbHostReal *r, const struct libusb_interface *iface, unsigned *largest)
{
    for (int a = 0; a < iface->num_altsetting; a++) {
        const struct libusb_interface_descriptor *alt = &iface->altsetting[a];

        for (unsigned e = 0; e < alt->bNumEndpoints; e++) {
            const struct libusb_endpoint_descriptor *d = &alt->endpoint[e];
            const unsigned n = d->bEndpointAddress & 15;

            *largest = MAX(*largest, d->wMaxPacketSize & 0x7ffu);
            if (n)
                pipe_init(r, d->bEndpointAddress & USB_DIR_IN ? &r->in[n] : &r->out[n], d->bEndpointAddress, d->bmAttributes & 3);
        }
    }
}

/* Takes the interfaces of the present configuration from the host's drivers; its largest packet. */
static unsigned open_pipes(UsbHostReal *r)
{
    struct libusb_config_descriptor *conf;
    unsigned largest = 0;

    if (libusb_get_active_config_descriptor(libusb_get_device(r->handle), &conf) < 0)
        return 0;
    for (unsigned i = 0; i < conf->bNumInterfaces; i++) {
        if (libusb_claim_interface(r->handle, i) < 0)
            break;
        r->interfaces = i + 1;
        open_interface(r, &conf->interface[i], &largest);
    }
    libusb_free_config_descriptor(conf);
    return largest;
}

/* ---- Control transfers ---- */

/* Requests that the host's kernel has to know of. True if it is one: *ok says how it went. */
static bool own_request(UsbHostReal *r, bool *ok)
{
    const unsigned value = r->setup[2] | r->setup[3] << 8, index = r->setup[4] | r->setup[5] << 8;

    switch (USB_REQ(r->setup[0], r->setup[1])) {
    case USB_REQ(0x00, USB_SET_ADDRESS):
        r->s->usb.addr = value & 127;
        *ok = true;
        return true;
    case USB_REQ(0x00, USB_SET_CONFIGURATION):
        close_pipes(r);
        *ok = libusb_set_configuration(r->handle, value ? (int)value : -1) >= 0;
        open_pipes(r);
        return true;
    case USB_REQ(0x01, USB_SET_INTERFACE):
        *ok = libusb_set_interface_alt_setting(r->handle, index, value) >= 0;
        return true;
    case USB_REQ(0x02, USB_CLEAR_FEATURE):
        *ok = value == 0 && libusb_clear_halt(r->handle, index) >= 0;
        return value == 0;
    default:
        return false;
    }
}

static UsbResult submit_control(UsbHostReal *r)
{
    const unsigned size = r->setup[6] | r->setup[7] << 8;

    memcpy(r->control.data, r->setup, sizeof r->setup);
    return submit(&r->control, LIBUSB_CONTROL_SETUP_SIZE + size);
}

static UsbResult control_setup(UsbHostReal *r, UsbPacket *p)
{
    const unsigned size = p->size == 8 ? p->data[6] | (unsigned)p->data[7] << 8 : UINT32_MAX;

    wait_pipe(&r->control);
    r->control.state = PIPE_IDLE;
    r->control.offset = 0;
    if (size > USB_CONTROL_BYTES)
        return USB_STALL;
    memcpy(r->setup, p->data, 8);
    p->actual = 8;
    if ((r->setup[0] & USB_DIR_IN) && submit_control(r) != USB_NAK)
        return USB_NODEV;
    return USB_OK;
}

/* The status stage of a request without data to the host: it is carried out here, once all data is there. */
static UsbResult control_status(UsbHostReal *r)
{
    UsbResult res;
    bool ok;

    if (r->control.state == PIPE_IDLE && own_request(r, &ok))
        return ok ? USB_OK : USB_STALL;
    if (r->control.state == PIPE_IDLE)
        return submit_control(r);
    if (r->control.state == PIPE_BUSY)
        return USB_NAK;
    res = result_of(r->control.transfer);
    r->control.state = PIPE_IDLE;
    return res;
}

static UsbResult control_in(UsbHostReal *r, UsbPacket *p)
{
    Pipe *c = &r->control;
    UsbResult res;

    if (c->state == PIPE_BUSY)
        return USB_NAK;
    res = c->state == PIPE_DONE ? result_of(c->transfer) : USB_STALL;
    if (res != USB_OK)
        return res;
    p->actual = MIN(p->size, (unsigned)c->transfer->actual_length - c->offset);
    memcpy(p->data, c->data + LIBUSB_CONTROL_SETUP_SIZE + c->offset, p->actual);
    c->offset += p->actual;
    return USB_OK;
}

static UsbResult control_packet(UsbHostReal *r, UsbPacket *p)
{
    Pipe *c = &r->control;

    if (p->pid == USB_PID_SETUP)
        return control_setup(r, p);
    if (r->setup[0] & USB_DIR_IN)
        return p->pid == USB_PID_IN ? control_in(r, p) : USB_OK;
    if (p->pid == USB_PID_IN)
        return control_status(r);
    if (c->state != PIPE_IDLE || p->size > (r->setup[6] | r->setup[7] << 8) - MIN(c->offset, USB_CONTROL_BYTES))
        return USB_STALL;
    memcpy(c->data + LIBUSB_CONTROL_SETUP_SIZE + c->offset, p->data, p->size);
    c->offset += p->size;
    p->actual = p->size;
    return USB_OK;
}

/* ---- Bulk and interrupt ---- */

static UsbResult data_packet(UsbHostReal *r, UsbPacket *p)
{
    const bool in = p->pid == USB_PID_IN;
    Pipe *pipe = in ? &r->in[p->ep] : &r->out[p->ep];
    UsbResult res;

    if (!pipe->transfer || p->pid == USB_PID_SETUP)
        return USB_STALL;
    if (pipe->state == PIPE_BUSY)
        return USB_NAK;
    if (pipe->state == PIPE_IDLE) {
        if (!in)
            memcpy(pipe->data, p->data, p->size);
        return submit(pipe, p->size);
    }
    res = result_of(pipe->transfer);
    pipe->state = PIPE_IDLE;
    if (res != USB_OK)
        return res;
    if ((unsigned)pipe->transfer->actual_length > p->size)
        return USB_BABBLE;
    p->actual = pipe->transfer->actual_length;
    if (in)
        memcpy(p->data, pipe->data, p->actual);
    return USB_OK;
}

static UsbResult host_packet(UsbHost *s, UsbPacket *p)
{
    if (s->real->gone)
        return USB_NODEV;
    return p->ep ? data_packet(s->real, p) : control_packet(s->real, p);
}

static void host_reset(UsbHost *s)
{
    if (libusb_reset_device(s->real->handle) < 0) {
        s->real->gone = true;
        bh_schedule(scan_bh);
    }
}

/* ---- Opening and closing ---- */

static void close_real(UsbHost *s)
{
    UsbHostReal *r = s->real;

    if (!r)
        return;
    usb_detach(&s->usb);
    close_pipes(r);
    pipe_fini(&r->control);
    libusb_close(r->handle);
    if (r->fd >= 0)
        close(r->fd);
    s->usb.product = "USB Host Device";
    s->real = NULL;
    g_free(r);
}

static UsbSpeed speed_of(libusb_device *dev)
{
    switch (libusb_get_device_speed(dev)) {
    case LIBUSB_SPEED_LOW: return USB_LOW;
    case LIBUSB_SPEED_FULL: return USB_FULL;
    default: return USB_HIGH;
    }
}

static void name_device(UsbHostReal *r, libusb_device *dev)
{
    struct libusb_device_descriptor d;

    if (libusb_get_device_descriptor(dev, &d) < 0 || !d.iProduct ||
        libusb_get_string_descriptor_ascii(r->handle, d.iProduct, (unsigned char *)r->product, sizeof r->product) <= 0)
        g_snprintf(r->product, sizeof r->product, "host:%d.%d", libusb_get_bus_number(dev), libusb_get_device_address(dev));
    r->product[sizeof r->product - 1] = 0;
}

/* handle is r's from now on. */
static bool open_real(UsbHost *s, libusb_device_handle *handle, int fd, GError **err)
{
    UsbHostReal *r = g_new0(UsbHostReal, 1);
    libusb_device *dev = libusb_get_device(handle);
    unsigned largest;

    r->s = s;
    r->handle = handle;
    r->fd = fd;
    s->real = r;
    libusb_set_auto_detach_kernel_driver(handle, 1);
    pipe_init(r, &r->control, 0, LIBUSB_TRANSFER_TYPE_CONTROL);
    largest = open_pipes(r);
    name_device(r, dev);
    s->usb.product = r->product;
    s->usb.speeds = USB_SPEED_BIT(speed_of(dev));
    if (s->usb.speeds == USB_SPEED_BIT(USB_HIGH) && largest <= FULL_SPEED_PACKET)
        s->usb.speeds |= USB_SPEED_BIT(USB_FULL);
    if (usb_attach(&s->usb, err))
        return true;
    close_real(s);
    return false;
}

static char *port_path(libusb_device *dev)
{
    uint8_t ports[MAX_PATH];
    const int n = libusb_get_port_numbers(dev, ports, MAX_PATH);
    GString *s = g_string_new(NULL);

    for (int i = 0; i < n; i++)
        g_string_append_printf(s, "%s%u", i ? "." : "", ports[i]);
    return g_string_free(s, false);
}

static bool in_use(libusb_device *dev)
{
    for (GSList *l = hosts; l; l = l->next) {
        const UsbHost *s = l->data;

        if (s->real && libusb_get_device(s->real->handle) == dev)
            return true;
    }
    return false;
}

static bool matches(const UsbHost *s, libusb_device *dev)
{
    struct libusb_device_descriptor d;
    g_autofree char *path = port_path(dev);

    if (libusb_get_device_descriptor(dev, &d) < 0 || d.bDeviceClass == LIBUSB_CLASS_HUB || in_use(dev))
        return false;
    return (!s->hostbus || s->hostbus == libusb_get_bus_number(dev)) && (!s->hostaddr || s->hostaddr == libusb_get_device_address(dev)) &&
           (!s->hostport || !strcmp(s->hostport, path)) && (!s->vendor_id || s->vendor_id == d.idVendor) &&
           (!s->product_id || s->product_id == d.idProduct);
}

static bool wants_any(const UsbHost *s)
{
    return s->hostbus || s->hostaddr || s->hostport || s->vendor_id || s->product_id;
}

static bool find_real(UsbHost *s, GError **err)
{
    libusb_device **list = NULL;
    bool ok = true;

    if (libusb_get_device_list(context, &list) < 0)
        return true;
    for (unsigned i = 0; wants_any(s) && list[i] && !s->real && ok; i++) {
        libusb_device_handle *handle;
        int ret;

        if (!matches(s, list[i]))
            continue;
        ret = libusb_open(list[i], &handle);
        ok = ret < 0 ? error_set(err, "failed to open host usb device %d:%d: %s", libusb_get_bus_number(list[i]),
                                 libusb_get_device_address(list[i]), libusb_error_name(ret)) : open_real(s, handle, -1, err);
    }
    libusb_free_device_list(list, 1);
    return ok;
}

/* Devices have come or gone. */
static void scan(void *unused)
{
    for (GSList *l = hosts; l; l = l->next) {
        UsbHost *s = l->data;
        g_autoptr(GError) err = NULL;

        if (s->real && s->real->gone)
            close_real(s);
        if (!s->real && !s->hostdevice && !find_real(s, &err))
            warn_report("%s", err->message);
    }
}

static bool open_file(UsbHost *s, GError **err)
{
    libusb_device_handle *handle;
    const int fd = open(s->hostdevice, O_RDWR | O_CLOEXEC);
    int ret;

    if (fd < 0)
        return error_set(err, "failed to open %s: %s", s->hostdevice, g_strerror(errno));
    ret = libusb_wrap_sys_device(context, fd, &handle);
    if (ret >= 0)
        return open_real(s, handle, fd, err);
    close(fd);
    return error_set(err, "failed to open host usb device %s", s->hostdevice);
}

static bool host_start(UsbHost *s, GError **err)
{
    if (!open_library(err))
        return false;
    if (s->hostdevice ? !open_file(s, err) : !find_real(s, err))
        return false;
    if (!s->real && s->hostbus && s->hostaddr && !s->vendor_id && !s->product_id)
        return error_set(err, "failed to find host usb device %u:%u", s->hostbus, s->hostaddr);
    hosts = g_slist_append(hosts, s);
    return true;
}

static void host_stop(UsbHost *s)
{
    close_real(s);
    hosts = g_slist_remove(hosts, s);
}

/* ---- info usbhost ---- */

static void list_device(libusb_device *dev, GString *out)
{
    static const char *const speeds[] = { "?", "1.5", "12", "480", "5000", "10000" };
    struct libusb_device_descriptor d;
    g_autofree char *path = port_path(dev);
    const unsigned speed = libusb_get_device_speed(dev);
    libusb_device_handle *handle;
    unsigned char name[128];

    if (libusb_get_device_descriptor(dev, &d) < 0 || d.bDeviceClass == LIBUSB_CLASS_HUB)
        return;
    g_string_append_printf(out, "  Bus %d, Addr %d, Port %s, Speed %s Mb/s\n    Class %02x: USB device %04x:%04x", libusb_get_bus_number(dev),
                           libusb_get_device_address(dev), path, speed < G_N_ELEMENTS(speeds) ? speeds[speed] : "?", d.bDeviceClass,
                           d.idVendor, d.idProduct);
    if (d.iProduct && libusb_open(dev, &handle) >= 0) {
        if (libusb_get_string_descriptor_ascii(handle, d.iProduct, name, sizeof name) > 0)
            g_string_append_printf(out, ", %.*s", (int)sizeof name, name);
        libusb_close(handle);
    }
    g_string_append_c(out, '\n');
}

static void host_list(GString *out)
{
    libusb_device **list = NULL;

    if (libusb_get_device_list(context, &list) < 0)
        return;
    for (unsigned i = 0; list[i]; i++)
        list_device(list[i], out);
    libusb_free_device_list(list, 1);
}

const UsbHostLib usb_host_lib = {
    .start = host_start, .stop = host_stop, .packet = host_packet, .reset = host_reset, .list = host_list,
};
