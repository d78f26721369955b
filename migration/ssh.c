/*
 * ssh as a migration's transport: `ssh -W 127.0.0.1:PORT HOST` with a socket as its input and output, so that the other
 * host needs nothing but sshd. Host keys, agents and questions are ssh's own business; it finds a terminal by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "migration/ssh.h"
#include "util/error.h"

#define WORDS_MS 3000           /* how long a failing ssh may take to say why */

struct SshTunnel {
    GPid pid;
    int words;                  /* its stderr */
};

/* ---- Addresses ---- */

static bool is_port(const char *s)
{
    char *end;
    guint64 n = g_ascii_strtoull(s, &end, 10);

    return g_ascii_isdigit(*s) && !*end && n > 0 && n < 65536;
}

bool ssh_parse(SshTarget *t, const char *text, GError **err)
{
    const char *slash = strchr(text, '/'), *at, *bracket, *colon;

    *t = (SshTarget){ .host = slash ? g_strndup(text, slash - text) : g_strdup(text) };
    t->port = g_strdup(slash && slash[1] ? slash + 1 : SSH_MIGRATION_PORT);
    at = strrchr(t->host, '@');
    at = at ? at + 1 : t->host;
    bracket = *at == '[' ? strchr(at, ']') : NULL;
    colon = strchr(bracket ? bracket : at, ':');
    if (colon) {
        t->ssh_port = g_strdup(colon + 1);
        t->host[colon - t->host] = 0;
    }
    if (bracket) {              /* ssh wants an IPv6 address bare */
        t->host[bracket - t->host] = 0;
        memmove(t->host + (at - t->host), at + 1, strlen(at));
    }
    if (!*at || *t->host == '-' || *t->host == '@')
        return error_set(err, "ssh://%s: a host is missing: ssh://[user@]host[:sshport][/port]", text);
    if (!is_port(t->port) || (t->ssh_port && !is_port(t->ssh_port)))
        return error_set(err, "ssh://%s: '%s' is no port: ssh://[user@]host[:sshport][/port]", text,
                         is_port(t->port) ? t->ssh_port : t->port);
    return true;
}

void ssh_target_clear(SshTarget *t)
{
    g_clear_pointer(&t->host, g_free);
    g_clear_pointer(&t->ssh_port, g_free);
    g_clear_pointer(&t->port, g_free);
}

char *ssh_parse_incoming(const char *text, GError **err)
{
    const char *port = text[0] == '0' && text[1] == ':' ? text + 2 : SSH_MIGRATION_PORT;

    if (text[0] == '0' && (!text[1] || text[1] == ':') && is_port(port))
        return g_strdup(port);
    error_set(err, "ssh://%s: expected ssh://0 or ssh://0:port, a port of this host's loopback", text);
    return NULL;
}

/* ---- The process ---- */

static bool spawn(SshTunnel *s, const SshTarget *t, int fd, int words, GError **err)
{
    g_autofree char *where = g_strdup_printf("127.0.0.1:%s", t->port);
    const char *argv[] = { "ssh", "-T", "-W", where, "-p", t->ssh_port, "--", t->host, NULL };
    const char *plain[] = { "ssh", "-T", "-W", where, "--", t->host, NULL };
    g_autoptr(GError) why = NULL;

    if (g_spawn_async_with_fds(NULL, (char **)(t->ssh_port ? argv : plain), NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                               NULL, NULL, &s->pid, fd, fd, words, &why))
        return true;
    return error_set(err, "cannot run ssh: %s", why->message);
}

SshTunnel *ssh_open(const SshTarget *t, int *fd, GError **err)
{
    SshTunnel *s = g_new0(SshTunnel, 1);
    int both[2] = { -1, -1 }, words[2] = { -1, -1 };
    bool ok;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) < 0 || pipe2(words, O_CLOEXEC) < 0)
        ok = error_set_errno(err, errno, "cannot run ssh");
    else
        ok = spawn(s, t, both[1], words[1], err);
    if (both[1] >= 0)
        close(both[1]);
    if (words[1] >= 0)
        close(words[1]);
    if (ok) {
        *fd = both[0];
        s->words = words[0];
        return s;
    }
    if (both[0] >= 0)
        close(both[0]);
    if (words[0] >= 0)
        close(words[0]);
    g_free(s);
    return NULL;
}

/* What ssh has written until its end; or as far as it has come, when that takes too long. */
static char *last_words(SshTunnel *s)
{
    GString *text = g_string_new(NULL);
    gint64 until = g_get_monotonic_time() + WORDS_MS * 1000;

    for (;;) {
        struct pollfd p = { .fd = s->words, .events = POLLIN };
        gint64 left = (until - g_get_monotonic_time()) / 1000;
        char buf[512];
        ssize_t n;

        if (left <= 0 || poll(&p, 1, left) == 0)
            break;
        n = read(s->words, buf, sizeof buf);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        g_string_append_len(text, buf, MAX(n, 0));
        if (text->len > 4096)
            g_string_erase(text, 0, text->len - 4096);
    }
    return g_string_free(text, FALSE);
}

/* It ended, and not well. */
static bool has_failed(SshTunnel *s)
{
    int status;

    for (int ms = 0; ms < WORDS_MS && s->pid; ms += 10) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            return !WIFEXITED(status) || WEXITSTATUS(status);
        }
        g_usleep(10000);
    }
    return false;
}

void ssh_explain(SshTunnel *s, GError **err)
{
    g_autofree char *words = g_strchomp(last_words(s));
    char *line = strrchr(words, '\n'), *valid;

    line = g_strstrip(line ? line + 1 : words);
    if (!has_failed(s) || !*line)
        return;
    valid = g_utf8_make_valid(line, -1);
    g_clear_error(err);
    error_set(err, "ssh: %s", valid);
    g_free(valid);
}

static void reaped(GPid pid, gint status, gpointer opaque)
{
    g_spawn_close_pid(pid);
}

void ssh_close(SshTunnel *s)
{
    if (!s)
        return;
    close(s->words);
    if (s->pid) {
        kill(s->pid, SIGTERM);
        g_child_watch_add(s->pid, reaped, NULL);
    }
    g_free(s);
}
