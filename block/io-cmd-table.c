/* qemu-io: the commands. */
#include "block/io-cmd-int.h"

#define R PERM_READ
#define W (PERM_READ | PERM_WRITE)

const IoCommand io_commands[] = {
    { "abort", NULL, io_abort, 0, 0, true, 0, NULL, "simulate a program crash using abort(3)", NULL },
    { "aio_flush", NULL, io_aio_flush, 0, 0, false, 0, NULL, "completes all outstanding aio requests", NULL },
    { "aio_read", NULL, io_aio_read, 2, -1, false, R, "[-Ciqv] [-P pattern] off len [len..]",
      "asynchronously reads a number of bytes",
      " -C, -q, -v, -P as with readv\n -i: count an invalid request instead\n aio_flush waits for the end." },
    { "aio_write", NULL, io_aio_write, 2, -1, false, W, "[-Cfiquz] [-P pattern] off len [len..]",
      "asynchronously writes a number of bytes",
      " -C, -f, -q, -P as with writev; -u, -z as with write\n -i: count an invalid request instead\n"
      " aio_flush waits for the end." },
    { "alloc", NULL, io_alloc, 1, 2, false, 0, "offset [count]", "checks if offset is allocated in the file", NULL },
    { "break", NULL, io_break, 2, 2, false, 0, "event tag",
      "sets a breakpoint on event and tags the stopped request as tag", NULL },
    { "discard", "d", io_discard, 2, -1, false, W, "[-Cq] off len", "discards a number of bytes at a specified offset",
      " -C: figures for programs\n -q: no figures" },
    { "flush", "f", io_flush, 0, 0, false, 0, NULL, "flush all in-core file state to disk", NULL },
    { "help", "?", io_help, 0, 1, true, 0, "[command]", "help for one or all commands", NULL },
    { "info", "i", io_info, 0, 0, false, 0, NULL, "prints information about the current file", NULL },
    { "length", "l", io_length, 0, 0, false, 0, NULL, "gets the length of the current file", NULL },
    { "map", NULL, io_map, 0, 0, false, 0, "", "prints the allocated areas of a file", NULL },
    { "quit", "q", io_quit, 0, 0, true, 0, NULL, "exit the program", NULL },
    { "read", "r", io_read, 2, -1, false, R, "[-abCqv] [-P pattern [-s off] [-l len]] off len",
      "reads a number of bytes at a specified offset",
      " -b: of the VM state, not of the disk\n -C: figures for programs\n -q: no figures\n -v: show the data\n"
      " -P: complain unless all bytes (with -s and -l: those of a part) are this one" },
    { "readv", "rv", io_readv, 2, -1, false, R, "[-Cqv] [-P pattern] off len [len..]",
      "reads a number of bytes at a specified offset", " As read, into as many buffers as lengths are given." },
    { "remove_break", NULL, io_break, 1, 1, false, 0, "tag", "remove a breakpoint by tag", NULL },
    { "reopen", NULL, io_reopen, 0, -1, false, 0, "[(-r|-w)] [-c cache] [-o options]", "reopens an image with new options",
      " -r, -w: read-only, writable\n -c: cache mode" },
    { "resume", NULL, io_break, 1, 1, false, 0, "tag", "resumes the request tagged as tag", NULL },
    { "sigraise", NULL, io_sigraise, 1, 1, true, 0, "signal", "raises a signal", " The number of the signal." },
    { "sleep", NULL, io_sleep, 1, 1, true, 0, NULL, "waits for the given value in milliseconds", NULL },
    { "truncate", "t", io_truncate, 1, 3, false, W | PERM_RESIZE, "[-m prealloc_mode] off",
      "truncates the current file at the given offset", NULL },
    { "wait_break", NULL, io_break, 1, 1, false, 0, "tag", "waits for the suspension of a request", NULL },
    { "write", "w", io_write, 2, -1, false, W, "[-bcCfnquz] [-P pattern | -s source_file] off len",
      "writes a number of bytes at a specified offset",
      " -P: with this byte (0xcd)\n -s: what stands in this file, repeated\n -z: zeroes; -u: which may be unmapped;\n"
      " -n: only where that is fast\n -b: into the VM state, not the disk\n -c: compressed\n -f: force unit access\n"
      " -C: figures for programs\n -q: no figures" },
    { "writev", "wv", io_writev, 2, -1, false, W, "[-Cfq] [-P pattern] off len [len..]",
      "writes a number of bytes at a specified offset", " As write, from as many buffers as lengths are given." },
    { NULL },
};
