/* The process: -pidfile, -daemonize, signals, -name process=. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H
#include "hw/core/machine.h"

/* Goes into the background; the parent waits until process_ready, and exits with 1 when that never comes. */
bool process_daemonize(GError **err);
/* All is set up: lets the parent of -daemonize go; from now on there is no terminal. */
bool process_ready(GError **err);
/* Writes and locks the file; it is removed at the end. */
bool process_write_pid(const char *path, GError **err);
void process_cleanup(void);
/* SIGINT, SIGTERM and SIGHUP shut the machine down cleanly; SIGPIPE is ignored. */
void process_catch_signals(Machine *m);
/* What ps shows. */
void process_set_name(const char *name);
#endif
