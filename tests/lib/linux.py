"""Linux guests for the nested jobs: a root shell on the serial line, and facts that it tells, which files in /out keep."""
import base64, io, os, re, tarfile, time
import tap
from vm import VM

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
