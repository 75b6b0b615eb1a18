/*
 * user.ghlogfs.*: what is known of a job and its log, or of a run's jobs, at no cost (S17).
 */
#include "views/attempts.h"
#include "views/runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "user.ghlogfs."

static const char *reason_word(enum source_reason reason)
{
    switch (reason) {
    case SOURCE_PENDING: return "pending";
    case SOURCE_NEVER:
    case SOURCE_NOT_FOUND: return "never";
    case SOURCE_EXPIRED: return "expired";
    case SOURCE_FORBIDDEN: return "forbidden";
    case SOURCE_LIMITED: return "limited";
    case SOURCE_UNREACHABLE:
    case SOURCE_OFFLINE: return "unreachable";
    case SOURCE_BROKEN:
    case SOURCE_REFUSED:
    case SOURCE_PROTOCOL:
    case SOURCE_OVERSIZE: return "broken";
    default: return "unknown";
    }
}

static int get_state(struct views *v, const struct vnode *p, struct waiter *w, char **ret_value)
{
    struct log *log = cache_hold(v->config.cache, p->job);
    struct source_failure failure;
    struct log_stat stat;
    const char *word;
    int rc;

    if (!log)
        return -ENOMEM;
    /* A log that nobody has looked up lately may be on disk. */
    rc = log_get_stat(log, &p->repo, EFFORT_DISK, NULL, w, &stat);
    failure = log_get_failure(log, &p->repo);
    log_release(log);
    if (rc == PENDING_PARKED)
        return rc;
    if (!rc)
        word = stat.final ? "available" : "running";
    else if (view_has_no_log(v, p))
        word = "never";
    else
        word = reason_word(failure.reason);
    *ret_value = strdup(word);
    return *ret_value ? 0 : -ENOMEM;
}

/* The attempt that the run's directory shows, as far as it is known; 0: not at all. */
static unsigned peek_attempt(struct views *v, const struct vnode *p)
{
    const struct catalog_question q = {.what = SOURCE_RUN, .repo = p->repo, .id = p->run};
    const struct catalog_answer *answer;
    const struct facts_run *run;
    unsigned attempt = 0;

    if (p->attempt)
        return p->attempt;
    run = runs_peek(v, &p->repo, p->run, &answer);
    if (!run && !catalog_ask(v->config.catalog, &q, EFFORT_MEMORY, NULL, &answer))
        run = answer->runs[0];
    if (run) {
        attempt = run->attempt;
        catalog_answer_release(answer);
    }
    return attempt;
}

/* Whether the run's jobs can be listed, by the last look. */
static int get_state_of_run(struct views *v, const struct vnode *p, char **ret_value)
{
    const struct attempts_run run = {.repo = p->repo, .id = p->run, .latest = peek_attempt(v, p)};
    const struct catalog_answer *jobs;
    struct catalog_question q;
    const char *word = "unknown";
    enum source_reason reason;
    bool is_refused;

    if (run.latest) {
        attempts_question(&run, run.latest, &q);
        reason = catalog_peek_failure(v->config.catalog, &q);
        is_refused = reason == SOURCE_NOT_FOUND || reason == SOURCE_FORBIDDEN;
        word = reason_word(reason);
        if (!catalog_ask(v->config.catalog, &q, EFFORT_MEMORY, NULL, &jobs)) {
            word = is_refused ? word : "available";
            catalog_answer_release(jobs);
        }
    }
    *ret_value = strdup(word);
    return *ret_value ? 0 : -ENOMEM;
}

static int get_of_job(const struct facts_job *job, const char *name, char **ret_value)
{
    const char *text = NULL;
    char id[32];

    snprintf(id, sizeof(id), "%llu", (unsigned long long)job->run_id);
    if (!strcmp(name, "status"))
        text = job->status_text;
    else if (!strcmp(name, "conclusion"))
        text = job->conclusion_text;
    else if (!strcmp(name, "run_id"))
        text = job->run_id ? id : NULL;
    else if (!strcmp(name, "html_url"))
        text = job->html_url;
    else if (!strcmp(name, "head_sha"))
        text = job->head_sha;
    else if (!strcmp(name, "name"))
        text = job->name;
    if (!text || !*text)
        return -ENODATA;
    *ret_value = strdup(text);
    return *ret_value ? 0 : -ENOMEM;
}

int views_get_xattr(struct views *v, const struct vnode *p, const char *name, struct waiter *w,
                    char **ret_value)
{
    struct catalog_seen seen;
    int rc;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return -ENODATA;
    name += strlen(PREFIX);
    if (p->kind == VNODE_RUN && !strcmp(name, "state"))
        return get_state_of_run(v, p, ret_value);
    if (!p->job)
        return -ENODATA;
    if (!strcmp(name, "state"))
        return get_state(v, p, w, ret_value);
    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return -ENODATA;
    rc = get_of_job(seen.job, name, ret_value);
    catalog_seen_release(&seen);
    return rc;
}
