"""Runs a job of tests/nested in the outer guest (tests/nested/outer), after making what it needs.

    nested.need(nested.IMAGE)
    ours, stock = nested.beside_stock("job-debian")
"""
import atexit, fcntl, hashlib, os, re, shutil, signal, subprocess, threading, time
import tap, vm

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nested")
CACHE = os.environ.get("OUTER_CACHE") or os.path.join(os.path.expanduser("~"), ".cache/vmemu-nested")
# file in the cache -> the script that makes it there
INITRD, IMAGE, ISO = ("initrd.gz", "make-initrd"), ("debian.qcow2", "make-image"), ("installer.iso", "make-iso")


def _make(name, script):
    """Makes the file unless this very script has made it before; why not, or None."""
    script = os.path.join(HERE, script)
    with open(script, "rb") as f:
        key = hashlib.sha256(f.read()).hexdigest()
    path, by = os.path.join(CACHE, name), os.path.join(CACHE, name + ".by")
    if os.path.exists(path) and os.path.exists(by) and open(by).read() == key:
        return None
    p = subprocess.run([script, CACHE], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if p.returncode:
        return (p.stderr.decode(errors="replace").strip().splitlines() or ["%s: status %d" % (script, p.returncode)])[-1]
    with open(by, "w") as f:
        f.write(key)
    return None


def need(*made, files=()):
    """Ends the test, saying what it lacks: (path, package) pairs, or what can't be made."""
    vm.need(files=files, tools=[("qemu-system-x86_64", "qemu-system-x86")])
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, script in (INITRD,) + made:
            why = _make(name, script)
            if why:
                tap.skip_all(why)


_running = set()


@atexit.register
def _end():
    for pid in list(_running):
        os.killpg(pid, signal.SIGKILL)


class Job:
    """A job that runs in an outer guest, from now on.  Its /out is self.out, which stays in the build folder.

    QEMU 7.2's emulation of SVM sometimes breaks the outer kernel or itself ("invalid tss type"), whatever runs inside; a
    job that comes to no end in that way is begun again.  One that ends, however badly, is not."""

    def __init__(self, job, *args, program=None, called=None):
        self.program = os.path.abspath(shutil.which(program or vm.PROGRAM))
        self.name = "%s-%s" % (job, called or ("stock" if program else "vmemu"))
        self.out = os.path.join(os.path.abspath(vm.BUILD), "tests/nested", self.name)
        self.command = [os.path.join(HERE, "outer"), os.path.join(HERE, job)] + list(args)
        self.env = dict(os.environ, OUTER_OUT=self.out, OUTER_CACHE=CACHE, VMEMU=self.program, BUILD=os.path.abspath(vm.BUILD))
        self.begun = time.time()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for self.attempt in range(1, 4):
            shutil.rmtree(self.out, ignore_errors=True)
            os.makedirs(self.out)
            self.lines = []
            p = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, start_new_session=True)
            _running.add(p.pid)
            with open(os.path.join(self.out, "tap"), "w") as log:
                for line in p.stdout:
                    line = line.decode(errors="replace").rstrip()
                    self.lines.append(line)
                    print(line, file=log, flush=True)
            _, status, used = os.wait4(p.pid, 0)
            _running.discard(p.pid)
            self.status = p.returncode = os.waitstatus_to_exitcode(status)
            self.cpu = used.ru_utime + used.ru_stime
            if os.path.exists(os.path.join(self.out, ".status")):
                break

    def text(self, name):
        """What the job saved under that name, or nothing."""
        path = os.path.join(self.out, name)
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return f.read()

    def finish(self):
        """Waits for its end; its results become this test's."""
        self.thread.join()
        planned = False
        for line in self.lines:
            m = re.match(r"(not )?ok \d+ - (.*?)(?: # SKIP (.*))?$", line)
            if m and m.group(3):
                tap.skip(m.group(2), m.group(3))
            elif m:
                tap.ok(not m.group(1), "%s: %s" % (self.name, m.group(2)))
            elif line.startswith("1.."):
                planned = True
            else:
                tap.note(line.lstrip("# "))
        tap.ok(planned, "%s came to its end" % self.name, "status %d" % self.status)
        tap.note("%s: %.0f s, attempt %d; the last took %.0f s of CPU" % (self.name, time.time() - self.begun, self.attempt, self.cpu))
        return self


def beside_stock(job, *args):
    """The job with vmemu and, at the same time, with stock QEMU; both when they have ended."""
    jobs = [Job(job, *args), Job(job, *args, program=vm.STOCK)]
    return [j.finish() for j in jobs]
