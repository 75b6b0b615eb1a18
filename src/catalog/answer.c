#include "catalog/entry.h"

#include <stdlib.h>
#include <string.h>

static struct answer *answer_of(const struct catalog_answer *view)
{
    return list_entry((void *)(uintptr_t)view, struct answer, view);
}

void answer_unref(struct answer *a)
{
    if (!a || atomic_fetch_sub(&a->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < a->page_count; i++)
        page_unref(a->pages[i]);
    free(a->pages);
    free(a->view.jobs);
    free(a->view.runs);
    free(a->view.repos);
    free(a);
}

const struct catalog_answer *catalog_answer_hold(const struct catalog_answer *view)
{
    atomic_fetch_add(&answer_of(view)->refs, 1);
    return view;
}

void catalog_answer_release(const struct catalog_answer *view)
{
    if (view)
        answer_unref(answer_of(view));
}

/* The page that one of the answer's jobs is on. */
static struct page *page_of(const struct answer *a, const struct facts_job *job)
{
    unsigned i = 0;

    while (job < a->pages[i]->jobs.items ||
           job >= a->pages[i]->jobs.items + a->pages[i]->jobs.count)
        i++;
    return a->pages[i];
}

bool catalog_find_in(const struct catalog_answer *jobs, uint64_t job, struct catalog_seen *ret_seen)
{
    struct page *p;

    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->jobs[i]->id != job)
            continue;
        p = page_of(answer_of(jobs), jobs->jobs[i]);
        *ret_seen = (struct catalog_seen){.job = jobs->jobs[i], .held = page_ref(p)};
        return true;
    }
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/*
 * While pages are asked, new runs may push old ones from one page to the next, so that one comes
 * twice. The first of each id is taken: these are the ids so far, while an answer is made.
 */
struct ids {
    uint64_t *sorted;
    size_t count;
};

static bool ids_add(struct ids *ids, uint64_t id)
{
    size_t at = ids->count;

    if (bsearch(&id, ids->sorted, ids->count, sizeof(id), compare_ids))
        return false;
    while (at > 0 && ids->sorted[at - 1] > id) {
        ids->sorted[at] = ids->sorted[at - 1];
        at--;
    }
    ids->sorted[at] = id;
    ids->count++;
    return true;
}

static void add_page(struct answer *a, const struct page *p, size_t limit, struct ids *ids)
{
    struct catalog_answer *v = &a->view;

    for (size_t i = 0; i < p->jobs.count && v->count < limit; i++)
        if (ids_add(ids, p->jobs.items[i].id))
            v->jobs[v->count++] = &p->jobs.items[i];
    for (size_t i = 0; i < p->runs.count && v->count < limit; i++)
        if (ids_add(ids, p->runs.items[i].id))
            v->runs[v->count++] = &p->runs.items[i];
    for (size_t i = 0; i < p->repos.count && v->count < limit; i++)
        if (!p->repos.items[i].id || ids_add(ids, p->repos.items[i].id))
            v->repos[v->count++] = &p->repos.items[i];
}

/* Arrays for what the pages have, all of one kind; those of the other kinds stay NULL. Returns how
 * many entries there are; *ret_made is false where there is no memory. */
static size_t make_room(struct answer *a, bool *ret_made)
{
    struct catalog_answer *v = &a->view;
    size_t jobs = 0, runs = 0, repos = 0;

    for (unsigned i = 0; i < a->page_count; i++) {
        jobs += a->pages[i]->jobs.count;
        runs += a->pages[i]->runs.count;
        repos += a->pages[i]->repos.count;
    }
    if (jobs)
        v->jobs = calloc(jobs, sizeof(*v->jobs));
    if (runs)
        v->runs = calloc(runs, sizeof(*v->runs));
    if (repos)
        v->repos = calloc(repos, sizeof(*v->repos));
    *ret_made = (v->jobs || !jobs) && (v->runs || !runs) && (v->repos || !repos);
    return jobs + runs + repos;
}

struct answer *answer_create(struct page *const *pages, unsigned page_count, unsigned limit)
{
    struct answer *a = calloc(1, sizeof(*a));
    struct ids ids = {0};
    bool made;

    if (!a)
        goto out_pages;
    atomic_init(&a->refs, 1);
    a->pages = calloc(page_count, sizeof(struct page *));
    if (!a->pages)
        goto out_answer;
    for (; a->page_count < page_count; a->page_count++)
        a->pages[a->page_count] = pages[a->page_count];
    page_count = 0; /* they are the answer's now */
    ids.sorted = calloc(make_room(a, &made) + 1, sizeof(uint64_t));
    if (!made || !ids.sorted)
        goto out_answer;
    for (unsigned i = 0; i < a->page_count; i++)
        add_page(a, a->pages[i], limit ? limit : CATALOG_ENTRIES_MAX, &ids);
    free(ids.sorted);
    return a;

out_answer:
    free(ids.sorted);
    answer_unref(a);
out_pages:
    for (unsigned i = 0; i < page_count; i++)
        page_unref(pages[i]);
    return NULL;
}

const struct catalog_answer *catalog_answer_select(const struct catalog_answer *const *from,
                                                   size_t from_count,
                                                   const struct facts_job *const *jobs,
                                                   size_t count)
{
    struct answer *a = calloc(1, sizeof(*a));
    size_t page_count = 0;

    if (!a)
        return NULL;
    atomic_init(&a->refs, 1);
    for (size_t i = 0; i < from_count; i++)
        page_count += answer_of(from[i])->page_count;
    a->pages = calloc(page_count + 1, sizeof(struct page *));
    a->view.jobs = calloc(count + 1, sizeof(*a->view.jobs));
    if (!a->pages || !a->view.jobs) {
        answer_unref(a);
        return NULL;
    }
    for (size_t i = 0; i < from_count; i++)
        for (unsigned k = 0; k < answer_of(from[i])->page_count; k++)
            a->pages[a->page_count++] = page_ref(answer_of(from[i])->pages[k]);
    for (size_t i = 0; i < count; i++)
        a->view.jobs[i] = jobs[i];
    a->view.count = count;
    return &a->view;
}

bool answer_has_ended(enum source_question what, const struct catalog_answer *view, int64_t now_ms)
{
    if (!view->count)
        return false;
    switch (what) {
    case SOURCE_JOB:
    case SOURCE_ATTEMPT_JOBS:
        for (size_t i = 0; i < view->count; i++)
            if (!facts_is_settled(view->jobs[i], now_ms))
                return false;
        return true;
    case SOURCE_RUN_ATTEMPT: return view->runs[0]->status == FACTS_COMPLETED;
    default: return false;
    }
}

/* GitHub's search gives so many and no more, whatever it counts. */
#define SEARCHED_MAX 1000

/*
 * A list of runs is cut at `limit`, and its runs move from page to page while it is asked for, so it is
 * enough to have as many. All others are wanted whole: each entry once, as many as each page says.
 * Lists of repositories have no count.
 */
bool answer_adds_up(const struct answer *a, const struct catalog_question *q)
{
    bool is_searched = q->what == SOURCE_WORKFLOW_RUNS || q->filter[0];
    uint64_t want = q->limit ? q->limit : CATALOG_ENTRIES_MAX, sent = 0;
    bool is_cut = q->what == SOURCE_RUNS || q->what == SOURCE_WORKFLOW_RUNS;
    int64_t total = a->pages[0]->total;

    if (q->what == SOURCE_JOB || q->what == SOURCE_RUN || q->what == SOURCE_RUN_ATTEMPT)
        return true;
    for (unsigned i = 0; i < a->page_count; i++) {
        sent += page_count_sent(a->pages[i]);
        if (a->pages[i]->unread || (!is_cut && a->pages[i]->total != total))
            return false;
    }
    if (q->what == SOURCE_OWNER_REPOS || q->what == SOURCE_MY_REPOS)
        return true;
    if (total < 0)
        return false;
    if (is_searched && want > SEARCHED_MAX)
        want = SEARCHED_MAX;
    if (a->view.count >= want)
        return true;
    return is_cut ? a->view.count >= (uint64_t)total
                  : a->view.count == (uint64_t)total && sent == (uint64_t)total;
}
