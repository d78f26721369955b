/* Loading libnbd; connecting; the list of a server's exports. */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include "block/nbd-client.h"
#include "block/nbd-proto.h"
#include "util/error.h"

#ifdef CONFIG_NBD
const NbdLib *nbd_lib(GError **err)
{
    static const struct { const char *name; size_t at; } wanted[] = {
#define ENTRY(f) { #f, offsetof(NbdLib, f) },
        NBD_FUNCTIONS(ENTRY)
#undef ENTRY
    };
    static NbdLib lib;
    static bool there;
    void *m = there ? NULL : dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);

    if (there)
        return &lib;
    if (!m) {
        error_set(err, "NBD needs the library libnbd.so.0, which is not installed");
        return NULL;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
        void *f = dlsym(m, wanted[i].name);

        if (!f) {
            error_set(err, "libnbd.so.0 is too old: it has no %s", wanted[i].name);
            return NULL;
        }
        memcpy((char *)&lib + wanted[i].at, &f, sizeof(f));
    }
    there = true;
    return &lib;
}

/* The library's text begins with its function's name, which says nothing to a user. */
static void set_error(const NbdLib *lib, const char *export, GError **err)
{
    const char *text = lib->nbd_get_error(), *colon = text ? strstr(text, ": ") : NULL;

    if (lib->nbd_get_errno() == ENOENT && export)
        error_set(err, "Requested export not available\nserver reported: export '%s' not present", export);
    else
        error_set(err, "%s", colon ? colon + 2 : text ? text : "the server does not speak NBD");
}

struct nbd_handle *nbd_lib_connect(const NbdLib *lib, const SocketAddress *a, const char *export,
                                   const char *const *contexts, GError **err)
{
    int fd = socket_connect(a, err);
    struct nbd_handle *h = fd < 0 ? NULL : lib->nbd_create();

    if (fd >= 0 && !h) {
        close(fd);
        error_set(err, "%s", lib->nbd_get_error());
    }
    if (!h)
        return NULL;
    lib->nbd_set_full_info(h, true);
    lib->nbd_set_strict_mode(h, 0);
    if (export)
        lib->nbd_set_export_name(h, export);
    else
        lib->nbd_set_opt_mode(h, true);
    for (unsigned i = 0; contexts && contexts[i]; i++)
        lib->nbd_add_meta_context(h, contexts[i]);
    if (lib->nbd_connect_socket(h, fd) == 0)
        return h;
    set_error(lib, export, err);
    lib->nbd_close(h);
    return NULL;
}

/* ---- the list */

typedef struct Names { GPtrArray *names, *texts; } Names;

static int one_export(void *opaque, const char *name, const char *description)
{
    Names *n = opaque;

    g_ptr_array_add(n->names, g_strdup(name));
    g_ptr_array_add(n->texts, g_strdup(description));
    return 0;
}

static int one_context(void *opaque, const char *name)
{
    g_ptr_array_add(opaque, g_strdup(name));
    return 0;
}

static void print_flags(const NbdLib *lib, struct nbd_handle *h)
{
    const struct { int (*has)(struct nbd_handle *h); unsigned flag; const char *name; } flags[] = {
        { lib->nbd_is_read_only, NBD_FLAG_READ_ONLY, "readonly" }, { lib->nbd_can_flush, NBD_FLAG_SEND_FLUSH, "flush" },
        { lib->nbd_can_fua, NBD_FLAG_SEND_FUA, "fua" }, { lib->nbd_is_rotational, NBD_FLAG_ROTATIONAL, "rotational" },
        { lib->nbd_can_trim, NBD_FLAG_SEND_TRIM, "trim" }, { lib->nbd_can_zero, NBD_FLAG_SEND_WRITE_ZEROES, "zeroes" },
        { lib->nbd_can_df, NBD_FLAG_SEND_DF, "df" }, { lib->nbd_can_multi_conn, NBD_FLAG_CAN_MULTI_CONN, "multi" },
        { lib->nbd_can_cache, NBD_FLAG_SEND_CACHE, "cache" }, { lib->nbd_can_fast_zero, NBD_FLAG_SEND_FAST_ZERO, "fast-zero" },
    };
    g_autoptr(GString) names = g_string_new(NULL);
    unsigned all = NBD_FLAG_HAS_FLAGS;

    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (flags[i].has(h) > 0) {
            all |= flags[i].flag;
            g_string_append_printf(names, " %s", flags[i].name);
        }
    }
    printf("  flags: 0x%x (%s )\n", all, names->str);
}

static void print_export(const NbdLib *lib, struct nbd_handle *h, const char *name, const char *text)
{
    g_autoptr(GPtrArray) contexts = g_ptr_array_new_with_free_func(g_free);
    int64_t v;

    printf(" export: '%s'\n", name);
    if (text && *text)
        printf("  description: %s\n", text);
    lib->nbd_set_export_name(h, name);
    if (lib->nbd_opt_info(h) < 0)
        return;
    printf("  size:  %" PRId64 "\n", lib->nbd_get_size(h));
    print_flags(lib, h);
    v = lib->nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
    if (v > 0) {
        printf("  min block: %" PRId64 "\n", v);
        printf("  opt block: %" PRId64 "\n", lib->nbd_get_block_size(h, LIBNBD_SIZE_PREFERRED));
        printf("  max block: %" PRId64 "\n", lib->nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM));
    }
    lib->nbd_opt_list_meta_context(h, (nbd_context_callback){ .callback = one_context, .user_data = contexts });
    if (contexts->len) {
        printf("  available meta contexts: %u\n", contexts->len);
        for (unsigned i = 0; i < contexts->len; i++)
            printf("   %s\n", (char *)contexts->pdata[i]);
    }
}

bool nbd_list(const SocketAddress *a, GError **err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free), texts = g_ptr_array_new_with_free_func(g_free);
    Names n = { names, texts };
    const NbdLib *lib = nbd_lib(err);
    struct nbd_handle *h = lib ? nbd_lib_connect(lib, a, NULL, NULL, err) : NULL;

    if (!h)
        return false;
    if (lib->nbd_opt_list(h, (nbd_list_callback){ .callback = one_export, .user_data = &n }) < 0) {
        set_error(lib, NULL, err);
        lib->nbd_close(h);
        return false;
    }
    printf("exports available: %u\n", names->len);
    for (unsigned i = 0; i < names->len; i++)
        print_export(lib, h, names->pdata[i], texts->pdata[i]);
    lib->nbd_opt_abort(h);
    lib->nbd_close(h);
    return true;
}
#else
bool nbd_list(const SocketAddress *a, GError **err)
{
    return error_set(err, "this build has no NBD client: configure it with libnbd");
}
#endif
