/*
 * Files that are parts of logs: the log itself, its cleaned text, its steps.
 */
#include "views/runs.h"

#include <errno.h>

int view_find_job(struct views *v, const struct place *p, struct waiter *w,
                  struct catalog_seen *ret_seen)
{
    const struct catalog_answer *jobs;
    bool found;
    int rc;

    if (catalog_find_job(v->config.catalog, &p->repo, p->job, ret_seen)) {
        if (ret_seen->job->status == FACTS_COMPLETED)
            return 0;
        catalog_seen_release(ret_seen);
    }
    rc = runs_get_jobs(v, p, w, &jobs);
    if (rc)
        return rc;
    found = catalog_find_in(jobs, p->job, ret_seen);
    catalog_answer_release(jobs);
    /* A job of an attempt that is no longer the latest is not among them. */
    if (!found)
        found = catalog_find_job(v->config.catalog, &p->repo, p->job, ret_seen);
    return found ? 0 : -ENOENT;
}

static int get_log(struct views *v, const struct place *p, struct waiter *w,
                   struct view_part *ret_part)
{
    struct log_hint hint;
    struct log_stat stat;
    int rc;

    view_job_hint(v, p, &hint);
    if (p->kind == PLACE_LOG)
        rc = log_get_stat(p->log, &p->repo, &hint, w, &stat);
    else
        rc = derived_get_stat(v->derived, p->log, &p->repo, p->job, &hint, w, &stat);
    if (rc)
        return rc;
    catalog_note_used(v->config.catalog, &p->repo, p->job);
    *ret_part = (struct view_part){.size = stat.size,
                                   .mtime_ms = stat.mtime_ms,
                                   .final = stat.final,
                                   .lasting = stat.proven && !stat.shrunk};
    return 0;
}

static int64_t step_time(const struct facts_job *job, unsigned number)
{
    for (size_t i = 0; i < job->step_count; i++)
        if (job->steps[i].number == number)
            return job->steps[i].completed_ms;
    return FACTS_NO_TIME;
}

/* Narrows the whole text down to the step. */
static int get_step(struct views *v, const struct place *p, struct waiter *w,
                    struct view_part *part)
{
    struct derived_range range;
    struct catalog_seen seen;
    int64_t time_ms;
    int rc = view_find_job(v, p, w, &seen);

    if (rc)
        return rc;
    rc = derived_get_step(v->derived, p->log, &p->repo, seen.job, p->step, w, &range);
    time_ms = step_time(seen.job, p->step);
    catalog_seen_release(&seen);
    if (rc)
        return rc;
    part->begin = range.begin;
    part->size = range.end - range.begin;
    if (time_ms > 0)
        part->mtime_ms = time_ms;
    return 0;
}

int view_get_part(struct views *v, const struct place *p, struct waiter *w,
                  struct view_part *ret_part)
{
    struct view_part part;
    int rc = get_log(v, p, w, &part);

    if (!rc && p->kind == PLACE_STEP && p->step)
        rc = get_step(v, p, w, &part);
    if (!rc)
        *ret_part = part;
    return rc;
}
