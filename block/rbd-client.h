/* Ceph's librbd, which is loaded when an image of it is named (it brings librados and a dozen threads along). */
#ifndef BLOCK_RBD_CLIENT_H
#define BLOCK_RBD_CLIENT_H
#ifdef CONFIG_RBD
#include <rbd/librbd.h>
#include "block/graph.h"

/* X(function): what is used of librbd and librados, under their own names. */
#define RBD_FUNCTIONS(X) \
    X(rbd_create) X(rbd_open) X(rbd_open_read_only) X(rbd_close) X(rbd_stat) X(rbd_get_size) X(rbd_resize) X(rbd_get_features) \
    X(rbd_get_flags) X(rbd_aio_create_completion) X(rbd_aio_get_return_value) X(rbd_aio_release) X(rbd_aio_readv) X(rbd_aio_writev) \
    X(rbd_aio_write_zeroes) X(rbd_aio_discard) X(rbd_aio_flush) X(rbd_invalidate_cache) X(rbd_diff_iterate2) X(rbd_snap_list) \
    X(rbd_snap_list_end) X(rbd_snap_create) X(rbd_snap_remove) X(rbd_snap_rollback) X(rbd_namespace_exists) X(rbd_get_overlap)
#define RADOS_FUNCTIONS(X) \
    X(rados_create) X(rados_conf_read_file) X(rados_conf_set) X(rados_connect) X(rados_shutdown) X(rados_ioctx_create) \
    X(rados_ioctx_destroy) X(rados_ioctx_set_namespace)
typedef struct RbdLib {
#define MEMBER(f) __typeof__(&f) f;
    RBD_FUNCTIONS(MEMBER)
    RADOS_FUNCTIONS(MEMBER)
#undef MEMBER
} RbdLib;
/* NULL and err: it is not installed. On the main thread, the first time. */
const RbdLib *rbd_lib(GError **err);

/* Where an image is, as the options say. */
typedef struct RbdPlace {
    char *pool, *space, *image, *snapshot, *conf, *user, *monitors, *auth;
    json_t *pairs;                      /* settings in a file name: name, value, name, value ...; or NULL */
    bool cache;
} RbdPlace;
/* "rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:KEY=VALUE...]", special characters behind a backslash -> options */
bool rbd_parse_filename(const char *filename, json_t *opts, GError **err);
/* Takes the options. */
bool rbd_take_place(json_t *opts, RbdPlace *p, GError **err);
void rbd_place_clear(RbdPlace *p);
/* A connection to the cluster and the pool; waits. Any thread. */
bool rbd_connect(const RbdLib *lib, const RbdPlace *p, rados_t *cluster, rados_ioctx_t *io, GError **err);
#endif
#endif
