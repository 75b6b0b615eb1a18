/*
 * What a file or directory looks like: type, size, time.
 */
#include "views/room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY_MS 60000 /* how long a directory's times may be remembered */

enum view_type view_type_of(enum place_kind kind)
{
    switch (kind) {
    case PLACE_LOG:
    case PLACE_LOG_TXT:
    case PLACE_JOB_JSON:
    case PLACE_RUN_JSON:
    case PLACE_STEP:
    case PLACE_STATS:
    case PLACE_OPTIONS:
    case PLACE_VERSION: return VIEW_FILE;
    case PLACE_JOB_LINK:
    case PLACE_LATEST:
    case PLACE_RUN_LINK: return VIEW_LINK;
    default: return VIEW_DIRECTORY;
    }
}

void view_job_hint(struct views *v, const struct place *p, struct log_hint *ret_hint)
{
    struct catalog_seen seen;

    memset(ret_hint, 0, sizeof(*ret_hint));
    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return;
    ret_hint->completed = seen.job->status == FACTS_COMPLETED;
    if (ret_hint->completed)
        ret_hint->completed_ms = seen.job->completed_ms;
    catalog_seen_release(&seen);
}

/* The time of a job as far as it is known; 0: not at all. */
static int64_t job_time(struct views *v, const struct place *p)
{
    struct catalog_seen seen;
    int64_t ms;

    if (!p->job || !catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return 0;
    ms = seen.job->completed_ms;
    if (ms <= 0)
        ms = seen.job->started_ms > 0 ? seen.job->started_ms : seen.job->created_ms;
    catalog_seen_release(&seen);
    return ms > 0 ? ms : 0;
}

static int get_log_attr(struct views *v, const struct place *p, struct waiter *w,
                        struct view_attr *ret_attr)
{
    struct log_hint hint;
    struct log_stat stat;
    int rc;

    view_job_hint(v, p, &hint);
    rc = log_get_stat(p->log, &p->repo, &hint, w, &stat);
    if (rc)
        return rc;
    catalog_note_used(v->config.catalog, &p->repo, p->job);
    *ret_attr = (struct view_attr){.type = VIEW_FILE,
                                   .size = stat.size,
                                   .mtime_ms = stat.mtime_ms,
                                   .valid_ms = stat.final ? VIEWS_FINAL_MS : 0,
                                   .growing = !stat.final};
    return 0;
}

static int get_text_attr(struct views *v, const struct place *p, struct waiter *w,
                         struct view_attr *ret_attr)
{
    int64_t time_ms;
    bool final;
    char *text;
    size_t len;
    int rc = view_text(v, p, w, &text, &len, &final);

    if (rc)
        return rc;
    free(text);
    time_ms = job_time(v, p);
    *ret_attr = (struct view_attr){.type = VIEW_FILE,
                                   .size = len,
                                   .mtime_ms = time_ms ? time_ms : v->config.mounted_ms,
                                   .valid_ms = final ? VIEWS_FINAL_MS : 0,
                                   .growing = !final};
    return 0;
}

static int get_directory_attr(struct views *v, const struct place *p, struct view_attr *ret_attr)
{
    int64_t time_ms = job_time(v, p);

    *ret_attr = (struct view_attr){.type = VIEW_DIRECTORY,
                                   .mtime_ms = time_ms ? time_ms : v->config.mounted_ms,
                                   .valid_ms = DIRECTORY_MS};
    return 0;
}

int views_get_attr(struct views *v, const struct place *p, struct waiter *w,
                   struct view_attr *ret_attr)
{
    if (view_type_of(p->kind) == VIEW_DIRECTORY)
        return get_directory_attr(v, p, ret_attr);
    if (p->kind == PLACE_LOG)
        return get_log_attr(v, p, w, ret_attr);
    return get_text_attr(v, p, w, ret_attr);
}
