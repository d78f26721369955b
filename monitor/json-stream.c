/* JSON values out of a stream of bytes: finds where they end, jansson does the rest. */
#include <string.h>
#include "monitor/json-stream.h"

void json_stream_init(JsonStream *s, JsonStreamFn *fn, void *opaque)
{
    memset(s, 0, sizeof(*s));
    s->fn = fn;
    s->opaque = opaque;
    s->buf = g_string_new(NULL);
}

void json_stream_clear(JsonStream *s)
{
    g_string_free(s->buf, true);
    s->buf = NULL;
}

void json_stream_reset(JsonStream *s)
{
    /* A large one should not hold its memory for ever. */
    if (s->buf->allocated_len > 65536) {
        g_string_free(s->buf, true);
        s->buf = g_string_new(NULL);
    }
    g_string_truncate(s->buf, 0);
    s->depth = s->tokens = 0;
    s->state = JS_IDLE;
}

static void fail(JsonStream *s, const char *why, int byte)
{
    g_autofree char *text = byte < 0 ? g_strdup_printf("JSON parse error, %s", why)
                          : byte >= 0x20 && byte < 0x7f ? g_strdup_printf("JSON parse error, %s '%c'", why, byte)
                          : g_strdup_printf("JSON parse error, %s '\\x%02x'", why, byte);

    json_stream_reset(s);
    s->fn(s->opaque, NULL, text);
}

/* After a limit: the rest of the line is of no use. */
static void fail_limit(JsonStream *s, const char *why)
{
    fail(s, why, -1);
    s->state = JS_DISCARD;
}

static void complete(JsonStream *s)
{
    json_error_t e;
    json_t *v = json_loadb(s->buf->str, s->buf->len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    g_autofree char *why = NULL;

    if (!v) {
        char *near = strstr(e.text, " near ");

        why = g_strdup_printf("JSON parse error, %.*s", near ? (int)(near - e.text) : (int)strlen(e.text), e.text);
    }
    json_stream_reset(s);
    s->fn(s->opaque, v, why);
}

/* A string's byte, into a string in double quotes. */
static void string_byte(JsonStream *s, unsigned char c)
{
    if (c < 0x20) {
        fail(s, "control character in a string:", c);
    } else if (c == (unsigned char)s->quote) {
        g_string_append_c(s->buf, '"');
        s->state = JS_VALUE;
        if (!s->depth)
            complete(s);
    } else if (c == '\\') {
        s->state = JS_ESCAPE;
    } else {
        if (c == '"')
            g_string_append_c(s->buf, '\\');
        g_string_append_c(s->buf, c);
    }
}

static void open_close(JsonStream *s, unsigned char c)
{
    g_string_append_c(s->buf, c);
    if (c == '{' || c == '[') {
        if (++s->depth > JSON_STREAM_MAX_DEPTH)
            fail_limit(s, "nesting limit exceeded");
    } else if (--s->depth == 0) {
        complete(s);
    }
}

static void value_byte(JsonStream *s, unsigned char c)
{
    if (c == '"' || c == '\'') {
        s->quote = c;
        s->state = JS_STRING;
        g_string_append_c(s->buf, '"');
    } else if (strchr("{}[]", c) && c) {
        open_close(s, c);
    } else if (c >= 0x80 || (c < 0x20 && !strchr("\t\r\n", c)) || !c) {
        fail(s, "stray", c);
    } else {
        g_string_append_c(s->buf, c);
    }
    if ((c == ',' || c == ':') && ++s->tokens > JSON_STREAM_MAX_TOKENS)
        fail_limit(s, "token count limit exceeded");
}

static bool is_word(unsigned char c)
{
    return g_ascii_isalnum(c) || (c && strchr("+-._", c));
}

/* Between values. */
static void idle_byte(JsonStream *s, unsigned char c)
{
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
        return;
    if (c == '}' || c == ']' || c == ',' || c == ':') {
        fail(s, "expecting value", -1);
    } else if (is_word(c)) {
        s->state = JS_WORD;
        g_string_append_c(s->buf, c);
    } else {
        s->state = JS_VALUE;
        value_byte(s, c);
        if (s->state == JS_VALUE && !s->depth)
            fail(s, "stray", c);
    }
}

static void byte(JsonStream *s, unsigned char c)
{
    if (s->buf->len > JSON_STREAM_MAX_SIZE) {
        fail_limit(s, "token size limit exceeded");
    } else if (c == 0xff) {
        fail(s, "stray", c);
        return;
    }
    switch (s->state) {
    case JS_IDLE:
        idle_byte(s, c);
        break;
    case JS_WORD:
        if (is_word(c)) {
            g_string_append_c(s->buf, c);
        } else {
            complete(s);
            idle_byte(s, c);
        }
        break;
    case JS_VALUE:
        value_byte(s, c);
        break;
    case JS_STRING:
        string_byte(s, c);
        break;
    case JS_ESCAPE:
        s->state = JS_STRING;
        if (c != '\'')          /* \' is not JSON's, but ours is in double quotes now */
            g_string_append_c(s->buf, '\\');
        g_string_append_c(s->buf, c);
        break;
    case JS_DISCARD:
        if (c == '\n')
            s->state = JS_IDLE;
        break;
    }
}

void json_stream_feed(JsonStream *s, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        byte(s, data[i]);
}
