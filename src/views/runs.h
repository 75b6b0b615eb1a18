/*
 * runs.h - inside the views: runs and their jobs, as the catalog has them, and their names.
 */
#ifndef GHLOGFS_VIEWS_RUNS_H
#define GHLOGFS_VIEWS_RUNS_H

#include "views/internal.h"

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

#endif
