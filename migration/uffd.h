/*
 * userfaultfd(2): guest memory that is filled, or made writable again, page by page when somebody touches it.
 *
 * A guest's accesses are the kernel's (KVM's), so a descriptor that serves only user mode is of no use. No locks.
 */
#ifndef MIGRATION_UFFD_H
#define MIGRATION_UFFD_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct UffdFault {
    uintptr_t addr;             /* of its page */
    bool wp;                    /* a write to a protected page */
} UffdFault;

/* A descriptor that does not block, or -1 with err: this kernel has none, or does not give it to this user. */
int uffd_open(bool wp, GError **err);
/* Faults of [host, host + size) come to fd: pages that are missing, or (wp) writes to protected ones. 0 or -errno. */
int uffd_register(int fd, void *host, uint64_t size, bool wp);
void uffd_unregister(int fd, void *host, uint64_t size);
/* Fills pages and wakes who waits for them; what is there already stays. 0 or -errno. */
int uffd_copy(int fd, void *to, const void *from, uint64_t size);
int uffd_zero(int fd, void *to, uint64_t size);
int uffd_protect(int fd, void *host, uint64_t size, bool on);
/* Waits for faults, or until quit_fd (-1: none) can be read. How many; 0: time (ms, -1: none) is up or quit_fd; -errno. */
int uffd_wait(int fd, int quit_fd, int timeout, UffdFault *faults, unsigned max);
#endif
