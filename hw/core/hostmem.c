/* Memory back-ends. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw/core/hostmem.h"
#include "util/error.h"

const char *const hostmem_types[] = { "memory-backend-file", "memory-backend-memfd", "memory-backend-ram", NULL };
static const char *const known[] = { "id", "size", "mem-path", "share", "prealloc", "merge", "dump", "policy", "host-nodes", "align",
                                     "discard-data", "pmem", "readonly", "reserve", "hugetlb", "hugetlbsize", "seal",
                                     "prealloc-threads", "x-use-canonical-path-for-ramblock-id", NULL };

bool hostmem_is_type(const char *type)
{
    return g_strv_contains(hostmem_types, type);
}

#define ROW(n, t, ...) { .name = n, .kind = PROP_STR, .type_name = t, __VA_ARGS__ }
#define COMMON_A \
    ROW("dump", "bool", .help = "Set to 'off' to exclude from core dump"), \
    ROW("host-nodes", "int", .help = "Binds memory to the list of NUMA host nodes")
#define COMMON_B \
    ROW("policy", "HostMemPolicy", .help = "Set the NUMA policy"), \
    ROW("prealloc-threads", "int", .help = "Number of CPU threads to use for prealloc"), \
    ROW("prealloc", "bool", .help = "Preallocate memory")
#define RESERVE ROW("reserve", "bool", .help = "Reserve swap space (or huge pages) if applicable")
#define MERGE ROW("merge", "bool", .help = "Mark memory as mergeable")
#define COMMON_C \
    ROW("share", "bool", .help = "Mark the memory as private to QEMU or shared"), \
    ROW("size", "int", .help = "Size of the memory region (ex: 500M)"), \
    ROW("x-use-canonical-path-for-ramblock-id", "bool"), { 0 }

const Property *hostmem_props(const char *type)
{
    static const Property ram[] = { COMMON_A, MERGE, COMMON_B, RESERVE, COMMON_C };
    static const Property file[] = { ROW("align", "int"), ROW("discard-data", "bool"), COMMON_A, ROW("mem-path", "string"), MERGE,
                                     ROW("pmem", "bool"), COMMON_B, ROW("readonly", "bool"), RESERVE, COMMON_C };
    static const Property memfd[] = { COMMON_A, ROW("hugetlb", "bool", .help = "Use huge pages"),
                                      ROW("hugetlbsize", "int", .help = "Huge pages size (ex: 2M, 1G)"), MERGE, COMMON_B, RESERVE,
                                      ROW("seal", "bool", .help = "Seal growing & shrinking"), COMMON_C };

    return !strcmp(type, "memory-backend-ram") ? ram : !strcmp(type, "memory-backend-file") ? file : memfd;
}

MemBackend *hostmem_find(Machine *m, const char *id)
{
    for (unsigned i = 0; i < m->mem_backends->len; i++) {
        MemBackend *b = g_ptr_array_index(m->mem_backends, i);

        if (!strcmp(b->id, id))
            return b;
    }
    return NULL;
}

static void backend_free(MemBackend *b)
{
    if (b->fd >= 0)
        close(b->fd);
    g_free(b->type);
    g_free(b->id);
    g_free(b->path);
    g_free(b);
}

static int open_backing(const MemBackend *b, GError **err)
{
    g_autofree char *temporary = NULL;
    int fd;

    if (!strcmp(b->type, "memory-backend-memfd")) {
        fd = memfd_create(b->id, MFD_CLOEXEC);
    } else if (g_file_test(b->path, G_FILE_TEST_IS_DIR)) {
        temporary = g_strdup_printf("%s/vmemu_back_mem.%s.XXXXXX", b->path, b->id);
        fd = g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlink(temporary);
    } else {
        fd = open(b->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    if (fd < 0) {
        error_set_errno(err, errno, "can't open backing store %s for guest RAM", b->path ? b->path : b->id);
        return -1;
    }
    if (lseek(fd, 0, SEEK_END) < (off_t)b->size && ftruncate(fd, b->size) < 0) {
        error_set_errno(err, errno, "can't make backing store %s %" G_GUINT64_FORMAT " bytes long", b->path ? b->path : b->id, b->size);
        close(fd);
        return -1;
    }
    return fd;
}

bool hostmem_add(Machine *m, const char *type, Opts *o, GError **err)
{
    MemBackend *b = g_new0(MemBackend, 1);
    bool ok;

    b->fd = -1;
    b->type = g_strdup(type);
    b->id = g_strdup(opts_get(o, "id"));
    b->path = g_strdup(opts_get(o, "mem-path"));
    b->share = !strcmp(type, "memory-backend-memfd");
    ok = opts_get_size(o, "size", 0, &b->size, err) && opts_get_bool(o, "share", b->share, &b->share, err) &&
         opts_get_bool(o, "prealloc", false, &b->prealloc, err);
    /* How the host places, merges and dumps the memory is left to it. */
    for (const char *const *k = known; *k; k++)
        opts_get(o, *k);
    if (ok && !b->id)
        ok = error_set(err, "Parameter 'id' is missing");
    else if (ok && hostmem_find(m, b->id))
        ok = error_set(err, "attempt to add duplicate property '%s' to object (type 'container')", b->id);
    else if (ok && !b->size)
        ok = error_set(err, "can't create backend with size 0: size= is needed");
    else if (ok && b->path && strcmp(type, "memory-backend-file"))
        ok = error_set(err, "Property '%s.mem-path' not found", type);
    else if (ok && !b->path && !strcmp(type, "memory-backend-file"))
        ok = error_set(err, "mem-path property not set: mem-path= is needed");
    ok = ok && opts_all_used(o, type, known, err);
    if (ok && strcmp(type, "memory-backend-ram")) {
        b->fd = open_backing(b, err);
        ok = b->fd >= 0;
    }
    if (ok)
        g_ptr_array_add(m->mem_backends, b);
    else
        backend_free(b);
    return ok;
}

/* The block's anonymous pages give way to the file's, at the same address. */
static bool map_file(RamBlock *r, const MemBackend *b, GError **err)
{
    if (mmap(r->host, b->size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_NORESERVE | (b->share ? MAP_SHARED : MAP_PRIVATE), b->fd, 0) ==
        MAP_FAILED) {
        return error_set_errno(err, errno, "can't map backing store of '%s'", b->id);
    }
    madvise(r->host, b->size, MADV_DONTFORK);
    r->fd = b->fd;
    return true;
}

RamBlock *hostmem_take(Machine *m, const char *id, GError **err)
{
    MemBackend *b = hostmem_find(m, id);
    RamBlock *r;

    if (!b) {
        error_set(err, "Memory backend '%s' not found", id);
        return NULL;
    }
    if (b->used) {
        error_set(err, "memory backend %s is used multiple times. Each backend can be used only once.", id);
        return NULL;
    }
    if (b->ram) {
        b->used = true;
        return b->ram;
    }
    r = ram_block_new(m, id, b->size, 0, err);
    if (!r)
        return NULL;
    if ((strcmp(b->type, "memory-backend-ram") && !map_file(r, b, err)) || (b->prealloc && !hostmem_prealloc(r, err))) {
        region_free_ram(m, r);
        return NULL;
    }
    b->used = true;
    b->ram = r;
    return r;
}

void hostmem_release(MemBackend *b)
{
    b->used = false;
}

bool hostmem_del(Machine *m, const char *id, GError **err)
{
    MemBackend *b = hostmem_find(m, id);

    if (!b)
        return error_set(err, "object '%s' not found", id);
    if (b->used)
        return error_set(err, "object '%s' is in use, can not be deleted", id);
    if (b->ram)
        region_free_ram(m, b->ram);
    g_ptr_array_remove(m->mem_backends, b);
    backend_free(b);
    return true;
}

bool hostmem_prealloc(RamBlock *b, GError **err)
{
    return madvise(b->host, b->size, MADV_POPULATE_WRITE) == 0 ||
           error_set_errno(err, errno, "cannot preallocate %" G_GUINT64_FORMAT " MiB of guest memory", b->size >> 20);
}
