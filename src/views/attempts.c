#include "views/attempts.h"

#include "views/merge.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 60000 /* how long a run is shown without a list that could not be read */

/* The lists of a run that were read, the latest attempt's first, and what they make together. */
struct reading {
    struct attempts_run run;
    unsigned numbers[ATTEMPTS_LISTS_MAX]; /* of the attempts, falling */
    const struct catalog_answer *lists[ATTEMPTS_LISTS_MAX];
    unsigned count;
    bool lacks_first;                  /* attempt 1 could not be read */
    int64_t retry_ms;                  /* 0: all that is needed was read; else when to try again */
    const struct catalog_answer *jobs; /* NULL: not put together */
};

struct attempts {
    pthread_mutex_t lock;
    struct reading *runs[ATTEMPTS_RUNS]; /* lock; the latest first; NULL: free */
};

/* --- reading the lists ------------------------------------------------------------------------- */

void attempts_question(const struct attempts_run *run, unsigned attempt,
                       struct catalog_question *ret_q)
{
    *ret_q = (struct catalog_question){.what = SOURCE_ATTEMPT_JOBS,
                                       .repo = run->repo,
                                       .id = run->id,
                                       .attempt = attempt,
                                       .may_settle = run->ended || attempt < run->latest};
}

static int ask_list(struct views *v, const struct attempts_run *run, unsigned attempt,
                    struct waiter *w, const struct catalog_answer **ret_list)
{
    struct catalog_question q;

    attempts_question(run, attempt, &q);
    return catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, ret_list);
}

void attempts_want(struct views *v, const struct attempts_run *run, struct waiter *w)
{
    struct catalog_question q;

    attempts_question(run, run->latest, &q);
    (void)catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, NULL);
    if (run->latest > 1) {
        attempts_question(run, 1, &q);
        (void)catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, NULL);
    }
}

static void finish_reading(struct reading *r)
{
    for (unsigned i = 0; i < r->count; i++)
        catalog_answer_release(r->lists[i]);
    catalog_answer_release(r->jobs);
    r->count = 0;
    r->jobs = NULL;
}

/* Takes the list over. */
static void insert_list(struct reading *r, unsigned attempt, const struct catalog_answer *list)
{
    unsigned at = r->count++;

    for (; at > 0 && r->numbers[at - 1] < attempt; at--) {
        r->numbers[at] = r->numbers[at - 1];
        r->lists[at] = r->lists[at - 1];
    }
    r->numbers[at] = attempt;
    r->lists[at] = list;
}

/* The next attempt whose list is needed; 0: none. Most of what was carried over ran in the first. */
static unsigned choose_next(const struct reading *r, const struct merge *m)
{
    unsigned next = r->run.latest;
    size_t jobs = 0;

    for (unsigned i = 0; i < r->count; i++)
        jobs += r->lists[i]->count;
    if ((m->is_whole && !m->has_open) || r->count == ATTEMPTS_LISTS_MAX || jobs > ATTEMPTS_JOBS_MAX)
        return 0;
    if (r->numbers[r->count - 1] > 1 && !r->lacks_first)
        return 1;
    for (unsigned i = 0; i < r->count && r->numbers[i] == next; i++)
        next--;
    return next > 1 ? next : 0;
}

bool attempts_can_do_without(struct views *v, const struct catalog_question *q, int err)
{
    if (err == -ENOMEM)
        return false;
    switch (catalog_peek_failure(v->config.catalog, q)) {
    case SOURCE_FINE: /* it has come back just now, or it is the list of an earlier attempt */
        return err == -EIO || err == -EPROTO || err == -ENOENT || err == -EACCES;
    case SOURCE_REFUSED:
    case SOURCE_BROKEN:
    case SOURCE_PROTOCOL:
    case SOURCE_OVERSIZE:
    case SOURCE_NOT_FOUND:
    case SOURCE_FORBIDDEN:
    case SOURCE_EXPIRED:
    case SOURCE_OFFLINE: return true;
    default: return false;
    }
}

/* The same of an attempt's list. Of one that GitHub was asked for alone it is not known whether it is
 * silent about that list or altogether; the other lists are there. */
static bool can_do_without(struct views *v, const struct attempts_run *run, unsigned attempt,
                           int err)
{
    struct catalog_question q;

    attempts_question(run, attempt, &q);
    return err == -ETIMEDOUT || (err < 0 && attempts_can_do_without(v, &q, err));
}

/* An earlier attempt's list is not to be had. Without the first the others are read; after any other
 * no more are, for each may cost as long a wait. What is known is shown for a while. */
static unsigned go_without(struct views *v, struct reading *r, unsigned attempt,
                           const struct merge *m)
{
    r->retry_ms = v->config.now_ms() + RETRY_MS;
    if (attempt != 1)
        return 0;
    r->lacks_first = true;
    return choose_next(r, m);
}

/* Reads what is needed of the lists and puts them together. */
static int read_lists(struct views *v, struct reading *r, struct waiter *w)
{
    unsigned next = r->run.latest;
    struct merge m = {0};
    int rc = 0;

    while (next && !rc) {
        const struct catalog_answer *list;
        rc = ask_list(v, &r->run, next, w, &list);
        if (r->count && can_do_without(v, &r->run, next, rc)) {
            next = go_without(v, r, next, &m);
            rc = 0;
            continue;
        }
        if (rc)
            break;
        insert_list(r, next, list);
        free(m.jobs);
        m = (struct merge){0};
        rc = merge_make(r->lists, r->count, &m);
        next = rc ? 0 : choose_next(r, &m);
    }
    if (!rc)
        r->jobs = catalog_answer_select(r->lists, r->count, m.jobs, m.count);
    free(m.jobs);
    return rc ? rc : r->jobs ? 0 : -ENOMEM;
}

/* --- what was put together last ----------------------------------------------------------------- */

/* Lock held. */
static bool is_of(const struct reading *r, const struct attempts_run *run)
{
    return r && r->run.id == run->id && r->run.latest == run->latest &&
           name_is_same(&r->run.repo, &run->repo);
}

/* A copy of what is remembered of the run. False: nothing, or it is time to try again. */
static bool recall(struct attempts *a, const struct attempts_run *run, int64_t now_ms,
                   struct reading *ret_reading)
{
    bool found = false;

    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < ATTEMPTS_RUNS && !found; i++) {
        found = is_of(a->runs[i], run) && (!a->runs[i]->retry_ms || now_ms < a->runs[i]->retry_ms);
        if (found)
            *ret_reading = *a->runs[i];
    }
    for (unsigned i = 0; found && i < ret_reading->count; i++)
        catalog_answer_hold(ret_reading->lists[i]);
    if (found)
        catalog_answer_hold(ret_reading->jobs);
    pthread_mutex_unlock(&a->lock);
    return found;
}

/* The one before of this run is forgotten, or the oldest. */
static void remember(struct attempts *a, const struct reading *r)
{
    struct reading *copy = malloc(sizeof(*copy)), *old;
    unsigned at = 0;

    if (!copy)
        return;
    *copy = *r;
    for (unsigned i = 0; i < r->count; i++)
        catalog_answer_hold(r->lists[i]);
    catalog_answer_hold(r->jobs);
    pthread_mutex_lock(&a->lock);
    while (at < ATTEMPTS_RUNS - 1 && !is_of(a->runs[at], &r->run))
        at++;
    old = a->runs[at];
    memmove(a->runs + 1, a->runs, at * sizeof(a->runs[0]));
    a->runs[0] = copy;
    pthread_mutex_unlock(&a->lock);
    if (old)
        finish_reading(old);
    free(old);
}

/* 0: what is remembered is still what its lists say. -EAGAIN: it is not. */
static int check_lists(struct views *v, const struct reading *r, struct waiter *w)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct catalog_answer *list;
        int rc = ask_list(v, &r->run, r->numbers[i], w, &list);
        if (rc == PENDING_PARKED)
            return rc;
        if (rc)
            return -EAGAIN;
        catalog_answer_release(list);
        if (list != r->lists[i])
            return -EAGAIN;
    }
    return 0;
}

struct attempts *attempts_create(void)
{
    struct attempts *a = calloc(1, sizeof(*a));

    if (a)
        pthread_mutex_init(&a->lock, NULL);
    return a;
}

void attempts_destroy(struct attempts *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < ATTEMPTS_RUNS; i++) {
        if (a->runs[i])
            finish_reading(a->runs[i]);
        free(a->runs[i]);
    }
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* --- outwards ---------------------------------------------------------------------------------- */

int attempts_get_latest(struct views *v, const struct attempts_run *run, struct waiter *w,
                        const struct catalog_answer **ret_jobs)
{
    struct reading r;
    int rc = -EAGAIN;

    if (run->latest <= 1)
        return ask_list(v, run, run->latest, w, ret_jobs);
    if (recall(v->attempts, run, v->config.now_ms(), &r)) {
        rc = check_lists(v, &r, w);
        if (rc)
            finish_reading(&r);
    }
    if (rc == -EAGAIN) {
        r = (struct reading){.run = *run};
        rc = read_lists(v, &r, w);
        if (!rc)
            remember(v->attempts, &r);
    }
    if (!rc)
        *ret_jobs = catalog_answer_hold(r.jobs);
    finish_reading(&r);
    return rc;
}

/* The jobs of the list that are not in that of the attempt before. */
static int select_own(const struct catalog_answer *list, const struct catalog_answer *before,
                      const struct catalog_answer **ret_jobs)
{
    struct merge m;
    int rc = merge_subtract(list, before, &m);

    if (rc)
        return rc;
    /* An attempt without a job of its own: the lists do not tell the attempts apart. */
    *ret_jobs = m.count ? catalog_answer_select(&list, 1, m.jobs, m.count)
                        : catalog_answer_hold(list);
    free(m.jobs);
    return *ret_jobs ? 0 : -ENOMEM;
}

int attempts_get_own(struct views *v, const struct attempts_run *run, unsigned attempt,
                     struct waiter *w, const struct catalog_answer **ret_jobs)
{
    const struct catalog_answer *list, *before;
    int rc = ask_list(v, run, attempt, w, &list);

    if (rc)
        return rc;
    if (attempt <= 1) {
        *ret_jobs = list;
        return 0;
    }
    rc = ask_list(v, run, attempt - 1, w, &before);
    if (!rc) {
        rc = select_own(list, before, ret_jobs);
        catalog_answer_release(before);
    } else if (can_do_without(v, run, attempt - 1, rc)) {
        *ret_jobs = catalog_answer_hold(list); /* carried over or not: what is known is shown */
        rc = 0;
    }
    catalog_answer_release(list);
    return rc;
}
