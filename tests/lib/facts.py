"""What Linux says about the machine it runs in: vmemu beside stock QEMU."""
import re
import tap

# What depends on how fast this machine is just then, or on the clock ...
NOISE = r"clocksource|[Tt][Ss][Cc]|hrtimer: interrupt took|^rcu: |perf: interrupt took|[Ll]ost .*interrupt|hogged CPU|systemd|" \
        r"time skew|RT throttling|soft lockup|^Sending NMI|NMI backtrace|APIC calibration|blocked for more than"
# ... and the rest of a stall's report, or of a warning's, whose first line counts.
TRACE = r"^ *(\? )?[\w.]+\+0x[0-9a-f]+/0x|^ *</?(IRQ|TASK|NMI)>|^(CS|CR2|FS|RIP|RSP|R[A-D]X|RBP|R\d+|PKRU|Code): |^Call Trace|" \
        r"^CPU: \d+ PID|^Hardware name|^Workqueue: |^Modules linked in|^irq event|^task:|^\t|^(asm_)?\w+/\d+$"


def warnings(text):
    """Of what `dmesg -r` says, the errors and warnings."""
    found = set()
    for l in text.splitlines():
        m = re.match(r"<(\d+)>\[ *[\d.]+\] ?(.*)", l)
        if m and int(m.group(1)) % 8 <= 4 and m.group(2) and not re.search(NOISE + "|" + TRACE, m.group(2)):
            found.add(re.sub(r"\b[0-9a-f]{8,}\b|(PID|CPU): \d+", "X", m.group(2)))
    return found


def interrupts(text):
    """What is connected where, without the counts."""
    lines = []
    for line in text.splitlines()[1:]:
        m = re.match(r" *(\S+?):(?: +\d+)+ *(.*)", line)
        if m:
            lines.append(m.group(1) + ": " + " ".join(m.group(2).split()))
    return lines


def cpuinfo(text):
    return [re.sub(r"^(cpu MHz|bogomips).*", r"\1", l) for l in text.splitlines()]


def iomem(text):
    """Without the kernel, which lies elsewhere each time."""
    return [l for l in text.splitlines() if not l.startswith("  ") or "Kernel" not in l]


def acpi(text):
    """The tables' sums, without the DSDT's: its text is another."""
    return [l for l in text.splitlines() if not l.endswith("/DSDT")]


def devices(text):
    """The input devices in the order of their names: drivers find them in any order, and number them so."""
    return "\n\n".join(sorted(re.sub(r"\b(input|event|mouse)\d+", r"\1", text.strip()).split("\n\n"))).splitlines()


VIEWS = {"interrupts": interrupts, "cpuinfo": cpuinfo, "iomem": iomem, "acpi": acpi, "input": devices}


# What stock QEMU has and vmemu does not (docs/differences.md).
MISSING = {"iomem": r"^000c[a-f][08]00-000c[a-f][3b]ff : Adapter ROM$"}


def same(what, ours, stock, name):
    """Line by line the same; else shows what only one of them has."""
    view = VIEWS.get(what, str.splitlines)
    ours, stock = view(ours), view(stock)
    stock = [l for l in stock if l in ours or not re.search(MISSING.get(what, "^$"), l)]
    differences = ["only here:  " + l for l in ours if l not in stock] + ["only stock: " + l for l in stock if l not in ours]
    tap.ok(ours and ours == stock, name + " as with stock QEMU", *differences[:40] or ["another order"])


def compare(prefix, ours, stock, names):
    """No error or warning in dmesg that stock QEMU lacks, and the same answers to the commands of these names; ours and
    stock are functions from name to text."""
    new = sorted(warnings(ours("dmesg")) - warnings(stock("dmesg")))
    tap.ok(stock("dmesg") and not new, prefix + "dmesg has no error or warning that stock QEMU lacks", *new)
    for what in names:
        same(what, ours(what), stock(what), prefix + what)
