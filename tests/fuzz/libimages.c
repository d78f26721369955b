/* Parts of the block drivers' harnesses: files in memory, inputs and their mutator, a main() for builds without libFuzzer. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/options.h"
#include "tests/fuzz/libimages.h"
#include "util/error.h"

/* ---- files in memory */

MemFile mem_files[MEM_FILES];
bool mem_yields;
static uint64_t written;
static unsigned turns;

typedef struct MemState { MemFile *f; } MemState;

/* Room above MEM_LIMIT is never needed: writes end there. Memory is kept from input to input. */
static bool mem_grow(MemFile *f, size_t len)
{
    if (len > MEM_LIMIT)
        return false;
    if (len > f->room) {
        f->room = MAX(len, 2 * f->room);
        f->data = g_realloc(f->data, f->room);
    }
    if (len > f->len)
        memset(f->data + f->len, 0, len - f->len);
    f->len = len;
    return true;
}

void mem_set(MemFile *f, const void *data, size_t len)
{
    f->len = 0;
    if (!mem_grow(f, len))
        abort();
    if (len)
        memcpy(f->data, data, len);
}

static bool mem_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    static const char *const names[MEM_FILES] = { "image", "back", "data" };
    g_autofree char *name = jopts_take(opts, "filename");
    MemState *s = n->state;

    for (int i = 0; name && i < MEM_FILES; i++)
        if (!strcmp(name, names[i]))
            s->f = &mem_files[i];
    if (!s->f)
        return error_set(err, "no such file");
    n->length = s->f->len;
    g_free(n->filename);
    g_free(n->exact_filename);
    n->filename = g_strconcat("mem:", name, NULL);
    n->exact_filename = g_strdup(n->filename);
    return true;
}

static bool mem_parse_filename(const char *filename, json_t *opts, GError **err)
{
    jopts_set(opts, "filename", filename + strlen("mem:"));
    return true;
}

static void mem_wait(void)
{
    if (mem_yields && !coroutine_blocking() && ++turns % 3) {
        coroutine_wake(coroutine_self());
        coroutine_yield();
    }
}

static int mem_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    MemFile *f = ((MemState *)n->state)->f;
    int64_t there;

    mem_wait();
    there = CLAMP((int64_t)f->len - offset, 0, bytes);
    if (there)
        iov_from_buf(v, vo, f->data + offset, there);
    if (there < bytes)
        iov_memset(v, vo + there, 0, bytes - there);
    return 0;
}

static int mem_put(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo)
{
    MemFile *f = ((MemState *)n->state)->f;

    if (n->read_only)
        g_error("a write to what is read-only");
    if (offset < 0 || bytes < 0)
        g_error("a write at %" G_GINT64_FORMAT "+%" G_GINT64_FORMAT, offset, bytes);
    written += bytes;
    if (written > WRITE_LIMIT)
        g_error("more than %u MiB were written", (unsigned)(WRITE_LIMIT >> 20));
    mem_wait();
    if (bytes > MEM_LIMIT || offset > MEM_LIMIT - bytes)
        return -EFBIG;
    mem_grow(f, MAX(f->len, (size_t)(offset + bytes)));
    if (v)
        iov_to_buf(v, vo, f->data + offset, bytes);
    else
        memset(f->data + offset, 0, bytes);
    return 0;
}

static int mem_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return mem_put(n, offset, bytes, v, vo);
}

static int mem_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    return mem_put(n, offset, bytes, NULL, 0);
}

static int mem_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    int64_t len = ((MemState *)n->state)->f->len;

    return offset < len ? mem_put(n, offset, MIN(bytes, len - offset), NULL, 0) : 0;
}

static int mem_flush(BlockNode *n)
{
    mem_wait();
    return 0;
}

static int mem_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    if (n->read_only)
        g_error("a truncation of what is read-only");
    return mem_grow(((MemState *)n->state)->f, length) ? 0 : (error_set(err, "too large"), -EFBIG);
}

static int64_t mem_length(BlockNode *n)
{
    return ((MemState *)n->state)->f->len;
}

static const BlockDriver driver_mem = {
    .name = "mem", .is_protocol = true, .state_size = sizeof(MemState), .open = mem_open, .parse_filename = mem_parse_filename,
    .co_read = mem_read, .co_write = mem_write, .co_zero = mem_zero, .co_discard = mem_discard, .co_flush = mem_flush,
    .co_truncate = mem_truncate, .length = mem_length, .zero_flags = BLK_MAY_UNMAP,
};

static void unheard(void *opaque, const char *line)
{
}

void fuzz_init(void)
{
    block_init(NULL);
    block_test_driver = &driver_mem;
    error_set_sink(unheard, NULL);
}

void fuzz_begin(void)
{
    written = turns = 0;
}

/* ---- inputs */

static uint64_t state;

static uint32_t pick(uint32_t n)        /* xorshift: the same everywhere */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % n;
}

static Record some_record(void)
{
    Record r = { pick(256), pick(256), pick(4) ? pick(64) : pick(65536), pick(4) ? pick(1 << 22) : pick(UINT32_MAX) };

    if (pick(3) == 0)
        r.kind = pick(2) ? pick(16) : REC_OPS + pick(32);
    return r;
}

static void change_record(Record *r)
{
    switch (pick(6)) {
    case 0: *r = some_record(); break;
    case 1: r->a = pick(256); break;
    case 2: r->b = pick(64); break;
    case 3: r->b += pick(2) ? 1 : -1; break;
    case 4: r->v ^= 1u << pick(32); break;
    default: r->v = some_record().v;
    }
}

/* Whole records come, go, move and change; libFuzzer's own mutations are done to the head and now and then to all. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    Record r[(INPUT_MAX - INPUT_HEAD) / sizeof(Record)];
    unsigned what;
    size_t n, limit = max < INPUT_HEAD ? 0 : MIN((max - INPUT_HEAD) / sizeof(Record), G_N_ELEMENTS(r));

    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (!limit || (LLVMFuzzerMutate && pick(8) == 0))
        return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max) : size;
    while (size < INPUT_HEAD)
        data[size++] = pick(256);
    n = MIN((size - INPUT_HEAD) / sizeof(Record), limit);
    memcpy(r, data + INPUT_HEAD, n * sizeof(Record));
    what = pick(8);
    if (what < 3 && n < limit) {
        unsigned at = pick(n + 1);

        memmove(r + at + 1, r + at, (n - at) * sizeof(Record));
        r[at] = some_record();
        n++;
    } else if (what < 4 && n) {
        r[pick(n)] = r[n - 1];
        n--;
    } else if (what < 7 && n) {
        change_record(&r[pick(n)]);
    } else {
        data[pick(INPUT_HEAD)] = pick(256);
    }
    memcpy(data + INPUT_HEAD, r, n * sizeof(Record));
    return INPUT_HEAD + n * sizeof(Record);
}

/* ---- without libFuzzer */

#ifndef LIBFUZZER
#define POOL 64
#define CPU_LIMIT 10                    /* seconds an input */
static uint8_t last[INPUT_MAX];
static size_t last_size;

/* Says which input it was; the signal then does what it does. */
static void fatal(int sig)
{
    static const char hex[] = "0123456789abcdef";
    char text[2 * INPUT_MAX + 64];
    int n = snprintf(text, 64, "\nnot ok - %s: signal %d, input ", fuzz_name, sig);

    for (size_t i = 0; i < last_size; i++) {
        text[n++] = hex[last[i] >> 4];
        text[n++] = hex[last[i] & 15];
    }
    text[n++] = '\n';
    if (write(1, text, n) == n)
        signal(sig, SIG_DFL);
    raise(sig);
}

static void run(const uint8_t *data, size_t size)
{
    static const struct itimerval limit = { .it_value.tv_sec = CPU_LIMIT }, off;

    memcpy(last, data, size);
    last_size = size;
    alarm(300);                         /* waits for nothing */
    setitimer(ITIMER_PROF, &limit, NULL);
    LLVMFuzzerTestOneInput(data, size);
    setitimer(ITIMER_PROF, &off, NULL);
    alarm(0);
}

static size_t from_hex(const char *text, uint8_t *data)
{
    size_t n = 0;

    for (; g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1]) && n < INPUT_MAX; text += 2)
        data[n++] = g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]);
    return n;
}

static void run_file(const char *path)
{
    g_autofree char *text = NULL;
    gsize n;

    if (!g_file_get_contents(path, &text, &n, NULL))
        g_error("can't read %s", path);
    run((uint8_t *)text, MIN(n, INPUT_MAX));
}

/* Children of a few inputs, each of which is replaced now and then. */
static void run_random(unsigned count, unsigned seed)
{
    static uint8_t pool[POOL][INPUT_MAX];
    static size_t sizes[POOL];
    unsigned rnd = seed * 2654435761u + 1;

    for (unsigned i = 0; i < count; i++) {
        uint8_t data[INPUT_MAX];
        unsigned from = (rnd = rnd * 1103515245 + 12345) >> 16 & (POOL - 1);
        size_t size = sizes[from];

        memcpy(data, pool[from], size);
        for (unsigned k = 0; k <= i % 8; k++)
            size = LLVMFuzzerCustomMutator(data, size, sizeof(data), rnd = rnd * 1103515245 + 12345);
        run(data, size);
        memcpy(pool[from], data, size);
        sizes[from] = size > INPUT_MAX / 2 ? 0 : size;
    }
}

/* usage: NAME [--count N] [--seed N] [file...]      files: inputs, nothing else is run then */
int main(int argc, char **argv)
{
    unsigned count = 3000, seed = 1, files = 0, n_found = 0;
    uint8_t data[INPUT_MAX];
    int null = open("/dev/null", O_WRONLY);

    if (!g_getenv("FUZZ_LOUD"))
        dup2(null, 2);
    signal(SIGABRT, fatal);
    signal(SIGSEGV, fatal);
    signal(SIGALRM, fatal);
    signal(SIGPROF, fatal);
    signal(SIGTRAP, fatal);
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && !strcmp(argv[i], "--count"))
            count = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--seed"))
            seed = atoi(argv[++i]);
        else
            run_file(argv[i]), files++;
    }
    for (; !files && fuzz_found[n_found]; n_found++)
        run(data, from_hex(fuzz_found[n_found], data));
    if (!files)
        run_random(count, seed);
    printf("ok 1 - %s: %u inputs found earlier, %u more, seed %u\n1..1\n", fuzz_name, n_found, files ? files : count, seed);
    return 0;
}
#endif
