"""TAP lines for the test scripts."""
import atexit, os, sys

_count = 0
_failed = 0


def ok(cond, name, *details):
    """One result; details are shown when it failed."""
    global _count, _failed
    _count += 1
    _failed += not cond
    print("%sok %d - %s" % ("" if cond else "not ", _count, name), flush=True)
    if not cond:
        for d in details:
            note(d)
    return bool(cond)


def eq(got, want, name):
    return ok(got == want, name, "got  %r" % (got,), "want %r" % (want,))


def skip(name, why):
    global _count
    _count += 1
    print("ok %d - %s # SKIP %s" % (_count, name, why), flush=True)


def skip_all(why):
    """Nothing of this script can run here."""
    skip(os.path.basename(sys.argv[0]), why)
    sys.exit(0)


def note(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def group(name, fn, *args, **kw):
    """Runs a function; an exception is a failure of that name, and the script goes on."""
    try:
        fn(*args, **kw)
    except Exception as e:
        where = e.__traceback__
        while where.tb_next:
            where = where.tb_next
        ok(False, name, "%s: %s (line %d)" % (type(e).__name__, e, where.tb_lineno))


def _end():
    if _count:
        print("1..%d" % _count, flush=True)
    if _failed:
        os._exit(1)


atexit.register(_end)
