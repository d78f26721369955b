/* vmemu: options -> configuration -> board -> loop. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "block/block.h"
#include "chardev/char.h"
#include "cli/cli.h"
#include "cli/process.h"
#include "hw/core/hostmem.h"
#include "hw/display/display.h"
#include "migration/migration.h"
#include "migration/sections.h"
#include "migration/snapshot.h"
#include "monitor/monitor.h"
#include "net/net.h"
#include "ui/remote.h"
#include "util/error.h"
#include "util/fdset.h"

/* What was not said: one CPU, the machine's memory. */
static bool complete(Cli *c, const MachineType *t, GError **err)
{
    MachineConfig *cfg = c->cfg;

    if (!cfg->smp.cpus) {
        cfg->smp.cpus = cfg->smp.max_cpus = 1;
        cfg->smp.sockets = cfg->smp.dies = cfg->smp.cores = cfg->smp.threads = 1;
    }
    if (cfg->smp.max_cpus > t->max_cpus)
        return error_set(err, "-smp: Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u", cfg->smp.max_cpus,
                         t->name, t->max_cpus);
    if (!cfg->ram_size)
        cfg->ram_size = t->default_ram_size;
    cfg->ram_size = (cfg->ram_size + 8191) & ~8191ull;
    if (c->nographic) {
        cfg->graphics = false;
        if (c->display.type == DISPLAY_UNSET)
            c->display.type = DISPLAY_NONE;
    }
    c->display.vm_name = cfg->name;
    if (cfg->process_name)
        process_set_name(cfg->process_name);
    if (c->daemonize && c->nographic && !cfg->nodefaults)      /* the defaults are on the terminal */
        return error_set(err, "-nographic cannot be used with -daemonize");
    if (c->nographic && c->display.type == DISPLAY_CURSES && !cfg->nodefaults)
        return error_set(err, "-nographic cannot be used with -display curses");
    if (c->daemonize && c->display.type == DISPLAY_CURSES)
        return error_set(err, "curses display cannot be used with -daemonize");
    return true;
}

/* ---- What the user interface and the chardevs ask of the machine ---- */

static void flush_disks(void)
{
    blk_flush_all();
}

static Machine *the_machine;

static void quit_by_mux(void)
{
    machine_request_shutdown(the_machine, CAUSE_HOST_UI);
}

static bool add_object(json_t *args, GError **err)
{
    g_autofree char *text = json_dumps(args, JSON_COMPACT);

    return cli_object_add(the_machine, text, err);
}

static bool delete_object(const char *id, GError **err)
{
    return hostmem_del(the_machine, id, err);
}

static void set_hosts(Machine *m)
{
    the_machine = m;
    display_connect(m);
    chr_set_mux_hooks(flush_disks, quit_by_mux);
}

/* ---- Stages ---- */

static bool build(Cli *c, Machine *m, GError **err)
{
    static const MonitorHost host = { .command_line_options = cli_command_line_options, .object_add = add_object,
                                      .object_del = delete_object };

    if (!cli_start_accel(c, m, err))
        return false;
    set_hosts(m);
    monitor_init(m, &host);
    migration_init(m, monitor_take_fd);
    if (c->incoming && !incoming_prepare(m, c->incoming, !c->stopped, err)) {
        error_prefix_option(err, "incoming", c->incoming);
        return false;
    }
    if (c->display.type == DISPLAY_UNSET)
        display_default(&c->display);
    if (c->display.type == DISPLAY_SDL || c->display.type == DISPLAY_CURSES || remote_wanted())
        display_enable_vc();
    if (!cli_backends(c, m, err) || c->exit)
        return c->exit;
    map_begin(m);
    if (!machine_build(m, err) || !cli_devices(c, m, err) || (!c->exit && !machine_ready(m, err))) {
        map_commit(m);
        return false;
    }
    map_commit(m);
    return c->exit || ((!c->qtest || qtest_server_start(m, c->qtest, c->qtest_log, err)) &&
                       display_start(&c->display, err));
}

static int run(Cli *c, Machine *m, GError **err)
{
    if (c->pidfile && !process_write_pid(c->pidfile, err))
        return 1;
    process_catch_signals(m);
    warnings_release(true);
    if (!process_ready(err))
        return 1;
    if (c->incoming && !incoming_start(m, err)) {
        error_prefix_option(err, "incoming", c->incoming);
        return 1;
    }
    if (c->loadvm && !snapshot_load(m, c->loadvm, err))
        return 1;
    if (!c->stopped && !c->incoming)
        machine_start(m);
    machine_main_loop(m);
    migration_cleanup();
    return machine_exit_status(m);
}

static int start(Cli *c, GError **err)
{
    const MachineType *t = machine_type_find(c->cfg->type);
    Machine *m;
    int status = 1;

    if (!complete(c, t, err) || (c->daemonize && !process_daemonize(err)))
        return 1;
    machine_loop_init();
    m = machine_new(t, c->cfg);
    if (build(c, m, err))
        status = c->exit ? 0 : run(c, m, err);
    display_stop();
    monitor_cleanup();
    net_cleanup();
    block_shutdown();
    chr_cleanup();
    process_cleanup();
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    Cli *c = cli_new();
    int status = 1;

    fds_fill_standard();
    error_set_program(argv[0]);
    warnings_hold();
    if (!cli_parse(c, argc, argv, &err))
        goto out;
    status = 0;
    if (c->exit)
        goto out;
    if (c->show_version) {
        puts("vmemu version " CONFIG_VERSION " (compatible with QEMU 7.2)");
        goto out;
    }
    if (c->dump_vmstate) {
        const MachineType *t = machine_type_find(c->cfg->type);

        status = dump_vmstate(t ? t->name : "", c->dump_vmstate, &err) ? 0 : 1;
        goto out;
    }
    if (c->write_config && !cli_write_config(c, c->write_config, argc, argv, &err)) {
        status = 1;
        goto out;
    }
    status = start(c, &err);
out:
    warnings_release(!err);
    if (err)
        error_report_line(err);
    if (fflush(stdout) == EOF && !err) {
        error_report("cannot write to stdout: %s", g_strerror(errno));
        status = 1;
    }
    return err ? 1 : status;
}
