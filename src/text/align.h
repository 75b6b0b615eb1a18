/*
 * text/align: which mark begins which step.
 *
 * Steps and marks are both in order, so this is an alignment: of all ways to give some steps a mark
 * each without crossing, it takes the one with the highest sum of scores. A score states how well
 * kind, name and time of a mark fit a step. A step that no mark fits gets none.
 *
 * It is done twice. The first alignment shows by how much the API's clock is off for the whole
 * job, and which actions are composite, so that clean-ups of their parts are expected. Pure;
 * memory is bounded by TEXT_CELLS_MAX and freed before it returns.
 */
#ifndef GHLOGFS_TEXT_ALIGN_H
#define GHLOGFS_TEXT_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/mark.h"

enum {
    TEXT_REACH_MS = 20000,   /* by how much API and log may disagree about a step's start */
    TEXT_CELLS_MAX = 262144, /* pairs of step and mark that are compared */
};

/* What kind of first line a step's name promises. */
enum text_promise {
    TEXT_PROMISE_MAIN,
    TEXT_PROMISE_SETUP,
    TEXT_PROMISE_POST,
    TEXT_PROMISE_COMPLETE,
    TEXT_PROMISE_START,
    TEXT_PROMISE_STOP,
    TEXT_PROMISE_IMAGE,
    TEXT_PROMISE_HOOK,
    TEXT_PROMISE_WAIT,
};

#define TEXT_NO_PART SIZE_MAX

/* A step that has lines. */
struct text_part {
    uint64_t name;   /* text_name_hash */
    uint64_t header; /* text_header_hash of the first line, if the runner made the name; else 0 */
    int64_t started_ms;
    int64_t completed_ms;
    enum text_promise promise;
    bool together;  /* several steps at the same time: any of their first lines fits */
    bool is_action; /* a later step cleans up after this one, as after an action only */
    size_t cleans;  /* POST: the part that this one cleans up after; TEXT_NO_PART: not known */
};

/* Fills in what the names of the parts show: all but the times and `together`. */
void text_parts_name(struct text_part *parts, const char *const *names, size_t part_count);

#define TEXT_NO_MARK SIZE_MAX

/* For each part but the first, which needs none: chosen[i] becomes an index into `marks`, or
 * TEXT_NO_MARK; strictly ascending. Errors: -ENOMEM, `chosen` is untouched then. */
int text_align(const struct text_part *parts, size_t part_count, const struct text_mark *marks,
               size_t mark_count, size_t *chosen);

#endif
