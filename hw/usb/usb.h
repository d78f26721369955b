/*
 * USB: buses, ports, devices and their packets (Universal Serial Bus Specification 2.0, chapters 8 to 11).
 *
 * A controller makes a bus and gives it root ports; a hub adds more. A device type sets .bus = "usb-bus",
 * .parent = &usb_device_type and .class_data = &(const UsbClass){...}, has UsbDevice as its first member and begins its
 * state table with USB_STATE(T, usb).
 *
 * A packet is carried out at once. What isn't ready answers USB_NAK, as hardware does: the controller tries again in a later
 * frame, and at once when the device calls usb_wakeup. There are no packets in flight, so nothing to cancel or to migrate.
 *
 * All calls under the machine lock.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H
#include "hw/core/device.h"

typedef struct UsbBus UsbBus;
typedef struct UsbPort UsbPort;
typedef struct UsbDevice UsbDevice;
typedef struct UsbDesc UsbDesc;

enum { USB_PID_OUT = 0xe1, USB_PID_IN = 0x69, USB_PID_SETUP = 0x2d };

/* bmRequestType << 8 | bRequest */
enum { USB_DIR_IN = 0x80 };
#define USB_REQ(type, request) ((type) << 8 | (request))
enum { USB_GET_STATUS = 0, USB_CLEAR_FEATURE = 1, USB_SET_FEATURE = 3, USB_SET_ADDRESS = 5, USB_GET_DESCRIPTOR = 6,
       USB_GET_CONFIGURATION = 8, USB_SET_CONFIGURATION = 9, USB_GET_INTERFACE = 10, USB_SET_INTERFACE = 11 };
enum { USB_DT_DEVICE = 1, USB_DT_CONFIG, USB_DT_STRING, USB_DT_INTERFACE, USB_DT_ENDPOINT, USB_DT_QUALIFIER, USB_DT_OTHER_SPEED,
       USB_DT_BOS = 15 };

typedef enum UsbSpeed { USB_LOW, USB_FULL, USB_HIGH } UsbSpeed;
#define USB_SPEED_BIT(s) (1u << (s))

typedef enum UsbResult {
    USB_OK,             /* carried out: `actual` bytes */
    USB_NAK,            /* not now */
    USB_STALL,
    USB_BABBLE,         /* the device sends more than fits */
    USB_NODEV,          /* nobody answered */
} UsbResult;

typedef struct UsbPacket {
    uint8_t pid, ep;    /* ep: 0..15 */
    uint8_t *data;
    unsigned size;      /* of data; of an IN packet: what fits */
    unsigned actual;
} UsbPacket;

/* ---- Devices ---- */

/* The numbers are the stream's. */
enum { USB_STATE_NOTATTACHED = 0, USB_STATE_ATTACHED = 1, USB_STATE_DEFAULT = 3, USB_STATE_SUSPENDED = 6 };
enum { USB_SETUP_IDLE, USB_SETUP_SETUP, USB_SETUP_DATA, USB_SETUP_ACK, USB_SETUP_PARAM };

#define USB_CONTROL_BYTES 4096

/* class_data of a USB device type. */
typedef struct UsbClass {
    const char *product;                /* as info usb names it */
    const UsbDesc *desc;
    const UsbDesc *desc_old;            /* of usb_version=1; NULL: there is no such choice */
    const char *fw_name;                /* in firmware paths; NULL: the type's name */
    bool is_hub;
    /* A control request that the descriptors don't answer: false stalls. data has USB_CONTROL_BYTES bytes; of an IN request
     * *actual says how many to send. */
    bool (*control)(UsbDevice *d, unsigned request, unsigned value, unsigned index, unsigned length, uint8_t *data, unsigned *actual);
    /* A packet to an endpoint other than 0. */
    UsbResult (*data)(UsbDevice *d, UsbPacket *p);
    void (*bus_reset)(UsbDevice *d);    /* the port was reset: back to power-on */
    /* Takes packets to all endpoints instead (pass-through); NULL: the core does endpoint 0. */
    UsbResult (*packet)(UsbDevice *d, UsbPacket *p);
    /* A hub: the device with that address behind it. */
    UsbDevice *(*find)(UsbDevice *d, unsigned addr);
} UsbClass;

struct UsbDevice {                      /* first member of every USB device struct */
    Device dev;

    /* guest state */
    uint8_t addr;
    int32_t state, remote_wakeup, setup_state, setup_len, setup_index;
    uint8_t setup_buf[8];
    uint8_t configuration;
    uint8_t data_buf[USB_CONTROL_BYTES];

    /* host side */
    UsbPort *port;                      /* where it is plugged in */
    const UsbDesc *desc;
    UsbSpeed speed;
    unsigned speeds;                    /* USB_SPEED_BITs that it can do */
    bool attached;                      /* the port sees it */
    const char *product;                /* UsbClass.product, or what a real device says */

    /* properties */
    char *port_path, *serial, *pcap;
    uint32_t flags;
    int auto_attach;                    /* attached=: 0 at realize, 1 on, 2 off */
    uint32_t usb_version;
};
enum { USB_FLAG_MSOS = 1 };             /* bits of flags */

extern const DeviceType usb_device_type;
extern const StateTable usb_device_state;
#define USB_STATE(T, m, ...) STRUCT(T, m, &usb_device_state, .name = "dev", ##__VA_ARGS__)
#define USB_VERSION_PROP(T, m) PROP(T, m.usb_version, "usb_version", PROP_U32, 2)

static inline UsbDevice *usb_device(Device *d) { return DEVICE(d, UsbDevice); }
static inline const UsbClass *usb_class(const UsbDevice *d) { return d->dev.type->class_data; }

/* Calls of a device. */
bool usb_attach(UsbDevice *d, GError **err);        /* the core does it at realize, unless auto_attach is off */
void usb_detach(UsbDevice *d);
/* It has something for a packet that it answered with USB_NAK; wakes a suspended port if the guest allowed that. */
void usb_wakeup(UsbDevice *d);

/* Answers the standard requests from the descriptors; false: it isn't one of those. */
bool usb_desc_control(UsbDevice *d, unsigned request, unsigned value, unsigned index, unsigned length, uint8_t *data, unsigned *actual);

/* Calls of a controller or hub. */
UsbResult usb_packet(UsbDevice *d, UsbPacket *p);
/* The device with that address, d or one behind it; d may be NULL. */
UsbDevice *usb_find(UsbDevice *d, unsigned addr);
void usb_reset(UsbDevice *d);                       /* the port's reset signal */
const char *usb_speed_text(UsbSpeed s);             /* "12" */

/* ---- Descriptors ---- */

struct UsbDesc {
    const uint8_t *device;              /* 18 bytes, as at full speed */
    const uint8_t *config;              /* at full speed: with its interfaces and endpoints */
    const uint8_t *qualifier, *other;   /* of a device that can do high speed, as it says at full speed; else NULL */
    const uint8_t *bos;
    const char *const *strings;         /* [0] is not used */
    unsigned n_strings;
    bool msos;                          /* has Microsoft's OS descriptors (selective suspend) */
};

/* ---- Ports and buses ---- */

typedef struct UsbPortOps {
    void (*attach)(UsbPort *p);         /* p->dev is there: it can be seen */
    void (*detach)(UsbPort *p);
    void (*wakeup)(UsbPort *p);         /* p->dev wants to be looked at */
} UsbPortOps;

struct UsbPort {
    UsbDevice *dev;                     /* attached device, or NULL */
    const UsbPortOps *ops;
    void *opaque;
    unsigned index, hubs;               /* number in its owner, from 0; how many hubs are in front */
    unsigned speeds;                    /* USB_SPEED_BITs */
    char path[16];                      /* "1", "2.4" */
    UsbDevice *claimed;                 /* the device plugged in, attached or not */
};

typedef struct UsbBusOps {
    void (*wakeup)(void *opaque, UsbDevice *d);     /* d has data: look at its endpoints soon */
} UsbBusOps;

struct UsbBus {
    Bus bus;
    const UsbBusOps *ops;
    void *opaque;
    unsigned number;
    GPtrArray *free, *used;             /* UsbPort *, in the order in which they are taken, were taken */
};

extern const BusType usb_bus_type;
UsbBus *usb_bus_new(Device *controller, const UsbBusOps *ops, void *opaque);
/* Adds a port; hub NULL: of the controller. */
void usb_port_add(UsbBus *b, UsbPort *p, UsbDevice *hub, unsigned index, const UsbPortOps *ops, void *opaque, unsigned speeds);
void usb_port_remove(UsbBus *b, UsbPort *p);        /* what is plugged in goes too */
static inline UsbBus *usb_bus_of(const UsbDevice *d) { return (UsbBus *)(void *)d->dev.bus; }

/* -usbdevice NAME: "tablet", "mouse", ...; false with err when there is none of that name. */
bool usb_add_legacy(Machine *m, const char *name, GError **err);
#endif
