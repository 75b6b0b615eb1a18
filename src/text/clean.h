/*
 * text/clean: makes the readable text of a log out of its raw bytes, as a stream.
 *
 * What is removed (S9): byte order marks at the start of a line, the runner's timestamp at the
 * start of a line (unless kept), escape sequences, control characters (C0, DEL, and C1 in its UTF-8
 * form U+0080 to U+009F) but tab and newline, and with them the CR of a CRLF. Everything else
 * passes byte for byte, also what is not UTF-8: a lone byte 0x80 to 0x9F is not a control
 * character.
 *
 * The rules in detail:
 * - A line ends with LF or with the log. Each LF is kept, so no line is lost and none is made.
 * - Marks at a line's start are dropped however many there are; one behind the timestamp is text.
 * - A timestamp is `dddd-dd-ddTdd:dd:dd.dddddddZ` and one space; the space may be missing where
 *   the line ends there. Only one is taken from a line.
 * - An escape sequence is what ECMA-48 says: ESC [ ... final; ESC, intermediates, final;
 *   ESC ] ... ended by BEL or ESC \; ESC P, X, ^, _ ... ended by ESC \. One that is cut off, by
 *   the line's end or by a byte that cannot be part of it, loses only its ESC; so does one of
 *   more than TEXT_ESCAPE_MAX bytes, which is what bounds the memory.
 * - C1 is looked for in what is written: two bytes that come together because something between
 *   them was removed do not make a control character.
 *
 * It does no I/O and allocates nothing; the caller owns both buffers. One thread at a time for each
 * cleaner. Nothing can fail.
 */
#ifndef GHLOGFS_TEXT_CLEAN_H
#define GHLOGFS_TEXT_CLEAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_HEAD_MAX = 256,     /* bytes of a line that `on_line` is shown at most */
    TEXT_ESCAPE_MAX = 65536, /* bytes of an escape sequence before it counts as endless */
    TEXT_CLEAN_SLACK = TEXT_ESCAPE_MAX + 64, /* by how much output may be longer than input */
    TEXT_TIME_UNKNOWN = -1,
    TEXT_STAMP_LEN = 28, /* bytes of a timestamp, without the space behind it */
};

/* The time of the timestamp that a raw line begins with; TEXT_TIME_UNKNOWN: it begins with none. */
int64_t text_read_stamp(const char *line, size_t len);

/* A line that has just been completed. `head` is valid during the call only. */
struct text_line {
    uint64_t offset;  /* of its first byte in the cleaned text (of its timestamp, if kept) */
    int64_t time_ms;  /* UTC, since 1970; TEXT_TIME_UNKNOWN: the line has no timestamp */
    const char *head; /* the cleaned text behind the timestamp, without newline */
    size_t head_len;  /* at most TEXT_HEAD_MAX */
};

typedef void text_line_fn(void *ctx, const struct text_line *line);

/* Embedded in its owner; all fields are private. */
struct text_cleaner {
    text_line_fn *on_line;
    void *ctx;
    bool keep_timestamps;
    bool line_open; /* the current line's start has been decided */
    bool lead_held; /* a byte 0xC2 is still to be written, unless it proves to lead a C1 */
    bool lead_last; /* the last byte written is a 0xC2 that led nothing */
    unsigned char state;
    uint64_t written; /* bytes of cleaned text before this call */
    uint64_t line_offset;
    int64_t line_time_ms;
    size_t head_len; /* bytes of the line's head saved from earlier calls */
    size_t held_len; /* raw bytes whose fate is undecided */
    char head[TEXT_HEAD_MAX];
    unsigned char held[TEXT_ESCAPE_MAX];
};

/* `on_line` may be NULL. It is called for each line, in order, out of the two calls below. */
void text_cleaner_init(struct text_cleaner *c, bool keep_timestamps, text_line_fn *on_line,
                       void *ctx);

/* Cleans the next bytes of a log; a chunk may end anywhere. `out` must have space for in_len +
 * TEXT_CLEAN_SLACK bytes and not overlap `in`. Returns the number of bytes written. */
size_t text_cleaner_feed(struct text_cleaner *c, const void *in, size_t in_len, void *out);

/* The log has ended: writes what was held back, at most TEXT_CLEAN_SLACK bytes, and returns their
 * number. The cleaner must be initialised again before it is used again. */
size_t text_cleaner_finish(struct text_cleaner *c, void *out);

#endif
