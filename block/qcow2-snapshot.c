/* qcow2: internal snapshots: the table of them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/qcow2.h"
#include "util/error.h"

typedef struct __attribute__((packed)) SnapshotHeader {
    uint64_t l1_table_offset;
    uint32_t l1_size;
    uint16_t id_str_size, name_size;
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_nsec;
    uint32_t vm_state_size, extra_data_size;
} SnapshotHeader;
/* extra data: vm_state_size_large, disk_size, icount */
#define EXTRA_KNOWN 24
#define EXTRA_MAX 1024

void qcow2_free_snapshots(Qcow2 *q)
{
    for (uint32_t i = 0; q->snapshots && i < q->n_snapshots; i++) {
        g_free(q->snapshots[i].id);
        g_free(q->snapshots[i].name);
        g_free(q->snapshots[i].unknown);
    }
    g_clear_pointer(&q->snapshots, g_free);
}

static char *read_text(Qcow2 *q, uint64_t offset, uint16_t len, int *ret)
{
    char *s = g_malloc0(len + 1);

    if (len && *ret == 0)
        *ret = node_co_pread(q->node->file, offset, s, len);
    return s;
}

static uint64_t extra_field(const uint8_t *extra, uint32_t len, unsigned index, uint64_t absent)
{
    uint64_t be;

    if (len < (index + 1) * 8)
        return absent;
    memcpy(&be, extra + index * 8, 8);
    return GUINT64_FROM_BE(be);
}

static bool read_one(Qcow2 *q, Snapshot *s, uint64_t *offset, GError **err)
{
    SnapshotHeader h;
    g_autofree uint8_t *extra = NULL;
    uint32_t extra_len;
    int ret = node_co_pread(q->node->file, *offset, &h, sizeof(h));

    if (ret < 0)
        return error_set_errno(err, ret, "Failed to read snapshot table");
    *offset += sizeof(h);
    s->l1_offset = GUINT64_FROM_BE(h.l1_table_offset);
    s->l1_size = GUINT32_FROM_BE(h.l1_size);
    s->date_sec = GUINT32_FROM_BE(h.date_sec);
    s->date_nsec = GUINT32_FROM_BE(h.date_nsec);
    s->vm_clock_ns = GUINT64_FROM_BE(h.vm_clock_nsec);
    extra_len = s->extra_size = GUINT32_FROM_BE(h.extra_data_size);
    if (extra_len > EXTRA_MAX)
        return error_set(err, "Too much extra metadata in snapshot table entry %u\n"
                         "You can force-remove this extra metadata by updating the image via 'qemu-img check -r all'",
                         (unsigned)(s - q->snapshots));
    extra = g_malloc0(extra_len + 1);
    if (extra_len)
        ret = node_co_pread(q->node->file, *offset, extra, extra_len);
    s->vm_state_size = extra_field(extra, extra_len, 0, GUINT32_FROM_BE(h.vm_state_size));
    s->disk_size = extra_field(extra, extra_len, 1, q->node->length);
    s->icount = extra_field(extra, extra_len, 2, UINT64_MAX);
    if (extra_len > EXTRA_KNOWN)
        s->unknown = g_memdup2(extra + EXTRA_KNOWN, extra_len - EXTRA_KNOWN);
    *offset += extra_len;
    s->id = read_text(q, *offset, GUINT16_FROM_BE(h.id_str_size), &ret);
    *offset += GUINT16_FROM_BE(h.id_str_size);
    s->name = read_text(q, *offset, GUINT16_FROM_BE(h.name_size), &ret);
    *offset += GUINT16_FROM_BE(h.name_size);
    *offset = (*offset + 7) & ~UINT64_C(7);
    return ret == 0 || error_set_errno(err, ret, "Failed to read snapshot table");
}

bool qcow2_read_snapshots(Qcow2 *q, GError **err)
{
    uint64_t offset = q->snapshots_offset;

    if (!q->n_snapshots)
        return true;
    q->snapshots = g_try_new0(Snapshot, q->n_snapshots);
    if (!q->snapshots)
        return error_set(err, "Snapshot table too large");
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        if (!read_one(q, &q->snapshots[i], &offset, err) ||
            !qcow2_table_ok(q, q->snapshots[i].l1_offset, q->snapshots[i].l1_size, 8, MAX_L1_BYTES, "Snapshot L1 table", err))
            return false;
        if (offset - q->snapshots_offset > MAX_SNAPSHOT_BYTES)
            return error_set(err, "Snapshot table is too big");
    }
    q->snapshots_bytes = offset - q->snapshots_offset;
    return true;
}

GByteArray *qcow2_pack_snapshots(Qcow2 *q)
{
    GByteArray *b = g_byte_array_new();

    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        const Snapshot *s = &q->snapshots[i];
        uint32_t extra = MAX(s->extra_size, EXTRA_KNOWN);
        uint64_t known[3] = { GUINT64_TO_BE(s->vm_state_size), GUINT64_TO_BE(s->disk_size), GUINT64_TO_BE(s->icount) };
        SnapshotHeader h = {
            .l1_table_offset = GUINT64_TO_BE(s->l1_offset), .l1_size = GUINT32_TO_BE(s->l1_size),
            .id_str_size = GUINT16_TO_BE(strlen(s->id)), .name_size = GUINT16_TO_BE(strlen(s->name)),
            .date_sec = GUINT32_TO_BE(s->date_sec), .date_nsec = GUINT32_TO_BE(s->date_nsec),
            .vm_clock_nsec = GUINT64_TO_BE(s->vm_clock_ns), .extra_data_size = GUINT32_TO_BE(extra),
            .vm_state_size = GUINT32_TO_BE(s->vm_state_size <= UINT32_MAX ? s->vm_state_size : 0),
        };

        g_byte_array_append(b, (uint8_t *)&h, sizeof(h));
        g_byte_array_append(b, (uint8_t *)known, sizeof(known));
        if (extra > EXTRA_KNOWN)
            g_byte_array_append(b, s->unknown, extra - EXTRA_KNOWN);
        g_byte_array_append(b, (uint8_t *)s->id, strlen(s->id));
        g_byte_array_append(b, (uint8_t *)s->name, strlen(s->name));
        while (b->len & 7)
            g_byte_array_append(b, (const uint8_t *)"", 1);
    }
    return b;
}

int qcow2_snapshot_list(BlockNode *n, SnapshotInfo **list)
{
    Qcow2 *q = n->state;

    *list = g_new0(SnapshotInfo, MAX(q->n_snapshots, 1));
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        const Snapshot *s = &q->snapshots[i];
        SnapshotInfo *o = *list + i;

        g_strlcpy(o->id, s->id, sizeof(o->id));
        g_strlcpy(o->name, s->name, sizeof(o->name));
        o->vm_state_size = s->vm_state_size;
        o->vm_clock_ns = s->vm_clock_ns;
        o->icount = s->icount;
        o->date_sec = s->date_sec;
        o->date_nsec = s->date_nsec;
    }
    return q->n_snapshots;
}
