/*
 * attempts.h - inside the views: the jobs of a run and of its attempts.
 *
 * GitHub lists the jobs of one attempt at a time. What the list of a later attempt holds has
 * changed over the years: only the jobs that ran in it, or all jobs of the run, with those carried
 * over from an earlier attempt among them, without steps, under their old id or a new one. In
 * either case a run shows each of its jobs once, as it ran last, and an attempt shows the jobs that
 * ran in it.
 *
 * The runs put together last are remembered: looking up each job of a run in turn puts its lists
 * together once. Any thread; the lock is never held across a wait.
 */
#ifndef GHLOGFS_VIEWS_ATTEMPTS_H
#define GHLOGFS_VIEWS_ATTEMPTS_H

#include "views/internal.h"

#define ATTEMPTS_LISTS_MAX 51                       /* read for one run; GitHub allows 50 re-runs */
#define ATTEMPTS_JOBS_MAX (2 * CATALOG_ENTRIES_MAX) /* in them; beyond it no further list is read */
#define ATTEMPTS_RUNS 4                             /* remembered */

struct attempts *attempts_create(void); /* NULL: no memory */
void attempts_destroy(struct attempts *a);

/* A run and the latest of its attempts; `ended`: that one is over, `has_failed`: and counts as
 * failed (S19). */
struct attempts_run {
    struct repo_name repo;
    uint64_t id;
    unsigned latest;
    bool ended, has_failed;
};

/* The question of one attempt's jobs. */
void attempts_question(const struct attempts_run *run, unsigned attempt,
                       struct catalog_question *ret_q);

/*
 * Whether this question failed for a reason that does not affect other lists, so that these can be
 * shown without it. A lack of quota or of a network may affect any of them and passes: a listing
 * with random holes is worse than an errno. Offline nothing passes.
 */
bool attempts_can_do_without(struct views *v, const struct catalog_question *q, int err);

/* Begins to ask for what attempts_get_latest needs in any case. */
void attempts_want(struct views *v, const struct attempts_run *run, struct waiter *w);

/*
 * Each job of the run once, from the attempt that ran it last: one question for each attempt that
 * has to be read, attempt 1 first. An earlier one that cannot be read takes nothing else away. May
 * park. The answer is the caller's.
 */
int attempts_get_latest(struct views *v, const struct attempts_run *run, struct waiter *w,
                        const struct catalog_answer **ret_jobs);

/* The jobs that ran in this attempt: one question, and one more for the attempt before it. May
 * park. With `w` NULL: as far as that is known; -EAGAIN. The answer is the caller's. */
int attempts_get_own(struct views *v, const struct attempts_run *run, unsigned attempt,
                     struct waiter *w, const struct catalog_answer **ret_jobs);

/*
 * Which attempt ran which jobs, as far as lists in memory tell: one span for each of them, the
 * earliest attempt first. A list may have the jobs carried over from earlier attempts as well; the
 * span has those that the known list before it does not have.
 */
struct attempts_span {
    unsigned after, attempt; /* the jobs ran in one of the attempts from after + 1 to attempt */
    const struct facts_job *const *jobs;
    size_t count;

    /* own; zeroed before the first call */
    const struct catalog_answer *list;
    const struct facts_job **ran;
};

/* The next span. False: there is none, and nothing is held any more. */
bool attempts_next_span(struct views *v, const struct attempts_run *run,
                        struct attempts_span *span);

/* Begins to ask for the lists of the attempts from `first` to `last`. False: one of them could not
 * be had lately. */
bool attempts_request(struct views *v, const struct attempts_run *run, unsigned first,
                      unsigned last);

/* --- several lists put together. Pure -------------------------------------------------------- */

/*
 * Two jobs of different lists are one if they have one id, or if they have one name and began and
 * ended at one time.
 */
struct attempts_merge {
    const struct facts_job **jobs; /* malloc'd; they are the lists' */
    size_t count;
    bool is_whole; /* a list carries jobs of an earlier attempt: it has all jobs there were then */
    bool has_open; /* the steps of a job that ran are in none of the lists */
};

/* Each job of the lists once, in their order, from the list that has its steps. The lists are those
 * of one attempt or more, the latest first. -ENOMEM. */
int attempts_merge(const struct catalog_answer *const *lists, size_t list_count,
                   struct attempts_merge *ret_merge);

/* The jobs of the list that are not in that of the attempt before it. -ENOMEM. */
int attempts_subtract(const struct catalog_answer *list, const struct catalog_answer *before,
                      struct attempts_merge *ret_merge);

#endif
