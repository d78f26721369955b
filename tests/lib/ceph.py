"""A Ceph cluster of one monitor and one OSD in memory, on the loopback interface, in a temporary folder."""
import os, shutil, socket, subprocess, time, uuid

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "rbd")


def missing():
    """Names of programs that are not there."""
    return [p for p in PROGRAMS if not shutil.which(p)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    def __init__(self, folder, pool="pool"):
        self.dir, self.pool, self.conf, self.processes = folder, pool, os.path.join(folder, "ceph.conf"), []
        self.fsid, port = str(uuid.uuid4()), free_port()
        self.host, self.port = "127.0.0.1", port
        with open(self.conf, "w") as f:
            f.write(f"""[global]
fsid = {self.fsid}
mon host = [v1:127.0.0.1:{port}]
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file =
keyring = {folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
osd data = {folder}/osd
mon data = {folder}/mon
mon allow pool size one = true
mon allow pool delete = true
mon data avail crit = 1
mon osd full ratio = 0.99
ms bind msgr2 = false
rbd default features = 61
""")
        open(os.path.join(folder, "keyring"), "w").close()

    def run(self, *args, limit=120):
        p = subprocess.run([args[0], "-c", self.conf, *args[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, text=True)
        if p.returncode:
            raise RuntimeError("%s: %s" % (" ".join(args), p.stderr.strip()))
        return p.stdout

    def spawn(self, *args):
        log = open(os.path.join(self.dir, os.path.basename(args[0]) + ".out"), "w")
        self.processes.append(subprocess.Popen([args[0], "-c", self.conf, *args[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def start(self):
        monmap = os.path.join(self.dir, "monmap")
        subprocess.run(["monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", "[v1:127.0.0.1:%d]" % self.port, monmap],
                       check=True, capture_output=True, timeout=60)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self.spawn("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd)
        os.mkdir(os.path.join(self.dir, "osd"))
        self.run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        self.spawn("ceph-osd", "-i", "0", "-f")
        self.run("ceph", "osd", "pool", "create", self.pool, "8")
        end = time.monotonic() + 180
        while " up " not in self.run("ceph", "osd", "dump"):
            if time.monotonic() > end:
                with open(os.path.join(self.dir, "ceph-osd.out")) as f:
                    raise RuntimeError("the OSD does not come up: " + f.read()[-200:])
            time.sleep(0.2)
        self.run("rbd", "pool", "init", self.pool)

    def stop(self):
        for p in self.processes:
            p.kill()
            p.wait()
