/*
 * The monitor: HMP, the one for people, and QMP, the one for programs, on any number of chardevs.
 *
 * One table row a command (monitor-int.h) gives both their parsing, help, completion and introspection.
 * Everything runs on the main thread, under the machine lock; monitor_event may come from any thread that has it.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include "chardev/char.h"

typedef struct Machine Machine;
typedef struct Monitor Monitor;

/* What the command line knows and commands ask for; members may be NULL. */
typedef struct MonitorHost {
    json_t *(*command_line_options)(const char *option, GError **err);  /* query-command-line-options */
    json_t *(*display_options)(void);                                   /* query-display-options */
    /* Where gdbserver listens: a chardev's name, or "none". */
    bool (*gdbserver)(const char *device, GError **err);
    bool (*object_add)(json_t *opts, GError **err);     /* values may be strings: "on", "10M" */
    bool (*object_del)(const char *id, GError **err);
} MonitorHost;

/* The greeting's version, as scripts look for it. */
#define MONITOR_VERSION "7.2.0"
#define MONITOR_PACKAGE "vmemu " CONFIG_VERSION

/* Once the machine exists, before its devices are made: takes the machine's event hook and "mon:" chardevs. */
void monitor_init(Machine *m, const MonitorHost *host);
/* A monitor on chr. QMP: pretty indents its answers. */
bool monitor_add_hmp(Chardev *chr, bool readline, GError **err);
bool monitor_add_qmp(Chardev *chr, bool pretty, GError **err);
/* -mon "chardev=ID,mode=readline|control,pretty=on|off". */
bool monitor_add_opts(const char *optstr, GError **err);
/* -monitor, -qmp, -qmp-pretty: a chardev's name; "none" is legal and makes none. */
bool monitor_add_legacy(const char *filename, bool qmp, bool pretty, GError **err);
/* At the end: gives what is still to be written a last chance, lets the chardevs go. */
void monitor_cleanup(void);

/* To every QMP client; data (may be NULL) is taken over. */
void monitor_event(const char *name, json_t *data);
/* Runs one line as on a terminal and returns what it printed (human-monitor-command). */
char *monitor_hmp(const char *line, int cpu);
/* A file descriptor that was passed by getfd, and now belongs to the caller; or -1. */
int monitor_take_fd(const char *name, GError **err);
/* A name given to getfd, or a number of ours: what options called "fd" take. */
int monitor_fd_param(const char *name, GError **err);

void mon_printf(Monitor *mon, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
#endif
