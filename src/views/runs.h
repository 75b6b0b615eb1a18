/*
 * runs.h - inside the views: runs and their jobs, as the catalog has them, and their names.
 */
#ifndef GHLOGFS_VIEWS_RUNS_H
#define GHLOGFS_VIEWS_RUNS_H

#include "views/internal.h"
#include "views/names.h"

/* The question of a repository's most recent runs. */
void runs_question(const struct views *v, const struct repo_name *repo,
                   struct catalog_question *ret_q);

/* What matters of one run. */
struct run_brief {
    unsigned attempt; /* the latest */
    bool ended;       /* the latest attempt is completed */
};

/*
 * The run out of the list of recent runs, where that list is known, of whatever age, to have it: if it
 * is old it is asked for again, once for all its runs and for nothing if it has not changed, and
 * where GitHub cannot be asked it still stands (S18). -ENOENT: the run is not in it. May park. The
 * answer is the caller's.
 */
int runs_ask_listed(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                    const struct facts_run **ret_run, const struct catalog_answer **ret_answer);

/* From the list of recent runs, else asked by itself. May park. */
int runs_get_brief(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                   struct run_brief *ret_brief);

/* The jobs of the run, each as it ran last, or of the attempt that the vnode is in. May park. */
int runs_get_jobs(struct views *v, const struct vnode *p, struct waiter *w,
                  const struct catalog_answer **ret_jobs);

/* A run in the list of recent runs as far as it is known at no cost. The answer is the caller's. */
const struct facts_run *runs_peek(struct views *v, const struct repo_name *repo, uint64_t run,
                                  const struct catalog_answer **ret_answer);

/* --- the names of a run's jobs -------------------------------------------------------------------- */

/*
 * A job's name depends on all others of its run (S12), so to give them is work for the whole run; who
 * looks up each in turn, as `ls -l` does, does it once. Remembers the runs looked into last. Any
 * thread; its lock is held while names are given, never while anything waits.
 */

#define NAMED_RUNS 4

struct named;

struct named *named_create(void); /* NULL: no memory */
void named_destroy(struct named *n);

/* The names of the jobs' directories, in the order of the answer. -ENOMEM; the caller frees. */
int named_make(const struct catalog_answer *jobs, struct safe_name **ret_names);

/* The job of this name among those of a run or attempt. -ENOENT, -ENOMEM. */
int named_find(struct named *n, const struct catalog_answer *jobs, const char *name,
               uint64_t *ret_job);

#endif
