/* Capabilities and parameters of migrations. */
#include <inttypes.h>
#include <string.h>
#include "migration/background.h"
#include "migration/params.h"
#include "util/error.h"

static const struct { const char *name; bool have; } caps[CAP_COUNT] = {
    [CAP_XBZRLE] = { "xbzrle", true }, [CAP_RDMA_PIN_ALL] = { "rdma-pin-all" }, [CAP_AUTO_CONVERGE] = { "auto-converge", true },
    [CAP_ZERO_BLOCKS] = { "zero-blocks", true }, [CAP_COMPRESS] = { "compress" }, [CAP_EVENTS] = { "events", true },
    [CAP_POSTCOPY_RAM] = { "postcopy-ram", true }, [CAP_X_COLO] = { "x-colo" }, [CAP_RELEASE_RAM] = { "release-ram", true },
    [CAP_BLOCK] = { "block" }, [CAP_RETURN_PATH] = { "return-path", true },
    [CAP_PAUSE_BEFORE_SWITCHOVER] = { "pause-before-switchover", true }, [CAP_MULTIFD] = { "multifd", true },
    [CAP_DIRTY_BITMAPS] = { "dirty-bitmaps" }, [CAP_POSTCOPY_BLOCKTIME] = { "postcopy-blocktime" },
    [CAP_LATE_BLOCK_ACTIVATE] = { "late-block-activate", true }, [CAP_X_IGNORE_SHARED] = { "x-ignore-shared" },
    [CAP_VALIDATE_UUID] = { "validate-uuid", true }, [CAP_BACKGROUND_SNAPSHOT] = { "background-snapshot", true },
    [CAP_ZERO_COPY_SEND] = { "zero-copy-send" }, [CAP_POSTCOPY_PREEMPT] = { "postcopy-preempt" },
};

static const char *const compressions[] = { "none", "zlib", "zstd", NULL };

const MigParamRow migration_params[PARAM_COUNT] = {
    [PARAM_ANNOUNCE_INITIAL] = { "announce-initial", MIG_INT, 50, 0, 100000, " ms" },
    [PARAM_ANNOUNCE_MAX] = { "announce-max", MIG_INT, 550, 0, 100000, " ms" },
    [PARAM_ANNOUNCE_ROUNDS] = { "announce-rounds", MIG_INT, 5, 0, 1000, "" },
    [PARAM_ANNOUNCE_STEP] = { "announce-step", MIG_INT, 100, 0, 10000, " ms" },
    [PARAM_COMPRESS_LEVEL] = { "compress-level", MIG_INT, 1, 0, 9, "" },
    [PARAM_COMPRESS_THREADS] = { "compress-threads", MIG_INT, 8, 1, 255, "" },
    [PARAM_COMPRESS_WAIT_THREAD] = { "compress-wait-thread", MIG_BOOL, 1, 0, 1, "" },
    [PARAM_DECOMPRESS_THREADS] = { "decompress-threads", MIG_INT, 2, 1, 255, "" },
    [PARAM_THROTTLE_TRIGGER] = { "throttle-trigger-threshold", MIG_INT, 50, 1, 100, "", "an integer in the range of 1 to 100" },
    [PARAM_THROTTLE_INITIAL] = { "cpu-throttle-initial", MIG_INT, 20, 1, 99, "", "an integer in the range of 1 to 99" },
    [PARAM_THROTTLE_INCREMENT] = { "cpu-throttle-increment", MIG_INT, 10, 1, 99, "", "an integer in the range of 1 to 99" },
    [PARAM_THROTTLE_TAILSLOW] = { "cpu-throttle-tailslow", MIG_BOOL, 0, 0, 1, "" },
    [PARAM_MAX_THROTTLE] = { "max-cpu-throttle", MIG_INT, 99, 1, 99, "", "an integer in the range of cpu_throttle_initial to 99" },
    [PARAM_TLS_CREDS] = { "tls-creds", MIG_STR, .unit = "" },
    [PARAM_TLS_HOSTNAME] = { "tls-hostname", MIG_STR, .unit = "" },
    [PARAM_MAX_BANDWIDTH] = { "max-bandwidth", MIG_SIZE, 128 << 20, INT64_MIN, INT64_MAX, " bytes/second" },
    [PARAM_DOWNTIME_LIMIT] = { "downtime-limit", MIG_INT, 300, 0, 2000000, " ms", "an integer in the range of 0 to (2000 * 1000) ms" },
    [PARAM_CHECKPOINT_DELAY] = { "x-checkpoint-delay", MIG_INT, 20000, 0, UINT32_MAX, " ms" },
    [PARAM_BLOCK_INCREMENTAL] = { "block-incremental", MIG_BOOL, 0, 0, 1, "" },
    [PARAM_MULTIFD_CHANNELS] = { "multifd-channels", MIG_INT, 2, 1, 255, "" },
    [PARAM_MULTIFD_COMPRESSION] = { "multifd-compression", MIG_ENUM, 0, 0, 2, "", NULL, compressions },
    [PARAM_XBZRLE_CACHE_SIZE] = { "xbzrle-cache-size", MIG_SIZE, 64 << 20, 4096, INT64_MAX, " bytes",
                                  "a power of two no less than the target page size" },
    [PARAM_MAX_POSTCOPY_BANDWIDTH] = { "max-postcopy-bandwidth", MIG_SIZE, 0, INT64_MIN, INT64_MAX, "" },
    [PARAM_TLS_AUTHZ] = { "tls-authz", MIG_STR, .unit = "" },
    [PARAM_ZLIB_LEVEL] = { "multifd-zlib-level", MIG_INT, 1, 0, 9, NULL },
    [PARAM_ZSTD_LEVEL] = { "multifd-zstd-level", MIG_INT, 1, 0, 20, NULL },
};

static struct {
    bool caps[CAP_COUNT];
    bool set[PARAM_COUNT];
    int64_t value[PARAM_COUNT];
} now;

/* ---- Capabilities ---- */

bool migration_cap(MigCap c)
{
    return now.caps[c];
}

static int find_cap(const char *name)
{
    for (int i = 0; i < CAP_COUNT; i++)
        if (!strcmp(caps[i].name, name))
            return i;
    return -1;
}

bool migration_cap_by_name(const char *name)
{
    int i = find_cap(name);

    return i >= 0 && now.caps[i];
}

const char *migration_cap_name(MigCap c)
{
    return caps[c].name;
}

/* What cannot be on together with background-snapshot. */
static bool fits_background(GError **err)
{
    static const MigCap no[] = {
        CAP_POSTCOPY_RAM, CAP_XBZRLE, CAP_MULTIFD, CAP_RETURN_PATH, CAP_PAUSE_BEFORE_SWITCHOVER, CAP_LATE_BLOCK_ACTIVATE,
        CAP_VALIDATE_UUID, CAP_AUTO_CONVERGE, CAP_RELEASE_RAM, CAP_COMPRESS, CAP_POSTCOPY_BLOCKTIME, CAP_X_COLO, CAP_RDMA_PIN_ALL,
        CAP_DIRTY_BITMAPS, CAP_X_IGNORE_SHARED, CAP_ZERO_COPY_SEND,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(no); i++)
        if (now.caps[no[i]])
            return error_set(err, "Background-snapshot is not compatible with %s", caps[no[i]].name);
    return background_possible(err);
}

bool migration_set_cap(const char *name, bool on, GError **err)
{
    int i = find_cap(name);

    if (i < 0)
        return error_set(err, "invalid parameter value: %s", name);
    if (on && !caps[i].have)
        return error_set(err, "Migration capability '%s' is not supported", name);
    now.caps[i] = on;
    if (!on || !now.caps[CAP_BACKGROUND_SNAPSHOT] || fits_background(err))
        return true;
    now.caps[i] = false;
    return false;
}

/* ---- Parameters ---- */

int64_t migration_param(MigParam p)
{
    return now.set[p] ? now.value[p] : migration_params[p].def;
}

const char *migration_param_str(MigParam p)
{
    const MigParamRow *r = &migration_params[p];

    return r->kind == MIG_ENUM ? r->words[migration_param(p)] : "";
}

int migration_param_find(const char *name)
{
    for (int i = 0; i < PARAM_COUNT; i++)
        if (!strcmp(migration_params[i].name, name))
            return i;
    return -1;
}

static bool out_of_range(const MigParamRow *r, GError **err)
{
    g_autofree char *name = g_strdup(r->name);

    g_strdelimit(name, "-", '_');
    if (r->range)
        return error_set(err, "Parameter '%s' expects %s", name, r->range);
    return error_set(err, "Parameter '%s' expects a value between %" PRId64 " and %" PRId64, name, r->min, r->max);
}

bool migration_check_param(MigParam p, int64_t v, GError **err)
{
    const MigParamRow *r = &migration_params[p];

    if (v < r->min || v > r->max || (p == PARAM_XBZRLE_CACHE_SIZE && (v & (v - 1))) ||
        (p == PARAM_MAX_THROTTLE && v < migration_param(PARAM_THROTTLE_INITIAL)))
        return out_of_range(r, err);
    return true;
}

bool migration_set_param(MigParam p, int64_t v, GError **err)
{
    if (!migration_check_param(p, v, err))
        return false;
    now.set[p] = true;
    now.value[p] = v;
    return true;
}

bool migration_set_param_str(MigParam p, const char *text, GError **err)
{
    const MigParamRow *r = &migration_params[p];

    if (r->kind == MIG_STR)
        return !*text || error_set(err, "Migration parameter '%s' is not supported: there is no TLS", r->name);
    for (int i = 0; r->words[i]; i++)
        if (!strcmp(r->words[i], text))
            return migration_set_param(p, i, err);
    return error_set(err, "Parameter '%s' does not accept value '%s'", r->name, text);
}
