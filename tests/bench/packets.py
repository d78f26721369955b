"""The e1000's packets, beside stock QEMU: CPU of sending and of receiving many (tests/guest/network)."""
import os, socket, statistics, tempfile, threading, time
import vm

COUNT = 100000


def flood(path, size, ended):
    """Sends frames there, until ended is set."""
    def run():
        frame = b"\xff" * 6 + b"\x52\x54\0\0\0\1\x88\xb5" + b"x" * (size - 14)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(path + "-from")
        s.settimeout(0.1)
        while not ended.is_set():
            try:
                s.sendto(frame, path)
            except OSError:
                time.sleep(0.001)       # not there yet, or no longer, or full
        s.close()
    t = threading.Thread(target=run, daemon=True)
    t.start()
    return t


def cpu(program, what, netdev):
    pid = os.posix_spawnp(program, [program, "-accel", "kvm", "-display", "none", "-vga", "none", "-m", "64", "-serial", "null",
                                    "-monitor", "none", "-device", "isa-debug-exit", "-bios", vm.BUILD + "/tests/guest/network.bin",
                                    "-fw_cfg", "name=opt/network,string=" + what.replace(",", ",,"), "-netdev", netdev,
                                    "-device", "e1000,netdev=n,addr=3"], os.environ,
                          file_actions=[(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_RDWR, 0)])
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != 1:
        raise SystemExit("%s: %s: status %d" % (program, what, os.waitstatus_to_exitcode(status)))
    return used.ru_utime + used.ru_stime


def bench(line, programs, rounds):
    with tempfile.TemporaryDirectory() as folder:
        for what, size in (("send", 60), ("send", 1514), ("receive", 60), ("receive", 1514)):
            got = {p: [] for p in programs}
            for turn in range(rounds):
                for i, p in enumerate(programs):
                    if what == "send":
                        got[p].append(cpu(p, "t%d,%d" % (COUNT, size), "hubport,id=n,hubid=1"))
                        continue
                    path = "%s/%d-%d-%d" % (folder, size, turn, i)
                    ended = threading.Event()
                    t = flood(path, size, ended)
                    got[p].append(cpu(p, "s%d" % COUNT, "dgram,id=n,local.type=unix,local.path=%s,remote.type=unix,"
                                      "remote.path=%s-from" % (path, path)))
                    ended.set()
                    t.join()
            line("e1000: %s %d bytes: CPU a packet" % (what, size), *[statistics.median(got[p]) / COUNT * 1e6 for p in programs],
                 "µs", 0.8, 2)
