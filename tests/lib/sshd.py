"""An sshd of the test's own, on the loopback, with keys and configuration in the test's folder; and an `ssh` that uses them."""
import os, shutil, socket, subprocess, time
import vm
from migrate import free_port


class Sshd:
    @staticmethod
    def lacks():
        """Why there can be none, or None."""
        if not shutil.which("ssh"):
            return "no ssh: install openssh-client"
        if not Sshd.program():
            return "no sshd: install openssh-server"
        return None

    @staticmethod
    def program():
        return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])

    def __init__(self):
        self.folder = os.path.join(vm.folder(), "sshd")
        self.bin = os.path.join(self.folder, "bin")     # to be the first in PATH
        os.makedirs(self.bin)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(key)], check=True)
        self.port = free_port()
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)     # sshd's own wish, when it begins as root
        self.write("server", "ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\n"
                   "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n" %
                   (self.port, self.path("host"), self.path("user.pub")))
        with open(self.path("host.pub")) as f:
            self.write("known", "[127.0.0.1]:%d %s" % (self.port, f.read()))
        self.write("client", "IdentityFile %s\nIdentitiesOnly yes\nUserKnownHostsFile %s\nBatchMode yes\nStrictHostKeyChecking yes\n" %
                   (self.path("user"), self.path("known")))
        self.write("bin/ssh", "#!/bin/sh\nexec %s -F %s \"$@\"\n" % (shutil.which("ssh"), self.path("client")))
        os.chmod(self.path("bin/ssh"), 0o755)
        self.p = subprocess.Popen([self.program(), "-D", "-e", "-f", self.path("server")], stderr=open(self.path("log"), "w"),
                                  preexec_fn=vm._die_with_parent)
        self.wait_ready()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def wait_ready(self):
        end = time.time() + 20 * vm.SLOW
        while time.time() < end and self.p.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise vm.Timeout("sshd does not start: " + open(self.path("log")).read())

    def stop(self):
        self.p.terminate()
        self.p.wait()
