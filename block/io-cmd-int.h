/* Private to block/io-cmd*.c. */
#ifndef BLOCK_IO_CMD_INT_H
#define BLOCK_IO_CMD_INT_H
#include "block/io-cmd.h"

/* A call to be made in a coroutine. */
typedef struct IoCall {
    int (*fn)(struct IoCall *c);
    BlockNode *n;
    NodeLink *l;
    int64_t offset, bytes, pnum;
    const IoVec *v;
    unsigned flags;
    GError *err;
    int ret;
} IoCall;
int io_call(IoCall *c);

const IoCommand *io_find(const char *name, const IoSession *s);
char *io_size_text(double v);           /* "1.500 KiB" */
void io_report(IoSession *s, const char *op, int64_t ns, int64_t offset, int64_t bytes, int64_t done, int ops, bool machine);
void io_dump(IoSession *s, const uint8_t *buf, int64_t offset, int64_t bytes);
int io_pattern(IoSession *s, const char *text);     /* 0..255, or -1 with a message */
void io_drain(IoSession *s);            /* until no aio_* command is in flight */

int io_flush(IoSession *s, int argc, char **argv);
int io_truncate(IoSession *s, int argc, char **argv);
int io_length(IoSession *s, int argc, char **argv);
int io_info(IoSession *s, int argc, char **argv);
int io_alloc(IoSession *s, int argc, char **argv);
int io_map(IoSession *s, int argc, char **argv);
int io_reopen(IoSession *s, int argc, char **argv);
int io_sleep(IoSession *s, int argc, char **argv);
int io_sigraise(IoSession *s, int argc, char **argv);
int io_abort(IoSession *s, int argc, char **argv);
int io_break(IoSession *s, int argc, char **argv);
int io_quit(IoSession *s, int argc, char **argv);
int io_help(IoSession *s, int argc, char **argv);
int io_read(IoSession *s, int argc, char **argv);
int io_write(IoSession *s, int argc, char **argv);
int io_readv(IoSession *s, int argc, char **argv);
int io_writev(IoSession *s, int argc, char **argv);
int io_aio_read(IoSession *s, int argc, char **argv);
int io_aio_write(IoSession *s, int argc, char **argv);
int io_aio_flush(IoSession *s, int argc, char **argv);
int io_discard(IoSession *s, int argc, char **argv);
#endif
