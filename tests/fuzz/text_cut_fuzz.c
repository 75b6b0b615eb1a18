/*
 * The cutter: whatever steps and log, the ranges follow each other from 0 to the end without gap.
 * The input's first lines are steps, `number flags started completed name` (flags: 1 skipped, 2 in
 * place of several that ran at the same time; times in seconds, from 2025-11-15T12:00:00Z); behind
 * an empty line comes the log.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/clean.h"
#include "text/cut.h"

enum { STEPS = 64, LINE = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct job {
    struct text_step steps[STEPS];
    char lines[STEPS][LINE];
    size_t count;
};

static int64_t time_of(int seconds)
{
    return seconds < 0 ? TEXT_TIME_UNKNOWN : INT64_C(1763208000000) + (int64_t)seconds * 1000;
}

/* Returns how many bytes the steps and the empty line take. */
static size_t job_read(struct job *job, const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t len = end ? (size_t)(end - text) - at : size - at;
        if (len == 0 || len >= LINE || job->count == STEPS)
            return at + (len == 0);
        struct text_step *step = &job->steps[job->count];
        char *line = job->lines[job->count];
        int flags, started, completed, name = 0;
        memcpy(line, text + at, len);
        line[len] = '\0';
        if (sscanf(line, "%d %d %d %d %n", &step->number, &flags, &started, &completed, &name) < 4)
            return at;
        step->skipped = (flags & 1) != 0;
        step->together = (flags & 2) != 0;
        step->started_ms = time_of(started);
        step->completed_ms = time_of(completed);
        step->name = line + name;
        job->count++;
        at += len + (end ? 1 : 0);
    }
    return at;
}

/* The present range that begins at `from` and comes first among the equal numbers. */
static void check_ranges(const struct job *job, const struct text_range *ranges, uint64_t size)
{
    bool used[STEPS] = {false};
    uint64_t from = 0;
    size_t present = 0;
    for (size_t round = 0; round < job->count; round++) {
        size_t next = job->count;
        for (size_t i = 0; i < job->count; i++) {
            assert(ranges[i].present == !job->steps[i].skipped);
            if (ranges[i].present && !used[i] &&
                (next == job->count || job->steps[i].number < job->steps[next].number))
                next = i;
        }
        if (next == job->count)
            break;
        assert(ranges[next].begin == from && ranges[next].end >= from);
        used[next] = true;
        from = ranges[next].end;
        present++;
    }
    assert(present == 0 || from == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct text_cleaner cleaner;
    struct job *job = calloc(1, sizeof *job);
    char *out = malloc(size + TEXT_CLEAN_SLACK);
    struct text_range ranges[STEPS];
    struct text_cutter *cutter = NULL;
    assert(job && out);
    size_t skip = job_read(job, (const char *)data, size);
    int err = text_cutter_create(job->steps, job->count, &cutter);
    assert(err == 0);
    text_cleaner_init(&cleaner, false, text_cutter_line, cutter);
    uint64_t len = text_cleaner_feed(&cleaner, data + skip, size - skip, out);
    len += text_cleaner_finish(&cleaner, out + len);
    err = text_cutter_finish(cutter, len, ranges);
    assert(err == 0);
    check_ranges(job, ranges, len);
    text_cutter_destroy(cutter);
    free(out);
    free(job);
    return 0;
}
