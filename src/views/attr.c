/*
 * Attributes: type, size, time, and how long the kernel may remember them; and extended attributes.
 */
#include "views/runs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIRECTORY_MS 60000 /* how long a directory's times may be remembered */
#define UNTIMED_MS 1000 /* while its own time is unknown; also of a step's name that may change */

/* --- times, as far as they are known without a request; 0: not at all (S7) --- */

/* Out of the lists that may have the repository. */
static int64_t repo_time(struct views *v, const struct vnode *p)
{
    struct catalog_question questions[2] = {{.what = SOURCE_OWNER_REPOS, .limit = CATALOG_PAGE},
                                            {.what = SOURCE_MY_REPOS}};
    const struct catalog_answer *answer;
    int64_t ms = 0;

    memcpy(questions[0].repo.owner, p->repo.owner, sizeof(p->repo.owner));
    for (int i = 0; i < 2 && ms <= 0; i++) {
        if (catalog_ask(v->config.catalog, &questions[i], EFFORT_MEMORY, NULL, &answer))
            continue;
        for (size_t k = 0; k < answer->count; k++)
            if (!strcasecmp(answer->repos[k]->owner, p->repo.owner) &&
                !strcasecmp(answer->repos[k]->name, p->repo.repo))
                ms = answer->repos[k]->pushed_ms;
        catalog_answer_release(answer);
    }
    return ms;
}

/* 0: not known yet. */
static int64_t own_time(struct views *v, const struct vnode *p)
{
    struct known_job job = {0};
    struct known_run run = {0};

    if (p->job)
        runs_peek_job(v, p, &job);
    else if (p->run)
        runs_peek(v, p, &run);
    else
        return p->repo.repo[0] ? repo_time(v, p) : 0;
    return p->job ? job.time_ms : run.time_ms;
}

static int64_t known_time(struct views *v, const struct vnode *p)
{
    int64_t ms = own_time(v, p);

    return ms > 0 ? ms : v->config.mounted_ms;
}

/* --- by type --- */

/* An empty log may be asked for again (errors table). A size that rests on one answer alone may
 * turn out to be wrong, which the kernel must notice. */
int view_attr_of_log(struct views *v, const struct vnode *p, struct waiter *w,
                     struct view_attr *ret_attr)
{
    struct view_part part;
    const struct log_stat *stat = &part.stat;
    int rc = view_get_part(v, p, w, &part);

    if (rc)
        return rc;
    *ret_attr = (struct view_attr){.type = VIEW_FILE,
                                   .size = stat->size,
                                   .mtime_ms = stat->mtime_ms,
                                   .name_ms = stat->final && !part.settled ? UNTIMED_MS : 0};
    if (stat->final && stat->proven && !stat->shrunk)
        ret_attr->valid_ms = stat->size ? VIEWS_FINAL_MS : DIRECTORY_MS;
    return 0;
}

/* The kernel remembers nothing: each lookup of the path makes the text anew. */
void view_attr_of_text(struct views *v, const struct vnode *p, uint64_t size,
                       struct view_attr *ret_attr)
{
    *ret_attr = (struct view_attr){.type = VIEW_FILE, .size = size, .mtime_ms = known_time(v, p)};
}

void view_attr_of_link(struct views *v, const struct vnode *p, size_t target_len, bool is_constant,
                       struct view_attr *ret_attr)
{
    *ret_attr = (struct view_attr){.type = VIEW_LINK,
                                   .size = target_len,
                                   .mtime_ms = known_time(v, p),
                                   .valid_ms = is_constant ? DIRECTORY_MS : 0};
}

/* An unknown time may become known at any moment, as by the listing that is read just now. */
void view_attr_of_directory(struct views *v, const struct vnode *p, struct view_attr *ret_attr)
{
    int64_t ms = own_time(v, p);

    *ret_attr = (struct view_attr){.type = VIEW_DIRECTORY,
                                   .mtime_ms = ms > 0 ? ms : v->config.mounted_ms,
                                   .ctime_ms = v->config.mounted_ms,
                                   .valid_ms = ms > 0 || !p->repo.repo[0] ? DIRECTORY_MS
                                                                          : UNTIMED_MS};
}

/* --- user.ghlogfs.*: what is known without a request (S17) --- */

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

static int give(const char *value, char **ret_value)
{
    *ret_value = strdup(value);
    return *ret_value ? 0 : -ENOMEM;
}

static int get_state(struct views *v, const struct vnode *p, struct waiter *w, char **ret_value)
{
    struct log *log = cache_hold(v->config.cache, p->job);
    struct source_failure failure;
    struct known_job job;
    struct log_stat stat;
    const char *word;
    int rc;

    if (!log)
        return -ENOMEM;
    /* A log that was not looked up lately may be on disk. */
    rc = log_get_stat(log, &p->repo, EFFORT_DISK, NULL, w, &stat);
    failure = log_get_failure(log, &p->repo);
    log_release(log);
    if (rc == PENDING_PARKED)
        return rc;
    runs_peek_job(v, p, &job);
    word = !rc              ? (stat.final ? "available" : "running")
           : job.has_no_log ? "never"
                            : reason_word(failure.reason);
    return give(word, ret_value);
}

/* Whether the run's jobs can be listed, by the last attempt to do so. */
static int get_state_of_run(struct views *v, const struct vnode *p, char **ret_value)
{
    struct attempts_run run = {.repo = p->repo, .id = p->run, .latest = p->attempt};
    const struct catalog_answer *jobs;
    struct known_run known;
    struct catalog_question q;
    const char *word = "unknown";
    enum source_reason reason;
    bool is_refused;

    if (!run.latest) {
        runs_peek(v, p, &known);
        run.latest = known.attempt;
    }
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
    return give(word, ret_value);
}

static int get_fact(const struct facts_job *job, const char *name, char **ret_value)
{
    char id[32];
    const char *const values[][2] = {
        {"status", job->status_text},      {"conclusion", job->conclusion_text},
        {"run_id", job->run_id ? id : ""}, {"html_url", job->html_url},
        {"head_sha", job->head_sha},       {"name", job->name}};

    snprintf(id, sizeof(id), "%llu", (unsigned long long)job->run_id);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (!strcmp(name, values[i][0]) && values[i][1][0])
            return give(values[i][1], ret_value);
    return -ENODATA;
}

int views_get_xattr(struct views *v, const struct vnode *p, const char *name, struct waiter *w,
                    char **ret_value)
{
    struct catalog_seen seen;
    int rc;

    if (strncmp(name, VIEWS_XATTR_PREFIX, strlen(VIEWS_XATTR_PREFIX)) != 0)
        return -ENODATA;
    name += strlen(VIEWS_XATTR_PREFIX);
    if ((p->kind == VNODE_RUN || p->kind == VNODE_ATTEMPT || p->kind == VNODE_FAILED_RUN) &&
        !strcmp(name, "state"))
        return get_state_of_run(v, p, ret_value);
    if (!p->job)
        return -ENODATA;
    if (!strcmp(name, "state"))
        return get_state(v, p, w, ret_value);
    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return -ENODATA;
    rc = get_fact(seen.job, name, ret_value);
    catalog_seen_release(&seen);
    return rc;
}
