/*
 * qcow2, versions 2 and 3, after docs/interop/qcow2.txt of the QEMU project (names of fields as there).
 *
 * Order of metadata writes, so that a crash at any write leaves an image that opens and at worst leaks clusters:
 *   1. A reference count that has risen is on the disk before anything refers to the cluster.
 *   2. A cluster's contents (data, copied data, a new L2 table) are on the disk before an entry refers to it.
 *   3. An L1 entry is written after its L2 table, an entry of the refcount table after its block.
 *   4. A reference count falls only when the write that removed the reference is on the disk, and the cluster is not
 *      given out again before.
 * So all changes are made in memory; qcow2_write_back writes refcount blocks, flushes, writes L2 tables, flushes,
 * writes L1 sectors.  Freed clusters wait in a list ("pending") until a complete flush has passed.
 *
 * Everything but the caches is looked at under the node's lock, or without it where nothing yields in between.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H
#include "block/graph.h"

#define QCOW2_MAGIC 0x514649fb
#define MIN_CLUSTER_BITS 9
#define MAX_CLUSTER_BITS 21
#define MAX_L1_BYTES (32 * 1024 * 1024)
#define MAX_REFTABLE_BYTES (8u * 1024 * 1024)
#define MAX_SNAPSHOTS 65536
#define MAX_SNAPSHOT_BYTES (64 * 1024 * 1024)

#define L1_OFFSET UINT64_C(0x00fffffffffffe00)
#define L2_OFFSET UINT64_C(0x00fffffffffffe00)
#define COPIED (UINT64_C(1) << 63)      /* the reference count is exactly one: may be written in place */
#define COMPRESSED (UINT64_C(1) << 62)
#define ZERO UINT64_C(1)

enum { INCOMPAT_DIRTY = 1, INCOMPAT_CORRUPT = 2, INCOMPAT_DATA_FILE = 4, INCOMPAT_COMPRESSION = 8,
       INCOMPAT_EXTL2 = 16, INCOMPAT_KNOWN = 31 };
enum { COMPAT_LAZY_REFCOUNTS = 1 };
enum { AUTOCLEAR_BITMAPS = 1, AUTOCLEAR_DATA_FILE_RAW = 2 };

enum { EXT_END = 0, EXT_BACKING_FORMAT = 0xe2792aca, EXT_FEATURE_TABLE = 0x6803f857, EXT_BITMAPS = 0x23852875,
       EXT_CRYPTO = 0x0537be77, EXT_DATA_FILE = 0x44415441 };

/* The header on disk, big-endian. */
typedef struct QcowHeader {
    uint32_t magic, version;
    uint64_t backing_file_offset;
    uint32_t backing_file_size, cluster_bits;
    uint64_t size;
    uint32_t crypt_method, l1_size;
    uint64_t l1_table_offset, refcount_table_offset;
    uint32_t refcount_table_clusters, nb_snapshots;
    uint64_t snapshots_offset;
    /* version 3 */
    uint64_t incompatible_features, compatible_features, autoclear_features;
    uint32_t refcount_order, header_length;
    uint8_t compression_type, padding[7];
} __attribute__((packed)) QcowHeader;
#define HEADER_V2 72
#define HEADER_V3 104

/* A part of an L2 table or of a refcount block in memory. */
typedef struct Slice {
    uint64_t offset;                    /* in the file; 0: nothing */
    unsigned refs;
    bool dirty;
    uint8_t *data;                      /* big-endian, as on disk */
    struct Slice *hash_next, *older, *newer;
} Slice;

typedef struct SliceCache {
    unsigned max, count, n_dirty;       /* max: slices at most */
    Slice **hash;
    unsigned hash_size;
    Slice *oldest, *newest;             /* of all, by last use */
} SliceCache;

/* Guest clusters whose data are being written, and will be linked into L2 after that. */
typedef struct Alloc {
    uint64_t guest, host;               /* of the first cluster */
    uint64_t bytes;                     /* whole clusters */
    uint64_t start, end;                /* of the guest: what is going to be written, edges and all */
    bool bare;                          /* only space: no subcluster becomes valid */
    bool virgin;                        /* the host clusters have never been written: they read as zeroes */
    bool reused;                        /* a preallocated zero cluster: already counted */
    CoQueue waiters;
    struct Alloc *next;
} Alloc;

typedef enum FreeKind { FREE_REQUEST, FREE_SNAPSHOT, FREE_OTHER } FreeKind;    /* for pass-discard-* */
typedef struct PendingFree { uint64_t offset, bytes; unsigned epoch; FreeKind kind; } PendingFree;

typedef struct Snapshot {
    uint64_t l1_offset;
    uint32_t l1_size;
    char *id, *name;
    uint64_t disk_size, vm_state_size, vm_clock_ns, icount;
    uint32_t date_sec, date_nsec;
    uint8_t *unknown;                   /* extra data that we don't know, kept */
    uint32_t extra_size;                /* of all extra data, as on disk */
} Snapshot;

/* Extended L2: 32 subclusters, each with a bit "allocated" and (32 bits higher) a bit "reads as zeroes". */
#define SUB_ALL UINT64_C(0xffffffff)
#define SUB_ZEROES (SUB_ALL << 32)
/* CL_UNALLOCATED_HOST: a subcluster without contents in a cluster that has its place in the file. */
typedef enum ClusterType { CL_UNALLOCATED, CL_ZERO_PLAIN, CL_ZERO_ALLOC, CL_NORMAL, CL_COMPRESSED,
                           CL_UNALLOCATED_HOST, CL_INVALID } ClusterType;

typedef struct Qcow2 {
    BlockNode *node;
    NodeLink *data_file;                /* NULL: the data are in node->file */

    /* from the header */
    unsigned version, cluster_bits, l2_bits, refcount_order, refcount_bits, header_length;
    uint32_t cluster_size, l2_entries;
    bool extended;                      /* L2 entries of 16 bytes, with subclusters */
    unsigned sub_bits, l2_entry_size;   /* sub_bits: log2 of a subcluster; without them, of a cluster */
    uint64_t refcount_max;
    uint64_t incompatible, compatible, autoclear;
    uint8_t compression_type;
    bool data_file_raw;
    char *data_file_name;
    GByteArray *extensions;             /* those that we only keep: type, length, padded data, as on disk */
    uint64_t bitmaps_offset, bitmaps_size;      /* of the bitmap directory, when valid */
    uint32_t n_bitmaps;                 /* as the header says */
    bool bitmaps_known, bitmaps_loaded; /* in memory; and on disk they are "in use" */
    bool bitmaps_lost;          /* they could not be stored, which has been said */

    /* tables, in host byte order */
    uint64_t *l1, l1_offset, *rt, rt_offset;
    uint32_t l1_size, l1_vm_state_index, rt_size;
    uint8_t *l1_dirty;                  /* per 512-byte sector; NULL: none is */
    bool any_l1_dirty;
    Snapshot *snapshots;
    uint32_t n_snapshots;
    uint64_t snapshots_offset, snapshots_bytes;

    SliceCache l2c, rbc;
    uint32_t slice_size;
    CoMutex lock;

    /* allocation */
    uint64_t free_hint;                 /* no cluster below this index is free */
    uint64_t high_water;                /* offset from which on the file has never been written */
    uint64_t partial;                   /* free byte in a cluster of compressed data; 0: none */
    Alloc *allocs;
    GArray *pending;                    /* PendingFree */
    GHashTable *metadata;               /* cluster index -> what it holds; NULL until the first write */

    /* Readers hold an epoch: what was freed in an earlier one and might still be read is not given out. */
    unsigned epoch, readers[2];

    /* options */
    bool lazy_refcounts, discard_request, discard_snapshot, discard_other, overlap_check;
    bool said_corrupt;
    bool unrepaired;                    /* opened dirty, and not (yet) counted again */
    int sparse_data;                    /* allocated clusters may be holes of the file: 1 yes, -1 no, 0 not known yet */
    unsigned in_check;

    /* the last decompressed cluster */
    uint64_t unpacked_entry;            /* its L2 entry; 0: none */
    uint8_t *unpacked;
    uint8_t *packed;                    /* room for a batch of compressed clusters, when no batch uses it; or NULL */
} Qcow2;

static inline uint64_t cluster_start(const Qcow2 *q, uint64_t offset) { return offset & ~(uint64_t)(q->cluster_size - 1); }
static inline uint64_t cluster_in(const Qcow2 *q, uint64_t offset) { return offset & (q->cluster_size - 1); }
static inline uint64_t cluster_round(const Qcow2 *q, uint64_t offset)
{
    return (offset + q->cluster_size - 1) & ~(uint64_t)(q->cluster_size - 1);
}
static inline uint64_t size_to_clusters(const Qcow2 *q, uint64_t bytes)
{
    return (bytes + q->cluster_size - 1) >> q->cluster_bits;
}
/* L1 entries that a disk of that size needs. */
static inline uint64_t size_to_l1(const Qcow2 *q, uint64_t bytes)
{
    unsigned shift = q->cluster_bits + q->l2_bits;

    return (bytes >> shift) + ((bytes & ((UINT64_C(1) << shift) - 1)) != 0);
}
static inline unsigned slice_entries(const Qcow2 *q) { return q->slice_size / q->l2_entry_size; }
static inline NodeLink *qcow2_data(const Qcow2 *q) { return q->data_file ? q->data_file : q->node->file; }

/* ---- header (qcow2-header.c) */
bool qcow2_read_header(Qcow2 *q, unsigned flags, GError **err);
bool qcow2_table_ok(Qcow2 *q, uint64_t offset, uint64_t entries, size_t entry_len, uint64_t max_bytes, const char *name,
                    GError **err);
/* Writes fields of the header that follow each other, and flushes. */
int qcow2_header_put(Qcow2 *q, unsigned at, const void *be, size_t len);
int qcow2_put_features(Qcow2 *q);       /* incompatible, compatible, autoclear as they stand */
/* Rewrites header, extensions and backing file name. */
int qcow2_rewrite_header(Qcow2 *q, GError **err);
/* The part of the header in [from, to) as the fields in memory say, in one durable write. */
int qcow2_header_sync(Qcow2 *q, unsigned from, unsigned to);
bool qcow2_create(const char *filename, json_t *opts, GError **err);
/* What creation options say about the shape of an image. */
typedef struct Qcow2Shape {
    uint64_t size, cluster_size;
    unsigned refcount_order, version;
    bool extended, backing, all_data;   /* all_data: preallocated to the full */
} Qcow2Shape;
bool qcow2_measure_options(json_t *opts, Qcow2Shape *s, GError **err);
extern const CreateOpt qcow2_create_opts[];

/* ---- caches (qcow2-cache.c); lock held */
void slice_cache_init(SliceCache *c, unsigned max);
void slice_cache_free(SliceCache *c);
/* The slice at that offset of the file, referenced; or what is there without any waiting (NULL: not). */
int slice_get(Qcow2 *q, SliceCache *c, uint64_t offset, Slice **out);
Slice *slice_peek(Qcow2 *q, SliceCache *c, uint64_t offset);
void slice_put(Slice *s);
void slice_dirty(SliceCache *c, Slice *s);
/* Forgets slices of [offset, offset+bytes), dirty or not: they belong to nobody any more. */
void slice_forget(Qcow2 *q, SliceCache *c, uint64_t offset, uint64_t bytes);
int slice_write_all(Qcow2 *q, SliceCache *c);
/* Forgets all slices, dirty or not. */
void slice_cache_drop(Qcow2 *q, SliceCache *c);
/* All metadata to the file in the right order; not flushed at the end. */
int qcow2_write_back(Qcow2 *q);
/* Everything, durably; then pending frees are settled. */
int qcow2_flush_locked(Qcow2 *q);
/* The same with lazy reference counts, after which the image is not marked as dirty any more. */
int qcow2_clean(Qcow2 *q);
int qcow2_l1_set(Qcow2 *q, uint32_t index, uint64_t entry);

/* ---- reference counts (qcow2-refcount.c); lock held */
int qcow2_get_refcount(Qcow2 *q, uint64_t cluster, uint64_t *count);
/* Adds delta to the counts of the clusters that [offset, offset+bytes) touches. */
int qcow2_update_refcount(Qcow2 *q, uint64_t offset, uint64_t bytes, int delta);
/* 1..n contiguous clusters, counted; *got says how many (all of them with exact). Offset in the file, or -errno. */
int64_t qcow2_alloc_clusters(Qcow2 *q, uint64_t n, bool exact, uint64_t *got, bool *virgin);
int64_t qcow2_alloc_bytes(Qcow2 *q, uint32_t size);
void qcow2_free_later(Qcow2 *q, uint64_t offset, uint64_t bytes, FreeKind kind);
/* What an L2 entry refers to. */
void qcow2_free_entry(Qcow2 *q, uint64_t entry, FreeKind kind);
/* Now: nothing on the disk refers to it. */
int qcow2_free_now(Qcow2 *q, uint64_t offset, uint64_t bytes, FreeKind kind);
void qcow2_settle(Qcow2 *q, unsigned upto);
uint64_t refcount_read(const Qcow2 *q, const void *block, uint64_t index);
void refcount_write(const Qcow2 *q, void *block, uint64_t index, uint64_t value);
/* What lives in the clusters of the file that are metadata. */
void qcow2_metadata_add(Qcow2 *q, uint64_t offset, uint64_t bytes, const char *what);
void qcow2_metadata_del(Qcow2 *q, uint64_t offset, uint64_t bytes);
/* 0, or -EIO and the image is marked as corrupt: a write there would destroy metadata. */
int qcow2_check_overlap(Qcow2 *q, uint64_t offset, uint64_t bytes);
void qcow2_corrupt(Qcow2 *q, bool fatal, int64_t offset, int64_t size, const char *fmt, ...) G_GNUC_PRINTF(5, 6);

/* ---- mapping (qcow2-map.c, qcow2-zero.c) */
ClusterType qcow2_entry_type(const Qcow2 *q, uint64_t entry);
/* The same of one subcluster; bits: the other half of an extended entry. */
ClusterType qcow2_sub_type(const Qcow2 *q, uint64_t entry, uint64_t bits, unsigned sub);
/* What is at guest offset, and for how many of *bytes. *host: of that byte; of a compressed cluster: its entry.
 * Takes the lock only when it must read a table. */
int qcow2_lookup(Qcow2 *q, uint64_t offset, uint64_t *bytes, uint64_t *host, ClusterType *type);
/* Where to write: *host for the first of *bytes (made smaller); alloc->bytes != 0: to be linked after the write.
 * Lock held; waits for writes in flight to the same clusters. */
int qcow2_map_write(Qcow2 *q, uint64_t offset, uint64_t *bytes, uint64_t *host, Alloc *alloc);
int qcow2_link(Qcow2 *q, Alloc *a);
void qcow2_alloc_end(Qcow2 *q, Alloc *a);
/* The same without the lock and without waiting, for clusters that are simply overwritten; false: not so. */
bool qcow2_map_fast(Qcow2 *q, uint64_t offset, uint64_t *bytes, uint64_t *host);
/* There is no backing file, neither open nor to be opened by whoever reads the header next: what is not allocated is zero. */
static inline bool qcow2_is_bare(const Qcow2 *q)
{
    return !q->node->backing && !q->node->backing_file;
}
/* Makes whole clusters read as zeroes; flags: BLK_MAY_UNMAP, BLK_EXPLICIT. -ENOTSUP: they must be written. Lock held. */
int qcow2_zero_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, unsigned flags);
/* The same for subclusters of one cluster. */
int qcow2_zero_subclusters(Qcow2 *q, uint64_t offset, uint64_t bytes, unsigned flags);
/* Frees whole clusters, which then read as zeroes; full: as if never written. Lock held. */
int qcow2_discard_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, bool full, FreeKind kind);
/* Links a compressed cluster that has been written. */
int qcow2_link_compressed(Qcow2 *q, uint64_t guest, uint64_t entry);
void qcow2_wait_allocs(Qcow2 *q, uint64_t start, uint64_t end);
int qcow2_grow_l1(Qcow2 *q, uint64_t entries, bool exact);
/* The slice with the L2 entry of offset for writing; makes or copies the table. */
int qcow2_l2_for_write(Qcow2 *q, uint64_t offset, Slice **slice, unsigned *index);

/* ---- I/O (qcow2-io.c) */
int qcow2_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags);
int qcow2_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags);
int qcow2_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags);
int qcow2_co_discard(BlockNode *n, int64_t offset, int64_t bytes);
int qcow2_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file);
bool qcow2_reads_zero(Qcow2 *q, uint64_t offset, uint64_t bytes);

/* ---- compression (qcow2-compress.c) */
void qcow2_compressed_range(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *bytes);
/* Decompresses the cluster of entry into q->unpacked. */
int qcow2_co_unpack(Qcow2 *q, uint64_t entry, void *out);
int qcow2_co_write_compressed(Qcow2 *q, uint64_t offset, uint64_t bytes, const IoVec *v, size_t vo);

/* ---- snapshots (qcow2-snapshot.c), check (qcow2-count.c, qcow2-check.c), size (qcow2-resize.c) */
bool qcow2_read_snapshots(Qcow2 *q, GError **err);
void qcow2_free_snapshots(Qcow2 *q);
GByteArray *qcow2_pack_snapshots(Qcow2 *q);     /* the table as it is on disk */
int qcow2_snapshot_list(BlockNode *n, SnapshotInfo **list);
bool qcow2_snapshot_create(BlockNode *n, const SnapshotInfo *sn, GError **err);
bool qcow2_snapshot_goto(BlockNode *n, const char *id_or_name, GError **err);
bool qcow2_snapshot_delete(BlockNode *n, const char *id_or_name, GError **err);
int qcow2_co_check(BlockNode *n, CheckResult *res, unsigned fix);
/* counts: cluster / QCOW2_CHECK_CHUNK -> uint32_t[QCOW2_CHECK_CHUNK]; start: first cluster behind everything. */
#define QCOW2_CHECK_CHUNK 4096
int qcow2_rebuild_refcounts(Qcow2 *q, GHashTable *counts, uint64_t start);
/* Counts of 2^order bits: a new structure beside the old one, then the header changes to it. */
int qcow2_change_refcount_order(Qcow2 *q, unsigned order, GError **err);
bool qcow2_snapshot_load(BlockNode *n, const char *id, const char *name, GError **err);

/* ---- bitmaps (qcow2-bitmap.c) */
bool qcow2_load_bitmaps(Qcow2 *q, GError **err);
/* All of the node's persistent ones; lock held. */
int qcow2_store_bitmaps(Qcow2 *q);
/* As ImageInfoSpecific has them; NULL: none. */
json_t *qcow2_bitmap_list(Qcow2 *q);
bool qcow2_can_store_bitmaps(BlockNode *n);
/* What they would take in an image with such clusters. */
uint64_t qcow2_bitmaps_size(BlockNode *n, uint64_t cluster_size);

/* ---- qcow2-amend.c, qcow2-measure.c */
extern const char *const qcow2_amend_opts[];
bool qcow2_amend(BlockNode *n, json_t *opts, bool force, GError **err);
bool qcow2_measure(json_t *opts, BlockNode *in, MeasureInfo *info, GError **err);
/* Size of an image with all clusters allocated. */
uint64_t qcow2_full_size(uint64_t size, uint64_t cluster_size, unsigned order, bool extended);
int qcow2_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err);
int qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t end, Prealloc p, GError **err);
#endif
