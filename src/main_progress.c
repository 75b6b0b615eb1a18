#include "main_progress.h"

#include "github/api.h"
#include "shared/shared.h"
#include "views/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_LEN 24
#define WAIT_LEN 40
#define FORMAT "%11s %11s %10s %-20s "

void progress_collect(const struct progress_modules *from, struct progress_snapshot *s)
{
    for (unsigned class = SOURCE_DEMAND; class <= SOURCE_PREFETCH; class ++)
        s->delays[class].cause = api_get_delay(from->api, class, &s->delays[class].until_ms);
    s->fetch_count = cache_list_status(from->cache, s->fetches, PROGRESS_LINES_MAX);
    s->question_count = catalog_list_status(from->catalog, s->questions, PROGRESS_LINES_MAX);
    s->archive_count = views_list_archives(from->views, s->archives, PROGRESS_LINES_MAX);
    s->report_count = views_list_reports(from->views, s->reports, PROGRESS_LINES_MAX);
    s->upload_count = from->shared
                          ? shared_list_uploads(from->shared, s->uploads, PROGRESS_LINES_MAX)
                          : 0;
}

/* -- Paths ------------------------------------------------------------------------------------- */

static void print_repo(FILE *out, const struct repo_name *repo)
{
    fprintf(out, "%s/%s/", repo->owner, repo->repo);
}

/* A name that is percent-encoded in a filter, as the mount shows it: each part made safe, and with
 * `ending` where it would be a run's id. */
static void print_name(FILE *out, const char *escaped, const char *ending)
{
    char given[SOURCE_FILTER_LEN], shown[SAFE_NAME_LEN], *part = given, *next;
    size_t len = 0;
    unsigned byte;
    uint64_t id;

    while (*escaped && len + 1 < sizeof(given)) {
        bool is_code = *escaped == '%' && sscanf(escaped + 1, "%2x", &byte) == 1;
        given[len++] = is_code ? (char)byte : *escaped;
        escaped += is_code ? 3 : 1;
    }
    given[len] = '\0';
    for (; part; part = next) {
        next = strchr(part, '/');
        if (next)
            *next++ = '\0';
        safe_name_make("", part, name_parse_id(part, &id) ? ending : "", shown);
        fprintf(out, "%s/", shown);
    }
}

static void print_runs(FILE *out, const char *filter)
{
    if (!filter[0])
        fputs("runs/\n", out);
    else if (!strncmp(filter, "branch=", 7)) {
        fputs("branches/", out);
        print_name(out, filter + 7, " (branch)");
        fputc('\n', out);
    } else if (!strncmp(filter, "head_sha=", 9))
        fprintf(out, "commits/%s/\n", filter + 9);
    else
        fputs("failed/\n", out); /* by their status */
}

static void print_question(FILE *out, const struct catalog_question *q)
{
    if (q->what == SOURCE_MY_REPOS) {
        fputs("./\n", out);
        return;
    }
    if (q->what == SOURCE_OWNER_REPOS) {
        fprintf(out, "%s/\n", q->repo.owner);
        return;
    }
    print_repo(out, &q->repo);
    switch (q->what) {
    case SOURCE_JOB: fprintf(out, "jobs/%" PRIu64 "/job.json\n", q->id); break;
    case SOURCE_RUN: fprintf(out, "runs/%" PRIu64 "/run.json\n", q->id); break;
    case SOURCE_RUN_ATTEMPT:
        fprintf(out, "runs/%" PRIu64 "/attempts/%u/run.json\n", q->id, q->attempt);
        break;
    case SOURCE_ATTEMPT_JOBS:
        fprintf(out, "runs/%" PRIu64 "/", q->id);
        if (q->attempt > 1)
            fprintf(out, "attempts/%u/", q->attempt);
        fputc('\n', out);
        break;
    case SOURCE_WORKFLOW_RUNS:
        fputs("workflows/", out);
        print_name(out, q->filter, "");
        fputc('\n', out);
        break;
    case SOURCE_PULL: fprintf(out, "pulls/%" PRIu64 "/\n", q->id); break;
    default: print_runs(out, q->filter); break;
    }
}

/* -- Lines ------------------------------------------------------------------------------------- */

enum line_kind { LINE_FETCH, LINE_QUESTION, LINE_ARCHIVE, LINE_REPORT, LINE_UPLOAD };

struct line {
    const struct progress *progress;
    enum line_kind kind;
    unsigned at; /* in the array of its kind */
};

static int compare_lines(const void *a, const void *b)
{
    const struct line *x = a, *y = b;

    if (x->progress->begun_ms != y->progress->begun_ms)
        return x->progress->begun_ms < y->progress->begun_ms ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static unsigned listed(unsigned count)
{
    return count < PROGRESS_LINES_MAX ? count : PROGRESS_LINES_MAX;
}

/* The lines of all kinds, in order. Returns how many there are. */
static unsigned sort_lines(const struct progress_snapshot *s, struct line *ret_lines)
{
    unsigned n = 0;

    for (unsigned i = 0; i < listed(s->fetch_count); i++)
        ret_lines[n++] = (struct line){&s->fetches[i].progress, LINE_FETCH, i};
    for (unsigned i = 0; i < listed(s->question_count); i++)
        ret_lines[n++] = (struct line){&s->questions[i].progress, LINE_QUESTION, i};
    for (unsigned i = 0; i < listed(s->archive_count); i++)
        ret_lines[n++] = (struct line){&s->archives[i].progress, LINE_ARCHIVE, i};
    for (unsigned i = 0; i < listed(s->report_count); i++)
        ret_lines[n++] = (struct line){&s->reports[i].progress, LINE_REPORT, i};
    for (unsigned i = 0; i < listed(s->upload_count); i++)
        ret_lines[n++] = (struct line){&s->uploads[i].progress, LINE_UPLOAD, i};
    qsort(ret_lines, n, sizeof(*ret_lines), compare_lines);
    return n;
}

static const char *print_count(char text[COUNT_LEN], uint64_t number, const char *unknown)
{
    if (number == PROGRESS_UNKNOWN)
        return unknown;
    snprintf(text, COUNT_LEN, "%" PRIu64, number);
    return text;
}

/* One word, fit to be a column. */
static void print_wait(const struct progress_snapshot *s, const struct progress *p, int64_t now_ms,
                       int64_t wall_s, char ret_word[WAIT_LEN])
{
    static const char *const words[PROGRESS_CAUSES] = {
        [PROGRESS_FLOWS] = "-",
        [PROGRESS_CONNECTION] = "connection",
        [PROGRESS_PACE] = "pace-until-",
        [PROGRESS_QUOTA] = "quota-until-",
        [PROGRESS_LIMIT] = "limit-until-",
        [PROGRESS_RETRY] = "retry-in-",
        [PROGRESS_GITHUB] = "github",
        [PROGRESS_STORAGE] = "storage",
        [PROGRESS_TOKEN] = "token",
        [PROGRESS_SHARED] = "shared-store",
        [PROGRESS_DISK] = "disk",
        [PROGRESS_TURN] = "turn",
        [PROGRESS_LOGS] = "logs",
    };
    struct progress_delay d = {p->cause, p->until_ms};
    int64_t left_s;
    size_t len;
    time_t at;
    struct tm tm;

    if (d.cause == PROGRESS_DEMAND || d.cause == PROGRESS_PREFETCH)
        d = s->delays[d.cause == PROGRESS_DEMAND ? SOURCE_DEMAND : SOURCE_PREFETCH];
    if (d.cause == PROGRESS_FLOWS && p->cause != PROGRESS_FLOWS)
        d.cause = PROGRESS_CONNECTION; /* it was queued a moment ago */
    left_s = d.until_ms > now_ms ? (d.until_ms - now_ms + 999) / 1000 : 0;
    len = (size_t)snprintf(ret_word, WAIT_LEN, "%s", words[d.cause]);
    if (d.cause == PROGRESS_RETRY) {
        snprintf(ret_word + len, WAIT_LEN - len, "%" PRId64 "s", left_s);
    } else if (words[d.cause][len - 1] == '-' && len > 1) {
        at = (time_t)(wall_s + left_s);
        localtime_r(&at, &tm);
        strftime(ret_word + len, WAIT_LEN - len, "%H:%M:%S", &tm);
    }
}

static void print_path(FILE *out, const struct progress_snapshot *s, const struct line *line)
{
    const struct cache_status *f = &s->fetches[line->at];
    const struct archives_status *a = &s->archives[line->at];
    const struct reports_status *r = &s->reports[line->at];
    const struct put_status *u = &s->uploads[line->at];

    switch (line->kind) {
    case LINE_FETCH:
        print_repo(out, &f->repo);
        fprintf(out, "jobs/%" PRIu64 "/log%s\n", f->job, f->is_generated ? ".txt" : "");
        break;
    case LINE_QUESTION: print_question(out, &s->questions[line->at].question); break;
    case LINE_ARCHIVE:
        print_repo(out, &a->repo);
        fprintf(out, "runs/%" PRIu64, a->run);
        if (a->attempt > 1)
            fprintf(out, "/attempts/%u", a->attempt);
        fputs(" (archive)\n", out);
        break;
    case LINE_REPORT:
        print_repo(out, &r->repo);
        fprintf(out, "reports/%" PRIu64 ".txt\n", r->run);
        break;
    case LINE_UPLOAD:
        print_repo(out, &u->repo);
        fprintf(out, "jobs/%" PRIu64 "/log (upload)\n", u->job);
        break;
    }
}

char *progress_print(const struct progress_snapshot *s, int64_t now_ms, int64_t wall_s)
{
    unsigned total = s->fetch_count + s->question_count + s->archive_count + s->report_count +
                     s->upload_count;
    struct line *lines = calloc(5 * PROGRESS_LINES_MAX, sizeof(*lines));
    char bytes[COUNT_LEN], size[COUNT_LEN], rate[COUNT_LEN], wait[WAIT_LEN], *text = NULL;
    size_t len = 0;
    FILE *out = lines ? open_memstream(&text, &len) : NULL;
    unsigned shown = lines ? listed(sort_lines(s, lines)) : 0;
    bool failed;

    if (!out) {
        free(lines);
        return NULL;
    }
    if (total)
        fprintf(out, FORMAT "%s\n", "BYTES", "SIZE", "RATE", "WAITS-FOR", "PATH");
    for (unsigned i = 0; i < shown; i++) {
        const struct progress *p = lines[i].progress;
        print_wait(s, p, now_ms, wall_s, wait);
        fprintf(out, FORMAT, print_count(bytes, p->bytes, "-"),
                print_count(size, p->size, p->bytes == PROGRESS_UNKNOWN ? "-" : "?"),
                print_count(rate, p->rate, "-"), wait);
        print_path(out, s, &lines[i]);
    }
    if (total > shown)
        fprintf(out, FORMAT "(%u more)\n", "-", "-", "-", "-", total - shown);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        text = NULL;
    }
    free(lines);
    return text;
}
