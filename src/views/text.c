/*
 * Files that are text in memory: what GitHub says as JSON, and what this mount says of itself.
 */
#include "views/attempts.h"
#include "views/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_text(const char *text, char **ret_text, size_t *ret_len)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    *ret_text = copy;
    *ret_len = strlen(copy);
    return 0;
}

/* The list of jobs that the job was last seen in. False: none, or the job has not ended. */
static bool find_list(struct views *v, const struct place *p, struct catalog_question *ret_q,
                      bool *ret_settled)
{
    struct catalog_seen seen;
    bool found;

    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return false;
    found = seen.job->status == FACTS_COMPLETED && seen.job->run_id;
    if (found) {
        const struct attempts_run run = {.repo = p->repo, .id = seen.job->run_id};
        attempts_question(&run, seen.job->attempt, ret_q);
        *ret_settled = catalog_is_settled(v->config.catalog, seen.job);
    }
    catalog_seen_release(&seen);
    return found;
}

/* The steps of a job may come later than its end: the list that it is in is asked for again where it
 * is old. Whether that goes well or not, it is the latest word. */
static int refresh_list(struct views *v, const struct catalog_question *q, struct waiter *w)
{
    const struct catalog_answer *answer;
    int rc = catalog_recall(v->config.catalog, q, w, &answer);

    if (!rc) {
        catalog_answer_release(answer);
        rc = catalog_ask(v->config.catalog, q, w, &answer);
    }
    if (!rc)
        catalog_answer_release(answer);
    return rc == PENDING_PARKED ? rc : 0;
}

/* A job that has ended is shown as the list of its run had it; that costs no request. */
static int get_job_json(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
                        size_t *ret_len)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = p->repo, .id = p->job}, list;
    bool is_settled, is_listed = find_list(v, p, &list, &is_settled);
    int rc = is_listed && !is_settled ? refresh_list(v, &list, w) : 0;

    if (rc)
        return rc;
    rc = catalog_get_json(v->config.catalog, &q, is_listed ? &list : NULL, w, ret_text, ret_len);
    if (!rc)
        catalog_note_used(v->config.catalog, &p->repo, p->job);
    return rc;
}

static int get_run_json(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
                        size_t *ret_len)
{
    struct catalog_question q = {.what = p->attempt ? SOURCE_RUN_ATTEMPT : SOURCE_RUN,
                                 .repo = p->repo,
                                 .id = p->run,
                                 .attempt = p->attempt};
    const struct catalog_answer *answer;
    const struct facts_run *listed;
    struct catalog_question from;
    int rc = p->attempt ? -ENOENT : runs_ask_listed(v, &p->repo, p->run, w, &listed, &answer);

    if (!rc)
        catalog_answer_release(answer);
    else if (rc != -ENOENT)
        return rc;
    runs_question(v, &p->repo, &from);
    return catalog_get_json(v->config.catalog, &q, rc ? NULL : &from, w, ret_text, ret_len);
}

int view_text(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
              size_t *ret_len)
{
    switch (p->kind) {
    case PLACE_JOB_JSON: return get_job_json(v, p, w, ret_text, ret_len);
    case PLACE_RUN_JSON: return get_run_json(v, p, w, ret_text, ret_len);
    case PLACE_OPTIONS: return copy_text(v->config.options, ret_text, ret_len);
    case PLACE_VERSION: return copy_text(v->config.version, ret_text, ret_len);
    case PLACE_STATS:
        *ret_text = v->config.stats(v->config.who);
        *ret_len = *ret_text ? strlen(*ret_text) : 0;
        return *ret_text ? 0 : -ENOMEM;
    default: return -EISDIR;
    }
}
