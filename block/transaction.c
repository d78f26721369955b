/* transaction: several operations, all or none of them; single ones are transactions of one. */
#include <string.h>
#include "block/bitmap-cmd.h"
#include "block/bitmap.h"
#include "block/graph-ops.h"
#include "block/job-int.h"
#include "block/snapshot-ops.h"
#include "util/error.h"

typedef struct Action Action;

typedef struct ActionType {
    const char *name;
    bool grouped;                       /* takes part in completion-mode=grouped */
    bool (*prepare)(Action *a, GError **err);
    void (*commit)(Action *a);
    void (*abort)(Action *a);
    void (*clean)(Action *a);
} ActionType;

struct Action {
    const ActionType *type;
    json_t *args;
    JobTxn *txn;
    SnapshotExt ext;
    BlockNode *node;                    /* with an internal snapshot; of a bitmap */
    Job *job;
    char *bitmap;
    uint8_t *bits;                      /* what was in it */
    bool enabled;
};

static const char *str(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* ---- snapshots */

static bool ext_prepare(Action *a, GError **err)
{
    return snapshot_ext_prepare(&a->ext, a->args, !strcmp(a->type->name, "blockdev-snapshot-sync"), err);
}

static void ext_commit(Action *a)
{
    snapshot_ext_commit(&a->ext);
}

static void ext_abort(Action *a)
{
    snapshot_ext_abort(&a->ext);
}

static void ext_clean(Action *a)
{
    snapshot_ext_clean(&a->ext);
}

static bool int_prepare(Action *a, GError **err)
{
    return snapshot_int_create(a->args, &a->node, err);
}

static void int_abort(Action *a)
{
    GError *e = NULL;

    if (a->node && !snapshot_int_delete(a->node, str(a->args, "name"), &e)) {
        g_prefix_error(&e, "Failed to delete snapshot with name '%s' on device '%s' in abort: ", str(a->args, "name"),
                       str(a->args, "device"));
        error_report_err(e);
    }
}

/* ---- backups */

static bool backup_prepare(Action *a, GError **err)
{
    return *a->type->name == 'd' ? drive_backup(a->args, a->txn, &a->job, err) : blockdev_backup(a->args, a->txn, &a->job, err);
}

static void backup_commit(Action *a)
{
    job_start(a->job);
}

static void backup_abort(Action *a)
{
    if (a->job)
        job_cancel(a->job, true);
}

/* ---- bitmaps */

static bool bitmap_prepare(Action *a, GError **err)
{
    const char *target = str(a->args, "target"), *name = target ? target : str(a->args, "name");
    bool removing = !strcmp(a->type->name, "block-dirty-bitmap-remove");
    DirtyBitmap *b;

    a->node = node_skip_implicit(block_lookup(str(a->args, "node"), str(a->args, "node"), err));
    b = a->node ? bitmap_find(a->node, name) : NULL;
    if (!a->node)
        return false;
    a->bitmap = g_strdup(name);
    if (b) {
        a->bits = g_memdup2(b->bits, bitmap_bytes(b) + 1);
        a->enabled = b->enabled;
    }
    if (removing && b && !b->busy)
        return true;                    /* done in the end: it can't be brought back */
    return block_bitmap_command(a->type->name, a->args, err);
}

static void bitmap_commit(Action *a)
{
    if (!strcmp(a->type->name, "block-dirty-bitmap-remove"))
        block_bitmap_command(a->type->name, a->args, NULL);
}

static void bitmap_abort(Action *a)
{
    DirtyBitmap *b = a->bitmap ? bitmap_find(a->node, a->bitmap) : NULL;

    if (b && !a->bits && !strcmp(a->type->name, "block-dirty-bitmap-add")) {
        bitmap_remove(a->node, a->bitmap, NULL);
    } else if (b && a->bits) {
        memcpy(b->bits, a->bits, bitmap_bytes(b));
        b->enabled = a->enabled;
    }
}

static void bitmap_clean(Action *a)
{
    g_free(a->bitmap);
    g_free(a->bits);
}

/* ---- abort */

static bool abort_prepare(Action *a, GError **err)
{
    return error_set(err, "Transaction aborted using Abort action");
}

#define BITMAP(verb) { "block-dirty-bitmap-" verb, false, bitmap_prepare, bitmap_commit, bitmap_abort, bitmap_clean }
static const ActionType types[] = {
    { "blockdev-snapshot", false, ext_prepare, ext_commit, ext_abort, ext_clean },
    { "blockdev-snapshot-sync", false, ext_prepare, ext_commit, ext_abort, ext_clean },
    { "blockdev-snapshot-internal-sync", false, int_prepare, NULL, int_abort, NULL },
    { "drive-backup", true, backup_prepare, backup_commit, backup_abort, NULL },
    { "blockdev-backup", true, backup_prepare, backup_commit, backup_abort, NULL },
    { "abort", false, abort_prepare, NULL, NULL, NULL },
    BITMAP("add"), BITMAP("remove"), BITMAP("clear"), BITMAP("enable"), BITMAP("disable"), BITMAP("merge"),
    { 0 },
};

static const ActionType *type_of(const char *name)
{
    for (const ActionType *t = types; t->name; t++)
        if (!strcmp(t->name, name))
            return t;
    return NULL;
}

/* Prepares each in turn; the first failure takes back those before it, the last first. */
static bool run(Action *a, size_t n, GError **err)
{
    bool ok = true;
    size_t done = 0;

    block_quiesce_begin();
    while (done < n && ok) {
        ok = a[done].type->prepare(&a[done], err);
        done++;
    }
    for (size_t i = 0; i < done; i++) {
        Action *x = &a[ok ? i : done - 1 - i];

        if (ok && x->type->commit && x->type->commit != backup_commit)
            x->type->commit(x);
        else if (!ok && x->type->abort)
            x->type->abort(x);
    }
    block_quiesce_end();
    for (size_t i = 0; i < done; i++) {
        if (ok && a[i].type->commit == backup_commit)
            backup_commit(&a[i]);
        if (a[i].type->clean)
            a[i].type->clean(&a[i]);
    }
    return ok;
}

bool block_transaction(json_t *args, GError **err)
{
    json_t *list = json_object_get(args, "actions");
    const char *mode = str(json_object_get(args, "properties"), "completion-mode");
    bool grouped = mode && !strcmp(mode, "grouped"), ok = true;
    size_t n = json_array_size(list);
    g_autofree Action *a = g_new0(Action, n + 1);
    JobTxn *txn = grouped ? job_txn_new(true) : NULL;

    for (size_t i = 0; i < n && ok; i++) {
        json_t *o = json_array_get(list, i);

        a[i].type = type_of(str(o, "type"));
        a[i].args = json_object_get(o, "data");
        a[i].txn = txn;
        if (grouped && !a[i].type->grouped)
            ok = error_set(err, "Action '%s' does not support Transaction property completion-mode = %s", a[i].type->name, mode);
    }
    ok = ok && run(a, n, err);
    if (txn)
        job_txn_unref(txn);
    return ok;
}

static bool single(const char *type, json_t *args, GError **err)
{
    Action a = { .type = type_of(type), .args = args };

    return run(&a, 1, err);
}

bool blockdev_snapshot(json_t *args, GError **err)
{
    return single("blockdev-snapshot", args, err);
}

bool blockdev_snapshot_sync(json_t *args, GError **err)
{
    return single("blockdev-snapshot-sync", args, err);
}

bool block_backup_command(json_t *args, bool drive, GError **err)
{
    return single(drive ? "drive-backup" : "blockdev-backup", args, err);
}
