"""A small VNC client (RFC 6143) for tests: the encodings of rfbcodec.py, keys, pointer, QEMU's extensions."""
import socket, struct, time
import rfbcodec


def _des_key(password):
    """VNC uses each byte of the password with its bits in reverse as the DES key."""
    key = (password.encode() + bytes(8))[:8]
    return bytes(int("{:08b}".format(b)[::-1], 2) for b in key)


class Client:
    def __init__(self, address, password=None, shared=True, encodings=(0, -223), seconds=30, start=True):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.s = socket.socket(family)
        self.s.settimeout(seconds)
        while True:
            try:
                self.s.connect(address)
                break
            except BlockingIOError:     # the server has not taken those before
                time.sleep(0.01)
        self.width = self.height = 0
        self.pixels, self.encodings_seen, self.streams = bytearray(), [], {}
        self.cursor, self.screens = None, None
        if start:
            self.handshake(password, shared)
            self.set_encodings(*encodings)

    def recv(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data

    def handshake(self, password, shared):
        self.version = self.recv(12)
        self.s.sendall(b"RFB 003.008\n")
        types = self.recv(self.recv(1)[0])
        self.security = list(types)
        if not types:
            raise EOFError(self.recv(struct.unpack(">I", self.recv(4))[0]).decode())
        self.s.sendall(bytes([types[0]]))
        if types[0] == 2:
            challenge = self.recv(16)
            self.s.sendall(self.answer(challenge, password or ""))
        if struct.unpack(">I", self.recv(4))[0]:
            raise PermissionError(self.recv(struct.unpack(">I", self.recv(4))[0]).decode())
        self.s.sendall(bytes([shared]))
        self.width, self.height = struct.unpack(">HH", self.recv(4))
        self.format = self.recv(16)
        self.name = self.recv(struct.unpack(">I", self.recv(4))[0]).decode()
        self.pixels = bytearray(self.width * self.height * 4)

    def set_size(self, w, h, screens=1):
        """SetDesktopSize."""
        self.s.sendall(struct.pack(">BxHHBx", 251, w, h, screens) + b"".join(
            struct.pack(">IHHHHI", i, 0, 0, w, h, 0) for i in range(screens)))

    @staticmethod
    def answer(challenge, password):
        import subprocess
        r = subprocess.run(["openssl", "enc", "-des-ecb", "-K", _des_key(password).hex(), "-nopad", "-provider", "legacy",
                            "-provider", "default"], input=challenge, capture_output=True)
        return r.stdout

    def set_encodings(self, *encodings):
        self.s.sendall(struct.pack(">BxH", 2, len(encodings)) + b"".join(struct.pack(">i", e) for e in encodings))

    def request(self, incremental=True):
        self.s.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def key(self, keysym, down):
        self.s.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def ext_key(self, keysym, code, down):
        self.s.sendall(struct.pack(">BBHII", 255, 0, down, keysym, code))

    def pointer(self, x, y, buttons=0):
        self.s.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def type(self, text):
        for c in text:
            k = 0xff0d if c == "\n" else ord(c)
            self.key(k, True)
            self.key(k, False)

    def message(self):
        """Reads one message of the server; for an update, its list of (encoding, x, y, w, h, payload)."""
        kind = self.recv(1)[0]
        if kind == 2:
            return []
        if kind == 3:
            self.recv(struct.unpack(">3xI", self.recv(7))[0])
            return []
        assert kind == 0, kind
        n, = struct.unpack(">xH", self.recv(3))
        out = []
        for _ in range(n):
            x, y, w, h, e = struct.unpack(">HHHHi", self.recv(12))
            if e == rfbcodec.LAST_RECT:
                break
            decode = rfbcodec.PICTURES.get(e) or rfbcodec.PSEUDO.get(e)
            if not decode:
                raise ValueError("encoding %d" % e)
            payload = decode(self, rfbcodec.Canvas(self, x, y, w, h))
            out.append((e, x, y, w, h, payload))
            self.encodings_seen.append(e)
        return out

    def resize(self, w, h):
        if (w, h) != (self.width, self.height):
            self.width, self.height, self.pixels = w, h, bytearray(w * h * 4)

    def rgb(self):
        """Width, height, bytes of RGB, as screen.read_ppm gives them."""
        out = bytearray(3 * self.width * self.height)
        out[0::3], out[1::3], out[2::3] = self.pixels[2::4], self.pixels[1::4], self.pixels[0::4]
        return self.width, self.height, bytes(out)

    def watch(self, done, seconds=30):
        """Takes updates until done() is true; the last of its values."""
        end = time.time() + seconds
        self.request(False)
        while time.time() < end:
            self.s.settimeout(0.3)
            try:
                if any(e in rfbcodec.PICTURES or e in (-223, -308) for e, *_ in self.message()):
                    self.request(True)
            except (socket.timeout, TimeoutError):
                pass
            if done():
                break
        self.s.settimeout(30)
        return done()

    def close(self):
        self.s.close()
