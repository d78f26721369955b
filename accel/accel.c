/* Choosing an accelerator. */
#include "accel/accel.h"
#include "util/error.h"
#include <string.h>

const AccelOps *accel;
IrqchipMode accel_irqchip = IRQCHIP_OFF;
bool accel_smm;

static const AccelOps *const all[] = { &accel_kvm, &accel_qtest };

static const AccelOps *find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (!strcmp(all[i]->name, name)) {
            return all[i];
        }
    }
    return NULL;
}

/* Adds why an accelerator did not work. */
static void add_line(GString *lines, const char *text)
{
    if (lines->len) {
        g_string_append(lines, "; ");
    }
    g_string_append(lines, text);
}

bool accel_open(const char *list, const AccelConfig *cfg, const AccelHost *host, GError **err)
{
    static const char *const known[] = { "kvm", "qtest", NULL };
    g_auto(GStrv) names = g_strsplit(list && *list ? list : "kvm", ":", -1);
    g_autoptr(GString) lines = g_string_new(NULL);

    g_assert(!accel);
    for (unsigned i = 0; names[i]; i++) {
        const AccelOps *ops = find(names[i]);
        g_autoptr(GError) why = NULL;

        if (!ops) {
            g_autofree char *hint = nearest_hint(names[i], known);
            g_autofree char *text = g_strdup_printf("invalid accelerator %s%s", names[i], hint);

            add_line(lines, text);
            continue;
        }
        if (ops->open(cfg, host, &why)) {
            accel = ops;
            return true;
        }
        add_line(lines, why->message);
    }
    if (!lines->len) {
        add_line(lines, "no accelerator found");
    }
    return error_set(err, "%s", lines->str);
}

bool accel_is_kvm(void)
{
    return accel == &accel_kvm;
}
