#include "views/attempts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 60000 /* how long a run is shown without a list that could not be read */

/* --- which jobs of two lists are the same ---------------------------------------------------- */

/* A job of a list. */
struct item {
    const struct facts_job *job;
    size_t at;                    /* its index in the list */
    const struct facts_job *pair; /* the same job in the other list; NULL: it is not there */
};

/* Two lists of jobs, sorted in one order. */
struct pairing {
    struct item *later, *earlier;
    size_t later_count, earlier_count;
};

typedef int item_order(const void *a, const void *b);

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_id(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return x->job->id < y->job->id ? -1 : x->job->id > y->job->id;
}

/* One execution of a job is distinguished from others by its name and its times. */
static int by_execution(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = strcmp(x->job->name, y->job->name);

    if (!order)
        order = compare(x->job->started_ms, y->job->started_ms);
    return order ? order : compare(x->job->completed_ms, y->job->completed_ms);
}

/* Of jobs with one name, those that "re-run failed jobs" leaves alone come first. */
static int by_name(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = strcmp(x->job->name, y->job->name);
    bool x_well = x->job->conclusion == FACTS_SUCCESS || x->job->conclusion == FACTS_SKIPPED;
    bool y_well = y->job->conclusion == FACTS_SUCCESS || y->job->conclusion == FACTS_SKIPPED;

    if (order || x_well != y_well)
        return order ? order : x_well ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static struct item *make_items(const struct facts_job *const *jobs, size_t count)
{
    struct item *items = calloc(count + 1, sizeof(*items));

    for (size_t i = 0; items && i < count; i++)
        items[i] = (struct item){.job = jobs[i], .at = i};
    return items;
}

static bool may_pair(const struct item *item, item_order *order)
{
    return !item->pair && (order == by_id || item->job->completed_ms != FACTS_NO_TIME);
}

static void pair_in_order(struct pairing *p, item_order *order)
{
    size_t i = 0, k = 0;

    qsort(p->later, p->later_count, sizeof(struct item), order);
    qsort(p->earlier, p->earlier_count, sizeof(struct item), order);
    while (i < p->later_count && k < p->earlier_count) {
        struct item *later = &p->later[i], *earlier = &p->earlier[k];
        int way = order(later, earlier);
        if (way < 0 || (!way && !may_pair(later, order))) {
            i++;
        } else if (way > 0 || !may_pair(earlier, order)) {
            k++;
        } else {
            later->pair = earlier->job;
            earlier->pair = later->job;
            i++;
            k++;
        }
    }
}

static void pairing_finish(struct pairing *p)
{
    free(p->later);
    free(p->earlier);
}

/* Finds the jobs of the earlier list that are in the later one, under the same id or another. */
static int pairing_make(struct pairing *p, const struct facts_job *const *later, size_t later_count,
                        const struct catalog_answer *earlier)
{
    *p = (struct pairing){.later = make_items(later, later_count),
                          .earlier = make_items(earlier->jobs, earlier->count),
                          .later_count = later_count,
                          .earlier_count = earlier->count};
    if (!p->later || !p->earlier) {
        pairing_finish(p);
        return -ENOMEM;
    }
    pair_in_order(p, by_id);
    pair_in_order(p, by_execution);
    return 0;
}

/* --- several lists put together -------------------------------------------------------------- */

/* Adds the jobs of the earlier list that did not run again. The only sign of them is that a name is
 * missing, or is there less often. The jobs have space for them. */
static int add_missing(struct attempts_merge *m, struct pairing *p,
                       const struct catalog_answer *list)
{
    bool *is_missing = calloc(list->count + 1, sizeof(*is_missing));
    size_t i = 0, k = 0;

    if (!is_missing)
        return -ENOMEM;
    qsort(p->later, p->later_count, sizeof(struct item), by_name);
    qsort(p->earlier, p->earlier_count, sizeof(struct item), by_name);
    while (k < p->earlier_count) {
        const char *name = p->earlier[k].job->name;
        size_t first = k, have = 0;
        while (i < p->later_count && strcmp(p->later[i].job->name, name) < 0)
            i++;
        for (; i < p->later_count && !strcmp(p->later[i].job->name, name); i++)
            have++;
        for (; k < p->earlier_count && !strcmp(p->earlier[k].job->name, name); k++)
            continue;
        for (size_t at = first; at + have < k; at++)
            is_missing[p->earlier[at].at] = true;
    }
    for (i = 0; i < list->count && m->count < CATALOG_ENTRIES_MAX; i++)
        if (is_missing[i])
            m->jobs[m->count++] = list->jobs[i];
    free(is_missing);
    return 0;
}

static int add_list(struct attempts_merge *m, const struct catalog_answer *list)
{
    struct pairing p;
    int rc = pairing_make(&p, m->jobs, m->count, list);

    if (rc)
        return rc;
    for (size_t i = 0; i < p.later_count; i++) {
        const struct item *item = &p.later[i];
        if (!item->pair)
            continue;
        m->is_whole = true;
        /* The list of the attempt that ran the job has its steps. */
        if (!item->job->step_count && item->pair->step_count)
            m->jobs[item->at] = item->pair;
    }
    if (!m->is_whole)
        rc = add_missing(m, &p, list);
    pairing_finish(&p);
    return rc;
}

int attempts_merge(const struct catalog_answer *const *lists, size_t list_count,
                   struct attempts_merge *ret_merge)
{
    struct attempts_merge m = {.count = lists[0]->count};
    size_t space = 1;
    int rc = 0;

    for (size_t i = 0; i < list_count; i++)
        space += lists[i]->count;
    m.jobs = calloc(space, sizeof(*m.jobs));
    if (!m.jobs)
        return -ENOMEM;
    for (size_t i = 0; i < m.count; i++)
        m.jobs[i] = lists[0]->jobs[i];
    for (size_t i = 1; i < list_count && !rc; i++)
        rc = add_list(&m, lists[i]);
    if (rc) {
        free(m.jobs);
        return rc;
    }
    for (size_t i = 0; i < m.count; i++)
        m.has_open |= facts_may_have_log(m.jobs[i]) && !m.jobs[i]->step_count;
    *ret_merge = m;
    return 0;
}

int attempts_subtract(const struct catalog_answer *list, const struct catalog_answer *before,
                      struct attempts_merge *ret_merge)
{
    struct attempts_merge m = {.jobs = calloc(list->count + 1, sizeof(*m.jobs))};
    struct pairing p;
    int rc = m.jobs ? pairing_make(&p, list->jobs, list->count, before) : -ENOMEM;

    if (rc) {
        free(m.jobs);
        return rc;
    }
    for (size_t i = 0; i < p.later_count; i++)
        if (!p.later[i].pair)
            m.jobs[p.later[i].at] = p.later[i].job;
    for (size_t i = 0; i < list->count; i++)
        if (m.jobs[i])
            m.jobs[m.count++] = m.jobs[i];
    pairing_finish(&p);
    *ret_merge = m;
    return 0;
}

/* --- reading the lists ----------------------------------------------------------------------- */

/* The lists of a run that were read, the latest attempt's first, and what they make together.
 * Counted; constant once it is made. */
struct reading {
    atomic_uint refs;
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

static void reading_unref(struct reading *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < r->count; i++)
        catalog_answer_release(r->lists[i]);
    catalog_answer_release(r->jobs);
    free(r);
}

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
    return catalog_ask(v->config.catalog, &q, w ? EFFORT_NETWORK : EFFORT_MEMORY, w, ret_list);
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

/* The same of an earlier attempt's list, beside which there are others. Where GitHub does not
 * answer, it is not known whether the others are affected; but they are there. */
static bool can_do_without(struct views *v, const struct attempts_run *run, unsigned attempt,
                           int err)
{
    struct catalog_question q;

    attempts_question(run, attempt, &q);
    return err == -ETIMEDOUT || (err < 0 && attempts_can_do_without(v, &q, err));
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

/* The next attempt whose list is needed; 0: none. Most carried-over jobs ran in the first. */
static unsigned choose_next(const struct reading *r, const struct attempts_merge *m)
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

/* Reads what is needed of the lists and puts them together. May park. */
static int read_lists(struct views *v, struct reading *r, struct waiter *w)
{
    unsigned next = r->run.latest;
    struct attempts_merge m = {0};
    int rc = 0;

    while (next && !rc) {
        const struct catalog_answer *list;
        rc = ask_list(v, &r->run, next, w, &list);
        if (r->count && can_do_without(v, &r->run, next, rc)) {
            /* Without attempt 1 the others are read; after any other no more are, for each may cost
             * as long a wait. What is known is shown for a while. */
            r->retry_ms = v->config.now_ms() + RETRY_MS;
            r->lacks_first |= next == 1;
            next = next == 1 ? choose_next(r, &m) : 0;
            rc = 0;
            continue;
        }
        if (rc)
            break;
        insert_list(r, next, list);
        free(m.jobs);
        m = (struct attempts_merge){0};
        rc = attempts_merge(r->lists, r->count, &m);
        next = rc ? 0 : choose_next(r, &m);
    }
    if (!rc)
        r->jobs = catalog_answer_select(r->lists, r->count, m.jobs, m.count);
    free(m.jobs);
    return rc ? rc : r->jobs ? 0 : -ENOMEM;
}

/* --- what was put together last -------------------------------------------------------------- */

/* Lock held. */
static bool is_of(const struct reading *r, const struct attempts_run *run)
{
    return r && r->run.id == run->id && r->run.latest == run->latest &&
           name_is_same(&r->run.repo, &run->repo);
}

/* What is remembered of the run, counted. NULL: nothing, or it is time to try again. */
static struct reading *recall(struct attempts *a, const struct attempts_run *run, int64_t now_ms)
{
    struct reading *r = NULL;

    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < ATTEMPTS_RUNS && !r; i++)
        if (is_of(a->runs[i], run) && (!a->runs[i]->retry_ms || now_ms < a->runs[i]->retry_ms))
            r = a->runs[i];
    if (r)
        atomic_fetch_add(&r->refs, 1);
    pthread_mutex_unlock(&a->lock);
    return r;
}

/* The earlier reading of this run is forgotten, or the oldest. */
static void remember(struct attempts *a, struct reading *r)
{
    struct reading *old;
    unsigned at = 0;

    atomic_fetch_add(&r->refs, 1);
    pthread_mutex_lock(&a->lock);
    while (at < ATTEMPTS_RUNS - 1 && !is_of(a->runs[at], &r->run))
        at++;
    old = a->runs[at];
    memmove(a->runs + 1, a->runs, at * sizeof(a->runs[0]));
    a->runs[0] = r;
    pthread_mutex_unlock(&a->lock);
    reading_unref(old);
}

/* 0: the lists have not changed since. -EAGAIN: they have. May park. */
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
    for (unsigned i = 0; i < ATTEMPTS_RUNS; i++)
        reading_unref(a->runs[i]);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* --- what the views ask ---------------------------------------------------------------------- */

int attempts_get_latest(struct views *v, const struct attempts_run *run, struct waiter *w,
                        const struct catalog_answer **ret_jobs)
{
    struct reading *r;
    int rc;

    if (run->latest <= 1)
        return ask_list(v, run, run->latest, w, ret_jobs);
    r = recall(v->attempts, run, v->config.now_ms());
    rc = r ? check_lists(v, r, w) : -EAGAIN;
    if (rc == -EAGAIN) {
        reading_unref(r);
        r = calloc(1, sizeof(*r));
        if (!r)
            return -ENOMEM;
        atomic_init(&r->refs, 1);
        r->run = *run;
        rc = read_lists(v, r, w);
        if (!rc)
            remember(v->attempts, r);
    }
    if (!rc)
        *ret_jobs = catalog_answer_hold(r->jobs);
    reading_unref(r);
    return rc;
}

int attempts_get_own(struct views *v, const struct attempts_run *run, unsigned attempt,
                     struct waiter *w, const struct catalog_answer **ret_jobs)
{
    const struct catalog_answer *list, *before = NULL;
    struct attempts_merge own = {0};
    int rc = ask_list(v, run, attempt, w, &list);

    if (rc)
        return rc;
    if (attempt > 1) {
        rc = ask_list(v, run, attempt - 1, w, &before);
        if (!rc)
            rc = attempts_subtract(list, before, &own);
        else if (can_do_without(v, run, attempt - 1, rc))
            rc = 0; /* carried over or not: what is known is shown */
    }
    /* An attempt without a job of its own: the lists do not distinguish the attempts. */
    if (!rc)
        *ret_jobs = own.count ? catalog_answer_select(&list, 1, own.jobs, own.count)
                              : catalog_answer_hold(list);
    if (!rc && !*ret_jobs)
        rc = -ENOMEM;
    free(own.jobs);
    catalog_answer_release(before);
    catalog_answer_release(list);
    return rc;
}

/* --- what tells the attempts apart ------------------------------------------------------------ */

static void end_span(struct attempts_span *span)
{
    catalog_answer_release(span->list);
    free(span->ran);
    *span = (struct attempts_span){0};
}

bool attempts_next_span(struct views *v, const struct attempts_run *run, struct attempts_span *span)
{
    const struct catalog_answer *before = span->list, *list = NULL;
    struct attempts_merge ran = {0};
    unsigned after = span->attempt, next = after;
    bool is_found = false;

    while (!is_found && next < run->latest && next < ATTEMPTS_LISTS_MAX)
        is_found = !ask_list(v, run, ++next, NULL, &list);
    if (is_found && before && attempts_subtract(list, before, &ran)) {
        catalog_answer_release(list);
        is_found = false;
    }
    if (!is_found) {
        end_span(span);
        return false;
    }
    catalog_answer_release(before);
    free(span->ran);
    *span = (struct attempts_span){.after = after,
                                   .attempt = next,
                                   .jobs = before ? ran.jobs : list->jobs,
                                   .count = before ? ran.count : list->count,
                                   .list = list,
                                   .ran = ran.jobs};
    return true;
}

bool attempts_request(struct views *v, const struct attempts_run *run, unsigned first,
                      unsigned last)
{
    struct waiter nobody = {0}; /* it is never parked */
    struct catalog_question q;

    for (unsigned n = first; n <= last; n++) {
        attempts_question(run, n, &q);
        if (catalog_peek_failure(v->config.catalog, &q) != SOURCE_FINE)
            return false;
    }
    for (unsigned n = first; n <= last; n++) {
        attempts_question(run, n, &q);
        (void)catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, &nobody, NULL);
    }
    return true;
}
