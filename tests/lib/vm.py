"""Runs the emulator for a test: QMP, human monitor, screen, serial line, resources.

    vm = VM("-m", "64", "-cdrom", iso)          # serial line on a socket, QMP
    vm.wait_screen("GNU GRUB")
    vm.quit()
"""
import atexit, codecs, ctypes, json, os, re, resource, shutil, signal, socket, subprocess, sys, tempfile, threading, time
import screen, tap

STOCK = "qemu-system-x86_64"
PROGRAM = os.environ.get("VMEMU") or os.path.join(os.environ.get("BUILD", "build"), "vmemu")
BUILD = os.environ.get("BUILD", os.path.dirname(os.path.abspath(PROGRAM)))
IS_STOCK = os.path.basename(PROGRAM).startswith("qemu")
RESCUE_CD = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
RESCUE_FLOPPY = "/usr/lib/grub-rescue/grub-rescue-floppy.img"
ACCEL = os.environ.get("TEST_ACCEL", "kvm")     # what "kvm" stands for
SLOW = float(os.environ.get("TEST_SLOW", "1"))      # multiplies every limit

_running = set()
_folder = None
_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


def _cleanup():
    for p in list(_running):
        p.kill()
        p.wait()
    if _folder:
        shutil.rmtree(_folder, ignore_errors=True)


atexit.register(_cleanup)
signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))


def folder():
    """A directory for this test's files; removed at its end."""
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="vmemu-test-")
    return _folder


def no_kvm():
    """Why /dev/kvm can't be used, or None."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user"
    return None


def need(kvm=False, files=(), tools=()):
    """Ends the script, saying what it lacks."""
    why = no_kvm() if kvm else None
    for f, package in files:
        why = why or (None if os.path.exists(f) else "no %s: install %s" % (f, package))
    for t, package in tools:
        why = why or (None if shutil.which(t) else "no %s: install %s" % (t, package))
    if not why and not shutil.which(PROGRAM):
        why = "there is no %s" % PROGRAM
    if why:
        tap.skip_all(why)


class Timeout(Exception):
    pass


class Stream:
    """A byte stream to and from the guest: what came is kept in .text.  A thread reads all the time, as a sender
    must never wait: to an emulated serial line's port, a full socket means lost characters."""

    def __init__(self, rfd, wfd, vm):
        self.rfd, self.wfd, self.vm = rfd, wfd, vm
        self.text, self.at = "", 0
        self.eof = False
        self.more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while not self.eof:
            try:
                data = os.read(self.rfd, 65536)
            except OSError:
                data = b""
            with self.more:
                self.eof = not data
                self.text += decoder.decode(data).replace("\r", "")
                self.more.notify_all()

    def poll(self, seconds=0):
        """Waits for more; False when nothing came."""
        with self.more:
            n = len(self.text)
            return self.more.wait_for(lambda: len(self.text) > n or self.eof, seconds) and len(self.text) > n

    def send(self, text):
        os.write(self.wfd, text.encode())

    def type(self, text, pause=0.01):
        """Key by key, as a slow line delivers them."""
        for c in text:
            os.write(self.wfd, c.encode())
            self.poll(pause)

    def wait(self, pattern, seconds=30):
        """Waits for a regular expression in what came since the last wait; returns the match."""
        end = time.time() + seconds * SLOW
        while True:
            m = re.search(pattern, self.text[self.at:])
            if m:
                self.at += m.end()
                return m
            if time.time() > end or self.eof:
                raise Timeout("%s instead of %r; last came: %r" % ("end" if self.eof else "nothing", pattern,
                                                                 self.text[-300:]))
            self.poll(0.2)

    def plain(self, start=0):
        """The text from there on, without terminal control sequences."""
        return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Za-z0-9]|[=>A-Za-z])", "", self.text[start:])

    def wait_plain(self, pattern, start, seconds=30):
        """The same as wait, in what came from there on, without control sequences."""
        end = time.time() + seconds * SLOW
        while True:
            m = re.search(pattern, self.plain(start))
            if m:
                self.at = len(self.text)
                return m
            if time.time() > end or self.eof:
                raise Timeout("%s instead of %r; last came: %r" % ("end" if self.eof else "nothing", pattern,
                                                                 self.plain(start)[-300:]))
            self.poll(0.2)

    def type_echoed(self, text):
        """Key by key, each when the one before has been echoed; one that gets lost is typed again."""
        for c in text:
            at = len(self.text)
            for _ in range(4):
                self.send(c)
                try:
                    self.wait_plain(re.escape(c), at, 3)
                    break
                except Timeout:
                    pass


class VM:
    def __init__(self, *args, program=None, qmp=True, serial=True, stdio=False, accel="kvm", limit=None, cwd=None,
                 stderr=None, env=None, pre=None, log=None):
        """serial: its first serial line on a socket (self.serial); stdio: self.serial is stdin and stdout;
        log: a file for all that the serial line says; limit: (resource, value); pre: called in the child before the program starts."""
        self.program = program or PROGRAM
        self.name = tempfile.mkdtemp(dir=folder())
        argv = [self.program]
        if accel:
            argv += ["-accel", ACCEL if accel == "kvm" else accel]
        if qmp:
            argv += ["-chardev", "socket,id=testqmp,path=%s/qmp,server=on,wait=off" % self.name,
                     "-mon", "chardev=testqmp,mode=control"]
        if serial and not stdio:
            argv += ["-chardev", "socket,id=testser,path=%s/ser,server=on,wait=on%s" %
                     (self.name, ",logfile=" + log if log else ""), "-serial", "chardev:testser"]
        if not stdio and "-display" not in args and "-nographic" not in args:
            argv += ["-display", "none"]
        argv += [str(a) for a in args]
        self.argv = argv
        self.errors = open(os.path.join(self.name, "stderr"), "w+")
        self.status, self.usage = None, None
        self.started = time.time()

        def prepare():
            _die_with_parent()
            if limit:
                resource.setrlimit(*limit)
            if pre:
                pre()

        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE if stdio else subprocess.DEVNULL,
                                  stdout=subprocess.PIPE if stdio else self.errors, stderr=stderr or self.errors,
                                  preexec_fn=prepare, cwd=cwd, env=env, bufsize=0)
        _running.add(self.p)
        self.pid = self.p.pid
        self.serial = self.qmp_stream = None
        self.events = []
        if stdio:
            self.serial = Stream(self.p.stdout.fileno(), self.p.stdin.fileno(), self)
        elif serial:
            self.serial = self.connect("ser")
        if qmp:
            self.qmp_stream = self.connect("qmp")
            self.qmp_stream.wait(r'\{"QMP".*\n', 10)
            self.qmp("qmp_capabilities")

    def connect(self, name):
        path = os.path.join(self.name, name)
        for _ in range(int(1000 * SLOW)):
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                self._keep = getattr(self, "_keep", []) + [s]
                return Stream(s.fileno(), s.fileno(), self)
            except OSError:
                s.close()
            if self.poll() is not None:
                raise Timeout("the program ended: status %s, %s" % (self.status, self.stderr()))
            time.sleep(0.01)
        raise Timeout("no socket " + path)

    # ---- the process ----

    def poll(self):
        """The exit status (negative: signal) if it has ended, or None."""
        if self.status is None:
            pid, st, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._ended(st, usage)
        return self.status

    def _ended(self, st, usage):
        self.status = os.waitstatus_to_exitcode(st)
        self.usage = usage
        self.wall = time.time() - self.started
        self.p.returncode = self.status
        _running.discard(self.p)

    def wait(self, seconds=30):
        """Waits for the end; the exit status."""
        end = time.time() + seconds * SLOW
        while self.poll() is None:
            if time.time() > end:
                raise Timeout("%s does not end" % self.program)
            time.sleep(0.005)
        for s in (self.serial, self.qmp_stream):
            end = time.time() + 2
            while s and not s.eof and time.time() < end:
                s.poll(0.1)
        return self.status

    def kill(self):
        if self.poll() is None:
            self.p.kill()
            self.wait()

    def quit(self):
        """The monitor's quit; the exit status."""
        if self.poll() is None:
            try:
                self.qmp("quit")
            except Timeout:
                pass
        return self.wait()

    def stderr(self):
        with open(os.path.join(self.name, "stderr")) as f:
            return f.read()

    def cpu(self):
        """User and system seconds so far (or in all, after the end)."""
        if self.usage:
            return self.usage.ru_utime + self.usage.ru_stime
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- the monitor ----

    def _message(self, seconds):
        m = self.qmp_stream.wait(r"(.*)\n", seconds)
        return json.loads(m.group(1))

    def qmp(self, command, seconds=20, **args):
        """One command; its return value, or raises RuntimeError with the error."""
        msg = {"execute": command}
        if args:
            msg["arguments"] = {k.replace("_", "-"): v for k, v in args.items()}
        self.qmp_stream.send(json.dumps(msg) + "\n")
        while True:
            r = self._message(seconds)
            if "event" in r:
                self.events.append(r)
            elif "error" in r:
                raise RuntimeError(r["error"]["desc"])
            else:
                return r["return"]

    def event(self, name, seconds=20):
        """Waits for an event; returns its data."""
        while True:
            for i, e in enumerate(self.events):
                if e["event"] == name:
                    del self.events[i]
                    return e.get("data", {})
            r = self._message(seconds)
            if "event" in r:
                self.events.append(r)

    def hmp(self, line):
        """A command of the human monitor; its output."""
        return self.qmp("human-monitor-command", command_line=line).replace("\r", "")

    def state(self):
        return self.qmp("query-status")["status"]

    # ---- the screen ----

    def picture(self):
        path = os.path.join(self.name, "screen.ppm")
        self.hmp("screendump " + path)
        return path

    def screen(self):
        """Lines of the text screen."""
        return screen.text(self.picture()) or []

    def wait_screen(self, pattern, seconds=60):
        end = time.time() + seconds * SLOW
        while True:
            lines = self.screen()
            m = re.search(pattern, "\n".join(lines))
            if m:
                return m
            if time.time() > end:
                raise Timeout("no %r on the screen: %s" % (pattern, "\n".join(l for l in lines if l)))
            time.sleep(0.3)


def run(*args, program=None, seconds=20, stdin=None, **kw):
    """Runs the program to its end: (status, stdout, stderr)."""
    p = subprocess.Popen([program or PROGRAM] + [str(a) for a in args], stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_die_with_parent, **kw)
    _running.add(p)
    try:
        out, err = p.communicate(stdin.encode() if stdin else None, timeout=seconds * SLOW)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        err += b"[no end within %d s]" % seconds
    _running.discard(p)
    return p.returncode, out.decode(errors="replace"), err.decode(errors="replace")
