/*
 * Files that are parts of logs: the log itself, its cleaned text, and its steps.
 */
#include "views/runs.h"
#include "views/steps.h"

#include <errno.h>
#include <stdlib.h>

int view_find_job(struct views *v, const struct vnode *p, struct waiter *w,
                  struct catalog_seen *ret_seen)
{
    const struct catalog_answer *jobs;
    bool is_completed = false, found;
    int rc;

    if (catalog_find_job(v->config.catalog, &p->repo, p->job, ret_seen)) {
        if (catalog_is_settled(v->config.catalog, ret_seen->job))
            return 0;
        is_completed = ret_seen->job->status == FACTS_COMPLETED;
        catalog_seen_release(ret_seen);
    }
    rc = runs_get_jobs(v, p, w, &jobs);
    if (rc == PENDING_PARKED || (rc && !is_completed))
        return rc;
    /* What is known of a job that has ended stands if its run can no longer be asked for, or if the
     * job is of an attempt that is not the latest. */
    found = catalog_find_job(v->config.catalog, &p->repo, p->job, ret_seen);
    if (!rc) {
        found = found || catalog_find_in(jobs, p->job, ret_seen);
        catalog_answer_release(jobs);
    }
    return found ? 0 : -ENOENT;
}

/* -ENOENT: the job is known not to have a log, and no log of it is present; so none is requested
 * (S19). Reads what the disk knows, which tells whether a request is needed. May park. */
static int check_log(struct views *v, const struct vnode *p, struct waiter *w,
                     struct known_job *ret_job, bool *ret_missing)
{
    const struct catalog_question q = {.what = SOURCE_JOB, .repo = p->repo, .id = p->job};
    struct log *log = cache_hold(v->config.cache, p->job);
    const struct catalog_answer *answer;
    struct log_stat stat;
    int rc = log ? log_get_stat(log, &p->repo, EFFORT_DISK, NULL, w, &stat) : -ENOMEM;

    *ret_missing = false;
    log_release(log);
    runs_peek_job(v, p, ret_job);
    if (rc != -EAGAIN)
        return rc;
    if (!ret_job->is_settled && !ret_job->has_no_log) {
        rc = catalog_ask(v->config.catalog, &q, EFFORT_DISK, w, &answer);
        if (rc && rc != -EAGAIN)
            return rc;
        if (!rc)
            catalog_answer_release(answer);
        runs_peek_job(v, p, ret_job);
    }
    if (ret_job->has_no_log)
        return -ENOENT;
    /* A text may be here whose log is not any more. */
    rc = log_get_stat(p->log, &p->repo, EFFORT_DISK, NULL, w, &stat);
    *ret_missing = rc == -EAGAIN;
    return rc == PENDING_PARKED ? rc : 0;
}

static int get_log(struct views *v, const struct vnode *p, struct waiter *w,
                   struct known_job *ret_job, struct log_stat *ret_stat)
{
    struct view_ahead ahead;
    bool is_missing;
    int rc = check_log(v, p, w, ret_job, &is_missing);

    if (rc)
        return rc;
    view_note_use(v, p, is_missing ? VIEW_MISSING : VIEW_KNOWN, w, &ahead);
    if (p->kind == VNODE_LOG)
        rc = log_get_stat(p->log, &p->repo, EFFORT_NETWORK, &ret_job->hint, w, ret_stat);
    else
        rc = generated_get_stat(v->generated, p->log, &p->repo, p->job, &ret_job->hint, w,
                                ret_stat);
    /* Once it is parked, another thread may have finished the request: `p` may be gone. */
    if (!rc)
        catalog_note_used(v->config.catalog, &p->repo, p->job);
    view_fetch_ahead(v, &ahead);
    return rc;
}

/* Narrows the whole text down to the step. */
static int get_step(struct views *v, const struct vnode *p, struct waiter *w,
                    struct view_part *part)
{
    struct steps_file *files;
    struct text_range range;
    struct catalog_seen seen;
    int rc = view_find_job(v, p, w, &seen);

    if (rc)
        return rc;
    /* Steps have come since the name was looked up: it is looked up anew. */
    if (steps_digest(seen.job) != p->cut)
        rc = -ESTALE;
    else
        rc = generated_get_step(v->generated, p->log, &p->repo, seen.job, p->step, w, &range);
    if (!rc) {
        part->begin = range.begin;
        part->stat.size = range.end - range.begin;
        files = steps_get_files(seen.job);
        for (size_t i = 0; files && i < seen.job->step_count; i++)
            if (seen.job->steps[i].number == p->step && files[i].end_ms > 0)
                part->stat.mtime_ms = files[i].end_ms;
        free(files);
    }
    catalog_seen_release(&seen);
    return rc;
}

int view_get_part(struct views *v, const struct vnode *p, struct waiter *w,
                  struct view_part *ret_part)
{
    struct known_job job;
    struct view_part part = {0};
    int rc = get_log(v, p, w, &job, &part.stat);

    if (!rc && p->kind == VNODE_STEP && p->step)
        rc = get_step(v, p, w, &part);
    if (rc)
        return rc;
    /* GitHub may tell the steps of a job later than its end. */
    part.settled = part.stat.final && (p->kind != VNODE_STEP || !job.is_known || job.is_settled);
    *ret_part = part;
    return 0;
}
