/*
 * The machine: what holds address spaces, clock, devices and run state together. Boards (hw/i386), the monitor,
 * migration and vl.c see this header; device models need only device.h, memory.h and runstate.h.
 */
#ifndef HW_CORE_MACHINE_H
#define HW_CORE_MACHINE_H
#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/core/memory.h"
#include "hw/core/runstate.h"
#include "util/loop.h"

typedef struct Clock Clock;
typedef struct FlatView FlatView;
typedef struct RunControl RunControl;

typedef struct NumaNode { uint64_t size; GArray *cpus; char *memdev; uint8_t distance[128]; bool has_distance; } NumaNode;

/* What the command line says of the machine: filled in by cli/, read by boards. Strings are owned by it. */
typedef struct MachineConfig {
    char *type;                         /* -machine TYPE */
    uint64_t ram_size, max_ram_size;    /* -m size,maxmem= */
    unsigned ram_slots;
    bool ram_size_given;
    struct { unsigned cpus, sockets, dies, cores, threads, max_cpus; } smp;
    char *cpu;                          /* -cpu text, or NULL */
    char *bios;                         /* -bios */
    char *kernel, *initrd, *append, *dtb;
    char *boot_order, *boot_once;       /* -boot order=, once= */
    bool boot_menu, boot_menu_set, boot_strict;
    char *boot_splash;
    int64_t boot_splash_time, boot_reboot_timeout;  /* -1: not set */
    char *name, *process_name;
    bool debug_threads;
    uint8_t uuid[16];
    bool uuid_set;
    bool no_acpi, no_hpet, usb, graphics, no_reboot, no_shutdown, nodefaults, preconfig;
    char *vga;                          /* "std", "none", ... NULL: default */
    char *rtc_base, *rtc_clock;         /* -rtc */
    bool rtc_slew;
    GPtrArray *fw_cfg, *smbios;         /* option texts, in order */
    GPtrArray *serial, *parallel;       /* of each port, the chardev's id, or NULL: no such port */
    GArray *numa;                       /* NumaNode */
    GHashTable *props;                  /* -machine's other properties: name -> text */
    GSList *globals;                    /* "driver.prop=value" texts, in order */
    char *memory_backend, *mem_path;
    bool mem_prealloc;
    unsigned action_reboot, action_shutdown, action_panic, action_watchdog; /* -action */
} MachineConfig;

enum { ACTION_REBOOT_RESET, ACTION_REBOOT_SHUTDOWN };
enum { ACTION_SHUTDOWN_POWEROFF, ACTION_SHUTDOWN_PAUSE };
enum { ACTION_PANIC_SHUTDOWN, ACTION_PANIC_PAUSE, ACTION_PANIC_EXIT_FAILURE, ACTION_PANIC_NONE };
enum { ACTION_WATCHDOG_RESET, ACTION_WATCHDOG_SHUTDOWN, ACTION_WATCHDOG_POWEROFF, ACTION_WATCHDOG_PAUSE,
       ACTION_WATCHDOG_DEBUG, ACTION_WATCHDOG_NONE, ACTION_WATCHDOG_INJECT_NMI };

typedef struct MachineType {
    const char *name, *alias, *desc;
    bool is_default;
    unsigned max_cpus;
    uint64_t default_ram_size;
    const char *default_cpu, *default_ram_id;   /* "pc.ram" */
    const Property *props;                      /* for help and introspection; values are in MachineConfig.props */
    bool (*init)(Machine *m, GError **err);     /* builds the board; -device ones come after */
    bool (*ready)(Machine *m, GError **err);    /* all devices realized: firmware tables, kernel */
    /* A device of a hotplug type that plugs into no bus (a CPU, a memory module): before and after its realize,
     * and when device_del wants it to go: then the board asks the guest, which answers in its time. NULL: it can't. */
    bool (*pre_plug)(Machine *m, Device *d, GError **err);
    bool (*plugged)(Machine *m, Device *d, GError **err);
    bool (*request_unplug)(Machine *m, Device *d, GError **err);
    void (*unplugged)(Machine *m, Device *d);   /* about to be freed */
    bool (*set_boot_order)(Machine *m, const char *order, GError **err);    /* the monitor's boot_set */
    void (*nmi)(Machine *m);                    /* the monitor's nmi, a watchdog's inject-nmi */
    void (*ioapic_eoi)(Machine *m, unsigned vector);    /* kernel-irqchip=split */
} MachineType;

struct Machine {
    const MachineType *type;
    MachineConfig *cfg;

    Region memory, io;                  /* the roots "system" and "io" */
    FlatView *mem_view, *io_view;
    /* System management mode: what a CPU sees in it is smram, where that is enabled, over the memory. */
    bool smm;                           /* the machine has it; the rest is set up only then */
    Region smm_root, smm_memory, smram; /* "mem-container-smram", its alias of the memory, "smram" */
    FlatView *smm_view;
    unsigned map_depth;
    bool map_dirty;
    bool log_ram;                       /* ram_log_start */
    GPtrArray *ram_blocks;              /* RamBlock *, in order of creation */
    GPtrArray *mem_backends;            /* MemBackend * (hostmem.h), as -object gave them */
    GArray *roms;                       /* roms.c's, or NULL */

    Clock *clock;                       /* guest time */
    RunControl *run;

    Device *root;                       /* the system bus's owner: "/machine" */
    Bus *sysbus;                        /* parent of all that plugs into no other bus: "main-system-bus" */
    GPtrArray *devices;                 /* all realized devices, in order of realization */
    unsigned paths_unattached, paths_anon;  /* the next numbers in /machine/unattached and peripheral-anon */
    GPtrArray *vcpus;                   /* Vcpu * */
    void *board;                        /* the board's own */
    AccelHost host;                     /* what the accelerator was given */
    struct Qtest *qtest;                /* the qtest server, or NULL */

    /* Upward hooks, set by whoever serves them before the machine is built. */
    struct {
        void *opaque;
        void (*event)(void *opaque, const char *name, const char *fmt, va_list ap);  /* QMP event, jansson pack format */
        void *(*find_drive)(const char *id, Device *d, GError **err);       /* PROP_DRIVE -> BlockBackend */
        const char *(*drive_name)(void *blk);
        bool (*open_chr)(void *frontend, const char *id, Device *d, GError **err);  /* PROP_CHR */
        const char *(*chr_name)(const void *frontend);
        void *(*find_netdev)(const char *id, Device *d, GError **err);      /* PROP_NETDEV */
        const char *(*netdev_name)(void *net);
        bool (*drain_blocks)(void);     /* finish host I/O of all backends */
        int (*flush_blocks)(void);
    } hooks;
};

MachineConfig *machine_config_new(void);
Machine *machine_new(const MachineType *t, MachineConfig *cfg);
/* In this order: accel_open with this host table, machine_build (the board), -device ones, machine_ready (firmware
 * tables, first reset), machine_start. */
const AccelHost *machine_accel_host(Machine *m);
bool machine_build(Machine *m, GError **err);
/* By the board, before it maps anything: CPUs can enter system management mode. */
void machine_enable_smm(Machine *m);
bool machine_ready(Machine *m, GError **err);
void machine_main_loop(Machine *m);     /* until exit is asked for */
int machine_exit_status(Machine *m);
void machine_free(Machine *m);          /* unrealizes everything */

void machine_event(Machine *m, const char *name, const char *fmt, ...);
/* All bus and device InfoRows that the machine has: calls fn for each name once. */
void machine_foreach_info(Machine *m, void (*fn)(const InfoRow *row, void *opaque), void *opaque);
bool machine_print_info(Machine *m, const char *name, GString *out);        /* false: no such page */
void machine_inject_nmi(Machine *m);

/* For `info roms`: what was loaded. A name in fw_cfg's genroms/, an image in memory, a table in a RAM block. */
typedef enum RomKind { ROM_FW_CFG, ROM_MEMORY, ROM_TABLE } RomKind;
void machine_add_rom(Machine *m, RomKind kind, const char *name, uint64_t addr, uint64_t size);
void machine_print_roms(Machine *m, GString *out);

const MachineType *machine_type_find(const char *name);
extern const MachineType *const machine_types[];    /* hw/i386/devices.c; NULL-terminated */

/* Guest time (clock.c). */
void clock_init(Machine *m, bool virtual_time);
uint64_t clock_now(Machine *m);
void clock_start(Machine *m);
void clock_stop(Machine *m);
void clock_set(Machine *m, uint64_t ns);            /* migration: the guest time to go on from; qtest */
uint64_t clock_step(Machine *m, int64_t ns);        /* qtest: -1: to the next timer; returns now */
uint64_t clock_deadline(Machine *m);                /* the first timer's time, or TIMER_NEVER */
void clock_free(Machine *m);
uint64_t host_now_ns(void);                         /* CLOCK_REALTIME */

/* The qtest server (qtest.c): protocol on a chardev-like fd pair; see docs. */
bool qtest_server_start(Machine *m, const char *spec, const char *log_file, GError **err);
#endif
