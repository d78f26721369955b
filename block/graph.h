/*
 * The graph behind a drive, and what a block driver is.  For block/ and the image tools.
 *
 * A BlockNode is an open image, protocol or filter.  NodeLinks connect it with its children ("file", "backing", ...)
 * and its parents (nodes and drives); each says what the parent does with the child (perm) and what it lets others do
 * (shared).  Permissions are checked and, at the file, taken as locks whenever a link changes.
 *
 * Drivers are straight-line coroutine code: node_co_* and a driver's co_* functions run in a coroutine and return
 * 0 or -errno.  Everything is under the machine lock.
 *
 * bool functions with GError ** follow util/error.h.
 */
#ifndef BLOCK_GRAPH_H
#define BLOCK_GRAPH_H
#include "block/block.h"
#include "util/coroutine.h"
#include "util/iov.h"

/* What a parent does with a child, or lets others do. The bits are those of the locks in the file. */
enum {
    PERM_READ = 1 << 0,                 /* sees consistent data */
    PERM_WRITE = 1 << 1,
    PERM_WRITE_UNCHANGED = 1 << 2,      /* writes that leave the visible data as it was */
    PERM_RESIZE = 1 << 3,
    PERM_ALL = 15,
};
#define PERM_N 4
extern const char *const perm_names[PERM_N];
char *perm_list(unsigned perms);        /* "consistent read, write" */

/* What a child is for. */
enum {
    ROLE_DATA = 1 << 0, ROLE_METADATA = 1 << 1, ROLE_FILTERED = 1 << 2, ROLE_COW = 1 << 3, ROLE_PRIMARY = 1 << 4,
    ROLE_IMAGE = ROLE_DATA | ROLE_METADATA | ROLE_PRIMARY,
};

/* How a node is opened. */
enum {
    OPEN_RDWR = 1 << 0,
    OPEN_SNAPSHOT = 1 << 1,             /* under a temporary overlay */
    OPEN_TEMPORARY = 1 << 2,            /* delete the file */
    OPEN_DIRECT = 1 << 3,               /* cache.direct */
    OPEN_NO_FLUSH = 1 << 4,             /* cache.no-flush */
    OPEN_NO_BACKING = 1 << 5,
    OPEN_UNMAP = 1 << 6,                /* discard=unmap */
    OPEN_COPY_ON_READ = 1 << 7,
    OPEN_AUTO_RDONLY = 1 << 8,
    OPEN_FORCE_SHARE = 1 << 9,
    OPEN_NO_IO = 1 << 10,               /* only looks at metadata (info) */
    OPEN_CHECK = 1 << 11,               /* for a repair: accept what is wrong */
    OPEN_PROTOCOL = 1 << 12,            /* the child of a format: no probing */
};

/* Block status, as qemu-img map tells it. */
enum {
    STATUS_DATA = 1 << 0,               /* a read goes to the disk */
    STATUS_ZERO = 1 << 1,               /* reads as zeroes */
    STATUS_OFFSET = 1 << 2,             /* *map and *file say where it is */
    STATUS_RAW = 1 << 3,                /* ask *file at *map */
    STATUS_ALLOCATED = 1 << 4,          /* this layer decides, not the backing file */
    STATUS_EOF = 1 << 5,
    STATUS_RECURSE = 1 << 6,
    STATUS_COMPRESSED = 1 << 7,
};

/* Request flags beyond those of block.h */
enum {
    REQ_WRITE_COMPRESSED = 1 << 8,
    REQ_WRITE_UNCHANGED = 1 << 9,       /* copy on read */
    REQ_SERIALISE = 1 << 10,
    REQ_COPY_ON_READ = 1 << 11,         /* this read is also written to the top layer */
};

typedef struct NodeLink {
    BlockNode *node;
    char *name;                         /* "file", "backing", "root" */
    BlockNode *parent_node;             /* or */
    BlockBackend *parent_blk;
    unsigned role, perm, shared;
    struct NodeLink *next_parent;       /* of node */
} NodeLink;

typedef struct NodeLimits {
    uint32_t request_align;             /* offset and length of reads and writes; power of two >= 1 */
    uint32_t mem_align;                 /* of buffers */
    uint32_t zero_align, discard_align; /* what drv's co_zero / co_discard prefer; 0: request_align */
    uint32_t opt_transfer;
    int64_t max_transfer;               /* 0: BLK_MAX_REQUEST */
} NodeLimits;

typedef struct NodeInfo {
    int cluster_size;
    int64_t vm_state_offset;
    bool is_dirty, needs_compressed_writes;
} NodeInfo;

typedef struct SnapshotInfo {
    char id[128], name[256];
    uint64_t vm_state_size, vm_clock_ns, icount;
    uint32_t date_sec, date_nsec;
} SnapshotInfo;

typedef enum Prealloc { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL } Prealloc;
extern const char *const prealloc_names[];

typedef struct CheckResult {
    int64_t corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
    int64_t image_end_offset, total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
    void (*message)(void *opaque, const char *line);    /* "ERROR ...", "Leaked cluster ..."; may be NULL */
    void *opaque;
} CheckResult;
enum { FIX_LEAKS = 1, FIX_ERRORS = 2 };

/* What "qemu-img measure" tells. */
typedef struct MeasureInfo { uint64_t required, full, bitmaps; bool has_bitmaps; } MeasureInfo;

/* An option of image creation, for help, parsing and -o help. */
typedef enum CreateOptType { COPT_STRING, COPT_BOOL, COPT_NUMBER, COPT_SIZE } CreateOptType;
typedef struct CreateOpt {
    const char *name;
    CreateOptType type;
    const char *help, *def;
    bool amend_only;                    /* not for creation */
} CreateOpt;

typedef struct BlockDriver {
    const char *name;
    bool is_protocol;                   /* else a format or filter with a child "file" */
    bool is_filter, supports_backing;
    bool zero_beyond_end;               /* a child of it may be read past its end (all are) */
    size_t state_size;                  /* of node->state, zeroed */
    const CreateOpt *create_opts;       /* NULL-named terminated; NULL: can't be created */
    const char *const *required;        /* options without which open fails, for its message; may be NULL */

    /* 0..100: how sure it is that the image, of which these are the first bytes, is its own. */
    int (*probe)(const uint8_t *buf, size_t n, const char *filename);
    /* "nbd:host:port" -> options */
    bool (*parse_filename)(const char *filename, json_t *opts, GError **err);
    /* In a coroutine. Takes its options; opens children with node_open_child; sets node->length and limits. */
    bool (*open)(BlockNode *n, json_t *opts, unsigned flags, GError **err);
    /* n is about to become (or be no longer) writable; its children are (still) so. In a coroutine. */
    bool (*reopen)(BlockNode *n, bool rw, GError **err);
    void (*close)(BlockNode *n);        /* writes back what it has cached; in a coroutine */
    bool (*create)(const char *filename, json_t *opts, GError **err);   /* in a coroutine; takes its options */

    int (*co_read)(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t v_offset, unsigned flags);
    int (*co_write)(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t v_offset, unsigned flags);
    int (*co_zero)(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags);        /* -ENOTSUP: write zeroes */
    int (*co_discard)(BlockNode *n, int64_t offset, int64_t bytes);
    int (*co_flush)(BlockNode *n);      /* to the disk; NULL: flushes "file" */
    int (*co_truncate)(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err);
    /* Status of at most bytes from offset; *pnum: how far it holds (> 0). */
    int (*co_status)(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file);
    int64_t (*length)(BlockNode *n);    /* NULL: node->length */
    int64_t (*allocated)(BlockNode *n); /* bytes on the host's disk; NULL: the sum of the storage children */
    void (*refresh_limits)(BlockNode *n);
    bool (*info)(BlockNode *n, NodeInfo *info);
    json_t *(*specific_info)(BlockNode *n);     /* ImageInfoSpecific of QMP; NULL: none */
    unsigned write_flags, zero_flags;   /* BLK_FUA, BLK_MAY_UNMAP... that co_write and co_zero handle */

    /* Permissions: what the node needs of a child when its own parents need perm and share shared. NULL: the rules
     * of the child's role. check takes what is new, set drops what is no longer needed, abort takes check back. */
    void (*child_perm)(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared);
    bool (*perm_check)(BlockNode *n, unsigned perm, unsigned shared, GError **err);
    void (*perm_set)(BlockNode *n, unsigned perm, unsigned shared);
    void (*perm_abort)(BlockNode *n);

    int (*co_check)(BlockNode *n, CheckResult *res, unsigned fix);
    /* Internal snapshots; all in a coroutine. */
    int (*snapshot_list)(BlockNode *n, SnapshotInfo **list);    /* count or -errno; g_free(*list) */
    bool (*snapshot_create)(BlockNode *n, const SnapshotInfo *sn, GError **err);
    bool (*snapshot_goto)(BlockNode *n, const char *id_or_name, GError **err);
    bool (*snapshot_delete)(BlockNode *n, const char *id_or_name, GError **err);
    bool (*snapshot_load)(BlockNode *n, const char *id, const char *name, GError **err);    /* to be read, for a while */
    bool (*set_backing)(BlockNode *n, const char *file, const char *fmt, GError **err);
    int (*co_make_empty)(BlockNode *n); /* forgets all data: the backing file shows */
    /* How large an image with these options would be that holds what `in` (may be NULL) does. opts stay as they are. */
    bool (*measure)(json_t *opts, BlockNode *in, MeasureInfo *info, GError **err);
    const char *const *amend_opts;      /* names out of create_opts */
    bool (*amend)(BlockNode *n, json_t *opts, bool force, GError **err);    /* takes its options */
    bool (*can_store_bitmaps)(BlockNode *n);    /* persistent ones (bitmap.h); NULL: never */
    /* The area for a machine's state, behind the disk's end; v NULL: discards it. */
    int (*co_vmstate)(BlockNode *n, int64_t offset, const IoVec *v, size_t bytes, bool write);

    /* Migration, both in a coroutine: nothing is left to write; whatever was read from the image may have changed. */
    int (*inactivate)(BlockNode *n);
    bool (*activate)(BlockNode *n, GError **err);
} BlockDriver;

typedef struct TrackedRequest {
    int64_t start, end;                 /* widened to the alignment when serialising */
    bool serialising;
    CoQueue waiters;
    struct TrackedRequest *next, *prev;
} TrackedRequest;

struct BlockNode {
    char *name;                         /* node-name, given or "#block123" */
    const BlockDriver *drv;
    void *state;                        /* drv's */
    unsigned flags;                     /* OPEN_* as settled */
    bool read_only, probed;             /* probed: raw by guess, block 0 is protected */
    bool backing_overridden;            /* options, not the image, say what backs it */
    bool broken;                        /* its metadata are corrupt: every request fails */
    bool blockdev;                      /* the user's own reference (-blockdev) is held */
    bool implicit;                      /* a job's filter: not shown as a drive's medium */
    int detect_zeroes;                  /* 0 off, 1 on, 2 unmap */
    char *filename;                     /* for messages and lists; "json:{...}" when nothing shorter says it */
    char *exact_filename;               /* what opens it again, or "" */
    char *backing_file, *backing_format;        /* as the image's header says; NULL: none */
    json_t *options;                    /* that it was opened with */
    unsigned refs;
    NodeLink *file, *backing;           /* two of links */
    GPtrArray *links;                   /* NodeLink *, owned */
    NodeLink *parents;                  /* not owned */
    int64_t length;                     /* bytes */
    NodeLimits limits;
    TrackedRequest *tracked;
    unsigned serialising;               /* how many of them are */
    unsigned in_flight;
    uint64_t write_highest, write_threshold;    /* threshold: 0: none */
    struct DirtyBitmap *bitmaps;        /* bitmap.h */
    BlockNode *next;                    /* of all nodes, in order of creation */
};

/* ---- nodes (node.c, open.c) */
extern const BlockDriver *const block_drivers[];        /* NULL-terminated */
extern const BlockDriver *block_test_driver;            /* one more, that a test brings along */
const BlockDriver *driver_find(const char *name);
/* Nearest driver name, for messages; may be NULL. */
const char *driver_nearest(const char *name);
/* Opens filename (may be NULL) with flat options (taken over; may be NULL). The caller owns one reference.
 * Runs its own coroutine when called outside. */
BlockNode *node_open(const char *filename, json_t *opts, unsigned flags, GError **err);
/* A driver opens its child NAME: from options "NAME.*", a node-name in option NAME, or filename. A child that may be
 * missing: allow_none; then NULL without error. */
NodeLink *node_open_child(BlockNode *n, const char *filename, json_t *opts, const char *name, unsigned role,
                          bool allow_none, GError **err);
bool node_open_backing(BlockNode *n, json_t *opts, GError **err);
/* Formats: the options of "file" have been used by the probe already. */
/* Makes an open node, and what it is stored in, writable or read-only; false: it stays as it was. */
bool node_reopen(BlockNode *n, bool rw, GError **err);
BlockNode *node_ref(BlockNode *n);
void node_unref(BlockNode *n);          /* the last one closes it */
BlockNode *node_by_name(const char *name);
BlockNode *node_next(BlockNode *n);     /* NULL: the first */
BlockNode *node_new(const BlockDriver *drv, const char *name);
bool node_name_ok(const char *name, GError **err);
/* Takes over the caller's reference on child (dropped on failure too). */
NodeLink *node_link(BlockNode *parent, BlockNode *child, const char *name, unsigned role, GError **err);
void node_unlink(BlockNode *parent, NodeLink *l);
NodeLink *blk_link(BlockBackend *blk, BlockNode *child, unsigned perm, unsigned shared, GError **err);
void blk_unlink(NodeLink *l);
bool link_set_perm(NodeLink *l, unsigned perm, unsigned shared, GError **err);
bool node_refresh_perms(BlockNode *n, GError **err);
void perm_default(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared);
/* Puts a new top node over or in place of another: all parents of from get to, but for `to` itself. */
bool node_replace(BlockNode *from, BlockNode *to, GError **err);
NodeLink *node_storage(BlockNode *n);   /* the child with ROLE_PRIMARY or ROLE_FILTERED; or NULL */
BlockNode *node_skip_filters(BlockNode *n);
BlockNode *node_backing(BlockNode *n);  /* next of the backing chain, filters skipped; or NULL */
void node_refresh_limits(BlockNode *n);
void node_set_length(BlockNode *n, int64_t length);     /* tells parents */
int64_t node_length(BlockNode *n);
int64_t node_allocated(BlockNode *n);
void node_refresh_filename(BlockNode *n);
bool node_has_zero_init(BlockNode *n);
/* Path of the backing file that an image at `filename` names: relative names are relative to the image. */
char *backing_path(const char *filename, const char *backing, GError **err);
bool path_has_protocol(const char *path);
/* The protocol that a name stands for, or NULL and err. */
const BlockDriver *protocol_of(const char *filename, GError **err);
/* Opens "file" of a new format node; for drivers' open. */
static inline bool node_writable(const BlockNode *n) { return !n->read_only; }
/* The driver's probe of an open protocol node. */
const BlockDriver *node_probe(BlockNode *file, const char *filename, GError **err);
bool image_create(const char *filename, const char *fmt, json_t *opts, GError **err);   /* opts: taken over */
/* What a format driver's create does first: the file, with what the protocol takes of opts. */
bool protocol_create(const char *filename, json_t *opts, GError **err);
bool file_create(const char *filename, int64_t size, Prealloc p, GError **err);

/* ---- I/O (io.c); in a coroutine */
int node_co_read(NodeLink *l, int64_t offset, int64_t bytes, const IoVec *v, size_t v_offset, unsigned flags);
int node_co_write(NodeLink *l, int64_t offset, int64_t bytes, const IoVec *v, size_t v_offset, unsigned flags);
int node_co_zero(NodeLink *l, int64_t offset, int64_t bytes, unsigned flags);
int node_co_discard(NodeLink *l, int64_t offset, int64_t bytes);
int node_co_flush(BlockNode *n);
int node_co_truncate(NodeLink *l, int64_t length, bool exact, Prealloc p, GError **err);
int node_co_pread(NodeLink *l, int64_t offset, void *buf, size_t bytes);
int node_co_pwrite(NodeLink *l, int64_t offset, const void *buf, size_t bytes);
int node_co_pwrite_sync(NodeLink *l, int64_t offset, const void *buf, size_t bytes);    /* and flush */
/* Of this layer (the backing chain not looked at); then of all layers down to, not including, base. */
int node_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file);
int node_co_status_above(BlockNode *n, BlockNode *base, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map,
                         BlockNode **file, int *depth);
/* 1: allocated in a layer above base (base included with include_base), or behind the end of one; 0: not, -errno */
int node_co_allocated_above(BlockNode *n, BlockNode *base, bool include_base, int64_t offset, int64_t bytes,
                            int64_t *pnum);
/* Writes again what reads as [offset, offset+bytes) (whole clusters), so that it is allocated in this layer; nothing
 * else writes there meanwhile. buf holds bytes. */
int node_co_copy_up(NodeLink *l, int64_t offset, int64_t bytes, void *buf);
void *block_memalign(size_t bytes);     /* good for any O_DIRECT file; free() */
void *block_try_memalign(size_t bytes); /* may return NULL */
const void *block_zero_buffer(void);    /* ZERO_PAGE bytes of zeroes */
#define ZERO_PAGE 65536

/* ---- drives: what nodes and the monitor need of them (backend.c) */
BlockNode *blk_node(BlockBackend *blk);         /* NULL: empty */
NodeLink *blk_root(BlockBackend *blk);
BlockBackend *blk_new(const char *name, unsigned perm, unsigned shared);
void blk_unref(BlockBackend *blk);
bool blk_insert(BlockBackend *blk, BlockNode *n, GError **err);
void blk_remove(BlockBackend *blk);
void blk_node_resized(BlockBackend *blk);
char *blk_attached_path(BlockBackend *blk);     /* malloc'ed; "" when no device */
void block_event(const char *name, json_t *data);
/* A drive on a file, for tools. */
BlockBackend *blk_open(const char *filename, json_t *opts, unsigned flags, GError **err);

extern const BlockDriver driver_file, driver_host_device, driver_raw, driver_qcow2, driver_null_co, driver_null_aio;
#ifdef CONFIG_NBD
extern const BlockDriver driver_nbd;
#endif
#ifdef CONFIG_RBD
extern const BlockDriver driver_rbd;
#endif
#endif
