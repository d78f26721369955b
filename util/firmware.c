/* Where firmware images are looked for. */
#include <string.h>
#include <unistd.h>
#include "util/error.h"
#include "util/firmware.h"

static GPtrArray *dirs;         /* of -L, the first one first */

void firmware_add_dir(const char *dir)
{
    if (!dirs)
        dirs = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(dirs, g_strdup(dir));
}

static char *readable(char *path)
{
    if (!access(path, R_OK) && !g_file_test(path, G_FILE_TEST_IS_DIR))
        return path;
    g_free(path);
    return NULL;
}

char *firmware_find(const char *name)
{
    g_auto(GStrv) built_in = g_strsplit(CONFIG_FIRMWARE_PATH, ":", -1);
    char *path = readable(g_strdup(name));

    if (path || strchr(name, '/'))
        return path;
    for (unsigned i = 0; !path && dirs && i < dirs->len; i++)
        path = readable(g_build_filename(g_ptr_array_index(dirs, i), name, NULL));
    for (unsigned i = 0; !path && built_in[i]; i++)
        if (*built_in[i])
            path = readable(g_build_filename(built_in[i], name, NULL));
    return path;
}

static const char *package_of(const char *name)
{
    if (g_str_has_prefix(name, "bios") || g_str_has_prefix(name, "vgabios"))
        return "seabios";
    if (g_str_has_prefix(name, "efi-") || g_str_has_prefix(name, "pxe-"))
        return "ipxe-qemu";
    return NULL;
}

bool firmware_load(const char *name, char **data, gsize *size, GError **err)
{
    g_autofree char *path = firmware_find(name);
    g_autoptr(GError) why = NULL;
    const char *package = package_of(name);

    if (!path && package)
        return error_set(err, "firmware file '%s' was not found; it is in the package %s", name, package);
    if (!path && !strchr(name, '/'))
        return error_set(err, "firmware file '%s' was not found; '-L help' lists the folders", name);
    return g_file_get_contents(path ? path : name, data, size, &why) ||
           error_set(err, "could not load firmware file '%s': %s", name, error_file_reason(why));
}

void firmware_list_dirs(GString *out)
{
    g_auto(GStrv) built_in = g_strsplit(CONFIG_FIRMWARE_PATH, ":", -1);

    for (unsigned i = 0; dirs && i < dirs->len; i++)
        g_string_append_printf(out, "%s\n", (char *)g_ptr_array_index(dirs, i));
    for (unsigned i = 0; built_in[i]; i++)
        g_string_append_printf(out, "%s\n", built_in[i]);
}
