/*
 * Memory back-ends: guest memory as -object describes it (memory-backend-ram, -memfd, -file), for -machine
 * memory-backend= and -numa node,memdev=.
 */
#ifndef HW_CORE_HOSTMEM_H
#define HW_CORE_HOSTMEM_H
#include "hw/core/machine.h"
#include "util/opts.h"

typedef struct MemBackend {
    char *type, *id, *path;
    int fd;                 /* of a file; -1: none */
    uint64_t size;
    bool share, prealloc, used;
    RamBlock *ram;                      /* once it was taken; stays until object_del */
} MemBackend;

/* Is this -object type one of ours? */
bool hostmem_is_type(const char *type);
/* All types, NULL-terminated; the properties of one (kinds and type names for help and introspection), ended by {0}. */
extern const char *const hostmem_types[];
const Property *hostmem_props(const char *type);
/* Takes an -object's options (qom-type is already known); the memory itself is made by hostmem_take. */
bool hostmem_add(Machine *m, const char *type, Opts *o, GError **err);
MemBackend *hostmem_find(Machine *m, const char *id);
/* object_del: false with err when it is in use, or not there. */
bool hostmem_del(Machine *m, const char *id, GError **err);
/* Its user (a memory module) has gone. */
void hostmem_release(MemBackend *b);
/* Its RAM block, named as the back-end; each can be taken once. */
RamBlock *hostmem_take(Machine *m, const char *id, GError **err);
/* Touches all pages, so that the guest never waits for one. false with err: there is not that much memory. */
bool hostmem_prealloc(RamBlock *b, GError **err);
#endif
