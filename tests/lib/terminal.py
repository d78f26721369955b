"""A terminal to run programs in: tmux, whose screen the test reads cell by cell."""
import atexit, itertools, os, re, shlex, subprocess, time
import vm

_all, _count = [], itertools.count()


@atexit.register
def _cleanup():
    for t in list(_all):
        t.close()


class Terminal:
    """`argv` runs in it as its only process; the terminal stays when that has ended."""

    def __init__(self, argv, cols=100, rows=30, term="screen-256color", lang="C.UTF-8"):
        self.folder = os.path.join(vm.folder(), "tmux%d" % next(_count))
        os.mkdir(self.folder)
        self.log, self.socket = os.path.join(self.folder, "status"), os.path.join(self.folder, "socket")
        _all.append(self)
        # The shell says how the program ended; stty, whether the terminal is as it was.
        script = "stty -g > %s/before; env TERM=%s LC_ALL=%s %s; s=$?; stty -g > %s/after; echo $s > %s; exec sleep 1000" % (
            self.folder, term, lang, " ".join(shlex.quote(a) for a in argv), self.folder, self.log)
        env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "ESCDELAY", "LINES", "COLUMNS")}
        subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(cols), "-y", str(rows),
                        "exec sh -c " + shlex.quote(script)], check=True, env=dict(env, LC_ALL="C.UTF-8", SHELL="/bin/sh"))
        self.tmux("set", "-g", "status", "off")
        self.tmux("set", "-g", "escape-time", "0")
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))
        self.program = argv[0]

    def tmux(self, *args):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *args], capture_output=True, env=dict(os.environ, LC_ALL="C.UTF-8")
                              ).stdout.decode()

    def pid(self):
        """The program's: the shell's only child."""
        shell = self.tmux("display", "-p", "#{pane_pid}").strip()
        with open("/proc/%s/task/%s/children" % (shell, shell)) as f:
            return int(f.read().split()[0])

    def lines(self):
        """What is on the screen, without attributes."""
        return self.tmux("capture-pane", "-p", "-t", "0").split("\n")

    def cells(self):
        """Rows of (character, attributes)."""
        rows, pen = [], set()
        for line in self.tmux("capture-pane", "-p", "-e", "-N", "-t", "0").split("\n")[:-1]:
            row = []
            for m in re.finditer(r"\x1b\[([0-9;]*)m|(.)", line.replace("\x0e", "").replace("\x0f", "")):
                if m.group(2):
                    row.append((m.group(2), tuple(sorted(pen - {37, 40}))))
                    continue
                for n in [int(x or 0) for x in m.group(1).split(";")]:
                    if n == 0:
                        pen = set()
                    elif 30 <= n <= 39:
                        pen = {p for p in pen if not 30 <= p <= 39} | ({n} - {39})
                    elif 40 <= n <= 49:
                        pen = {p for p in pen if not 40 <= p <= 49} | ({n} - {49})
                    else:
                        pen.add(n)
            rows.append(row)
        return rows

    def cursor(self):
        """(x, y), or None where it is not shown."""
        x, y, on = self.tmux("display", "-p", "-t", "0", "#{cursor_x} #{cursor_y} #{cursor_flag}").split()
        return (int(x), int(y)) if on == "1" else None

    def alternate(self):
        return self.tmux("display", "-p", "-t", "0", "#{alternate_on}").strip() == "1"

    def keys(self, *names):
        """tmux's names of keys: a, Enter, F1, C-c, M-2."""
        self.tmux("send-keys", "-t", "0", *names)

    def type(self, text):
        self.tmux("send-keys", "-t", "0", "-l", text)

    def resize(self, cols, rows):
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def wait(self, pattern, seconds=30):
        end = time.time() + seconds * vm.SLOW
        while True:
            text = "\n".join(self.lines())
            m = re.search(pattern, text)
            if m:
                return m
            if time.time() > end:
                raise vm.Timeout("no %r in the terminal: %s" % (pattern, text))
            time.sleep(0.1)

    def ended(self, seconds=20):
        """The program's exit status, and whether the terminal's settings are what they were."""
        end = time.time() + seconds * vm.SLOW
        while not os.path.exists(self.log) or not os.path.getsize(self.log):
            if time.time() > end:
                raise vm.Timeout("%s does not end" % self.program)
            time.sleep(0.05)
        with open(self.log) as f, open(self.folder + "/before") as b, open(self.folder + "/after") as a:
            return int(f.read()), b.read() == a.read()

    # As of subprocess.Popen.

    def kill(self):
        self.close()

    def close(self):
        if self in _all:
            _all.remove(self)
            try:
                os.kill(self.pid(), 9)
            except (OSError, ValueError, IndexError):
                pass
            self.tmux("kill-server")
