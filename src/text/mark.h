/*
 * text/mark: recognises the lines that the runner writes where a step begins.
 *
 * Such a line is a mark. A program's output may contain the same words, so a mark need not be the
 * runner's; text/align decides that, and which step it belongs to. One scanner sees the lines of
 * one log in order. Pure, no allocation, nothing fails.
 */
#ifndef GHLOGFS_TEXT_MARK_H
#define GHLOGFS_TEXT_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/clean.h"

enum text_mark_kind {
    TEXT_MARK_NONE,
    TEXT_MARK_RUN,       /* ##[group]Run ...: a script or an action */
    TEXT_MARK_POST,      /* Post job cleanup. */
    TEXT_MARK_COMPLETE,  /* the first line of "Complete job" */
    TEXT_MARK_START,     /* the first line of "Initialize containers" */
    TEXT_MARK_STOP,      /* the first line of "Stop containers" */
    TEXT_MARK_IMAGE,     /* an action's image is built or pulled */
    TEXT_MARK_HOOK,      /* a hook of a self-hosted runner, before or behind the job */
    TEXT_MARK_EXTENSION, /* ##[group]Run '...': a script of the runner's own, not of a step */
    TEXT_MARK_WAIT,      /* a wait for steps in the background, or their end */
    TEXT_MARK_PREPARED,  /* a local action was prepared; its header has not come as yet */
    TEXT_MARK_ERROR,     /* the runner could not even begin the step: no header comes */
    TEXT_MARK_CONDITION, /* debug logging: only a step's condition is known as yet */
    TEXT_MARK_STARTING,  /* debug logging: ##[debug]Starting: without a condition before it */
};

struct text_mark {
    uint64_t offset;
    int64_t time_ms;
    uint64_t text;     /* RUN: text_header_hash of the line's text behind ##[group] */
    uint64_t name;     /* debug logging: hash of the step's name; 0: not known */
    uint8_t kind;      /* enum text_mark_kind */
    bool inner;        /* almost surely begins a part of a composite action */
    bool likely_inner; /* could well begin one */
    bool in_composite; /* might begin one: a composite action came before */
    bool outer;        /* cannot be a part of a composite action */
    bool named;        /* RUN: the line names an action, not a script */
    bool doubtful;     /* RUN: no header as the runner writes them has come */
};

/* What a line means for the list of marks. */
enum text_mark_verdict {
    TEXT_MARK_NOTHING,
    TEXT_MARK_NEW,     /* one more mark */
    TEXT_MARK_CHANGED, /* the last mark is to be replaced by this one */
    TEXT_MARK_DROPPED, /* the last mark was none: that step is skipped */
};

/* Embedded in its owner; all fields are private. */
struct text_scanner {
    struct text_mark last;    /* the last mark reported, kind NONE: none */
    struct text_mark preface; /* the first of the warnings just before */
    int depth;                /* of ##[start-action ...] */
    bool composite;           /* a composite action has begun, and nothing shows that it is over */
    bool debug_only;          /* only debug lines since the last mark, which was of debug logging */
    bool condition_open;      /* the result of the last mark's condition is still to come */
    bool in_header;           /* between ##[group]Run and its ##[endgroup] */
    bool header_ended;        /* the line before was that ##[endgroup], of an action */
    int64_t header_end_ms;    /* its time */
    bool shell_known;         /* the header has named the shell that runs the script */
    bool job_prepared;        /* "Complete job name:" has come, or a step has begun */
    int64_t last_line_ms;     /* of the last line that was no part of a step's preface */
    bool post_before;         /* the line before was Post job cleanup. */
};

void text_scanner_init(struct text_scanner *s);

/* Reads the next line; unless the answer is NOTHING or DROPPED, *ret is the mark. */
enum text_mark_verdict text_scanner_line(struct text_scanner *s, const struct text_line *line,
                                         struct text_mark *ret);

/* The hash by which names are compared: of the first TEXT_NAME_MAX bytes, never 0. */
enum { TEXT_NAME_MAX = 200 };
uint64_t text_name_hash(const char *name, size_t len);

/* The same of "Run ...", as in a header or in the name that the runner gives to a step without one:
 * it may write `/./path` for `./path`, and leaves `docker://` out. */
uint64_t text_header_hash(const char *text, size_t len);

#endif
