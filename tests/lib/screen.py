"""Reads text from a screendump: a PPM picture of a VGA text mode, in the VGA BIOS's own 8x16 font."""
import os

ROMS = ["/usr/share/seabios/vgabios-stdvga.bin", "/usr/share/qemu/vgabios-stdvga.bin"]
SMILEY = bytes.fromhex("00007e81a58181bd9981817e00000000")     # glyph 1 of the PC's font
_glyphs = None


def _font():
    """bitmap -> character code, from the VGA BIOS image."""
    global _glyphs
    if _glyphs is None:
        rom = next((open(r, "rb").read() for r in ROMS if os.path.exists(r)), b"")
        at = rom.find(SMILEY) - 16
        _glyphs = {}
        if at >= 0:
            for code in list(range(32, 127)) + list(range(128, 256)) + list(range(1, 32)):
                _glyphs.setdefault(rom[at + 16 * code:at + 16 * code + 16], code)
            _glyphs.setdefault(bytes(16), 32)
    return _glyphs


def read_ppm(path):
    """(width, height, bytes of RGB)."""
    data = open(path, "rb").read()
    fields, at = [], 0
    while len(fields) < 4:
        while data[at:at + 1].isspace():
            at += 1
        if data[at:at + 1] == b"#":
            at = data.index(b"\n", at)
            continue
        end = at
        while not data[end:end + 1].isspace():
            end += 1
        fields.append(data[at:end])
        at = end
    if fields[0] != b"P6" or fields[3] != b"255":
        raise ValueError("%s is no PPM" % path)
    return int(fields[1]), int(fields[2]), data[at + 1:]


def _cell(pix, width, x, y):
    """The character code of the cell, or None."""
    starts = [((y * 16 + r) * width + x) * 3 for r in range(16)]
    blank = pix[starts[0]:starts[0] + 3] * 8
    if all(pix[at:at + 24] == blank for at in starts):
        return 32
    rows = [[pix[at + 3 * c:at + 3 * c + 3] for c in range(8)] for at in starts]
    colours = {p for row in rows for p in row}
    if len(colours) != 2:
        return None
    glyphs = _font()
    for fore in colours:
        code = glyphs.get(bytes(sum((p == fore) << (7 - i) for i, p in enumerate(row)) for row in rows))
        if code is not None:
            return code
    return None


def text(path):
    """The lines of the screen; "?" for what is no character of the font.  None for a picture of another shape."""
    width, height, pix = read_ppm(path)
    step = 9 if width % 9 == 0 and width % 640 else 8
    if height % 16 or not _font():
        return None
    lines = []
    for y in range(height // 16):
        codes = [_cell(pix, width, x * step, y) for x in range(width // step)]
        lines.append(bytes(c if c else 0x3f for c in codes).decode("cp437").rstrip())
    return lines
