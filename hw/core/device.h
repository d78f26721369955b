/*
 * A device model's view of the world: types, properties, lines, timers, buses.
 *
 * The device contract, in order of life:
 *   realize     properties are set; check them, connect to buses and backends. May fail with err.
 *   reset       the state table's reset values are in place (every timer stopped, every line low); do what they
 *               cannot say. Called once after realize of the whole machine and at each reset; never while running.
 *   (running)   handlers, timers, line inputs: one at a time, under the machine lock.
 *   drain       the machine is being stopped: finish host I/O in flight; return false while some is left.
 *   loaded      state came from a stream (StateTable.loaded); the machine is stopped.
 *   unrealize   undo realize (hot-unplug, exit).
 * Pausing needs nothing of a device: timers run on guest time, which stops with the guest.
 */
#ifndef HW_CORE_DEVICE_H
#define HW_CORE_DEVICE_H
#include "hw/core/state.h"

typedef struct Device Device;
typedef struct DeviceType DeviceType;
typedef struct Bus Bus;
typedef struct BusType BusType;
typedef struct Machine Machine;

/* ---- Lines: a wire that remembers its level ---- */

typedef void LineSink(void *to, unsigned n, int level);
struct Line {
    LineSink *sink;         /* NULL: not connected */
    void *to;
    uint16_t n;             /* the sink's input */
    bool level;
    bool unsure;            /* set by a `loaded` that can't know the level: the next line_set goes through in any case */
};
void line_set(Line *l, int level);
static inline void line_pulse(Line *l) { line_set(l, 1); line_set(l, 0); }
static inline void line_connect(Line *l, LineSink *sink, void *to, unsigned n) { l->sink = sink; l->to = to; l->n = n; }
/* To input n of a device (DeviceType.input). */
void line_connect_device(Line *l, Device *to, unsigned n);
/* Drives input n of a device directly; qtest may listen in (Device.intercept). */
void device_set_input(Device *d, unsigned n, int level);

/* ---- Timers: one-shot alarms in ns of guest time ---- */

#define TIMER_NEVER UINT64_MAX
#define NS_PER_S 1000000000ull
struct Timer {
    uint64_t at;                    /* TIMER_NEVER: not armed */
    void (*fire)(void *opaque);     /* on the main thread, under the machine lock */
    void *opaque;
    Machine *machine;
    unsigned slot;                  /* place in the clock's heap + 1; 0: not in it */
};
void timer_init(Timer *t, Device *d, void (*fire)(void *opaque), void *opaque);
void timer_arm(Timer *t, uint64_t at);      /* in the past: fires as soon as possible */
void timer_stop(Timer *t);
static inline bool timer_armed(const Timer *t) { return t->at != TIMER_NEVER; }
uint64_t vm_now(const Device *d);           /* ns of guest time */
/* a * b / c without overflow of the product. */
static inline uint64_t muldiv64(uint64_t a, uint32_t b, uint32_t c) { return (unsigned __int128)a * b / c; }

/* ---- Properties ---- */

typedef enum PropKind {
    PROP_END, PROP_BOOL, PROP_U8, PROP_U16, PROP_U32, PROP_U64, PROP_I32, PROP_I64,
    PROP_SIZE,          /* uint64_t, "64M" */
    PROP_SIZE32,        /* uint32_t, "64M" */
    PROP_STR,           /* char *, owned by the device */
    PROP_ENUM,          /* int, one of .names */
    PROP_ON_OFF_AUTO,   /* int: 0 auto, 1 on, 2 off */
    PROP_BIT,           /* bit number .bit of a uint32_t, "on"/"off" */
    PROP_BIT64,
    PROP_DRIVE,         /* struct BlockBackend *, by id or node name */
    PROP_CHR,           /* struct CharFrontend (by value): opened on the named chardev */
    PROP_NETDEV,        /* struct NetPeers/NetClient *, by id */
    PROP_MAC,           /* uint8_t[6] */
    PROP_DEVFN,         /* int32_t: "03.0", "3", -1 auto */
    PROP_UUID,          /* uint8_t[16], "auto" */
    PROP_LINK,          /* Device *, by id */
    PROP_CUSTOM,        /* parse and print below */
} PropKind;

typedef struct Property {
    const char *name;
    PropKind kind;
    uint32_t off;
    const char *type_name;              /* "uint32", as -device T,help prints; NULL: from kind */
    const char *help;                   /* text in parentheses there; may be NULL */
    int64_t def;                        /* default of numbers, bools and enums */
    const char *str_def;                /* default of strings, parsed as from the command line */
    const char *const *names;           /* PROP_ENUM, NULL-terminated */
    uint8_t bit;
    const char *def_text;               /* the default as help shows it ("": it shows none); NULL: as it is */
    bool no_help;                       /* not in help */
    bool no_qtree;                      /* not in info qtree: of a part of the device there */
    bool (*parse)(Device *d, const struct Property *p, const char *s, GError **err);
    char *(*print)(Device *d, const struct Property *p);
} Property;

#define PROP(T, m, n, k, d, ...) { .name = (n), .kind = (k), .off = offsetof(T, m), .def = (d), __VA_ARGS__ }

/* ---- Access handlers ---- */

typedef uint64_t ReadFn(void *opaque, uint64_t off, unsigned size);
typedef void WriteFn(void *opaque, uint64_t off, uint64_t val, unsigned size);

/* A fixed window of I/O ports of a type; opaque is the device. The core splits or widens accesses to 1..max bytes
 * (max 0: 1). */
typedef struct PioRange {
    uint16_t port, count;
    uint8_t max;
    ReadFn *read;
    WriteFn *write;
    const char *name;                   /* in info mtree; NULL: the type's */
    bool past_end;                      /* see RegionOps */
} PioRange;

/* Lines as `info qtree` counts them. */
typedef struct GpioInfo {
    const char *name;
    uint8_t in, out;
} GpioInfo;

/* A page of `info NAME` that a type (or bus type) offers: printed for each device of the type in turn. */
typedef struct InfoRow {
    const char *name, *help;            /* "pic", "show PIC state" */
    void (*print)(Device *d, GString *out);
} InfoRow;

/* ---- Types ---- */

typedef enum DeviceCategory {
    CAT_MISC, CAT_BRIDGE, CAT_USB, CAT_STORAGE, CAT_NETWORK, CAT_INPUT, CAT_DISPLAY, CAT_SOUND, CAT_CPU, CAT_WATCHDOG,
    CAT_NONE,
} DeviceCategory;

struct DeviceType {
    const char *name, *desc;            /* QEMU's name */
    const char *alias;                  /* -device's second name, or NULL */
    const char *bus;                    /* kind of bus it plugs into: "ISA", "PCI", "IDE", ...; NULL: none (sysbus) */
    const DeviceType *parent;           /* its properties come first (pci_device_type, ...) */
    DeviceCategory category;
    bool internal;                      /* made by the board only, not by -device */
    bool no_bus;                        /* on no bus of QEMU's: not in info qtree */
    bool hotplug;                       /* device_add/device_del may */
    bool resets_itself;                 /* realize leaves it reset: device_add does nothing more */
    size_t size;                        /* of the instance; Device is its first member */
    const Property *props;              /* ends with {0} */
    const StateTable *state;            /* what the stream carries; NULL: nothing */
    const Field *host;                  /* rows for the audit only of a type with no stream section; else NULL */
    const PioRange *pio;                /* fixed windows; ends with {0} */
    const GpioInfo *gpios;              /* for info qtree; ends with {0} */
    const InfoRow *info;                /* ends with {0} */
    const void *class_data;             /* for the bus: PciClass, IdeClass, ... */
    bool (*realize)(Device *d, GError **err);
    void (*reset)(Device *d);
    void (*unrealize)(Device *d);
    bool (*drain)(Device *d);
    void (*input)(Device *d, unsigned n, int level);    /* an incoming line */
    unsigned inputs;                    /* how many; for irq_intercept_in */
};

struct BusType {
    const char *name;                   /* "PCI" */
    /* Lines of `info qtree` for one device on it; may be NULL. */
    void (*print_dev)(Bus *b, Device *d, GString *out, int indent);
    /* "/pci@i0cf8/ide@1,1": this device's part of its firmware path, or NULL. Caller frees. */
    char *(*fw_path)(Device *d);
    char *(*dev_path)(Device *d);       /* "0000:00:03.0": part of the migration section name, or NULL */
    bool (*bus_master)(Device *d);      /* devices have DMA address spaces of their own: is this one's switched on? */
    bool (*plug)(Bus *b, Device *d, GError **err);      /* before the device's realize: slots, defaults */
    bool (*plugged)(Bus *b, Device *d, GError **err);   /* after its realize */
    void (*unplug)(Bus *b, Device *d);
    bool (*request_unplug)(Bus *b, Device *d, GError **err); /* device_del; NULL: cannot be unplugged */
    void (*reset)(Bus *b);
    void (*fini)(Bus *b);               /* about to be freed, its devices are gone */
    const StateTable *state;            /* of the bus itself (PCIBUS, i2c_bus) */
    bool state_late;                    /* in the stream it follows its parent's, instead of going before it */
    const InfoRow *info;                /* print gets the bus's parent device */
    size_t size;                        /* of the instance; Bus is its first member */
};

struct Device {                         /* first member of every device struct */
    const DeviceType *type;
    Machine *machine;
    char *id;                           /* -device ...,id=; NULL: none */
    Bus *bus;                           /* where it is plugged in, or NULL */
    Device *owner;                      /* the device that made it part of itself, or NULL */
    const char *part;                   /* its name in owner, or in /machine; NULL: numbered */
    GSList *buses;                      /* that it provides, in order of creation */
    GPtrArray *regions;                 /* its fixed port windows; NULL: none */
    char *path;                         /* canonical path: "/machine/peripheral/id", ... */
    int32_t bootindex;                  /* -1: none; types that boot list it among their props */
    int instance_id;                    /* of its migration section; -1: next free */
    bool realized, hotplugged;
    uint64_t unplug_until;              /* guest time: until then the guest has to answer a device_del; 0: none asked */
    bool by_user;                       /* -device or device_add made it */
    void (*intercept)(Device *d, unsigned n, int level);    /* qtest: told of the inputs' changes */
    GHashTable *set_props;              /* names given by the user */
};

struct Bus {                            /* first member of every bus struct */
    const BusType *type;
    char *name;                         /* "pci.0", "ide.1" */
    Device *parent;
    GPtrArray *children;                /* Device *, in plug order */
    unsigned max_devices;               /* 0: no limit */
};

/* ---- Making devices (boards, buses) ---- */

/* A new, unrealized device with its property defaults (and -global's); NULL with err for bad -global values. */
Device *device_new(Machine *m, const DeviceType *t, GError **err);
/* Sets a property from text; err names property and device and, for a wrong name, the nearest. */
bool device_set(Device *d, const char *prop, const char *value, GError **err);
/* -global DRIVER.PROP=: has the type that property? A driver that is not known is worth a warning only, as with QEMU: scripts
 * set such for devices that may be there. */
bool device_check_global(const char *driver, const char *prop, GError **err);
void device_set_int(Device *d, const char *prop, int64_t value);    /* by the board: aborts on a wrong name */
char *device_get(Device *d, const char *prop, GError **err);        /* as text; caller frees */
/* Puts it on bus (NULL: none), maps its fixed ports, calls realize. On failure the device is freed. */
bool device_realize(Device *d, Bus *bus, GError **err);
/* device_new + device_realize for the board's own parts. */
Device *device_create(Machine *m, const DeviceType *t, Bus *bus, GError **err);
void device_free(Device *d);            /* unrealizes first */
void device_delete(Device *d);          /* the guest let it go: frees it, and says so (DEVICE_DELETED) */
void device_reset(Device *d);           /* it and what is on its buses: children first, of them the newest */
void device_init(Device *d, Machine *m, const DeviceType *t);       /* parts embedded in another device */
const char *device_name(const Device *d);   /* id, else type name */
char *device_fw_path(Device *d);        /* "/pci@i0cf8/ide@1,1/drive@0/disk@0"; caller frees */
char *device_section_prefix(Device *d); /* "0000:00:01.1", or NULL; caller frees */

Bus *bus_new(const BusType *t, Device *parent, const char *name);   /* name NULL: "TYPE.n" */
void bus_free(Bus *b);

/* All device types, sorted by name: hw/i386/devices.c fills the list in. */
extern const DeviceType *const device_types[];
const DeviceType *device_type_find(const char *name);               /* by name or alias */
bool device_type_is(const DeviceType *t, const DeviceType *base);   /* t or a parent of it */

/* The tree in order; fn returns false to stop. */
typedef bool DeviceVisit(Device *d, void *opaque);
bool machine_foreach_device(Machine *m, DeviceVisit *fn, void *opaque);
Device *device_find(Machine *m, const char *id_or_path);
Device *device_find_type(Machine *m, const char *type);              /* the first of it, or NULL */
Bus *bus_find(Machine *m, const char *name);                        /* "pci.0", or "id/pci.0" */
#define DEVICE(d, T) ((T *)(void *)(d))

/* -device/device_add: "e1000,id=n1,netdev=n0" or JSON; prints help for "help" and "TYPE,help" (returns NULL, no err). */
Device *device_add_opts(Machine *m, const char *opts, bool hotplug, GError **err);
const char *property_help(const Property *p);                       /* its description there; "": none */
void device_list_help(GString *out);                                /* -device help */
bool device_type_help(const char *type, GString *out, GError **err); /* -device TYPE,help */
void device_print_tree(Machine *m, GString *out);                   /* info qtree */
#endif
