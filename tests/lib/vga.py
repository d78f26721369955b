"""vmemu and stock QEMU side by side, without guest code: the test plays the guest through qtest, above all on the VGA's registers."""
import json, os, random, socket, subprocess
import tap, vm

LFB, MMIO = 0xe0000000, 0xfe000000


class Side:
    """One emulator, with its qtest and QMP sockets."""

    def __init__(self, name, program, *args, display=("-display", "none"), launch=None, vga="VGA,addr=2"):
        """launch: starts the command line otherwise than as a child."""
        self.name, ears = name, []
        for kind in "qtest", "qmp":
            path = os.path.join(vm.folder(), "%s.%s" % (name, kind))
            if os.path.exists(path):
                os.unlink(path)
            ears.append(socket.socket(socket.AF_UNIX))
            ears[-1].bind(path)
            ears[-1].listen(1)
            ears[-1].settimeout(20)
        folder = os.path.join(vm.folder(), name)
        self.dump_path = folder + ".ppm"
        command = [program, "-M", "pc", "-nodefaults", "-device", vga, *display, "-qtest", "unix:%s.qtest" % folder,
                   "-qtest-log", "/dev/null", "-qmp", "unix:%s.qmp" % folder, *args]
        self.process = launch(command) if launch else subprocess.Popen(command, preexec_fn=vm._die_with_parent)
        self.qtest, self.qmp = [e.accept()[0].makefile("rw") for e in ears]
        self.qmp.readline()
        self.execute("qmp_capabilities")

    def execute(self, command, **args):
        self.qmp.write(json.dumps({"execute": command, "arguments": args}) + "\n")
        self.qmp.flush()
        while True:
            reply = json.loads(self.qmp.readline())
            if "event" not in reply:
                assert "error" not in reply, reply
                return reply["return"]

    def send(self, line):
        self.qtest.write(line + "\n")

    def reply(self):
        self.qtest.flush()
        while True:
            line = self.qtest.readline()
            if not line.startswith("IRQ"):
                return line.strip().lower()

    def dump(self, **which):
        self.execute("screendump", filename=self.dump_path, **which)
        with open(self.dump_path, "rb") as f:
            return f.read()


class Both:
    def __init__(self, sides=None, vga="VGA,addr=2", more=()):
        self.sides = sides or [Side("vmemu", vm.PROGRAM, "-accel", "qtest", *more, vga=vga),
                               Side("qemu", vm.STOCK, "-accel", "tcg", "-S", *more, vga=vga)]

    def end(self):
        for side in self.sides:
            side.process.kill()
            side.process.wait()

    def do(self, line):
        for s in self.sides:
            s.send(line)
        got = [s.reply() for s in self.sides]
        if got[0] != got[1]:
            tap.ok(False, "same answer to " + line[:60], *["%s %s" % (s.name, g) for s, g in zip(self.sides, got)])
        return got[0]

    def outb(self, port, v): self.do("outb 0x%x 0x%x" % (port, v))
    def seq(self, i, v): self.do("outw 0x3c4 0x%x" % (v << 8 | i))
    def gr(self, i, v): self.do("outw 0x3ce 0x%x" % (v << 8 | i))
    def crtc(self, i, v): self.do("outw 0x3d4 0x%x" % (v << 8 | i))

    def attr(self, i, v):
        self.do("inb 0x3da")
        self.outb(0x3c0, i)
        self.outb(0x3c0, v)

    def vbe(self, i, v):
        self.do("outw 0x1ce %d" % i)
        self.do("outw 0x1d0 0x%x" % v)

    def video(self, on):
        self.do("inb 0x3da")
        self.outb(0x3c0, 0x20 if on else 0)

    def fill(self, addr, n):
        for a in range(addr, addr + n, 8192):
            self.do("write 0x%x 8192 0x%s" % (a, random.randbytes(8192).hex()))

    def config(self, reg, v):
        self.do("outl 0xcf8 0x%x" % (0x80001000 | reg))
        self.do("outl 0xcfc 0x%x" % v)

    def same(self, name):
        """Both redraw everything: QEMU misses some changes of the mode."""
        self.video(False)
        for s in self.sides:
            s.dump()
        self.video(True)
        ours, theirs = [s.dump() for s in self.sides]
        tap.ok(ours == theirs, name, "%r, %d bytes" % (ours[:15], len(ours)), "%r, %d bytes" % (theirs[:15], len(theirs)))

    def timing(self, cols, lines, max_scan=0, offset=40, mode=0xa3, compare=0x3ff, start=0):
        self.crtc(0x11, 0)
        self.crtc(1, cols - 1)
        self.crtc(0x12, lines - 1 & 0xff)
        self.crtc(7, (lines - 1) >> 7 & 2 | (lines - 1) >> 3 & 0x40 | compare >> 4 & 0x10)
        self.crtc(9, max_scan & 0xbf | compare >> 3 & 0x40)
        for i, v in (0x13, offset), (0x17, mode), (0x18, compare & 0xff), (0x0c, start >> 8), (0x0d, start & 0xff):
            self.crtc(i, v)

    def text(self, cols=80, lines=400, height=16, clocking=0, ar_mode=0x0c, cursor=(13, 14), at=5, fonts=0, **kw):
        for f, i, v in ((self.gr, 6, 0x0e), (self.gr, 5, 0x10), (self.seq, 4, 2), (self.seq, 1, clocking), (self.seq, 3, fonts),
                        (self.attr, 0x10, ar_mode), (self.crtc, 0x0a, cursor[0]), (self.crtc, 0x0b, cursor[1]),
                        (self.crtc, 0x0e, at >> 8), (self.crtc, 0x0f, at & 0xff), (self.crtc, 6, 0xbf)):
            f(i, v)
        self.timing(cols, lines, height - 1, **kw)

    def graphics(self, shift, clocking, *args, **kw):
        self.gr(6, 5)
        self.gr(5, shift << 5)
        self.seq(1, clocking)
        self.timing(*args, **kw)


def set_up(b):
    random.seed(1)
    b.outb(0x3c2, 0x67)
    b.outb(0x3c8, 0)
    for _ in range(768):
        b.outb(0x3c9, random.randrange(64))
    for i in range(16):
        b.attr(i, i)
    b.attr(0x12, 0x0f)
    b.attr(0x14, 0)
    b.config(0x10, LFB)
    b.config(0x18, MMIO)
    b.config(4, 7)
    b.fill(LFB, 0x200000)
    b.fill(LFB + 0xfe0000, 0x20000)

