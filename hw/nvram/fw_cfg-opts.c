/*
 * -fw_cfg: the user's own files. gen_id= (contents made by an -object) is not here.
 */
#include <string.h>
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"
#include "util/opts.h"

bool fw_cfg_add_option(FwCfg *f, const char *text, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, "name", err);
    const char *name, *file, *string;
    char *data = NULL;
    gsize len;

    if (!o)
        return false;
    name = opts_get(o, "name");
    file = opts_get(o, "file");
    string = opts_get(o, "string");
    if (!opts_all_used(o, "-fw_cfg", NULL, err))
        return false;
    if (!name || !*name || !(file && *file) == !(string && *string))
        return error_set(err, "-fw_cfg %s: name, plus exactly one of file and string, are needed", text);
    if (strlen(name) >= FW_CFG_MAX_NAME)
        return error_set(err, "-fw_cfg %s: name too long (max. %d char)", text, FW_CFG_MAX_NAME - 1);
    if (!g_str_has_prefix(name, "opt/"))
        warn_report("-fw_cfg %s: externally provided fw_cfg item names should be prefixed with \"opt/\"", text);
    if (string && *string) {
        len = strlen(string);           /* without its closing zero */
        data = g_memdup2(string, len);
    } else {
        g_autoptr(GError) why = NULL;

        if (!g_file_get_contents(file, &data, &len, &why))
            return error_set(err, "-fw_cfg %s: can't load %s: %s", text, file, error_file_reason(why));
    }
    if (!fw_cfg_take_file(f, name, data, len, err)) {
        g_prefix_error(err, "-fw_cfg %s: ", text);
        return false;
    }
    return true;
}
