/*
 * The commands of qemu-io, for vmemu-io and the monitor's "qemu-io": one line of text each, run on a drive.
 * What a command prints is appended to a text; errors that stock QEMU reports go through error_report.
 */
#ifndef BLOCK_IO_CMD_H
#define BLOCK_IO_CMD_H
#include "block/graph.h"

typedef struct IoSession IoSession;
typedef struct IoCommand {
    const char *name, *alt;             /* alt: a short name, or NULL */
    int (*run)(IoSession *s, int argc, char **argv);
    int min, max;                       /* arguments; max -1: any number */
    bool no_file;                       /* runs without an open image */
    unsigned perm;                      /* PERM_* that it needs */
    const char *args, *oneline;
    const char *help;                   /* or NULL */
} IoCommand;

struct IoSession {
    BlockBackend *blk;                  /* NULL: none is open */
    GString *out;
    const IoCommand *more;              /* further commands, NULL-named terminated */
    unsigned in_flight;                 /* of aio_read and aio_write */
    bool monitor;                       /* complaints go into out, too; no signals, no waiting */
    bool misaligned, quit;
    int status;                         /* of all so far: 1 after a failure */
};

/* Runs one command line. false: it failed. */
bool io_command(IoSession *s, const char *line);
extern const IoCommand io_commands[];
/* For commands: a number with a suffix, or -1 and a message. */
int64_t io_number(IoSession *s, const char *text);
bool io_usage(IoSession *s, const IoCommand *c);
#endif
