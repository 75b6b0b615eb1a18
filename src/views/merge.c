#include "views/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- which jobs are the same ------------------------------------------------------------------- */

struct item {
    const struct facts_job *job;
    size_t at; /* in its list */
    bool is_paired;
};

typedef int item_order(const void *a, const void *b);

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_id(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return x->job->id < y->job->id ? -1 : x->job->id > y->job->id;
}

/* One execution of a job is told apart from others by its name and its times. */
static int by_execution(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = strcmp(x->job->name, y->job->name);

    if (!order)
        order = compare_numbers(x->job->started_ms, y->job->started_ms);
    return order ? order : compare_numbers(x->job->completed_ms, y->job->completed_ms);
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

/* Two sets of jobs, sorted in one order. */
struct pairing {
    struct item *later, *earlier;
    size_t later_count, earlier_count;
    void (*found)(void *who, const struct item *later, const struct item *earlier);
    void *who;
};

static bool may_pair(const struct item *item, item_order *order)
{
    return !item->is_paired && (order == by_id || item->job->completed_ms != FACTS_NO_TIME);
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
            later->is_paired = earlier->is_paired = true;
            p->found(p->who, later, earlier);
            i++;
            k++;
        }
    }
}

/* Finds the jobs of the earlier list that are in the later one, under the same id or another. */
static void pair(struct pairing *p)
{
    pair_in_order(p, by_id);
    pair_in_order(p, by_execution);
}

/* --- the jobs of several lists ------------------------------------------------------------------ */

/* The steps are told by the list of the attempt that ran the job. */
static void take_carried(void *who, const struct item *later, const struct item *earlier)
{
    struct merge *m = who;

    m->is_whole = true;
    if (!later->job->step_count && earlier->job->step_count)
        m->jobs[later->at] = earlier->job;
}

/* Notes which jobs of the earlier list did not run again. There is no other sign of them than that a
 * name is missing, or is there less often. */
static void choose_missing(struct pairing *p, bool *is_missing)
{
    size_t i = 0, k = 0;

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
}

static int add_missing(struct merge *m, struct pairing *p, const struct catalog_answer *list)
{
    bool *is_missing = calloc(list->count + 1, sizeof(*is_missing));
    const struct facts_job **jobs = realloc(m->jobs, (m->count + list->count + 1) *
                                                         sizeof(struct facts_job *));

    if (jobs)
        m->jobs = jobs;
    if (!is_missing || !jobs) {
        free(is_missing);
        return -ENOMEM;
    }
    choose_missing(p, is_missing);
    for (size_t i = 0; i < list->count && m->count < CATALOG_ENTRIES_MAX; i++)
        if (is_missing[i])
            m->jobs[m->count++] = list->jobs[i];
    free(is_missing);
    return 0;
}

static int add_list(struct merge *m, const struct catalog_answer *list)
{
    struct pairing p = {.later = make_items(m->jobs, m->count),
                        .earlier = make_items(list->jobs, list->count),
                        .later_count = m->count,
                        .earlier_count = list->count,
                        .found = take_carried,
                        .who = m};
    int rc = p.later && p.earlier ? 0 : -ENOMEM;

    if (!rc) {
        pair(&p);
        if (!m->is_whole)
            rc = add_missing(m, &p, list);
    }
    free(p.later);
    free(p.earlier);
    return rc;
}

int merge_make(const struct catalog_answer *const *lists, size_t list_count,
               struct merge *ret_merge)
{
    struct merge m = {.jobs = calloc(lists[0]->count + 1, sizeof(struct facts_job *)),
                      .count = lists[0]->count};
    int rc = m.jobs ? 0 : -ENOMEM;

    if (!rc && m.count)
        memcpy(m.jobs, lists[0]->jobs, m.count * sizeof(*m.jobs));
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

static void ignore_pair(void *who, const struct item *later, const struct item *earlier)
{
    (void)who;
    (void)later;
    (void)earlier;
}

static int by_vnode(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

int merge_subtract(const struct catalog_answer *list, const struct catalog_answer *before,
                   struct merge *ret_merge)
{
    struct merge m = {.jobs = calloc(list->count + 1, sizeof(struct facts_job *))};
    struct pairing p = {.later = make_items(list->jobs, list->count),
                        .earlier = make_items(before->jobs, before->count),
                        .later_count = list->count,
                        .earlier_count = before->count,
                        .found = ignore_pair};
    bool has_memory = m.jobs && p.later && p.earlier;

    if (has_memory) {
        pair(&p);
        qsort(p.later, p.later_count, sizeof(struct item), by_vnode);
        for (size_t i = 0; i < p.later_count; i++)
            if (!p.later[i].is_paired)
                m.jobs[m.count++] = p.later[i].job;
        *ret_merge = m;
    } else {
        free(m.jobs);
    }
    free(p.later);
    free(p.earlier);
    return has_memory ? 0 : -ENOMEM;
}
