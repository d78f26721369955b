"""tests/guest/writer.S: how it is run, and what it has written."""
import os, subprocess
import tap, vm

CHUNKS, CHUNK = 24, 65536
_patterns = []


def guest():
    return os.path.join(vm.BUILD if not vm.IS_STOCK else os.environ.get("BUILD", "build"), "tests/guest/writer.bin")


def args(path, fmt, mode, option=""):
    """mode: d, p, m or l, see writer.S; option: more of -drive."""
    return ["-m", "64", "-nic", "none", "-vga", "none", "-device", "isa-debug-exit", "-bios", guest(), "-fw_cfg", "opt/mode,string=" + mode,
            "-drive", "file=%s,format=%s,id=d0%s" % (path, fmt, option)]


def create(path, fmt):
    subprocess.run([os.path.join(vm.BUILD, "vmemu-img"), "create", "-q", "-f", fmt, path, "4M"], check=True)


def _pattern(i):
    v, words = i + 1, []
    for _ in range(CHUNK // 4):
        v = (v * 1664525 + 1013904223) & 0xffffffff
        words.append(v)
    return b"".join(w.to_bytes(4, "little") for w in words)


def check_image(path, fmt, taken, name):
    """The image is consistent (leaks apart), and has the chunks in `taken`."""
    if not _patterns:
        _patterns.extend(_pattern(i) for i in range(CHUNKS))
    raw, img = path, os.path.join(vm.BUILD, "vmemu-img")
    if fmt == "qcow2":
        p = subprocess.run([img, "check", "-f", fmt, path], capture_output=True, text=True)
        tap.ok(p.returncode in (0, 3), name + ": vmemu-img check", p.stdout, p.stderr)
        raw = os.path.join(vm.folder(), "check.raw")
        subprocess.run([img, "convert", "-f", fmt, "-O", "raw", path, raw], check=True)
    with open(raw, "rb") as f:
        data = [f.read(CHUNK) for _ in range(CHUNKS)]
    bad = [i for i in taken if data[i] != _patterns[i]]
    tap.ok(not bad, name + ": the image has what was written", "wrong chunks: %s" % bad)
