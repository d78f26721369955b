/* Finding and loading modules. */
#include <gmodule.h>
#include <unistd.h>
#include "util/error.h"
#include "util/module.h"

char *module_path(const char *name)
{
    g_autofree char *file = g_strdup_printf("vmemu-%s.so", name), *exe = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = exe ? g_path_get_dirname(exe) : NULL;
    const char *folders[] = { folder ? folder : CONFIG_MODULE_DIR, CONFIG_MODULE_DIR };

    for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++) {
        char *path = g_build_filename(folders[i], file, NULL);

        if (!access(path, R_OK))
            return path;
        g_free(path);
    }
    return NULL;
}

gpointer module_load(const char *name, const char *symbol, GError **err)
{
    g_autofree char *path = module_path(name);
    gpointer address;
    GModule *mod;

    if (!path) {
        error_set(err, "vmemu-%s.so is neither beside the program nor in %s", name, CONFIG_MODULE_DIR);
        return NULL;
    }
    mod = g_module_open(path, G_MODULE_BIND_LOCAL);
    if (!mod || !g_module_symbol(mod, symbol, &address)) {
        error_set(err, "%s", g_module_error());
        return NULL;
    }
    g_module_make_resident(mod);
    return address;
}
