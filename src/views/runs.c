/*
 * Runs, their jobs, and the links to them.
 */
#include "views/runs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void runs_question(const struct views *v, const struct repo_name *repo,
                   struct catalog_question *ret_q)
{
    *ret_q = (struct catalog_question){.what = SOURCE_RUNS, .repo = *repo, .limit = v->config.runs};
}

int runs_ask_recent(struct views *v, const struct repo_name *repo, struct waiter *w,
                    const struct catalog_answer **ret_runs)
{
    struct catalog_question q;

    runs_question(v, repo, &q);
    return catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, ret_runs);
}

/* --- one run --- */

struct attempts_run runs_resolve(const struct repo_name *repo, const struct facts_run *run)
{
    return (struct attempts_run){.repo = *repo,
                                 .id = run->id,
                                 .latest = run->attempt,
                                 .ended = run->status == FACTS_COMPLETED,
                                 .has_failed = facts_is_failed(run->conclusion)};
}

static const struct facts_run *find_run(const struct catalog_answer *answer, uint64_t run)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->runs[i]->id == run)
            return answer->runs[i];
    return NULL;
}

int runs_find_listed(struct views *v, const struct vnode *p, struct waiter *w,
                     const struct facts_run **ret_run, const struct catalog_answer **ret_answer)
{
    const struct catalog_answer *answer;
    struct catalog_question q;
    int rc;

    runs_question(v, &p->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, EFFORT_DISK, w, &answer);
    if (rc)
        return rc == -EAGAIN ? -ENOENT : rc;
    *ret_run = find_run(answer, p->run);
    catalog_answer_release(answer);
    if (!*ret_run)
        return -ENOENT;
    rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, &answer);
    if (rc)
        return rc;
    *ret_run = find_run(answer, p->run);
    if (!*ret_run) { /* newer ones have pushed it out */
        catalog_answer_release(answer);
        return -ENOENT;
    }
    *ret_answer = answer;
    return 0;
}

int runs_get_facts(struct views *v, const struct vnode *p, struct waiter *w,
                   const struct facts_run **ret_run, const struct catalog_answer **ret_answer)
{
    const struct catalog_question q = {.what = SOURCE_RUN, .repo = p->repo, .id = p->run};
    int rc = runs_find_listed(v, p, w, ret_run, ret_answer);

    if (rc != -ENOENT)
        return rc;
    rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, ret_answer);
    if (!rc)
        *ret_run = (*ret_answer)->runs[0];
    return rc;
}

int runs_get(struct views *v, const struct vnode *p, struct waiter *w, struct attempts_run *ret_run)
{
    const struct catalog_answer *answer;
    const struct facts_run *found;
    int rc = runs_get_facts(v, p, w, &found, &answer);

    if (rc)
        return rc;
    *ret_run = runs_resolve(&p->repo, found);
    ret_run->id = p->run;
    catalog_answer_release(answer);
    return p->attempt <= ret_run->latest ? 0 : -ENOENT;
}

int runs_list_jobs(struct views *v, const struct attempts_run *run, unsigned attempt,
                   struct waiter *w, const struct catalog_answer **ret_jobs)
{
    return attempt ? attempts_get_own(v, run, attempt, w, ret_jobs)
                   : attempts_get_latest(v, run, w, ret_jobs);
}

int runs_get_jobs(struct views *v, const struct vnode *p, struct waiter *w,
                  const struct catalog_answer **ret_jobs)
{
    struct attempts_run run;
    int rc = runs_get(v, p, w, &run);

    return rc ? rc : runs_list_jobs(v, &run, p->attempt, w, ret_jobs);
}

static void peek_answer(struct views *v, const struct catalog_question *q, uint64_t id,
                        struct known_run *known)
{
    const struct catalog_answer *answer;
    const struct facts_run *run;

    if (catalog_ask(v->config.catalog, q, EFFORT_MEMORY, NULL, &answer))
        return;
    run = find_run(answer, id);
    if (run) {
        int64_t time_ms = run->updated_ms > 0 ? run->updated_ms : run->created_ms;
        known->time_ms = time_ms > known->time_ms ? time_ms : known->time_ms;
        known->attempt = known->attempt ? known->attempt : run->attempt;
    }
    catalog_answer_release(answer);
}

bool runs_peek_run(struct views *v, const struct repo_name *repo, uint64_t run,
                   struct attempts_run *ret_run)
{
    const struct catalog_question alone = {.what = SOURCE_RUN, .repo = *repo, .id = run};
    const struct catalog_question *questions[2] = {NULL, &alone};
    struct catalog_question recent;
    bool found = false;

    runs_question(v, repo, &recent);
    questions[0] = &recent;
    for (unsigned i = 0; i < 2 && !found; i++) {
        const struct catalog_answer *answer;
        const struct facts_run *facts;

        if (catalog_ask(v->config.catalog, questions[i], EFFORT_MEMORY, NULL, &answer))
            continue;
        facts = find_run(answer, run);
        found = facts != NULL;
        if (facts)
            *ret_run = runs_resolve(repo, facts);
        catalog_answer_release(answer);
    }
    return found;
}

void runs_peek(struct views *v, const struct vnode *p, struct known_run *ret_run)
{
    const struct catalog_question alone = {.what = SOURCE_RUN, .repo = p->repo, .id = p->run};
    struct catalog_question recent;

    *ret_run = (struct known_run){0};
    runs_question(v, &p->repo, &recent);
    peek_answer(v, &recent, p->run, ret_run);
    peek_answer(v, &alone, p->run, ret_run);
}

/* --- one job --- */

void runs_know_job(struct views *v, const struct facts_job *job, struct known_job *ret_job)
{
    bool has_ended = job->status == FACTS_COMPLETED;

    *ret_job = (struct known_job){
        .is_known = true,
        .is_settled = catalog_is_settled(v->config.catalog, job),
        .has_no_log = has_ended && !facts_may_have_log(job),
        .hint = {.completed = has_ended, .completed_ms = has_ended ? job->completed_ms : 0},
        .time_ms = facts_job_time_ms(job)};
}

void runs_peek_job(struct views *v, const struct vnode *p, struct known_job *ret_job)
{
    struct catalog_seen seen;

    *ret_job = (struct known_job){.is_known = p->settled_ms,
                                  .is_settled = p->settled_ms,
                                  .has_no_log = p->has_no_log,
                                  .hint = {p->settled_ms, p->settled_ms},
                                  .time_ms = p->settled_ms};
    if (p->settled_ms || !catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return;
    runs_know_job(v, seen.job, ret_job);
    catalog_seen_release(&seen);
}

/* --- the names of jobs --- */

/* What a run's directory has besides its jobs. */
static bool is_taken_in_run(const char *name)
{
    return !strcmp(name, "run.json") || !strcmp(name, "attempts");
}

/* The names in one answer, which is held, so that its address stays its own. */
struct run_names {
    const struct catalog_answer *jobs; /* NULL: free */
    struct safe_name *by_name;         /* sorted */
};

struct job_names {
    pthread_mutex_t lock;
    struct run_names runs[JOB_NAMES_RUNS]; /* lock; the latest use first */
};

struct job_names *job_names_create(void)
{
    struct job_names *n = calloc(1, sizeof(*n));

    if (n)
        pthread_mutex_init(&n->lock, NULL);
    return n;
}

static void forget(struct run_names *run)
{
    free(run->by_name);
    catalog_answer_release(run->jobs);
}

void job_names_destroy(struct job_names *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < JOB_NAMES_RUNS; i++)
        forget(&n->runs[i]);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

int job_names_make(const struct catalog_answer *jobs, struct safe_name **ret_names)
{
    struct safe_name *names = calloc(jobs->count + 1, sizeof(*names));
    int rc;

    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < jobs->count; i++) {
        names[i].given = jobs->jobs[i]->name;
        names[i].id = jobs->jobs[i]->id;
    }
    rc = safe_name_assign(names, jobs->count, is_taken_in_run);
    if (rc)
        free(names);
    else
        *ret_names = names;
    return rc;
}

static int compare_name(const void *name, const void *of)
{
    return strcmp(name, ((const struct safe_name *)of)->name);
}

int job_names_find(struct job_names *n, const struct catalog_answer *jobs, const char *name,
                   uint64_t *ret_job)
{
    struct run_names run, old = {0};
    const struct safe_name *found = NULL;
    size_t at = 0;
    int rc = 0;

    pthread_mutex_lock(&n->lock);
    while (at < JOB_NAMES_RUNS - 1 && n->runs[at].jobs != jobs)
        at++;
    run = n->runs[at];
    if (run.jobs != jobs) {
        old = run;
        run = (struct run_names){0};
        rc = job_names_make(jobs, &run.by_name);
        if (!rc) {
            qsort(run.by_name, jobs->count, sizeof(*run.by_name), safe_name_compare);
            run.jobs = catalog_answer_hold(jobs);
        }
    }
    memmove(n->runs + 1, n->runs, at * sizeof(run));
    n->runs[0] = run;
    if (!rc)
        found = bsearch(name, run.by_name, jobs->count, sizeof(*found), compare_name);
    if (found)
        *ret_job = found->id;
    pthread_mutex_unlock(&n->lock);
    forget(&old);
    return rc ? rc : found ? 0 : -ENOENT;
}

/* --- links, made from ids and safe names only (S12) --- */

#define REPO_DEPTH 2 /* owner/repo */

/* "../" for each directory between the link and its repository, then the rest. */
static int print_target(const struct vnode *p, const char *folder, uint64_t id, const char *rest,
                        char *buf, size_t cap)
{
    size_t used = 0;
    int n;

    for (unsigned up = p->depth - REPO_DEPTH - 1; up > 0; up--) {
        if (used + 4 > cap)
            return -ENAMETOOLONG;
        memcpy(buf + used, "../", 4);
        used += 3;
    }
    n = snprintf(buf + used, cap - used, "%s/%llu%s", folder, (unsigned long long)id, rest);
    return n < 0 || used + (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

/* The newest run, whatever its state. */
int runs_read_latest_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                          size_t cap)
{
    const struct catalog_answer *runs;
    int rc = runs_ask_recent(v, &p->repo, w, &runs);

    if (rc)
        return rc;
    rc = runs->count ? print_target(p, "runs", runs->runs[0]->id, "", buf, cap) : -ENOENT;
    catalog_answer_release(runs);
    return rc;
}

/* Of a run, or of a job's log. */
int runs_read_fixed_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                         size_t cap)
{
    (void)v;
    (void)w;
    return p->kind == VNODE_JOB_LINK ? print_target(p, "jobs", p->job, "/log", buf, cap)
                                     : print_target(p, "runs", p->run, "", buf, cap);
}
