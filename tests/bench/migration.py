"""Migrations, ours beside stock QEMU's: random memory, memory that is written all the time, untouched memory, downtime."""
import mmap, os, time
import migrate, vm

GUEST = os.path.join(vm.BUILD, "tests/guest/load.bin")
MACHINE = ["-M", "pc-i440fx-7.2", "-cpu", "qemu64", "-nic", "none"]


def room():
    """MiB of guest memory that two processes at a time may have: 4096, or what there is."""
    with open("/proc/meminfo") as f:
        have = next(int(l.split()[1]) // 1024 for l in f if l.startswith("MemAvailable"))
    return int(os.environ.get("BENCH_MIGRATE_MB", min(4096, have // 4 // 256 * 256)))


def data():
    path = os.path.join(vm.folder(), "random")
    if not os.path.exists(path):
        with open(path, "wb") as f:
            f.write(os.urandom(16 << 20))
    return path


def warm(mb):
    """Memory that this machine's own host may have to find first is found before the clock runs."""
    m = mmap.mmap(-1, mb << 20)
    m.madvise(mmap.MADV_HUGEPAGE)       # as both programs ask for
    for at in range(0, mb << 20, 4096):
        m[at] = 1
    m.close()


def move(program, mb, filled, dirty, uri, caps=(), **params):
    """Total and downtime in seconds, CPU seconds of both processes."""
    args = MACHINE + ["-m", str(mb)]
    if filled:
        args += ["-bios", GUEST, "-fw_cfg", "name=opt/data,file=" + data(), "-fw_cfg", "name=opt/fill,string=%d" % filled, "-fw_cfg",
                 "name=opt/dirty,string=%d" % dirty]
    source = vm.VM(*args, *([] if filled else ["-S"]), program=program)
    if filled:
        source.serial.wait("filled", 300)
    target = vm.VM(*args, "-incoming", "defer", program=program)
    try:
        migrate.settings(source, caps, dict({"max_bandwidth": 0}, **params))
        migrate.settings(target, caps)
        target.qmp("migrate-incoming", uri=uri)
        warm((filled or 64) + 64)
        before = source.cpu() + target.cpu()
        source.qmp("migrate", uri=uri)
        info = migrate.wait_status(source, seconds=300)
        migrate.arrived(target, 60)
        if info["status"] != "completed":
            raise vm.Timeout("%s: %s" % (program, info))
        return info["total-time"] / 1000, info["downtime"] / 1000, source.cpu() + target.cpu() - before
    finally:
        source.kill()
        target.kill()


def best(rounds, cases):
    """Each case in turn, there and back, over and over: the least of what move says, as others use the machine too."""
    got = [[] for _ in cases]
    for r in range(rounds):
        for n in (range(len(cases)) if r % 2 == 0 else reversed(range(len(cases)))):
            got[n].append(cases[n]())
    return [[min(g[i] for g in runs) for i in range(3)] for runs in got]


def bench(line, programs, rounds):
    rounds = max(rounds, 2)             # once in each order
    mb = room()
    unix, tcp = "unix:" + os.path.join(vm.folder(), "bench"), "tcp:127.0.0.1:%d" % migrate.free_port()
    ours, stock = programs

    def case(program, *args, **kw):
        return lambda: move(program, *args, **kw)

    for name, uri in (("unix", unix), ("tcp", tcp)):
        cases = [case(p, mb + 64, mb, 0, uri) for p in programs]
        if name == "tcp":
            cases.append(case(ours, mb + 64, mb, 0, uri, ["multifd"], multifd_channels=2))
        m = best(rounds, cases)
        line("migrate %d MiB of noise, %s: total time" % (mb, name), m[0][0], m[1][0], "s", 1, 2)
        line("migrate %d MiB of noise, %s: CPU, both sides" % (mb, name), m[0][2], m[1][2], "s", 1, 2)
        if name == "tcp":
            line("... multifd 2, over stock's one channel", m[2][0], m[1][0], "s", 0.7, 2)
    m = best(rounds, [case(p, 256, 128, 64, unix) for p in programs])
    line("migrate, 64 MiB written all the time: total", m[0][0], m[1][0], "s", 1, 2)
    line("migrate, 64 MiB written all the time: CPU", m[0][2], m[1][2], "s", 1, 2)
    m = best(rounds, [case(p, 4096, 0, 0, unix) for p in programs])
    line("migrate 4 GiB untouched: total time", m[0][0] * 1000, m[1][0] * 1000, "ms", 0.1)
    m = best(rounds, [case(p, 256, 128, 2, unix, downtime_limit=20) for p in programs])
    line("migrate, downtime-limit 20: downtime", m[0][1] * 1000, m[1][1] * 1000, "ms")
    print("... of 20 ms%s" % ("" if m[0][1] <= 0.02 else ": MISSED"))
