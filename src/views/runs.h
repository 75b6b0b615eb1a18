/*
 * runs.h - inside the views: a run and its jobs, as the catalog has them.
 *
 * An operation resolves its run or job once, and hands on what it got: each look into the catalog
 * may find newer facts. What never changes any more is carried in the vnode (vnode.settled_ms).
 */
#ifndef GHLOGFS_VIEWS_RUNS_H
#define GHLOGFS_VIEWS_RUNS_H

#include "views/attempts.h"
#include "views/internal.h"
#include "views/names.h"

/* The question of a repository's most recent runs. */
void runs_question(const struct views *v, const struct repo_name *repo,
                   struct catalog_question *ret_q);

/* These runs. May park. The answer is the caller's. */
int runs_ask_recent(struct views *v, const struct repo_name *repo, struct waiter *w,
                    const struct catalog_answer **ret_runs);

/* --- one run --------------------------------------------------------------------------------- */

/* The run of an answer in the terms of attempts.h. */
struct attempts_run runs_resolve(const struct repo_name *repo, const struct facts_run *run);

/*
 * The run of `p` out of the list of recent runs, if that list is known, however old, and has it.
 * An old list is refreshed: one request for all its runs, uncharged if nothing has changed. If
 * GitHub cannot be reached, the old list counts (S18). -ENOENT: the run is not in it. May park.
 * The answer is the caller's.
 */
int runs_find_listed(struct views *v, const struct vnode *p, struct waiter *w,
                     const struct facts_run **ret_run, const struct catalog_answer **ret_answer);

/* The run that `p` is or is in: out of the list of recent runs, else by a question of its own. May
 * park. The answer is the caller's. */
int runs_get_facts(struct views *v, const struct vnode *p, struct waiter *w,
                   const struct facts_run **ret_run, const struct catalog_answer **ret_answer);

/* The same in the terms of attempts.h. -ENOENT also if it has no attempt p->attempt. */
int runs_get(struct views *v, const struct vnode *p, struct waiter *w,
             struct attempts_run *ret_run);

/* Its jobs: those of one attempt, or with attempt 0 each as it ran last. May park. The answer is
 * the caller's. */
int runs_list_jobs(struct views *v, const struct attempts_run *run, unsigned attempt,
                   struct waiter *w, const struct catalog_answer **ret_jobs);

/* Both at once, for a vnode in a run. May park. */
int runs_get_jobs(struct views *v, const struct vnode *p, struct waiter *w,
                  const struct catalog_answer **ret_jobs);

/* What is known of the run of `p` without a request; zeroed where nothing is. */
struct known_run {
    unsigned attempt; /* the latest */
    int64_t time_ms;  /* of the last change, UTC */
};

/* The run in the terms of attempts.h, if it is known. */
bool runs_peek_run(struct views *v, const struct repo_name *repo, uint64_t run,
                   struct attempts_run *ret_run);

void runs_peek(struct views *v, const struct vnode *p, struct known_run *ret_run);

/* --- one job --------------------------------------------------------------------------------- */

/* What is known of a job without a request; zeroed where nothing is. */
struct known_job {
    bool is_known, is_settled;
    bool has_no_log;      /* it has ended without one (S19) */
    struct log_hint hint; /* the same for the cache */
    int64_t time_ms;      /* when it ended, else began, else was created, UTC; 0: unknown */
};

void runs_know_job(struct views *v, const struct facts_job *job, struct known_job *ret_job);

/* Of p->job, from the vnode or by one look into the catalog. */
void runs_peek_job(struct views *v, const struct vnode *p, struct known_job *ret_job);

/* --- the names of a run's jobs --------------------------------------------------------------- */

/*
 * A job's name depends on all others of its run (S12), so naming is work for the whole run. Who
 * looks up each job in turn, as `ls -l` does, has it done once: the runs used last are remembered.
 * Any thread; the lock is held while names are made, never while anything waits.
 */
#define JOB_NAMES_RUNS 4

struct job_names;

struct job_names *job_names_create(void); /* NULL: no memory */
void job_names_destroy(struct job_names *n);

/* The names of the jobs' directories, in the order of the answer. -ENOMEM; the caller frees. */
int job_names_make(const struct catalog_answer *jobs, struct safe_name **ret_names);

/* The job of this name among those of a run or attempt. -ENOENT, -ENOMEM. */
int job_names_find(struct job_names *n, const struct catalog_answer *jobs, const char *name,
                   uint64_t *ret_job);

#endif
