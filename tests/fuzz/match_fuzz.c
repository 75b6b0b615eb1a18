/*
 * Any names of jobs and of entries, and any log: an entry that counts for a job alone has a name
 * made of that job's letters, and a log that fits lies within its job's time and names no other.
 * Input: lines; those of jobs begin with j, those of entries with e, all else is the log.
 */
#include "archive/match.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Whether the log calls its job so, or after the workflow that calls it. */
static bool is_named(const char *job, const char *name)
{
    size_t len = strlen(name);

    return strncmp(job, name, len) == 0 && (!job[len] || strncmp(job + len, " / ", 3) == 0);
}

static void check_log(const struct match *m, size_t job, const char *log)
{
    const struct match_job *j = match_get_job(m, job);
    struct match_content c = {0};
    bool fits;

    match_content_add(&c, log, strlen(log));
    fits = match_content_fits(m, job, &c);
    check(strlen(c.name) < MATCH_LINE_MAX);
    if (!fits)
        return;
    check(c.first_ms >= j->started_ms - MATCH_SLACK_MS && c.first_ms <= c.last_ms);
    check(c.last_ms <= j->completed_ms + MATCH_SLACK_MS);
    check(!c.name[0] || is_named(j->name, c.name));
}

static void check_lines(char *text)
{
    struct match_job jobs[JOBS_MAX];
    size_t count = 0;
    struct match *m;
    char *rest = text;

    while (rest && *rest == 'j' && count < JOBS_MAX) {
        char *line = strsep(&rest, "\n");

        jobs[count] = (struct match_job){.id = count + 1,
                                         .name = line + 1,
                                         .started_ms = INT64_C(1795000000000),
                                         .completed_ms = INT64_C(1795000060000)};
        count++;
    }
    if (match_create(jobs, count, &m))
        return;
    while (rest && *rest == 'e') {
        const char *line = strsep(&rest, "\n");
        size_t job = match_add_entry(m, line + 1);

        check(job == MATCH_NONE || job < count);
        if (job != MATCH_NONE && match_is_only(m, job) && rest)
            check_log(m, job, rest);
    }
    match_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    check(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    check_lines(text);
    free(text);
    return 0;
}
