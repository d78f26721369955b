/*
 * Cuts a stream of bytes into JSON values, as they arrive.
 *
 * The stream comes from a stranger: sizes, nesting and numbers of tokens are limited, and after any nonsense the
 * next value is found again.  Beyond JSON, strings may stand in single quotes, as QEMU's QMP takes them; a byte 0xff
 * ends whatever was begun.
 */
#ifndef MONITOR_JSON_STREAM_H
#define MONITOR_JSON_STREAM_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#define JSON_STREAM_MAX_SIZE (64 << 20)
#define JSON_STREAM_MAX_DEPTH 1024
#define JSON_STREAM_MAX_TOKENS (2 << 20)

/* value: owned by the callee; NULL when `why` says what was wrong ("JSON parse error, ..."). */
typedef void JsonStreamFn(void *opaque, json_t *value, const char *why);

typedef struct JsonStream {
    JsonStreamFn *fn;
    void *opaque;
    GString *buf;               /* of the value that has begun */
    unsigned depth, tokens;
    enum { JS_IDLE, JS_WORD, JS_VALUE, JS_STRING, JS_ESCAPE, JS_DISCARD } state;
    char quote;
} JsonStream;

void json_stream_init(JsonStream *s, JsonStreamFn *fn, void *opaque);
void json_stream_clear(JsonStream *s);      /* frees; init again before another use */
void json_stream_reset(JsonStream *s);      /* forgets what has begun */
/* Calls fn for each value that is complete. It must not free or clear the stream. */
void json_stream_feed(JsonStream *s, const char *data, size_t len);
#endif
