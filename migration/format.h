/* Numbers of the migration stream, version 3 (QEMU's). docs/migration.md tells what they stand for. */
#ifndef MIGRATION_FORMAT_H
#define MIGRATION_FORMAT_H

#define MIG_MAGIC 0x5145564du           /* "QEVM" */
#define MIG_VERSION 3
#define MIG_PAGE 4096u

enum {
    MIG_EOF = 0, MIG_SECTION_START, MIG_SECTION_PART, MIG_SECTION_END, MIG_SECTION_FULL, MIG_SUBSECTION, MIG_VMDESC,
    MIG_CONFIGURATION, MIG_COMMAND, MIG_SECTION_FOOTER = 0x7e,
};

/* Section numbers: RAM's, and the first device's. */
enum { MIG_ID_RAM = 2, MIG_ID_FIRST = 3 };

/* In the low bits of a page's address. */
enum {
    RAM_ZERO = 0x02, RAM_MEM_SIZE = 0x04, RAM_PAGE = 0x08, RAM_EOS = 0x10, RAM_CONTINUE = 0x20, RAM_XBZRLE = 0x40,
    RAM_HOOK = 0x80, RAM_COMPRESSED = 0x100,
};
#define RAM_VERSION 4
#define XBZRLE_KIND 1

/*
 * Pages over several sockets (multifd). Each begins with a hello: magic, version, UUID (16 bytes), the channel's number (1),
 * 39 bytes unused. Packets follow: a head of seven numbers, 32 bytes unused, the block's name, offsets of the pages
 * (always MULTI_PAGES places for them), then the pages or what became of them.
 */
enum {
    MULTI_MAGIC = 0x11223344, MULTI_VERSION = 1, MULTI_PAGES = 128, MULTI_HELLO = 64, MULTI_NAME_AT = 64, MULTI_OFFSETS_AT = 320,
    MULTI_HEAD = MULTI_OFFSETS_AT + MULTI_PAGES * 8,
};
enum { MULTI_SYNC = 1, MULTI_PLAIN = 0 << 1, MULTI_ZLIB = 1 << 1, MULTI_ZSTD = 2 << 1, MULTI_METHOD = 7 << 1 };

/* Commands inside the stream. */
enum {
    CMD_OPEN_RETURN_PATH = 1, CMD_PING, CMD_POSTCOPY_ADVISE, CMD_POSTCOPY_LISTEN, CMD_POSTCOPY_RUN,
    CMD_POSTCOPY_RAM_DISCARD, CMD_PACKAGED, CMD_ENABLE_COLO, CMD_POSTCOPY_RESUME, CMD_RECV_BITMAP,
};

/* What the target says on the return path: type, length, data. */
enum { RP_SHUT = 1, RP_PONG, RP_REQ_PAGES_ID, RP_REQ_PAGES, RP_RECV_BITMAP, RP_RESUME_ACK };
#endif
