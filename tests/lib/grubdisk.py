"""A PC hard disk image with GRUB in its boot record, made without root rights or loop devices.

Sector 0 is GRUB's boot.img with a partition table, the sectors behind it hold core.img, and the one
partition, from 1 MiB on, is an ext4 (mke2fs -d) whose /boot/grub holds the modules and grub.cfg.
"""
import os, shutil, struct, subprocess, tempfile

GRUB = "/usr/lib/grub/i386-pc"
FIRST = 2048            # the partition's first sector
BASIC = ["biosdisk", "part_msdos", "ext2", "normal", "configfile", "serial", "terminal"]


def missing():
    """Why no such disk can be made here, or None."""
    if not os.path.exists(GRUB + "/boot.img"):
        return "no %s: install grub-pc-bin" % GRUB
    for tool, package in (("grub-mkimage", "grub-common"), ("mke2fs", "e2fsprogs")):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            return "no %s: install %s" % (tool, package)
    return None


def _core(tmp):
    """core.img with the sector numbers that it has here: sector 1 is its first, 2 and up the rest."""
    path = os.path.join(tmp, "core.img")
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o", path] + BASIC, check=True)
    core = bytearray(open(path, "rb").read())
    core += bytes(-len(core) % 512)
    sectors = len(core) // 512 - 1
    # diskboot.img's only block list entry: first sector, how many, the segment to load them to
    struct.pack_into("<QHH", core, 512 - 12, 2, sectors, 0x820)
    assert 1 + len(core) // 512 <= FIRST
    return core


def _boot(size):
    """boot.img, to load sector 1, with a partition table."""
    boot = bytearray(open(GRUB + "/boot.img", "rb").read())
    struct.pack_into("<Q", boot, 0x5c, 1)
    boot[0x64] = 0xff                       # the drive that the BIOS passes in DL
    boot[0x66:0x68] = b"\x90\x90"           # and trust it
    struct.pack_into("<I", boot, 0x1b8, 0x56454d55)
    boot[0x1be:0x1fe] = struct.pack("<BBBBBBBBII", 0x80, 32, 33, 0, 0x83, 254, 255, 255, FIRST,
                                    size // 512 - FIRST) + bytes(48)
    boot[0x1fe:0x200] = b"\x55\xaa"
    return boot


def add_modules(root):
    """GRUB's modules into the tree of the file system."""
    dest = os.path.join(root, "boot/grub/i386-pc")
    os.makedirs(dest, exist_ok=True)
    for f in os.listdir(GRUB):
        if f.endswith((".mod", ".lst")):
            shutil.copy(os.path.join(GRUB, f), dest)


def make(path, root, size):
    """Writes a raw image of `size` bytes (sparse) whose partition holds the tree `root`."""
    env = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    with tempfile.TemporaryDirectory() as tmp:
        core = _core(tmp)
        with open(path, "wb") as f:
            f.write(_boot(size))
            f.write(core)
            f.truncate(size)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-d", root,
                        "-E", "offset=%d" % (FIRST * 512), "-O", "^metadata_csum_seed,^orphan_file", path,
                        "%dk" % ((size - FIRST * 512) // 1024)], check=True, env=env, stderr=subprocess.DEVNULL)


def make_small(path, cfg, size=48 << 20):
    """A disk with nothing but GRUB and this grub.cfg."""
    with tempfile.TemporaryDirectory() as tmp:
        add_modules(tmp)
        with open(os.path.join(tmp, "boot/grub/grub.cfg"), "w") as f:
            f.write(cfg)
        make(path, tmp, size)
