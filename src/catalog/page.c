#include "catalog/page.h"

#include "github/parse.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A single object becomes a list of one. */
static int parse_one_job(const char *body, size_t len, struct facts_job_list *list)
{
    struct facts_job *job = calloc(1, sizeof(*job));
    int rc = job ? parse_job(body, len, job) : -ENOMEM;

    if (rc) {
        free(job);
        return rc;
    }
    list->items = job;
    list->count = 1;
    return 0;
}

static int parse_one_run(const char *body, size_t len, struct facts_run_list *list)
{
    struct facts_run *run = calloc(1, sizeof(*run));
    int rc = run ? parse_run(body, len, run) : -ENOMEM;

    if (rc) {
        free(run);
        return rc;
    }
    list->items = run;
    list->count = 1;
    return 0;
}

static bool is_single(enum source_question what)
{
    return what == SOURCE_JOB || what == SOURCE_RUN || what == SOURCE_RUN_ATTEMPT;
}

static int parse_listing(enum source_question what, const char *body, size_t len, struct page *p)
{
    int rc;

    switch (what) {
    case SOURCE_RUN_JOBS:
    case SOURCE_ATTEMPT_JOBS:
        rc = parse_jobs_page(body, len, &p->jobs);
        p->total = p->jobs.total_count;
        p->unread = p->jobs.unread;
        return rc;
    case SOURCE_RUNS:
    case SOURCE_WORKFLOW_RUNS:
        rc = parse_runs_page(body, len, &p->runs);
        p->total = p->runs.total_count;
        p->unread = p->runs.unread;
        return rc;
    case SOURCE_WORKFLOWS:
        rc = parse_workflows_page(body, len, &p->workflows);
        p->total = p->workflows.total_count;
        p->unread = p->workflows.unread;
        return rc;
    case SOURCE_OWNER_REPOS:
    case SOURCE_MY_REPOS:
        rc = parse_repos_page(body, len, &p->repos);
        p->unread = p->repos.unread;
        return rc;
    default: return -EPROTO;
    }
}

static int parse_body(enum source_question what, const char *body, size_t len, struct page *p)
{
    p->total = -1;
    switch (what) {
    case SOURCE_JOB: return parse_one_job(body, len, &p->jobs);
    case SOURCE_RUN:
    case SOURCE_RUN_ATTEMPT: return parse_one_run(body, len, &p->runs);
    default: return parse_listing(what, body, len, p);
    }
}

/* A text of its own from bytes that no NUL follows. */
static char *copy_body(const char *body, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, body, len);
    copy[len] = '\0';
    return copy;
}

static size_t measure(const struct page *p, size_t len)
{
    size_t bytes = sizeof(*p) + len + p->len + p->jobs.count * sizeof(struct facts_job) +
                   p->runs.count * sizeof(struct facts_run) +
                   p->repos.count * sizeof(struct facts_repo) +
                   p->workflows.count * sizeof(struct facts_workflow);

    for (size_t i = 0; i < p->jobs.count; i++)
        bytes += p->jobs.items[i].step_count * sizeof(struct facts_step);
    return bytes;
}

static uint64_t checksum(const struct page *p, const char *body, size_t len)
{
    uint32_t next_page = p->next_page;
    struct store_hasher h;

    store_hasher_init(&h);
    store_hasher_update(&h, p->etag, strlen(p->etag) + 1);
    store_hasher_update(&h, &next_page, sizeof(next_page));
    store_hasher_update(&h, body, len);
    return store_hasher_digest(&h);
}

size_t page_count_sent(const struct page *p)
{
    return p->jobs.count + p->runs.count + p->repos.count + p->workflows.count + p->unread;
}

int page_parse(enum source_question what, const char *body, size_t len, const char *etag,
               unsigned next_page, struct page **ret_page)
{
    struct page *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return -ENOMEM;
    atomic_init(&p->refs, 1);
    rc = parse_body(what, body, len, p);
    if (!rc && is_single(what)) {
        p->body = copy_body(body, len);
        p->len = len;
        rc = p->body ? 0 : -ENOMEM;
    }
    if (rc) {
        page_unref(p);
        return rc;
    }
    p->bytes = measure(p, len);
    p->next_page = next_page;
    snprintf(p->etag, sizeof(p->etag), "%s", etag);
    p->sum = checksum(p, body, len);
    *ret_page = p;
    return 0;
}

struct page *page_ref(struct page *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void page_unref(struct page *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    if (p->charge)
        atomic_fetch_sub(p->charge, p->bytes);
    facts_job_list_finish(&p->jobs);
    facts_run_list_finish(&p->runs);
    facts_repo_list_finish(&p->repos);
    facts_workflow_list_finish(&p->workflows);
    free(p->body);
    free(p);
}

void page_charge(struct page *p, atomic_size_t *sum)
{
    if (p->charge)
        return;
    p->charge = sum;
    atomic_fetch_add(sum, p->bytes);
}

/* --- snapshots --- */

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
    free(a->view.workflows);
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
    for (size_t i = 0; i < p->workflows.count && v->count < limit; i++)
        if (ids_add(ids, p->workflows.items[i].id))
            v->workflows[v->count++] = &p->workflows.items[i];
    for (size_t i = 0; i < p->repos.count && v->count < limit; i++)
        if (!p->repos.items[i].id || ids_add(ids, p->repos.items[i].id))
            v->repos[v->count++] = &p->repos.items[i];
}

/* Arrays for what the pages have, all of one kind; those of the other kinds stay NULL. Returns how
 * many entries there are; *ret_made is false where there is no memory. */
static size_t make_room(struct answer *a, bool *ret_made)
{
    struct catalog_answer *v = &a->view;
    size_t jobs = 0, runs = 0, repos = 0, workflows = 0;

    for (unsigned i = 0; i < a->page_count; i++) {
        jobs += a->pages[i]->jobs.count;
        runs += a->pages[i]->runs.count;
        repos += a->pages[i]->repos.count;
        workflows += a->pages[i]->workflows.count;
    }
    if (jobs)
        v->jobs = calloc(jobs, sizeof(*v->jobs));
    if (runs)
        v->runs = calloc(runs, sizeof(*v->runs));
    if (repos)
        v->repos = calloc(repos, sizeof(*v->repos));
    if (workflows)
        v->workflows = calloc(workflows, sizeof(*v->workflows));
    *ret_made = (v->jobs || !jobs) && (v->runs || !runs) && (v->repos || !repos) &&
                (v->workflows || !workflows);
    return jobs + runs + repos + workflows;
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
    case SOURCE_RUN_JOBS:
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

/* --- on disk --- */

#define LIST_MAGIC "ghlist1"
#define PAGE_MAGIC "ghpage2"
#define KEY_LEN 1024

struct list_record {
    char magic[8];
    uint32_t page_count, page_size, settled, adds_up;
    uint64_t sums[];
};

struct page_record {
    char magic[8];
    uint32_t next_page;
    uint32_t reserved;
    char etag[SOURCE_ETAG_LEN];
};

static void page_key(const char *key, uint64_t sum, char ret_key[KEY_LEN])
{
    snprintf(ret_key, KEY_LEN, "%s/%016" PRIx64, key, sum);
}

/* --- saving --- */

int saved_put_page(struct store *s, const char *key, const struct page *p, const char *body,
                   size_t len)
{
    struct page_record head = {.magic = PAGE_MAGIC, .next_page = p->next_page};
    char *data = malloc(sizeof(head) + len), name[KEY_LEN];
    int rc;

    if (!data)
        return -ENOMEM;
    memcpy(head.etag, p->etag, sizeof(head.etag));
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), body, len);
    page_key(key, p->sum, name);
    rc = store_put_record(s, name, data, sizeof(head) + len);
    free(data);
    return rc;
}

/* The list that is there, malloc'd; NULL: none that holds. */
static struct list_record *load_list(struct store *s, const char *key)
{
    struct list_record *r;
    void *data;
    size_t len;

    if (store_get_record(s, key, &data, &len))
        return NULL;
    r = data;
    if (len >= sizeof(*r) && !memcmp(r->magic, LIST_MAGIC, sizeof(r->magic)) && r->page_count > 0 &&
        r->page_count <= SAVED_PAGES_MAX && len == sizeof(*r) + r->page_count * sizeof(r->sums[0]))
        return r;
    free(data);
    return NULL;
}

static bool has_sum(const struct list_record *r, uint64_t sum)
{
    for (uint32_t i = 0; i < r->page_count; i++)
        if (r->sums[i] == sum)
            return true;
    return false;
}

int saved_put_list(struct store *s, const char *key, const struct saved_list *list)
{
    size_t len = sizeof(struct list_record) + list->page_count * sizeof(uint64_t);
    struct list_record *r = calloc(1, len), *before;
    char name[KEY_LEN];
    int rc;

    if (!r)
        return -ENOMEM;
    memcpy(r->magic, LIST_MAGIC, sizeof(r->magic));
    r->page_count = list->page_count;
    r->page_size = list->page_size;
    r->settled = list->settled;
    r->adds_up = list->adds_up;
    for (unsigned i = 0; i < list->page_count; i++)
        r->sums[i] = list->pages[i]->sum;
    before = load_list(s, key);
    rc = store_put_record(s, key, r, len);
    for (uint32_t i = 0; before && !rc && i < before->page_count; i++) {
        if (has_sum(r, before->sums[i]))
            continue;
        page_key(key, before->sums[i], name);
        store_drop_record(s, name);
    }
    free(before);
    free(r);
    return rc;
}

/* --- loading --- */

/* The record with its head checked; *ret_data is malloc'd, the body begins behind the head. */
static int load_page_record(struct store *s, const char *key, uint64_t sum,
                            struct page_record *ret_head, char **ret_data, size_t *ret_body_len)
{
    char name[KEY_LEN];
    void *data;
    size_t len;
    int rc;

    page_key(key, sum, name);
    rc = store_get_record(s, name, &data, &len);
    if (rc)
        return rc;
    if (len < sizeof(*ret_head) || memcmp(data, PAGE_MAGIC, sizeof(ret_head->magic))) {
        free(data);
        return -ENOENT;
    }
    memcpy(ret_head, data, sizeof(*ret_head));
    ret_head->etag[sizeof(ret_head->etag) - 1] = '\0';
    *ret_data = data;
    *ret_body_len = len - sizeof(*ret_head);
    return 0;
}

static int load_page(struct store *s, const char *key, uint64_t sum, enum source_question what,
                     struct page **ret_page)
{
    struct page_record head;
    struct page *p;
    char *data;
    size_t len;
    int rc = load_page_record(s, key, sum, &head, &data, &len);

    if (rc)
        return rc;
    rc = page_parse(what, data + sizeof(head), len, head.etag, head.next_page, &p);
    free(data);
    if (rc)
        return rc;
    if (p->sum != sum) {
        page_unref(p);
        return -ENOENT;
    }
    *ret_page = p;
    return 0;
}

int saved_load(struct store *s, const char *key, enum source_question what,
               struct page *pages[SAVED_PAGES_MAX], struct saved_list *ret_list)
{
    struct list_record *r = load_list(s, key);
    unsigned count = 0;
    int rc = 0;

    if (!r)
        return -ENOENT;
    while (count < r->page_count && !rc) {
        rc = load_page(s, key, r->sums[count], what, &pages[count]);
        if (!rc)
            count++;
    }
    if (rc) {
        while (count > 0)
            page_unref(pages[--count]);
    } else {
        *ret_list = (struct saved_list){.pages = pages,
                                        .page_count = count,
                                        .page_size = r->page_size,
                                        .settled = r->settled && r->adds_up,
                                        .adds_up = r->adds_up};
    }
    free(r);
    return rc;
}

int saved_load_body(struct store *s, const char *key, unsigned n, char **ret_body, size_t *ret_len)
{
    struct list_record *r = load_list(s, key);
    struct page_record head;
    char *data;
    size_t len;
    int rc = -ENOENT;

    if (r && n < r->page_count)
        rc = load_page_record(s, key, r->sums[n], &head, &data, &len);
    free(r);
    if (rc)
        return rc;
    memmove(data, data + sizeof(head), len);
    data[len] = '\0';
    *ret_body = data;
    *ret_len = len;
    return 0;
}
