/* Commands on screen, keyboard and mouse. */
#include <stdlib.h>
#include <string.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "ui/console.h"
#include "ui/input.h"

/* ---- Keys ---- */

static void hmp_sendkey(Monitor *mon, json_t *args)
{
    int64_t hold = arg_int(args, "hold-time", 0);
    QKeyCode keys[INPUT_MAX_KEYS];
    GError *err = NULL;
    unsigned n;

    if (input_parse_keys(arg_str(args, "keys"), keys, &n, &err)) {
        input_send_keys(keys, n, CLAMP(hold, 0, G_MAXINT32));
    } else {
        mon_printf(mon, "%s\n", err->message);
        g_error_free(err);
    }
}

/* A KeyValue; QKEY_UNMAPPED: no key's name or number, which is no error. */
static QKeyCode key_of(json_t *v)
{
    json_t *data = json_object_get(v, "data");

    return json_is_string(data) ? key_from_name(json_string_value(data)) : key_from_number(json_integer_value(data));
}

static json_t *send_key(Monitor *mon, json_t *args, GError **err)
{
    json_t *list = json_object_get(args, "keys");
    int64_t hold = arg_int(args, "hold-time", 0);
    QKeyCode keys[INPUT_MAX_KEYS];
    unsigned n = 0;

    if (json_array_size(list) > INPUT_MAX_KEYS) {
        error_set(err, "more than %d keys", INPUT_MAX_KEYS);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        keys[n++] = key_of(json_array_get(list, i));
    }
    input_send_keys(keys, n, CLAMP(hold, 0, G_MAXINT32));
    return NULL;
}

/* Of "ctrl-alt-del" the last word is completed. */
void complete_key(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    const char *dash = strrchr(begun, '-');
    g_autofree char *head = dash ? g_strndup(begun, dash - begun + 1) : g_strdup("");

    for (unsigned i = QKEY_UNMAPPED + 1; nb == 1 && i < QKEY_COUNT; i++) {
        if (key_codes[i].name && g_str_has_prefix(key_codes[i].name, begun + strlen(head))) {
            g_autofree char *word = g_strconcat(head, key_codes[i].name, NULL);

            add(opaque, word);
        }
    }
}

/* ---- Mouse ---- */

static int number(json_t *args, const char *name)
{
    const char *s = arg_str(args, name);

    return s ? strtol(s, NULL, 0) : 0;
}

static void mouse_move(Monitor *mon, json_t *args)
{
    input_mouse_move(number(args, "dx"), number(args, "dy"), number(args, "dz"));
}

static void mouse_button(Monitor *mon, json_t *args)
{
    input_mouse_button(arg_int(args, "state", 0));
}

static void mouse_set(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!input_mouse_set(arg_int(args, "index", 0), &err)) {
        mon_printf(mon, "%s\n", err->message);
        g_error_free(err);
    }
}

static void print_mice(Monitor *mon, json_t *args)
{
    GString *out = g_string_new(NULL);

    input_print_mice(out);
    mon_puts(mon, out->str);
    g_string_free(out, true);
}

static void list_mouse(const MouseInfo *m, void *opaque)
{
    json_array_append_new(opaque, json_pack("{s:i,s:s,s:b,s:b}", "index", m->index, "name", m->name, "current", m->current,
                                            "absolute", m->absolute));
}

static json_t *query_mice(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    input_foreach_mouse(list_mouse, a);
    return a;
}

/* ---- input-send-event ---- */

/* Has it somebody to go to? */
static bool check_event(Console *con, json_t *e, GError **err)
{
    static const struct { const char *type; InputKind kind; } kinds[] = {
        { "key", INPUT_KEY }, { "btn", INPUT_BUTTON }, { "rel", INPUT_REL }, { "abs", INPUT_ABS },
    };
    const char *type = arg_str(e, "type");

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(kinds[i].type, type) && !input_has_handler(con, kinds[i].kind))
            return error_set(err, "Input handler not found for event type %s", type);
    }
    return true;
}

static void send_event(Console *con, json_t *e)
{
    const char *type = arg_str(e, "type");
    json_t *d = json_object_get(e, "data");
    InputAxis axis = d && arg_str(d, "axis") && !strcmp(arg_str(d, "axis"), "y") ? INPUT_AXIS_Y : INPUT_AXIS_X;
    int value = CLAMP(arg_int(d, "value", 0), G_MININT32, G_MAXINT32);

    if (!strcmp(type, "key")) {
        input_send_key(con, key_of(json_object_get(d, "key")), arg_bool(d, "down"));
    } else if (!strcmp(type, "btn")) {
        const char *const *names = qmp_enum("InputButton");

        for (unsigned i = 0; names[i]; i++) {
            if (!strcmp(names[i], arg_str(d, "button")))
                input_send_button(con, i, arg_bool(d, "down"));
        }
    } else if (!strcmp(type, "rel")) {
        input_send_rel(con, axis, value);
    } else {
        input_send_abs(con, axis, CLAMP(value, 0, INPUT_ABS_MAX), INPUT_ABS_MAX);
    }
}

static json_t *input_events(Monitor *mon, json_t *args, GError **err)
{
    json_t *events = json_object_get(args, "events"), *e;
    const char *device = arg_str(args, "device");
    Console *con = device ? console_by_device(device, arg_int(args, "head", 0)) : NULL;
    size_t i;

    if (device && !con) {
        error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
        return NULL;
    }
    if (!machine_is_running(mon_machine) && machine_state(mon_machine) != RUN_SUSPENDED) {
        error_set(err, "VM not running");
        return NULL;
    }
    json_array_foreach(events, i, e) {
        if (!check_event(con, e, err))
            return NULL;
    }
    json_array_foreach(events, i, e)
        send_event(con, e);
    input_sync();
    return NULL;
}

/* ---- Screen ---- */

static json_t *screendump(Monitor *mon, json_t *args, GError **err)
{
    const char *device = arg_str(args, "device"), *format = arg_str(args, "format");
    int64_t head = arg_int(args, "head", 0);
    Console *con = NULL;

    if (arg_has(args, "head") && !device) {
        error_set(err, "'head' must be specified together with 'device'");
        return NULL;
    }
    if (format && strcmp(format, "ppm") && strcmp(format, "png")) {
        error_set(err, "Parameter 'format' does not accept value '%s'", format);
        return NULL;
    }
    if (device) {
        con = head >= 0 && head <= G_MAXINT32 ? console_by_device(device, head) : NULL;
        if (!con) {
            error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
            return NULL;
        }
    }
    console_screendump(con, arg_str(args, "filename"), format && !strcmp(format, "png") ? IMAGE_PNG : IMAGE_PPM, err);
    return NULL;
}

const MonCommand commands_ui[] = {
    { "sendkey", "keys:str hold-time:int?", "keys [hold_ms]", "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)",
      .print = hmp_sendkey, .complete = complete_key },
    { .qmp = "send-key", .in = "{keys:[KeyValue] *hold-time:int}", .run = send_key },
    { "mouse_move", "dx:str dy:str dz:str?", "dx dy [dz]", "send mouse move events", .print = mouse_move },
    { "mouse_button", "state:int", "state", "change mouse button state (1=L, 2=M, 4=R)", .print = mouse_button },
    { "mouse_set", "index:int", "index", "set which mouse device receives events", .print = mouse_set },
    { "info mice", .params = "", .help = "show which guest mouse is receiving events", .qmp = "query-mice", .out = "[MouseInfo]",
      .run = query_mice, .print = print_mice },
    { .qmp = "input-send-event", .in = "{*device:str *head:int events:[InputEvent]}", .run = input_events },
    { "screendump", "filename:path format:-f=str device:dev? head:int?", "filename [-f format] [device [head]]", "save screen from head "
      "'head' of display device 'device' in specified format 'format' as image 'filename'. Currently only 'png' and 'ppm' formats "
      "are supported.", .qmp = "screendump", .in = "{filename:str *device:str *head:int *format:<ppm|png>}", .run = screendump },
    { 0 },
};
