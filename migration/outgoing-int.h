/*
 * What the parts of an outgoing migration share: outgoing.c (the thread, its end, the commands), precopy.c (rounds of
 * pages while the guest runs), switchover.c (stop, rest, devices; and back), figures.c (what query-migrate shows).
 */
#ifndef MIGRATION_OUTGOING_INT_H
#define MIGRATION_OUTGOING_INT_H
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/params.h"
#include "migration/ram.h"

typedef struct Figures {        /* what query-migrate shows */
    RamStats ram;
    uint64_t remaining, precopy_bytes, downtime_bytes, postcopy_bytes, requests;
    double mbps;
    uint64_t pages_per_second;
    int64_t setup_ms, total_ms, downtime_ms, expected_ms;
} Figures;

typedef struct Migration {
    Machine *machine;
    int (*take_fd)(const char *name, GError **err);

    /* under the machine lock */
    MigStatus status;
    char *error;
    GThread *thread;
    MigUri uri;
    int fd, cancel_fd;
    RunState was;               /* before the guest was stopped for us */
    bool stopped, was_running;
    GSList *waiting;            /* Waiter */

    /* the thread's */
    RamSave *ram;
    MigStream *stream;
    MultiSend *multi;           /* with multifd */
    GByteArray *devices;        /* made on the main thread, written by ours */
    gint64 began, stopped_at, sent_at;      /* us */
    bool indexed;               /* a file: where its pages are is put behind the stream */
    bool cancelled, start_postcopy;         /* atomic */
    bool given_away;            /* atomic: by post-copy: the guest has gone on at the target */
    bool without_end;           /* the devices are to be sent without the stream's end */
    gint64 paused_us;           /* background-snapshot: how long the guest stood still */
    uint64_t requests, bytes_before;        /* of post-copy; sent over connections that broke */

    /* under lock */
    GMutex lock;
    GCond cond;
    Figures figures;
    bool main_done, quitting, go_on;
} Migration;
extern Migration mig;

/* ---- outgoing.c ---- */
void migration_set_status(MigStatus s);     /* on any thread, under the machine lock */
bool migration_is_cancelled(void);
/* Runs fn on the main thread, under the machine lock, and waits for it. False also when the program ends. */
bool migration_on_main(bool (*fn)(GError **err), GError **err);
uint64_t migration_bytes(void);             /* that have gone out so far, over all channels; on the migration's thread */
/* Waits at most us microseconds, less when the migration is cancelled. */
void migration_pause(gint64 us);

/* ---- precopy.c: on the migration's thread ---- */
/* Sends pages until what is left fits the downtime limit. */
bool precopy_rounds(GError **err);
/* Fetches what was written, and begins another round. */
void precopy_next_pass(void);

/* ---- switchover.c ---- */
/* Its two steps on the main thread: the guest stops; devices go to mig.devices, and the images go. */
bool switchover_stop(GError **err);
bool switchover_save(GError **err);
void switchover_save_devices(void);         /* without the images */
/* Stops the guest and sends all that is left. On the migration's thread. */
bool switchover_run(GError **err);
/* After a failure: the guest goes on here, with its images. On the main thread. */
void switchover_undo(void);

/* ---- figures.c ---- */
void figures_note(void);        /* takes over what RAM and stream count; on the migration's thread, or after its end */
void figures_final(void);       /* of a migration that has succeeded */
#endif
