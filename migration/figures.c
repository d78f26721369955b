/* Outgoing migrations: what query-migrate shows. */
#include "migration/converge.h"
#include "migration/outgoing-int.h"

void figures_note(void)
{
    uint64_t left = ram_save_pending(mig.ram);

    g_mutex_lock(&mig.lock);
    mig.figures.ram = *ram_save_stats(mig.ram);
    mig.figures.remaining = left;
    mig.figures.requests = mig.requests;
    if (mig.without_end)
        mig.figures.postcopy_bytes = mig.bytes_before + stream_bytes(mig.stream) - mig.figures.precopy_bytes;
    else if (mig.stopped_at)
        mig.figures.downtime_bytes = stream_bytes(mig.stream) - mig.figures.precopy_bytes;
    else
        mig.figures.precopy_bytes = stream_bytes(mig.stream);
    g_mutex_unlock(&mig.lock);
}

void figures_final(void)
{
    mig.figures.downtime_ms = (mig.stopped_at ? mig.sent_at - mig.stopped_at : mig.paused_us) / 1000;
    mig.figures.mbps = mig.figures.ram.transferred * 8.0 / MAX(mig.sent_at - mig.began, 1);
    mig.figures.pages_per_second = 0;
}

static json_t *query_ram(const Figures *f)
{
    const RamStats *r = &f->ram;
    uint64_t transferred = f->precopy_bytes + f->downtime_bytes + f->postcopy_bytes + r->multi_bytes;

    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:i,s:I,s:I,s:I,s:I,s:I,s:i}",
                     "transferred", (json_int_t)transferred, "remaining", (json_int_t)f->remaining,
                     "total", (json_int_t)r->total, "duplicate", (json_int_t)r->zero_pages, "skipped", (json_int_t)r->skipped_pages,
                     "normal", (json_int_t)r->normal_pages, "normal-bytes", (json_int_t)r->normal_pages * 4096,
                     "dirty-pages-rate", (json_int_t)r->dirty_pages_rate, "mbps", f->mbps,
                     "dirty-sync-count", (json_int_t)r->dirty_syncs, "postcopy-requests", (json_int_t)f->requests, "page-size", 4096,
                     "multifd-bytes", (json_int_t)r->multi_bytes,
                     "pages-per-second", (json_int_t)f->pages_per_second, "precopy-bytes", (json_int_t)f->precopy_bytes,
                     "downtime-bytes", (json_int_t)f->downtime_bytes, "postcopy-bytes", (json_int_t)f->postcopy_bytes,
                     "dirty-sync-missed-zero-copy", 0);
}

/* "ram", how far the CPUs are held back, and "xbzrle-cache" with that capability. */
static void add_ram(json_t *j, const Figures *f)
{
    const XbzrleStats *x = &f->ram.xbzrle;

    json_object_set_new(j, "ram", query_ram(f));
    if (converge_percent())
        json_object_set_new(j, "cpu-throttle-percentage", json_integer(converge_percent()));
    if (x->cache_size)
        json_object_set_new(j, "xbzrle-cache",
                            json_pack("{s:I,s:I,s:I,s:I,s:f,s:f,s:I}", "cache-size", (json_int_t)x->cache_size, "bytes",
                                      (json_int_t)x->bytes, "pages", (json_int_t)x->pages, "cache-miss", (json_int_t)x->misses,
                                      "cache-miss-rate", x->miss_rate, "encoding-rate", x->encoding_rate, "overflow",
                                      (json_int_t)x->overflows));
}

json_t *migration_query(void)
{
    json_t *j = json_object();
    Figures f;

    if (mig.status == MIG_NONE) {
        incoming_describe(j);
        return j;
    }
    g_mutex_lock(&mig.lock);
    f = mig.figures;
    g_mutex_unlock(&mig.lock);
    json_object_set_new(j, "status", json_string(migration_status_name(mig.status)));
    if (mig.status == MIG_COMPLETED) {
        json_object_set_new(j, "setup-time", json_integer(f.setup_ms));
        json_object_set_new(j, "total-time", json_integer(f.total_ms));
        json_object_set_new(j, "downtime", json_integer(f.downtime_ms));
        add_ram(j, &f);
    } else if (mig.status == MIG_FAILED) {
        if (mig.error)
            json_object_set_new(j, "error-desc", json_string(mig.error));
    } else if (mig.status != MIG_SETUP && mig.status != MIG_CANCELLED) {
        json_object_set_new(j, "setup-time", json_integer(f.setup_ms));
        json_object_set_new(j, "total-time", json_integer((g_get_monotonic_time() - mig.began) / 1000));
        json_object_set_new(j, "expected-downtime", json_integer(f.expected_ms));
        add_ram(j, &f);
    }
    return j;
}
