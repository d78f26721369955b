"""Decoders of RFB's encodings (RFC 6143, and Tight) for tests/lib/rfb.py: each paints a rectangle of 32-bit pixels."""
import struct, zlib


class Canvas:
    """The client's picture, and what a rectangle paints there."""

    def __init__(self, client, x, y, w, h):
        self.c, self.x, self.y, self.w, self.h = client, x, y, w, h

    def row(self, x, y, data):
        """Pixels of 4 bytes, from a place within the rectangle."""
        at = ((self.y + y) * self.c.width + self.x + x) * 4
        self.c.pixels[at:at + len(data)] = data

    def block(self, x, y, w, h, data):
        for i in range(h):
            self.row(x, y + i, data[i * w * 4:(i + 1) * w * 4])

    def fill(self, x, y, w, h, pixel):
        for i in range(h):
            self.row(x, y + i, pixel * w)


def _wide(data):
    """Pixels of 3 bytes, low byte first, to 4."""
    out = bytearray(len(data) // 3 * 4)
    out[0::4], out[1::4], out[2::4] = data[0::3], data[1::3], data[2::3]
    return bytes(out)


def raw(c, v):
    v.block(0, 0, v.w, v.h, c.recv(v.w * v.h * 4))


def copyrect(c, v):
    sx, sy = struct.unpack(">HH", c.recv(4))
    rows = [bytes(c.pixels[((sy + i) * c.width + sx) * 4:((sy + i) * c.width + sx + v.w) * 4]) for i in range(v.h)]
    v.block(0, 0, v.w, v.h, b"".join(rows))


def rre(c, v):
    n, = struct.unpack(">I", c.recv(4))
    v.fill(0, 0, v.w, v.h, c.recv(4))
    for _ in range(n):
        pixel = c.recv(4)
        v.fill(*struct.unpack(">HHHH", c.recv(8)), pixel)


def hextile(c, v):
    back = fore = bytes(4)
    for y in range(0, v.h, 16):
        for x in range(0, v.w, 16):
            w, h = min(16, v.w - x), min(16, v.h - y)
            kind = c.recv(1)[0]
            if kind & 1:
                v.block(x, y, w, h, c.recv(w * h * 4))
                continue
            back = c.recv(4) if kind & 2 else back
            fore = c.recv(4) if kind & 4 else fore
            v.fill(x, y, w, h, back)
            for _ in range(c.recv(1)[0] if kind & 8 else 0):
                pixel = c.recv(4) if kind & 16 else fore
                at, size = c.recv(2)
                v.fill(x + (at >> 4), y + (at & 15), (size >> 4) + 1, (size & 15) + 1, pixel)


def _inflate(c, name, data):
    if name not in c.streams:
        c.streams[name] = zlib.decompressobj()
    return c.streams[name].decompress(data)


def zlib_(c, v):
    data = c.recv(struct.unpack(">I", c.recv(4))[0])
    v.block(0, 0, v.w, v.h, _inflate(c, "zlib", data))


def _packed(data, at, w, h, palette):
    """A packed palette's tile: its pixels, and what follows."""
    bits = 1 if len(palette) == 2 else 2 if len(palette) <= 4 else 4 if len(palette) <= 16 else 8
    line, out = (w * bits + 7) // 8, []
    for y in range(h):
        for x in range(w):
            bit = x * bits
            out.append(palette[data[at + y * line + bit // 8] >> 8 - bits - bit % 8 & (1 << bits) - 1])
    return b"".join(out), at + h * line


def _runs(data, at, w, h, palette):
    out, left = [], w * h
    while left:
        run = 1
        if palette is None:
            pixel, long = _wide(data[at:at + 3]), True
            at += 3
        else:
            pixel, long = palette[data[at] & 127], data[at] & 128
            at += 1
        if long:
            while data[at] == 255:
                run, at = run + 255, at + 1
            run, at = run + data[at], at + 1
        out.append(pixel * run)
        left -= run
    assert left == 0, "a run over the end"
    return b"".join(out), at


def zrle(c, v):
    data = _inflate(c, "zrle", c.recv(struct.unpack(">I", c.recv(4))[0]))
    at = 0
    for y in range(0, v.h, 64):
        for x in range(0, v.w, 64):
            w, h = min(64, v.w - x), min(64, v.h - y)
            kind, at = data[at], at + 1
            n = kind & 127
            palette = [_wide(data[at + 3 * i:at + 3 * i + 3]) for i in range(n)] if n else None
            if kind == 0:
                v.block(x, y, w, h, _wide(data[at:at + 3 * w * h]))
                at += 3 * w * h
                continue
            at += 3 * n if kind != 129 else 0
            if kind == 1:
                v.fill(x, y, w, h, palette[0])
                continue
            pixels, at = (_runs if kind & 128 else _packed)(data, at, w, h, palette)
            v.block(x, y, w, h, pixels)
    assert at == len(data), "%d of %d bytes used" % (at, len(data))


def _compact(c):
    n = shift = 0
    for i in range(3):
        b = c.recv(1)[0]
        n |= (b & (127 if i < 2 else 255)) << shift
        shift += 7
        if not b & 128:
            break
    return n


def png(data, w, h):
    """Pixels of a PNG with 8 bits a sample: RGB, RGBA or a palette."""
    chunks, at = {}, 8
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        chunks[kind] = chunks.get(kind, b"") + data[at + 8:at + 8 + n]
        at += n + 12
    assert struct.unpack(">IIB", chunks[b"IHDR"][:9]) == (w, h, 8)
    step = {2: 3, 3: 1, 6: 4}[chunks[b"IHDR"][9]]
    lines, before, out = zlib.decompress(chunks[b"IDAT"]), bytearray(w * step), []
    for y in range(h):
        kind, now = lines[y * (w * step + 1)], bytearray(lines[y * (w * step + 1) + 1:(y + 1) * (w * step + 1)])
        for i in range(len(now) if kind else 0):
            a, b, c = (now[i - step], before[i], before[i - step]) if i >= step else (0, before[i], 0)
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            now[i] = now[i] + (0, a, b, (a + b) // 2, near)[kind] & 255
        before = now
        rgb = b"".join(chunks[b"PLTE"][3 * i:3 * i + 3] for i in now) if step == 1 else bytes(now)
        width = 4 if step == 4 else 3
        out.append(_wide(b"".join(bytes(p) for p in zip(rgb[2::width], rgb[1::width], rgb[0::width]))))
    return b"".join(out)


def tight(c, v):
    """TPIXELs are red, green, blue."""
    def pixels(data):
        return _wide(b"".join(bytes(p) for p in zip(data[2::3], data[1::3], data[0::3])))

    control = c.recv(1)[0]
    for i in range(4):
        if control >> i & 1:
            c.streams.pop("tight%d" % i, None)
    if control >> 4 == 8:
        return v.fill(0, 0, v.w, v.h, pixels(c.recv(3)))
    if control >> 4 == 10:
        return v.block(0, 0, v.w, v.h, png(c.recv(_compact(c)), v.w, v.h))
    if control >> 4 > 7:
        raise ValueError("tight: %#x" % control)
    kind = c.recv(1)[0] if control & 0x40 else 0
    palette, bytes_ = None, v.w * v.h * 3
    if kind == 1:
        n = c.recv(1)[0] + 1
        p = pixels(c.recv(3 * n))
        palette = [p[4 * i:4 * i + 4] for i in range(n)]
        bytes_ = (v.w + 7) // 8 * v.h if n == 2 else v.w * v.h
    data = c.recv(bytes_) if bytes_ < 12 else _inflate(c, "tight%d" % (control >> 4 & 3), c.recv(_compact(c)))
    assert len(data) == bytes_, (len(data), bytes_)
    if kind == 0:
        v.block(0, 0, v.w, v.h, pixels(data))
    elif kind == 1 and len(palette) == 2:
        v.block(0, 0, v.w, v.h, _packed(data, 0, v.w, v.h, palette)[0])
    elif kind == 1:
        v.block(0, 0, v.w, v.h, b"".join(palette[i] for i in data))
    else:
        raise ValueError("tight: filter %d" % kind)


def desktop_size(c, v):
    c.resize(v.w, v.h)


def extended_size(c, v):
    n = c.recv(4)[0]
    c.screens = [struct.unpack(">IHHHHI", c.recv(16)) for _ in range(n)]
    if not v.x or not v.y:
        c.resize(v.w, v.h)
    return v.x, v.y


def rich_cursor(c, v):
    c.cursor = v.x, v.y, v.w, v.h, c.recv(v.w * v.h * 4), c.recv((v.w + 7) // 8 * v.h)
    return c.cursor


def alpha_cursor(c, v):
    c.recv(4)
    c.cursor = v.x, v.y, v.w, v.h, c.recv(v.w * v.h * 4), None
    return c.cursor


def led_state(c, v):
    return c.recv(1)[0]


def desktop_name(c, v):
    return c.recv(struct.unpack(">I", c.recv(4))[0]).decode()


def nothing(c, v):
    return None


RAW, COPYRECT, RRE, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG = 0, 1, 2, 5, 6, 7, 16, -260
DESKTOP_SIZE, LAST_RECT, RICH_CURSOR, POINTER_TYPE, EXT_KEY, AUDIO, LED_STATE = -223, -224, -239, -257, -258, -259, -261
DESKTOP_NAME, EXT_SIZE, XVP, ALPHA_CURSOR = -307, -308, -309, -314
PICTURES = {RAW: raw, COPYRECT: copyrect, RRE: rre, HEXTILE: hextile, ZLIB: zlib_, TIGHT: tight, TIGHT_PNG: tight,
            ZRLE: zrle}
PSEUDO = {DESKTOP_SIZE: desktop_size, EXT_SIZE: extended_size, RICH_CURSOR: rich_cursor, ALPHA_CURSOR: alpha_cursor,
          LED_STATE: led_state, DESKTOP_NAME: desktop_name, POINTER_TYPE: nothing, EXT_KEY: nothing, AUDIO: nothing}
