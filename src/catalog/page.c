#include "catalog/page.h"

#include "github/parse.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "ghpage1"

struct record {
    char magic[8];
    uint32_t what;
    uint32_t next_page;
    uint32_t settled;
    uint32_t reserved;
    char etag[SOURCE_ETAG_LEN];
};

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
        return rc;
    case SOURCE_RUNS:
    case SOURCE_WORKFLOW_RUNS:
        rc = parse_runs_page(body, len, &p->runs);
        p->total = p->runs.total_count;
        return rc;
    case SOURCE_WORKFLOWS:
        rc = parse_workflows_page(body, len, &p->workflows);
        p->total = p->workflows.total_count;
        return rc;
    case SOURCE_OWNER_REPOS:
    case SOURCE_MY_REPOS: return parse_repos_page(body, len, &p->repos);
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

int page_save(struct store *s, const char *key, const struct page *p, const char *body, size_t len,
              bool settled)
{
    struct record head = {.magic = MAGIC, .next_page = p->next_page, .settled = settled};
    char *data = malloc(sizeof(head) + len);
    int rc;

    if (!data)
        return -ENOMEM;
    memcpy(head.etag, p->etag, sizeof(head.etag));
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), body, len);
    rc = store_put_record(s, key, data, sizeof(head) + len);
    free(data);
    return rc;
}

/* The record with its head checked; *ret_data is malloc'd, the body begins behind the head. */
static int load_record(struct store *s, const char *key, struct record *ret_head, char **ret_data,
                       size_t *ret_body_len)
{
    void *data;
    size_t len;
    int rc = store_get_record(s, key, &data, &len);

    if (rc)
        return rc;
    if (len < sizeof(*ret_head) || memcmp(data, MAGIC, sizeof(MAGIC))) {
        free(data);
        return -ENOENT;
    }
    memcpy(ret_head, data, sizeof(*ret_head));
    ret_head->etag[sizeof(ret_head->etag) - 1] = '\0';
    *ret_data = data;
    *ret_body_len = len - sizeof(*ret_head);
    return 0;
}

int page_load(struct store *s, const char *key, enum source_question what, struct page **ret_page,
              bool *ret_settled)
{
    struct record head;
    char *data;
    size_t len;
    int rc = load_record(s, key, &head, &data, &len);

    if (rc)
        return rc;
    rc = page_parse(what, data + sizeof(head), len, head.etag, head.next_page, ret_page);
    if (!rc)
        *ret_settled = head.settled;
    free(data);
    return rc;
}

int page_load_body(struct store *s, const char *key, char **ret_body, size_t *ret_len)
{
    struct record head;
    char *data;
    size_t len;
    int rc = load_record(s, key, &head, &data, &len);

    if (rc)
        return rc;
    memmove(data, data + sizeof(head), len);
    data[len] = '\0';
    *ret_body = data;
    *ret_len = len;
    return 0;
}
