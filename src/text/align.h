/*
 * text/align: which mark begins which step.
 *
 * Steps and marks are both in order, so this is an alignment: of all ways to give some steps a
 * mark each without crossing, the one with the highest sum of scores is taken. A score says how
 * well kind, name and time of a mark fit a step; what does not fit at all is not taken, and such
 * a step gets no mark. Pure; memory is bounded by TEXT_CELLS_MAX and given back at once.
 */
#ifndef GHLOGFS_TEXT_ALIGN_H
#define GHLOGFS_TEXT_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/mark.h"

enum {
    TEXT_REACH_MS = 20000,   /* by how much API and log may disagree about a step's start */
    TEXT_CELLS_MAX = 262144, /* pairs of step and mark that are looked at */
};

/* What kind of first line a step's name promises. */
enum text_promise {
    TEXT_PROMISE_MAIN,
    TEXT_PROMISE_RUN, /* "Run ...": the name may be the first line's own text */
    TEXT_PROMISE_POST,
    TEXT_PROMISE_COMPLETE,
    TEXT_PROMISE_START,
    TEXT_PROMISE_STOP,
    TEXT_PROMISE_IMAGE,
    TEXT_PROMISE_HOOK,
};

/* A step that is not skipped. */
struct text_part {
    uint64_t name; /* text_name_hash */
    int64_t started_ms;
    int64_t completed_ms;
    enum text_promise promise;
};

/* `last`: nothing comes behind this step. */
enum text_promise text_promise_of(const char *name, bool last);

#define TEXT_NO_MARK SIZE_MAX

/* For each part but the first, which needs none: chosen[i] becomes an index into `marks`, or
 * TEXT_NO_MARK; strictly ascending. Errors: -ENOMEM, `chosen` is untouched then. */
int text_align(const struct text_part *parts, size_t part_count, const struct text_mark *marks,
               size_t mark_count, size_t *chosen);

#endif
