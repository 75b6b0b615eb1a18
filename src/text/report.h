/*
 * text/report: lays out the report of a failed run (S22): facts and excerpts in, text out. The
 * first line, which describes the run, is broken here:
 *
 *     run "CI" #412: "Fix the parser", branch "main", commit 1a2b3c4d5e6f, attempt 1, push,
 *         6 of 40 jobs failed, https://github.com/octo/hello/actions/runs/17
 *
 *     job "test (3.9)", step "Run tests", exit code 1, 3m12s
 *     also "test (3.10)", "test (3.11)"
 *     file failed/17/test (3.9)/07-Run tests.txt
 *       120: E   AssertionError: assert 1 == 2
 *       121: ##[error]Process completed with exit code 1.
 *     left out: 7 of 9 error lines, see failed/17/test (3.9)/07-Run tests.txt
 *
 *     left out: 3 more failed jobs, see failed/17
 *
 * A line that begins with "note: " tells what else is to be known: of the run, of a job, or of the
 * step above it.
 *
 * The report's own lines begin in column 0, a log's lines with two spaces and their number in the
 * file, so no line of a log can pass for one of the report's. Names, titles and branches, which
 * strangers choose, are quoted; in them `"` becomes `'`, and what could break or reorder a line
 * (control characters, line separators, bidirectional controls, bytes that are not UTF-8) becomes
 * `_`. Long names are cut.
 *
 * Jobs whose lines differ in nothing but numbers, times and hexadecimal words share one block.
 * There are at most TEXT_REPORT_JOBS blocks of TEXT_EXCERPT_LINES lines and TEXT_EXCERPT_BYTES
 * bytes each, and TEXT_REPORT_BYTES in all; if these do not suffice, the longest blocks are
 * shortened to equal size. The report says what it leaves out. The same input gives the same bytes.
 * Pure.
 */
#ifndef GHLOGFS_TEXT_REPORT_H
#define GHLOGFS_TEXT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "text/excerpt.h"

enum {
    TEXT_REPORT_BYTES = 65536,
    TEXT_REPORT_JOBS = 20,
    TEXT_REPORT_STEPS = 4, /* failed steps of a job */
};

/* Strings may be NULL where they are not known, numbers 0. */
struct text_report_run {
    const char *workflow;
    uint64_t number;
    const char *title;
    const char *branch;
    const char *sha;
    unsigned attempt;
    const char *event;
    const char *url;
    size_t jobs_failed;
    size_t jobs_total;
    const char *path; /* of the directory of its failed steps, relative to the repository */
    const char *note; /* what else is to be told, such as why no job ran */
};

struct text_report_step {
    const char *name;                   /* NULL: the job's whole log stands for its steps */
    int64_t duration_ms;                /* below 0: not known */
    const char *path;                   /* of its file, relative to the repository; or NULL */
    const struct text_excerpt *excerpt; /* NULL: there is no log */
};

struct text_report_job {
    const char *name;
    const char *conclusion;               /* shown unless it is "failure" */
    const char *note;                     /* such as why there is no log; or NULL */
    const struct text_report_step *steps; /* that failed, in order; at most TEXT_REPORT_STEPS */
    size_t step_count;
    size_t more_steps; /* that failed as well */
};

/* Makes the report of a run and of the failed jobs that the caller gives, in their order. The
 * caller may give fewer than run->jobs_failed: the report says how many it does not describe. The
 * caller frees the text with free(); it has at most TEXT_REPORT_BYTES. -ENOMEM. */
int text_report_make(const struct text_report_run *run, const struct text_report_job *jobs,
                     size_t job_count, char **ret_text, size_t *ret_len);

#endif
