/* NBD servers of others, through libnbd, which is loaded when it is wanted (it brings gnutls and libxml2 along). */
#ifndef BLOCK_NBD_CLIENT_H
#define BLOCK_NBD_CLIENT_H
#include <stdbool.h>
#include "util/sockets.h"

/* Prints the exports of a server, as qemu-nbd -L does. */
bool nbd_list(const SocketAddress *a, GError **err);

#ifdef CONFIG_NBD
#include <libnbd.h>
/* X(function): what is used of the library, under its own names. */
#define NBD_FUNCTIONS(X) \
    X(nbd_create) X(nbd_close) X(nbd_get_error) X(nbd_get_errno) X(nbd_set_export_name) X(nbd_set_full_info) X(nbd_set_opt_mode) \
    X(nbd_add_meta_context) X(nbd_connect_socket) X(nbd_opt_list) X(nbd_opt_info) X(nbd_opt_abort) \
    X(nbd_opt_list_meta_context) X(nbd_get_size) X(nbd_get_block_size) X(nbd_get_export_description) X(nbd_is_read_only) \
    X(nbd_is_rotational) X(nbd_can_flush) X(nbd_can_fua) X(nbd_can_trim) X(nbd_can_zero) X(nbd_can_fast_zero) X(nbd_can_df) \
    X(nbd_can_multi_conn) X(nbd_can_cache) X(nbd_can_meta_context) X(nbd_set_strict_mode) X(nbd_aio_pread) X(nbd_aio_pwrite) \
    X(nbd_aio_flush) X(nbd_aio_trim) X(nbd_aio_zero) X(nbd_aio_block_status) X(nbd_aio_disconnect) X(nbd_aio_get_fd) \
    X(nbd_aio_get_direction) X(nbd_aio_notify_read) X(nbd_aio_notify_write) X(nbd_aio_is_ready)
typedef struct NbdLib {
#define MEMBER(f) __typeof__(&f) f;
    NBD_FUNCTIONS(MEMBER)
#undef MEMBER
} NbdLib;
/* NULL and err: it is not installed. On the main thread, the first time. */
const NbdLib *nbd_lib(GError **err);
/* A connection to an export (export NULL: none yet, "opt mode"); waits. contexts: NULL-terminated. Any thread. */
struct nbd_handle *nbd_lib_connect(const NbdLib *lib, const SocketAddress *a, const char *export,
                                   const char *const *contexts, GError **err);
#endif
#endif
