/* The list of the monitor's commands. */
#include "monitor/monitor-int.h"

const MonCommand *const command_tables[] = {
    commands_misc, commands_run, commands_info, commands_cpu, commands_memory, commands_mem, commands_char, commands_block,
    commands_device, commands_ui, commands_net, commands_qom, commands_migrate, commands_vnc, commands_job, commands_nbd, NULL,
};

void foreach_command(bool (*fn)(const MonCommand *c, void *opaque), void *opaque)
{
    for (const MonCommand *const *table = command_tables; *table; table++) {
        for (const MonCommand *c = *table; c->name || c->qmp; c++) {
            if ((!c->present || c->present()) && !fn(c, opaque))
                return;
        }
    }
}
