"""The e1000's packets, beside stock QEMU: CPU of sending and of receiving each (tests/guest/network); null and socket back-ends."""
import os, socket, statistics, struct, tempfile, threading
import vm

COUNT = 100000


class Peer(threading.Thread):
    """The other end of a stream: takes what comes, and, unless size is 0, has always more frames to give than are taken: a guest that
    polls would be billed for a sender's pauses."""
    def __init__(self, path, size):
        super().__init__(daemon=True)
        frame = b"\xff" * 6 + b"\x52\x54\0\0\0\1\x88\xb5" + b"x" * (size - 14)
        self.chunk = (struct.pack(">I", size) + frame) * (65536 // (size + 4)) if size else b""
        self.got = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.start()

    def run(self):
        s = self.listener.accept()[0]
        self.listener.close()
        try:
            while self.chunk:
                s.sendall(self.chunk)
            while n := len(s.recv(1 << 20)):
                self.got += n
        except OSError:
            pass                        # the guest has enough
        s.close()


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
        for what, size in [(w, n) for w in ("send", "send on a socket", "receive") for n in (60, 1514)]:
            got = {p: [] for p in programs}
            for turn in range(rounds):
                for i, p in enumerate(programs):
                    if what == "send":
                        got[p].append(cpu(p, "t%d,%d" % (COUNT, size), "hubport,id=n,hubid=1"))
                        continue
                    path = "%s/%s-%d-%d-%d" % (folder, what[-1], size, turn, i)
                    t = Peer(path, size if what == "receive" else 0)
                    used = cpu(p, "s%d" % COUNT if what == "receive" else "t%d,%d" % (COUNT, size),
                               "stream,id=n,server=off,addr.type=unix,addr.path=" + path)
                    t.join()
                    # Stock QEMU drops what a slower peer has no room for: what counts is what arrives.
                    got[p].append(used if what == "receive" else used * COUNT * (size + 4) / t.got)
            each = [statistics.median(got[p]) / COUNT for p in programs]
            line("e1000: %s, %d bytes" % (what, size), *[t * 1e6 for t in each], "µs", 0.8, 2)
            if size > 1000:
                line("    a MiB of these", *[t * (1 << 20) / size * 1e3 for t in each], "ms", 0.8, 2)
