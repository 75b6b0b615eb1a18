#include "catalog/page.h"

#include "github/parse.h"
#include "store/store.h"

#include <errno.h>
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
                   p->repos.count * sizeof(struct facts_repo);

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
    return p->jobs.count + p->runs.count + p->repos.count + p->unread;
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
