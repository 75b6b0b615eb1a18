#include "views/runs.h"

#include "views/attempts.h"

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

static const struct facts_run *find_run(const struct catalog_answer *answer, uint64_t run)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->runs[i]->id == run)
            return answer->runs[i];
    return NULL;
}

const struct facts_run *runs_peek(struct views *v, const struct repo_name *repo, uint64_t run,
                                  const struct catalog_answer **ret_answer)
{
    const struct catalog_answer *answer;
    const struct facts_run *found;
    struct catalog_question q;

    runs_question(v, repo, &q);
    if (catalog_peek(v->config.catalog, &q, &answer))
        return NULL;
    found = find_run(answer, run);
    if (found)
        *ret_answer = answer;
    else
        catalog_answer_release(answer);
    return found;
}

int runs_ask_listed(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                    const struct facts_run **ret_run, const struct catalog_answer **ret_answer)
{
    const struct catalog_answer *answer;
    struct catalog_question q;
    int rc;

    runs_question(v, repo, &q);
    rc = catalog_recall(v->config.catalog, &q, w, &answer);
    if (rc)
        return rc == -EAGAIN ? -ENOENT : rc;
    *ret_run = find_run(answer, run);
    catalog_answer_release(answer);
    if (!*ret_run)
        return -ENOENT;
    rc = catalog_ask(v->config.catalog, &q, w, &answer);
    if (rc)
        return rc;
    *ret_run = find_run(answer, run);
    if (!*ret_run) { /* newer ones have pushed it out */
        catalog_answer_release(answer);
        return -ENOENT;
    }
    *ret_answer = answer;
    return 0;
}

int runs_get_brief(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                   struct run_brief *ret_brief)
{
    struct catalog_question q = {.what = SOURCE_RUN, .repo = *repo, .id = run};
    const struct catalog_answer *answer;
    const struct facts_run *found;
    int rc = runs_ask_listed(v, repo, run, w, &found, &answer);

    if (rc == -ENOENT) {
        rc = catalog_ask(v->config.catalog, &q, w, &answer);
        found = rc ? NULL : answer->runs[0];
    }
    if (rc)
        return rc;
    ret_brief->attempt = found->attempt;
    ret_brief->ended = found->status == FACTS_COMPLETED;
    catalog_answer_release(answer);
    return 0;
}

int runs_get_jobs(struct views *v, const struct vnode *p, struct waiter *w,
                  const struct catalog_answer **ret_jobs)
{
    struct attempts_run run = {.repo = p->repo, .id = p->run};
    struct run_brief brief;
    int rc = runs_get_brief(v, &p->repo, p->run, w, &brief);

    if (rc)
        return rc;
    if (p->attempt > brief.attempt)
        return -ENOENT;
    run.latest = brief.attempt;
    run.ended = brief.ended;
    return p->attempt ? attempts_get_own(v, &run, p->attempt, w, ret_jobs)
                      : attempts_get_latest(v, &run, w, ret_jobs);
}

/* --- the names of jobs --- */

/* What a run's directory has besides its jobs. */
static bool is_taken_in_run(const char *name)
{
    return !strcmp(name, "run.json") || !strcmp(name, "attempts");
}

/* The names in one answer, which is held: so it stays what its address says. */
struct named_run {
    const struct catalog_answer *jobs; /* NULL: free */
    struct safe_name *by_name;         /* sorted */
};

struct named {
    pthread_mutex_t lock;
    struct named_run runs[NAMED_RUNS]; /* lock; the latest use first */
};

int named_make(const struct catalog_answer *jobs, struct safe_name **ret_names)
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

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct safe_name *)a)->name, ((const struct safe_name *)b)->name);
}

static int compare_name(const void *name, const void *of)
{
    return strcmp(name, ((const struct safe_name *)of)->name);
}

static void forget(struct named_run *run)
{
    free(run->by_name);
    catalog_answer_release(run->jobs);
    *run = (struct named_run){0};
}

struct named *named_create(void)
{
    struct named *n = calloc(1, sizeof(*n));

    if (n)
        pthread_mutex_init(&n->lock, NULL);
    return n;
}

void named_destroy(struct named *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < NAMED_RUNS; i++)
        forget(&n->runs[i]);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* Lock held. The run of this answer comes to the front; if it is not there, the last one is given up
 * in *ret_old and its room is free. */
static struct named_run *come_to_front(struct named *n, const struct catalog_answer *jobs,
                                       struct named_run *ret_old)
{
    struct named_run run;
    size_t at = 0;

    while (at < NAMED_RUNS - 1 && n->runs[at].jobs != jobs)
        at++;
    run = n->runs[at];
    if (run.jobs != jobs) {
        *ret_old = run;
        run = (struct named_run){0};
    }
    memmove(n->runs + 1, n->runs, at * sizeof(run));
    n->runs[0] = run;
    return &n->runs[0];
}

/* Lock held. */
static int give_names(struct named_run *run, const struct catalog_answer *jobs)
{
    int rc = named_make(jobs, &run->by_name);

    if (rc)
        return rc;
    qsort(run->by_name, jobs->count, sizeof(*run->by_name), compare_names);
    run->jobs = catalog_answer_hold(jobs);
    return 0;
}

int named_find(struct named *n, const struct catalog_answer *jobs, const char *name,
               uint64_t *ret_job)
{
    struct named_run old = {0}, *run;
    const struct safe_name *found = NULL;
    int rc = 0;

    pthread_mutex_lock(&n->lock);
    run = come_to_front(n, jobs, &old);
    if (!run->jobs)
        rc = give_names(run, jobs);
    if (!rc)
        found = bsearch(name, run->by_name, jobs->count, sizeof(*found), compare_name);
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
    struct catalog_question q;
    int rc;

    runs_question(v, &p->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    rc = runs->count ? print_target(p, "runs", runs->runs[0]->id, "", buf, cap) : -ENOENT;
    catalog_answer_release(runs);
    return rc;
}

int runs_read_run_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                       size_t cap)
{
    (void)v;
    (void)w;
    return print_target(p, "runs", p->run, "", buf, cap);
}

int runs_read_job_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                       size_t cap)
{
    (void)v;
    (void)w;
    return print_target(p, "jobs", p->job, "/log", buf, cap);
}
