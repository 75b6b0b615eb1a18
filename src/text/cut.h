/*
 * text/cut: where in the cleaned log of a job its steps begin (S10).
 *
 * A job's log does not show where its steps begin. The cutter compares what the API reports of them
 * (names, and times in whole seconds) with the lines that the runner writes at the start of a step,
 * and chooses the assignment that fits best as a whole: see text/align. The cleaner feeds it the
 * lines of the log, of which it sees the first bytes; it gives the ranges when the log has ended.
 *
 * A cutter belongs to one thread at a time. Memory, whatever the log's size: at most 1 MiB of
 * marks, a few bytes for each step, and 4 MiB in text_cutter_finish.
 */
#ifndef GHLOGFS_TEXT_CUT_H
#define GHLOGFS_TEXT_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/clean.h"

enum { TEXT_STEPS_MAX = 2048 };

/* A step as the API gives it; `name` is only read while the cutter is created. Times in
 * milliseconds since 1970, UTC, or TEXT_TIME_UNKNOWN. */
struct text_step {
    int number;
    bool skipped;
    bool together; /* stands for several that ran at the same time, of which it is the first */
    int64_t started_ms;
    int64_t completed_ms;
    const char *name;
};

/* A step's part of the cleaned text: [begin, end). Empty where its start was not found. A skipped
 * step has none. */
struct text_range {
    bool present;
    uint64_t begin;
    uint64_t end;
};

struct text_cutter;

/* A cutter for `count` steps in any order, skipped ones included.
 * Errors: -E2BIG: more than TEXT_STEPS_MAX; -ENOMEM. */
int text_cutter_create(const struct text_step *steps, size_t count, struct text_cutter **ret);

/* The next line of the log; `cutter` is a struct text_cutter, so that this can be the `on_line`
 * of a text_cleaner. */
void text_cutter_line(void *cutter, const struct text_line *line);

/* The log has ended at `size` bytes of cleaned text: fills ranges[i] for steps[i]. In the order of
 * the numbers the ranges of the present steps follow each other from 0 to `size` without gap. If no
 * step is present, there is no range, and the text belongs to none. Errors: -ENOMEM. */
int text_cutter_finish(struct text_cutter *cutter, uint64_t size, struct text_range *ranges);

void text_cutter_destroy(struct text_cutter *cutter);

#endif
