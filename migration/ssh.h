/* A migration's way through ssh: `ssh -W` forwards one connection to a port of the other host's loopback. */
#ifndef MIGRATION_SSH_H
#define MIGRATION_SSH_H
#include <glib.h>
#include <stdbool.h>

#define SSH_MIGRATION_PORT "4444"

typedef struct SshTarget {
    char *host;                 /* "user@host" or "host" */
    char *ssh_port, *port;      /* ssh_port: NULL for ssh's own choice */
} SshTarget;
/* What follows "ssh://": [user@]host[:sshport][/port]. */
bool ssh_parse(SshTarget *t, const char *text, GError **err);
void ssh_target_clear(SshTarget *t);
/* "0" or "0:port", where a target listens: its port, or NULL. To be freed. */
char *ssh_parse_incoming(const char *text, GError **err);

typedef struct SshTunnel SshTunnel;
/* Runs ssh; *fd: a socket to the other side. */
SshTunnel *ssh_open(const SshTarget *t, int *fd, GError **err);
/* After a failure, when the socket is shut down: the last words of an ssh that has failed take err's place. Waits a little. */
void ssh_explain(SshTunnel *s, GError **err);
void ssh_close(SshTunnel *s);       /* NULL is allowed */
#endif
