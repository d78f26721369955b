"""Linux guests for the nested jobs: a root shell on the serial line, and facts that it tells, which files in /out keep."""
import base64, io, os, re, tarfile, time
import tap
from vm import SLOW, VM, folder

CACHE = os.environ.get("OUTER_CACHE") or os.path.join(os.environ["HOME"], ".cache/vmemu-nested")
OUT = "/out"


def save(what, text):
    """Keeps a text in the outer guest's /out."""
    with open(os.path.join(OUT, what), "w") as f:
        f.write(text)


class Linux(VM):
    """A VM whose serial line is kept in /out/CALLED.log."""

    def __init__(self, called, *args, **kw):
        super().__init__(*args, log=os.path.join(OUT, called + ".log"), **kw)
        self.called = called
        self.begun = time.time()

    def stamp(self, what):
        """Notes how long it took since the last stamp."""
        now = time.time()
        tap.note("%s: %s: %.0f s" % (self.called, what, now - self.begun))
        self.begun = now

    def keep(self, what, text):
        save("%s-%s.txt" % (self.called, what), text)

    def login(self, user="root", password="vmemu"):
        """From the login prompt to a quiet shell."""
        self.serial.wait("debian login: ", 240)
        self.serial.send(user + "\n")
        self.serial.wait("Password: ", 60)
        self.serial.send(password + "\n")
        self.serial.wait(r"root@debian:~# ", 60)
        self.serial.send("stty -echo; dmesg -n 1; echo 0 > /proc/sys/kernel/watchdog; exec env PS1='# ' LC_ALL=C PAGER=cat sh\n")
        self.serial.wait(r"\n(\x1b\[\?2004l)?# ", 60)

    def shell(self, command, seconds=60):
        """Runs a command at the root prompt; its output."""
        self.serial.send("echo BE'GIN'; { %s; } 2>&1; echo; echo EN'D'$?\n" % command)
        at = self.serial.at
        self.serial.wait(r"\nEND\d+\n", seconds)
        m = re.search(r"BEGIN\n(.*?)\n?\nEND(\d+)\n", self.serial.text[at:], re.S)
        return m.group(1) if m else ""

    def until(self, command, wanted, seconds=60):
        """Runs it until it says what is wanted; what it said last."""
        end = time.time() + seconds * SLOW
        while True:
            out = self.shell(command).strip()
            if out == wanted or time.time() > end:
                return out
            time.sleep(0.5)

    def facts(self, commands):
        """name -> output of each command, kept as files too.  They come packed: a character costs an exit or two."""
        for what, command in commands.items():
            self.shell("mkdir -p /tmp/f; (%s) > /tmp/f/%s" % (command, what))
        packed = self.shell("tar c -C /tmp f | xz | base64", 120)
        packed = re.sub(r"\[ *\d+\.\d+\] .*", "", packed)       # an emergency's message may come in between
        got = {}
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as tar:
            for what in commands:
                got[what] = tar.extractfile("f/" + what).read().decode(errors="replace").rstrip("\n")
                self.keep(what, got[what] + "\n")
        return got


_INIT = b"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo online > /sys/devices/system/memory/auto_online_blocks
stty -echo < /dev/console
export PS1='# '
exec setsid sh -c 'exec sh -i < /dev/ttyS0 > /dev/ttyS0 2>&1'
"""


def _member(name, mode, data=b""):
    head = b"070701" + b"".join(b"%08X" % v for v in (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))
    out = head + name.encode() + b"\0"
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(out) % 4)


def small_initrd():
    """busybox and a shell on the serial line."""
    path = os.path.join(folder(), "initrd")
    with open(path, "wb") as f, open("/bin/busybox", "rb") as b:
        for d in ("bin", "proc", "sys", "dev"):
            f.write(_member(d, 0o40755))
        f.write(_member("bin/busybox", 0o100755, b.read()) + _member("init", 0o100755, _INIT) + _member("TRAILER!!!", 0))
    return path
