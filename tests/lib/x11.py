"""A virtual X server, and what a user does there: keys, the mouse, a look at a window."""
import ctypes, os, re, struct, subprocess, time
import vm


class X:
    """A virtual screen, and what a user does there."""

    def __init__(self):
        r, w = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(w), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"],
                                       pass_fds=[w], stderr=subprocess.DEVNULL, preexec_fn=vm._die_with_parent)
        os.close(w)
        self.display = ":" + os.read(r, 16).decode().strip()
        self.env = dict(os.environ, DISPLAY=self.display)
        for name in "WAYLAND_DISPLAY", "SDL_VIDEODRIVER":
            self.env.pop(name, None)

    def do(self, *args):
        return subprocess.run(["xdotool"] + [str(a) for a in args], env=self.env, capture_output=True, text=True).stdout.strip()

    def hot(self, key):
        """Ctrl+Alt+key."""
        self.do("keydown", "ctrl", "keydown", "alt", "key", key, "keyup", "alt", "keyup", "ctrl")

    def window(self, seconds=20, name="^vmemu"):
        """The id of a window with such a title, when there is one; or None."""
        end = time.time() + seconds * vm.SLOW
        while time.time() < end:
            found = self.do("search", "--name", name).split()
            if found:
                return found[-1]
            time.sleep(0.1)
        return None

    def picture(self, window):
        """(width, height, bytes of RGB) of a window."""
        raw = subprocess.run(["xwd", "-silent", "-id", window], env=self.env, capture_output=True).stdout
        head = struct.unpack(">25I", raw[:100])
        w, h, line, colours = head[4], head[5], head[12], head[19]
        at, rows = head[0] + 12 * colours, []
        for y in range(h):
            row = raw[at + y * line:at + y * line + 4 * w]
            rgb = bytearray(3 * w)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            rows.append(bytes(rgb))
        return w, h, b"".join(rows)

    def root(self):
        return re.search(r"Window id: (\S+)", subprocess.run(["xwininfo", "-root"], env=self.env, capture_output=True,
                                                             text=True).stdout).group(1)

    def close_button(self, window):
        """What a window manager sends."""
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XInternAtom.restype = ctypes.c_ulong
        x.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        x.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
        x.XSync.argtypes = [ctypes.c_void_p, ctypes.c_int]
        d = x.XOpenDisplay(self.display.encode())
        protocols, delete = [x.XInternAtom(d, n, 0) for n in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
        event = ctypes.create_string_buffer(192)        # XClientMessageEvent
        struct.pack_into("=i4xQi4xQQQi4x5q", event, 0, 33, 0, 1, d, int(window), protocols, 32, delete, 0, 0, 0, 0)
        x.XSendEvent(d, int(window), 0, 0, event)
        x.XSync(d, 0)
