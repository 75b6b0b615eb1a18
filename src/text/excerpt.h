/*
 * text/excerpt: picks the lines of a failed step that tell why it failed (S22).
 *
 * A picker is fed the cleaned text of the step (see text/clean) in pieces of any size, and numbers
 * its lines from 1. What it picks does not depend on the pieces:
 *
 * 1. Where a line begins with `##[error]` and tells more than that a program failed: all lines that
 *    begin with `##[error]`, each with the TEXT_BEFORE_ERROR lines before and the TEXT_AFTER lines
 *    behind it, since an error may be several lines long. Besides, of the lines as in 2 the first
 *    and the last ten, alone: a problem matcher may have found only some of the errors, or others.
 * 2. Else, where lines are marked as errors by one of the usual tools (the table in excerpt.c):
 *    these lines, each with TEXT_BEFORE_MARKED lines before and TEXT_AFTER lines behind it, and the
 *    lines around `##[error]` as above.
 * 3. Else the last TEXT_LAST lines, and the lines around `##[error]`.
 *
 * Neighbouring stretches are joined. Of too many, the first and the last ones are kept. Lines are
 * cut to TEXT_EXCERPT_LINE bytes, and are looked at no further than that; a timestamp at their
 * beginning (text/clean may keep it) is passed over.
 *
 * A picker takes some 300 KiB, whatever the step's size, and time linear in it. One thread at a
 * time.
 */
#ifndef GHLOGFS_TEXT_EXCERPT_H
#define GHLOGFS_TEXT_EXCERPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_EXCERPT_LINES = 200,   /* lines of an excerpt */
    TEXT_EXCERPT_BYTES = 16384, /* of an excerpt as it is printed, see text_excerpt_fit */
    TEXT_EXCERPT_LINE = 400,    /* bytes of a line, at most */
    TEXT_BEFORE_ERROR = 10,
    TEXT_BEFORE_MARKED = 1,
    TEXT_AFTER = 4,
    TEXT_LAST = 30,
};

/* Which lines of the step the excerpt is made of. */
enum text_excerpt_kind {
    TEXT_EXCERPT_ERRORS, /* what stands around ##[error] */
    TEXT_EXCERPT_MARKED, /* what stands around the lines that tools mark as errors */
    TEXT_EXCERPT_END,    /* the last ones */
};

struct text_excerpt_line {
    uint64_t number;        /* in the step, from 1 */
    uint64_t size;          /* bytes of the whole line, without newline */
    const char *text;       /* its first `len` bytes, without NUL */
    unsigned short len;     /* at most TEXT_EXCERPT_LINE */
    unsigned char distance; /* 0: a telling line; else how far the next telling one is */
};

/* Owned by whoever had it made; one allocation, freed with free(). */
struct text_excerpt {
    enum text_excerpt_kind kind;
    bool has_exit_code;
    int exit_code;       /* of the last "Process completed with exit code" */
    uint64_t step_lines; /* lines of the step */
    uint64_t telling;    /* telling lines in the step, of `kind` */
    size_t line_count;
    struct text_excerpt_line lines[]; /* in order */
};

struct text_picker;

/* -ENOMEM. */
int text_picker_create(struct text_picker **ret);

/* The next bytes of the step's text. */
void text_picker_feed(struct text_picker *p, const void *text, size_t len);

/* The step has ended. An excerpt without lines means that the step is empty. -ENOMEM. The picker
 * can only be destroyed then. */
int text_picker_finish(struct text_picker *p, struct text_excerpt **ret);

void text_picker_destroy(struct text_picker *p);

/* Bytes that the line takes in a report: two spaces, the number, a colon, a space, the text, the
 * mark of one that was cut, a newline. */
size_t text_excerpt_line_size(const struct text_excerpt_line *line);

/* Chooses at most `lines` lines that take at most `bytes` bytes: telling lines before what stands
 * around them, the outermost ones first. Sets keep[i] for lines[i] and returns how many telling
 * lines are kept. */
size_t text_excerpt_fit(const struct text_excerpt *e, size_t lines, size_t bytes,
                        bool keep[TEXT_EXCERPT_LINES]);

#endif
