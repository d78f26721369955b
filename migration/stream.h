/*
 * A migration stream's bytes: buffered, big-endian, with the first error kept.
 *
 * Who writes need not look at errors until it likes: after the first one, everything is dropped. Who reads gets
 * zeroes. One thread at a time. A thread that holds the machine lock drops it while it waits for the channel.
 */
#ifndef MIGRATION_STREAM_H
#define MIGRATION_STREAM_H
#include "hw/core/state.h"
#include "migration/channel.h"

typedef struct MigStream MigStream;

MigStream *stream_new(Channel *c);              /* takes the channel over */
void stream_free(MigStream *s);
Channel *stream_channel(MigStream *s);
/* The first error, or NULL; stream_fail sets one (with QEMU's errno-like text). */
const GError *stream_error(const MigStream *s);
bool stream_fail(MigStream *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Its channel has ended or failed: an error that is not the data's. */
bool stream_is_broken(const MigStream *s);
/* Moves the error to err; false. */
bool stream_failed(MigStream *s, GError **err);
uint64_t stream_bytes(const MigStream *s);      /* written (queued bytes count), or used */

void put_u8(MigStream *s, uint8_t v);
void put_u16(MigStream *s, uint16_t v);
void put_u32(MigStream *s, uint32_t v);
void put_u64(MigStream *s, uint64_t v);
void put_bytes(MigStream *s, const void *p, size_t n);
void put_text(MigStream *s, const char *text);  /* a length byte, and the text */
/* p stays as it is until the next flush: guest memory. */
void put_page(MigStream *s, const void *p, size_t n);
bool stream_flush(MigStream *s);

uint8_t get_u8(MigStream *s);
uint16_t get_u16(MigStream *s);
uint32_t get_u32(MigStream *s);
uint64_t get_u64(MigStream *s);
bool get_bytes(MigStream *s, void *p, size_t n);
bool get_text(MigStream *s, char text[256]);
bool stream_skip(MigStream *s, uint64_t n);
/* Goes on reading there, from the stream's beginning; files only. */
bool stream_seek(MigStream *s, uint64_t at);
bool stream_at_end(MigStream *s);               /* waits for a byte or the end */
StateInput *stream_input(MigStream *s);         /* for state_load_from */
#endif
