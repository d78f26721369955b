"""A small USB driver over the qtest protocol: enumerates devices behind piix3-usb-uhci and talks to them.

Works with vmemu (-accel qtest, whose clock is stepped) and with stock QEMU (-accel kvm and a BIOS that halts, so that time runs).
"""
import os, struct, subprocess, time
import vm

IO, LIST, QH, TD, BUF = 0xc000, 0x100000, 0x101000, 0x102000, 0x110000
SETUP, IN, OUT = 0x2d, 0x69, 0xe1
ACTIVE, FAILED = 0x800000, 0x7e0000 & ~0x80000
UHCI = 0x0a


class Qtest:
    def __init__(self, program, *args):
        self.stock = os.path.basename(program).startswith("qemu")
        bios = os.path.join(vm.folder(), "halt.bin")
        with open(bios, "wb") as f:
            f.write(b"\xff" * 0xfff0 + b"\xfa\xf4\xeb\xfc" + b"\xff" * 12)
        accel = ["-accel", "kvm"] if self.stock else ["-accel", "qtest"]
        self.p = subprocess.Popen([program, *accel, "-m", "32", "-display", "none", "-nodefaults", "-bios", bios, "-qtest", "stdio",
                                   "-qtest-log", "/dev/null", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, preexec_fn=vm._die_with_parent)
        vm._running.add(self.p)

    def cmd(self, text):
        self.p.stdin.write(text + "\n")
        self.p.stdin.flush()
        while True:
            line = self.p.stdout.readline()
            if not line:
                raise EOFError(text)
            if line.startswith("OK"):
                return line[2:].strip()
            if not line.startswith("IRQ"):
                raise ValueError("%s: %s" % (text, line))

    def out(self, size, port, value):
        self.cmd("out%s %#x %#x" % ({1: "b", 2: "w", 4: "l"}[size], port, value))

    def inp(self, size, port):
        return int(self.cmd("in%s %#x" % ({1: "b", 2: "w", 4: "l"}[size], port)), 16)

    def write(self, addr, data):
        if data:
            self.cmd("write %#x %#x 0x%s" % (addr, len(data), bytes(data).hex()))

    def read(self, addr, n):
        return bytes.fromhex(self.cmd("read %#x %#x" % (addr, n))[2:]) if n else b""

    def words(self, addr, *values):
        self.write(addr, struct.pack("<%dI" % len(values), *values))

    def word(self, addr):
        return struct.unpack("<I", self.read(addr, 4))[0]

    def config(self, devfn, off, value=None):
        self.out(4, 0xcf8, 0x80000000 | devfn << 8 | off)
        return self.inp(4, 0xcfc) if value is None else self.out(4, 0xcfc, value)

    def step(self, ms):
        if self.stock:
            time.sleep(ms / 1000)
        else:
            self.cmd("clock_step %d" % (ms * 1000000))

    def end(self):
        self.p.terminate()
        self.p.wait()
        vm._running.discard(self.p)


class Uhci:
    def __init__(self, q, devfn=UHCI):
        self.q, self.toggles, self.tag = q, {}, 0
        q.config(devfn, 0x20, IO)
        q.config(devfn, 4, 5)
        q.out(2, IO, 2)
        q.step(2)
        q.words(QH, 1, 1)
        q.write(LIST, struct.pack("<I", QH | 2) * 1024)
        q.out(4, IO + 8, LIST)
        q.out(2, IO + 4, 0xf)
        q.out(2, IO, 0xc1)

    def reset_port(self, port):
        r = IO + 0x10 + 2 * port
        self.q.out(2, r, 0x200)
        self.q.step(20)
        self.q.out(2, r, 0)
        self.q.out(2, r, 0xe)
        return self.q.inp(2, r)

    def run(self, tds, patience=400):
        """tds: (pid, address, endpoint, toggle, length, buffer); their status words."""
        q = self.q
        image = b""
        for i, (pid, a, ep, t, n, buf) in enumerate(tds):
            link = TD + 32 * (i + 1) | 4 if i < len(tds) - 1 else 1
            image += struct.pack("<8I", link, ACTIVE | 3 << 27 | (1 << 29 if pid == IN else 0) | 0x7ff,
                                 pid | a << 8 | ep << 15 | t << 19 | ((n - 1) & 0x7ff) << 21, buf, 0, 0, 0, 0)
        q.write(TD, image)
        q.words(QH + 4, TD)
        for i in range(patience):
            q.step(1)
            if i > 20 and not q.stock:
                time.sleep(0.01)        # an image's answer takes real time
            at = q.word(QH + 4)
            if at & 1 or not q.word((at & ~15) + 4) & ACTIVE:
                break
        q.words(QH + 4, 1)
        return [w[0] for w in struct.iter_unpack("<4xI24x", q.read(TD, 32 * len(tds)))]

    def control(self, a, kind, request, value, index, n, data=b"", mps=8):
        """The data that came, "ok", or what failed."""
        q = self.q
        q.write(BUF, struct.pack("<BBHHH", kind, request, value, index, n))
        q.write(BUF + 64, data)
        inn = kind & 0x80
        tds = [(SETUP, a, 0, 0, 8, BUF)]
        for off in range(0, n, mps):
            tds.append((IN if inn else OUT, a, 0, len(tds) & 1, min(mps, n - off), BUF + 64 + off))
        status = self.run(tds)
        if status[0] & (ACTIVE | FAILED):
            return "setup %#x" % status[0]
        got = b""
        for (pid, _, _, _, size, buf), s in zip(tds[1:], status[1:]):
            if s & FAILED:
                return "data %#x" % s
            if s & ACTIVE:
                break
            k = (s + 1) & 0x7ff
            got += q.read(buf, k)
            if k < size:
                break
        s = self.run([(OUT if inn and n else IN, a, 0, 1, 0, 0)])[0]
        if s & (ACTIVE | FAILED):
            return "status %#x" % s
        return got.hex() if inn else "ok"

    def bulk(self, a, ep, inn, n=0, data=None, patience=400, mps=64):
        """Bytes that came, "ok", or (what failed, bytes until then)."""
        q, key = self.q, (a, ep, inn)
        n = n if data is None else len(data)
        q.write(BUF, data or b"")
        out, off = b"", 0
        while True:
            tds, t = [], self.toggles.get(key, 0)
            while not tds or (off < n and len(tds) < 16):
                size = min(mps, n - off)
                tds.append((IN if inn else OUT, a, ep, t, size, BUF + off))
                off, t = off + size, t ^ 1
            for (_, _, _, t, size, buf), s in zip(tds, self.run(tds, patience)):
                self.toggles[key] = t
                if s & (ACTIVE | FAILED):
                    return "nak" if s & ACTIVE else "%#x" % s, out.hex()
                k = (s + 1) & 0x7ff
                self.toggles[key] = t ^ 1
                out += q.read(buf, k) if inn else b""
                if k < size:
                    return out if inn else "ok"
            if off >= n:
                return out if inn else "ok"

    def scsi(self, a, cdb, n=0, data=None, lun=0):
        """A command by the bulk-only transport: results of its phases, as text."""
        self.tag += 1
        size = n if data is None else len(data)
        cbw = struct.pack("<4sIIBBB", b"USBC", self.tag, size, 0x80 if data is None else 0, lun, len(cdb)) + bytes(cdb).ljust(16, b"\0")
        phases = [self.bulk(a, 2, False, data=cbw)]
        if size:
            phases.append(self.bulk(a, 1, True, n) if data is None else self.bulk(a, 2, False, data=data))
        phases.append(self.bulk(a, 1, True, 13))
        return " ".join(p.hex() if isinstance(p, bytes) else str(p) for p in phases)
