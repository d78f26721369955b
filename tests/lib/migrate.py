"""Moving guests: a working guest of ours (tests/guest/migrate.S), its output checked over all hosts that it has been on."""
import os, re, socket, time
import vm
from vm import VM

GUEST = os.path.join(vm.BUILD, "tests/guest/migrate.bin")
MACHINE = ["-M", "pc-i440fx-7.2", "-cpu", "qemu64", "-m", "64", "-nic", "none"]
WORKER = MACHINE + ["-bios", GUEST, "-device", "isa-debug-exit"]


def disk(name="disk.raw", fmt="raw"):
    """A new disk for the guest; the options that give it to it."""
    path = os.path.join(vm.folder(), name)
    if fmt == "raw":
        with open(path, "wb") as f:
            f.truncate(1 << 20)
    else:
        vm.subprocess.run(["qemu-img", "create", "-q", "-f", fmt, path, "1M"], check=True)
    return ["-drive", "file=%s,format=%s" % (path, fmt)]


def wait_status(v, statuses=("completed", "failed", "cancelled"), seconds=60):
    """Waits until the migration is over (or in one of the states); query-migrate's answer."""
    end = time.time() + seconds * vm.SLOW
    while True:
        r = v.qmp("query-migrate")
        if r.get("status") in statuses:
            return r
        if time.time() > end:
            raise vm.Timeout("migration: %r" % r)
        time.sleep(0.02)


def arrived(v, seconds=30):
    """Waits until the target has everything; its state, or None when it has ended."""
    end = time.time() + seconds * vm.SLOW
    while time.time() < end:
        if v.poll() is not None:
            return None
        state = v.state()
        if state != "inmigrate":
            return state
        time.sleep(0.02)
    raise vm.Timeout("nothing arrives")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def settings(v, caps=(), params=None):
    """Capabilities on, parameters set."""
    v.qmp("migrate-set-capabilities", capabilities=[{"capability": c, "state": True} for c in caps])
    if params:
        v.qmp("migrate-set-parameters", **params)


def move(source, *args, uri=None, incoming=None, program=None, caps=(), params=None, **kw):
    """Source's guest to a new VM; (the new one, the source's query-migrate). caps, params: on both sides."""
    uri = uri or "unix:" + os.path.join(source.name, "migrate")
    incoming = incoming or uri
    target = VM(*args, "-incoming", "defer" if caps else incoming, program=program, **kw)
    if caps:
        settings(target, caps, params)
        settings(source, caps, params)
        target.qmp("migrate-incoming", uri=incoming)
    source.qmp("migrate", uri=uri)
    info = wait_status(source)
    arrived(target)
    return target, info


class Journey:
    """What a guest has printed on its hosts, one after the other."""

    def __init__(self, *args, program=None):
        self.args = list(args)
        self.text = ""
        self.vm = VM(*self.args, program=program)
        self.vm.serial.wait(r"\n3 ticks", 120)

    def works(self, rounds=3):
        """It goes on: some more rounds."""
        self.vm.serial.wait(r"(\d+ ticks .*\n){%d}" % rounds, 120)

    def leave(self, target):
        """The guest is on target now."""
        self.vm.quit()
        self.text += self.vm.serial.text    # all of it has come now
        self.vm = target

    def move(self, **kw):
        target, info = move(self.vm, *self.args, **kw)
        if info["status"] != "completed" or target.poll() is not None:
            raise vm.Timeout("%s %s; target: %s" % (info, self.vm.stderr(), target.stderr()))
        self.leave(target)
        self.works()
        return info

    def end(self):
        """Ends the guest; a list of what was wrong."""
        self.vm.serial.send("q")
        status = self.vm.wait(60)
        return check(self.text + self.vm.serial.text) + ([] if status == 1 else ["exit status %s" % status])


def check(text):
    """The guest's output: every round once, nothing BAD."""
    wrong, n = [], 0
    for line in text.split("\n"):
        m = re.match(r"(\d+) ticks (\d+) pm [0-9a-f]{8} rtc \d+$", line)
        if not m:
            wrong += [line] if line not in ("", "end") and not re.match("got .$", line) else []
            continue
        if int(m.group(1)) != n:
            wrong.append("round %s where %d was expected" % (m.group(1), n))
        n = int(m.group(1)) + 1
    return wrong


def time_lost(text):
    """Seconds by the PM timer; how many of the RTC's half seconds in them the guest has missed; how many of those it could not
    have seen, as its host did not let it run for so long."""
    seconds, last, first, excuse = 0, None, None, 0
    for m in re.finditer(r"^\d+ ticks \d+ pm ([0-9a-f]{8}) rtc (\d+)$", text, re.M):
        pm, rtc = int(m.group(1), 16), int(m.group(2))
        gap = ((pm - last) & 0xffffff) / 3579545 if last is not None else 0
        first = rtc if first is None else first
        seconds += gap
        excuse += int(gap * 2)
        last = pm
    return seconds, seconds * 2 - (rtc - first), excuse
