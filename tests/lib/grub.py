"""GRUB's menu and shell on a serial line."""
import re
import vm

MENU = r"before booting or `c' for a command-line"


def wait_menu(line, seconds=90):
    """Waits until the menu is there and takes keys."""
    at = line.at
    line.wait_plain(MENU, at, seconds)
    line.wait_plain(r"executed automatically|Debian|GNU/Linux", at, 20)


def shell(line):
    """From the menu to GRUB's shell."""
    for _ in range(4):
        at = len(line.text)
        line.send("c")
        try:
            line.wait_plain("grub> ?$", at, 8)
            return
        except vm.Timeout:
            pass
    raise vm.Timeout("no shell: %r" % line.plain(at)[-200:])


def command(line, text, seconds=30, prompt=True):
    """Types a command; its output."""
    line.type_echoed(text)
    at = len(line.text)
    line.send("\r")
    if not prompt:
        return ""
    line.wait_plain(r"grub> ?$", at, seconds)
    return re.sub(r"\n?grub> ?$", "", line.plain(at)).strip("\n")
