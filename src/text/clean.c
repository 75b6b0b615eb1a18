#include "text/clean.h"

#include <string.h>

#define BYTE_ESC 0x1b
#define BYTE_BEL 0x07
#define BYTE_LEAD 0xc2 /* leads the UTF-8 form of U+0080 to U+00BF, and nothing else */

/* Where in the log the next byte is. But for IN_TEXT, `held` has the undecided raw bytes. */
enum state {
    AT_START, /* of a line: byte order marks and the timestamp may come */
    IN_TEXT,
    IN_ESCAPE,  /* ESC and any intermediates */
    IN_CSI,     /* ESC [ */
    IN_STRING,  /* ESC ] P X ^ _ */
    STRING_ESC, /* the same, and an ESC that may be the first half of its end */
};

static const unsigned char byte_order_mark[3] = {0xef, 0xbb, 0xbf};

/* The output of one call. */
struct sink {
    char *base;
    char *at;
    const char *head; /* where the current line's head continues in this output */
};

/* --- the runner's timestamp --- */

static const char pattern[TEXT_STAMP_LEN + 1] = "dddd-dd-ddTdd:dd:dd.dddddddZ";

/* Whether `byte` may stand at place `at`, below TEXT_STAMP_LEN, of a timestamp. */
static bool stamp_fits(size_t at, unsigned char byte)
{
    if (pattern[at] == 'd')
        return byte >= '0' && byte <= '9';
    return byte == (unsigned char)pattern[at];
}

static bool stamp_is(const unsigned char *s)
{
    for (size_t i = 0; i < TEXT_STAMP_LEN; i++)
        if (!stamp_fits(i, s[i]))
            return false;
    return true;
}

static int two(const unsigned char *s)
{
    return (s[0] - '0') * 10 + (s[1] - '0');
}

/* The time of a timestamp; TEXT_TIME_UNKNOWN where no clock shows its numbers. */
static int64_t stamp_time_ms(const unsigned char *s)
{
    int year = two(s) * 100 + two(s + 2), month = two(s + 5), day = two(s + 8);
    int hour = two(s + 11), minute = two(s + 14), second = two(s + 17);

    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60)
        return TEXT_TIME_UNKNOWN;
    /* Days from 1970-01-01. The year begins in March here, so that the leap day is its last. */
    int64_t y = month > 2 ? year : year - 1;
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day -
                   1 - 719468;
    int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second;
    return seconds * 1000 + two(s + 20) * 10 + (s[22] - '0');
}

int64_t text_read_stamp(const char *line, size_t len)
{
    const unsigned char *s = (const unsigned char *)line;

    return len >= TEXT_STAMP_LEN && stamp_is(s) ? stamp_time_ms(s) : TEXT_TIME_UNKNOWN;
}

/* --- bytes --- */

static bool is_plain(unsigned char b)
{
    return (b >= 0x20 && b != 0x7f && b != BYTE_LEAD) || b == '\t';
}

static void put_byte(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    bool tail = b >= 0x80 && b <= 0x9f;
    if (c->lead_held) {
        c->lead_held = false;
        if (tail)
            return;
        *out->at++ = (char)BYTE_LEAD;
        c->lead_last = true;
    }
    if (b == BYTE_LEAD) {
        c->lead_held = true;
    } else if (!(tail && c->lead_last)) {
        *out->at++ = (char)b;
        c->lead_last = false;
    }
}

/* `run` is of plain bytes. */
static void put_run(struct text_cleaner *c, struct sink *out, const unsigned char *run, size_t len)
{
    for (; len > 0 && (c->lead_held || c->lead_last); len--)
        put_byte(c, out, *run++);
    if (len > 0)
        memcpy(out->at, run, len);
    out->at += len;
}

static void lead_flush(struct text_cleaner *c, struct sink *out)
{
    if (c->lead_held)
        *out->at++ = (char)BYTE_LEAD;
    c->lead_held = false;
    c->lead_last = false;
}

/* The line's start is decided: `stamp` of `len` bytes (0: none) belongs to it. */
static void line_begin(struct text_cleaner *c, struct sink *out, const unsigned char *stamp,
                       size_t len)
{
    c->line_open = true;
    c->line_offset = c->written + (uint64_t)(out->at - out->base);
    c->line_time_ms = TEXT_TIME_UNKNOWN;
    if (len > 0 && c->on_line)
        c->line_time_ms = stamp_time_ms(stamp);
    if (c->keep_timestamps)
        put_run(c, out, stamp, len);
    c->head_len = 0;
    out->head = out->at;
    c->held_len = 0;
    c->state = IN_TEXT;
}

/* Keeps the line's head beyond this call: appends what of it is in this output. */
static void head_save(struct text_cleaner *c, const struct sink *out)
{
    size_t space = TEXT_HEAD_MAX - c->head_len;
    size_t len = (size_t)(out->at - out->head);
    if (len > space)
        len = space;
    memcpy(c->head + c->head_len, out->head, len);
    c->head_len += len;
}

/* The line is complete but for its newline. */
static void line_end(struct text_cleaner *c, struct sink *out)
{
    struct text_line line = {.offset = c->line_offset, .time_ms = c->line_time_ms};
    c->line_open = false;
    c->state = AT_START;
    if (!c->on_line)
        return;
    if (c->head_len > 0) {
        head_save(c, out);
        line.head = c->head;
        line.head_len = c->head_len;
    } else {
        size_t len = (size_t)(out->at - out->head);
        line.head = out->head;
        line.head_len = len < TEXT_HEAD_MAX ? len : TEXT_HEAD_MAX;
    }
    c->on_line(c->ctx, &line);
}

/* The held bytes are no mark, timestamp or escape sequence after all: all but an ESC and the
 * control characters are text. Returns false, so that the byte that showed this is processed
 * again. */
static bool held_release(struct text_cleaner *c, struct sink *out)
{
    for (size_t i = 0; i < c->held_len; i++)
        if (is_plain(c->held[i]) || c->held[i] == BYTE_LEAD)
            put_byte(c, out, c->held[i]);
    c->held_len = 0;
    c->state = IN_TEXT;
    return false;
}

static void start_give_up(struct text_cleaner *c, struct sink *out)
{
    size_t len = c->held_len;
    line_begin(c, out, NULL, 0);
    c->held_len = len;
    held_release(c, out);
}

/* The functions below take one byte. They return true if they have used it, false if it must be
 * processed again in the state that they have set. */

static bool start_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    size_t at = c->held_len;
    bool in_mark = at > 0 && c->held[0] == byte_order_mark[0];
    bool in_stamp = !in_mark && at < TEXT_STAMP_LEN;

    if ((in_mark && b == byte_order_mark[at]) || (in_stamp && stamp_fits(at, b)) ||
        (at == 0 && b == byte_order_mark[0])) {
        c->held[c->held_len++] = b;
        if (in_mark && c->held_len == sizeof byte_order_mark)
            c->held_len = 0;
        return true;
    }
    if (!in_mark && !in_stamp && (b == ' ' || b == '\r' || b == '\n')) {
        c->held[at] = b;
        line_begin(c, out, c->held, b == ' ' ? at + 1 : at);
        return b == ' ';
    }
    start_give_up(c, out);
    return false;
}

static bool escape_hold(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    if (c->held_len == TEXT_ESCAPE_MAX)
        return held_release(c, out);
    c->held[c->held_len++] = b;
    return true;
}

static bool escape_done(struct text_cleaner *c)
{
    c->held_len = 0;
    c->state = IN_TEXT;
    return true;
}

static bool escape_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    if (b >= 0x20 && b <= 0x2f)
        return escape_hold(c, out, b);
    if (b < 0x30 || b > 0x7e)
        return held_release(c, out);
    if (c->held_len > 1 || !strchr("[]PX^_", b))
        return escape_done(c);
    c->state = b == '[' ? IN_CSI : IN_STRING;
    return escape_hold(c, out, b);
}

static bool csi_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    bool parameters_over = c->held[c->held_len - 1] <= 0x2f;
    if (b >= 0x40 && b <= 0x7e)
        return escape_done(c);
    if ((b >= 0x20 && b <= 0x2f) || (b >= 0x30 && b <= 0x3f && !parameters_over))
        return escape_hold(c, out, b);
    return held_release(c, out);
}

static bool string_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    if (b == BYTE_BEL && c->held[1] == ']')
        return escape_done(c);
    if (b == '\n')
        return held_release(c, out);
    if (b != BYTE_ESC)
        return escape_hold(c, out, b);
    c->state = STRING_ESC;
    return true;
}

/* An ESC that does not end the string cuts it off, and may begin a sequence of its own. */
static bool string_esc_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    if (b == '\\')
        return escape_done(c);
    held_release(c, out);
    c->held[0] = BYTE_ESC;
    c->held_len = 1;
    c->state = IN_ESCAPE;
    return false;
}

static bool text_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    if (b == '\n') {
        lead_flush(c, out);
        line_end(c, out);
        *out->at++ = '\n';
    } else if (b == BYTE_ESC) {
        c->held[0] = b;
        c->held_len = 1;
        c->state = IN_ESCAPE;
    } else if (is_plain(b) || b == BYTE_LEAD) {
        put_byte(c, out, b);
    }
    return true;
}

static bool one_step(struct text_cleaner *c, struct sink *out, unsigned char b)
{
    switch ((enum state)c->state) {
    case AT_START: return start_step(c, out, b);
    case IN_ESCAPE: return escape_step(c, out, b);
    case IN_CSI: return csi_step(c, out, b);
    case IN_STRING: return string_step(c, out, b);
    case STRING_ESC: return string_esc_step(c, out, b);
    case IN_TEXT: break;
    }
    return text_step(c, out, b);
}

/* Not zero exactly when one of the eight bytes is zero. */
static uint64_t zero_in(uint64_t word)
{
    return (word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080);
}

/* Whether one of the eight bytes may not be plain: true too often (a tab), never too rarely. */
static bool word_special(const unsigned char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t below_space = (w - ones * 0x20) & ~w & (ones * 0x80);
    return (below_space | zero_in(w ^ (ones * 0x7f)) | zero_in(w ^ (ones * BYTE_LEAD))) != 0;
}

/* The end of the plain bytes from `p` on. */
static const unsigned char *run_end(const unsigned char *p, const unsigned char *end)
{
    for (;;) {
        while (end - p >= 8 && !word_special(p))
            p += 8;
        const unsigned char *stop = end - p >= 8 ? p + 8 : end;
        while (p < stop && is_plain(*p))
            p++;
        if (p < stop || p == end)
            return p;
    }
}

/* The common way through a line's start: a timestamp that the input holds as a whole. */
static const unsigned char *stamp_skip(struct text_cleaner *c, struct sink *out,
                                       const unsigned char *p, const unsigned char *end)
{
    if (c->held_len > 0 || end - p <= TEXT_STAMP_LEN || p[TEXT_STAMP_LEN] != ' ' || !stamp_is(p))
        return p;
    line_begin(c, out, p, TEXT_STAMP_LEN + 1);
    return p + TEXT_STAMP_LEN + 1;
}

void text_cleaner_init(struct text_cleaner *c, bool keep_timestamps, text_line_fn *on_line,
                       void *ctx)
{
    memset(c, 0, offsetof(struct text_cleaner, head)); /* the buffers behind it are large */
    c->on_line = on_line;
    c->ctx = ctx;
    c->keep_timestamps = keep_timestamps;
    c->state = AT_START;
    c->line_time_ms = TEXT_TIME_UNKNOWN;
}

size_t text_cleaner_feed(struct text_cleaner *c, const void *in, size_t in_len, void *out)
{
    struct sink to = {.base = out, .at = out, .head = out};
    const unsigned char *p = in, *end = p + in_len;

    while (p < end) {
        if (c->state == AT_START)
            p = stamp_skip(c, &to, p, end);
        if (c->state == IN_TEXT) {
            const unsigned char *stop = run_end(p, end);
            put_run(c, &to, p, (size_t)(stop - p));
            p = stop;
        }
        if (p < end && one_step(c, &to, *p))
            p++;
    }
    if (c->line_open && c->on_line)
        head_save(c, &to);
    c->written += (uint64_t)(to.at - to.base);
    return (size_t)(to.at - to.base);
}

size_t text_cleaner_finish(struct text_cleaner *c, void *out)
{
    struct sink to = {.base = out, .at = out, .head = out};

    if (c->state == AT_START && c->held_len == TEXT_STAMP_LEN)
        line_begin(c, &to, c->held, TEXT_STAMP_LEN);
    else if (c->state == AT_START && c->held_len > 0)
        start_give_up(c, &to);
    else if (c->state != AT_START)
        held_release(c, &to);
    lead_flush(c, &to);
    if (c->line_open)
        line_end(c, &to);
    c->written += (uint64_t)(to.at - to.base);
    return (size_t)(to.at - to.base);
}
