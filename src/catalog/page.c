#include "catalog/page.h"

#include "github/parse.h"
#include "list.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- pages --- */

/* A single object becomes a list of one. */
static int parse_body(enum source_question what, const char *body, size_t len, struct page *p)
{
    int rc;

    p->total = -1;
    switch (what) {
    case SOURCE_JOB:
        p->jobs.items = calloc(1, sizeof(*p->jobs.items));
        rc = p->jobs.items ? parse_job(body, len, p->jobs.items) : -ENOMEM;
        p->jobs.count = rc ? 0 : 1;
        break;
    case SOURCE_RUN:
    case SOURCE_RUN_ATTEMPT:
        p->runs.items = calloc(1, sizeof(*p->runs.items));
        rc = p->runs.items ? parse_run(body, len, p->runs.items) : -ENOMEM;
        p->runs.count = rc ? 0 : 1;
        break;
    case SOURCE_ATTEMPT_JOBS:
        rc = parse_jobs_page(body, len, &p->jobs);
        p->total = p->jobs.total_count;
        break;
    case SOURCE_RUNS:
    case SOURCE_WORKFLOW_RUNS:
        rc = parse_runs_page(body, len, &p->runs);
        p->total = p->runs.total_count;
        break;
    case SOURCE_OWNER_REPOS:
    case SOURCE_MY_REPOS: rc = parse_repos_page(body, len, &p->repos); break;
    case SOURCE_PULL: rc = parse_pull(body, len, &p->pull); break;
    default: return -EPROTO;
    }
    p->unread = p->jobs.unread + p->runs.unread + p->repos.unread;
    p->sent = p->jobs.count + p->runs.count + p->repos.count + p->unread;
    return rc;
}

/* What is shown as a file too (job.json, run.json). */
static bool has_text(enum source_question what)
{
    return what == SOURCE_JOB || what == SOURCE_RUN || what == SOURCE_RUN_ATTEMPT;
}

int page_parse(enum source_question what, const char *body, size_t len, const char *etag,
               unsigned next_page, struct page **ret_page)
{
    struct page *p = calloc(1, sizeof(*p));
    uint32_t next = next_page;
    struct store_hasher h;
    int rc;

    if (!p)
        return -ENOMEM;
    atomic_init(&p->refs, 1);
    rc = parse_body(what, body, len, p);
    if (!rc && has_text(what)) {
        p->body = malloc(len + 1); /* no NUL may follow `body`: strndup() would not do */
        p->len = len;
        rc = p->body ? 0 : -ENOMEM;
    }
    if (!rc && p->body) {
        memcpy(p->body, body, len);
        p->body[len] = '\0';
    }
    if (rc) {
        page_unref(p);
        return rc;
    }
    p->bytes = sizeof(*p) + len + p->len + p->jobs.count * sizeof(struct facts_job) +
               p->runs.count * sizeof(struct facts_run) +
               p->repos.count * sizeof(struct facts_repo);
    for (size_t i = 0; i < p->jobs.count; i++)
        p->bytes += p->jobs.items[i].step_count * sizeof(struct facts_step);
    for (size_t i = 0; i < p->runs.count; i++)
        p->bytes += p->runs.items[i].pull_count * sizeof(uint64_t);
    p->next_page = next_page;
    snprintf(p->etag, sizeof(p->etag), "%s", etag);
    store_hasher_init(&h);
    store_hasher_update(&h, p->etag, strlen(p->etag) + 1);
    store_hasher_update(&h, &next, sizeof(next));
    store_hasher_update(&h, body, len);
    p->sum = store_hasher_digest(&h);
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
    facts_pull_finish(&p->pull);
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

struct answer *answer_create(unsigned page_capacity, unsigned page_size)
{
    struct answer *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    atomic_init(&a->refs, 1);
    a->page_size = page_size;
    a->pages = calloc(page_capacity + 1, sizeof(*a->pages));
    if (!a->pages) {
        answer_unref(a);
        return NULL;
    }
    return a;
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

/*
 * While pages are requested, new runs may push old ones from one page to the next, so that one
 * comes twice. The first of each id is taken: these are the ids so far, while an answer is
 * indexed.
 */
struct ids {
    uint64_t *sorted;
    size_t count;
};

static bool ids_add(struct ids *ids, uint64_t id)
{
    size_t at = ids->count;

    while (at > 0 && ids->sorted[at - 1] > id)
        at--;
    if (at > 0 && ids->sorted[at - 1] == id)
        return false;
    memmove(ids->sorted + at + 1, ids->sorted + at, (ids->count++ - at) * sizeof(id));
    ids->sorted[at] = id;
    return true;
}

static void add_page(struct catalog_answer *v, const struct page *p, size_t limit, struct ids *ids)
{
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

int answer_index(struct answer *a, unsigned limit)
{
    size_t jobs = 0, runs = 0, repos = 0;
    struct catalog_answer *v = &a->view;
    struct ids ids = {0};
    int rc = -ENOMEM;

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
    if (a->page_count && a->pages[0]->pull.number)
        v->pull = &a->pages[0]->pull;
    ids.sorted = calloc(jobs + runs + repos + 1, sizeof(*ids.sorted));
    if (ids.sorted && (v->jobs || !jobs) && (v->runs || !runs) && (v->repos || !repos)) {
        for (unsigned i = 0; i < a->page_count; i++)
            add_page(v, a->pages[i], limit ? limit : CATALOG_ENTRIES_MAX, &ids);
        rc = 0;
    }
    free(ids.sorted);
    return rc;
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

const struct catalog_answer *catalog_answer_select(const struct catalog_answer *const *from,
                                                   size_t from_count,
                                                   const struct facts_job *const *jobs,
                                                   size_t count)
{
    unsigned page_count = 0;
    struct answer *a;

    for (size_t i = 0; i < from_count; i++)
        page_count += answer_of(from[i])->page_count;
    a = answer_create(page_count, 0);
    if (!a)
        return NULL;
    a->view.jobs = calloc(count + 1, sizeof(*a->view.jobs));
    if (!a->view.jobs) {
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

bool catalog_find_in(const struct catalog_answer *jobs, uint64_t job, struct catalog_seen *ret_seen)
{
    const struct answer *a = answer_of(jobs);
    const struct facts_job *found = NULL;
    unsigned n = 0;

    for (size_t i = 0; i < jobs->count && !found; i++)
        if (jobs->jobs[i]->id == job)
            found = jobs->jobs[i];
    if (!found)
        return false;
    while (found < a->pages[n]->jobs.items ||
           found >= a->pages[n]->jobs.items + a->pages[n]->jobs.count)
        n++;
    *ret_seen = (struct catalog_seen){.job = found, .held = page_ref(a->pages[n])};
    return true;
}

bool answer_has_ended(enum source_question what, const struct answer *a, int64_t now_ms)
{
    const struct catalog_answer *v = &a->view;

    if (what == SOURCE_RUN_ATTEMPT)
        return v->count && v->runs[0]->status == FACTS_COMPLETED;
    if (what != SOURCE_JOB && what != SOURCE_ATTEMPT_JOBS)
        return false;
    for (size_t i = 0; i < v->count; i++)
        if (!facts_is_settled(v->jobs[i], now_ms))
            return false;
    return v->count > 0;
}

/* GitHub's search gives so many and no more, whatever it counts. */
#define SEARCHED_MAX 1000

/*
 * A list of runs is cut at `limit`, and its runs move from page to page while it is requested, so
 * it is enough to have as many. All others are wanted whole: each entry once, as many as each page
 * says. Lists of repositories have no count.
 */
bool answer_adds_up(const struct answer *a, const struct catalog_question *q)
{
    bool is_searched = q->what == SOURCE_WORKFLOW_RUNS || q->filter[0];
    bool is_cut = q->what == SOURCE_RUNS || q->what == SOURCE_WORKFLOW_RUNS;
    uint64_t want = q->limit ? q->limit : CATALOG_ENTRIES_MAX, sent = 0;
    int64_t total = a->pages[0]->total;

    if (has_text(q->what) || q->what == SOURCE_PULL)
        return true;
    for (unsigned i = 0; i < a->page_count; i++) {
        sent += a->pages[i]->sent;
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

/* --- records --- */

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

int page_save(const struct page *p, struct store *s, const char *key, const char *body, size_t len)
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

/* The saved list, malloc'd; NULL: none that holds. */
static struct list_record *load_list(struct store *s, const char *key)
{
    struct list_record *r;
    void *data;
    size_t len;

    if (store_get_record(s, key, &data, &len))
        return NULL;
    r = data;
    if (len >= sizeof(*r) && !memcmp(r->magic, LIST_MAGIC, sizeof(r->magic)) && r->page_count > 0 &&
        r->page_count <= PAGES_MAX && len == sizeof(*r) + r->page_count * sizeof(r->sums[0]))
        return r;
    free(data);
    return NULL;
}

int answer_save(const struct answer *a, struct store *s, const char *key)
{
    size_t len = sizeof(struct list_record) + a->page_count * sizeof(uint64_t);
    struct list_record *r = calloc(1, len), *before;
    char name[KEY_LEN];
    int rc;

    if (!r)
        return -ENOMEM;
    memcpy(r->magic, LIST_MAGIC, sizeof(r->magic));
    r->page_count = a->page_count;
    r->page_size = a->page_size;
    r->settled = a->view.settled;
    r->adds_up = a->adds_up;
    for (unsigned i = 0; i < a->page_count; i++)
        r->sums[i] = a->pages[i]->sum;
    before = load_list(s, key);
    rc = store_put_record(s, key, r, len);
    for (uint32_t i = 0; before && !rc && i < before->page_count; i++) {
        uint32_t k = 0;
        while (k < r->page_count && r->sums[k] != before->sums[i])
            k++;
        if (k < r->page_count)
            continue;
        page_key(key, before->sums[i], name);
        store_drop_record(s, name);
    }
    free(before);
    free(r);
    return rc;
}

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

int answer_load(struct store *s, const char *key, enum source_question what,
                struct answer **ret_answer)
{
    struct list_record *r = load_list(s, key);
    struct answer *a = r ? answer_create(r->page_count, r->page_size) : NULL;
    int rc = a ? 0 : r ? -ENOMEM : -ENOENT;

    while (!rc && a->page_count < r->page_count) {
        rc = load_page(s, key, r->sums[a->page_count], what, &a->pages[a->page_count]);
        if (!rc)
            a->page_count++;
    }
    if (rc) {
        answer_unref(a);
    } else {
        a->adds_up = r->adds_up;
        a->view.settled = r->settled && r->adds_up;
        *ret_answer = a;
    }
    free(r);
    return rc;
}

int page_load_body(struct store *s, const char *key, unsigned n, char **ret_body, size_t *ret_len)
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
