/*
 * Any body, as each kind that is asked for: no crash, no leak, and what is taken keeps the promises
 * of facts.h. The first byte chooses which id is printed of a page.
 */
#include "github/parse.h"
#include "name.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_id(uint64_t id, int may_be_unsaid)
{
    check(id <= NAME_ID_MAX && (id >= 1 || may_be_unsaid));
}

static void check_text(const char *text)
{
    check(text && strlen(text) <= PARSE_TEXT_MAX);
}

static void check_job(const struct facts_job *job)
{
    check_id(job->id, 0);
    check_id(job->run_id, 1);
    check(job->attempt >= 1 && job->step_count <= PARSE_STEPS_MAX);
    check_text(job->name);
    check_text(job->status_text);
    check_text(job->conclusion_text);
    check_text(job->head_sha);
    check_text(job->html_url);
    check(job->created_ms >= FACTS_NO_TIME && job->completed_ms >= FACTS_NO_TIME);
    for (size_t i = 0; i < job->step_count; i++)
        check_text(job->steps[i].name);
}

static void check_run(const struct facts_run *run)
{
    check_id(run->id, 0);
    check_id(run->workflow_id, 1);
    check_id(run->repo_id, 1);
    check_id(run->head_repo_id, 1);
    check(run->attempt >= 1 && run->updated_ms >= FACTS_NO_TIME);
    check_text(run->name);
    check_text(run->head_branch);
    check_text(run->head_sha);
    check(run->pull_count <= PARSE_PULLS_MAX);
    for (size_t i = 0; i < run->pull_count; i++)
        check_id(run->pulls[i], 0);
    check_text(run->path);
    check_text(run->head_repo_owner);
}

static void check_repo(const struct facts_repo *repo)
{
    check_id(repo->id, 1);
    check_text(repo->owner);
    check_text(repo->name);
    check(*repo->owner && *repo->name);
}

static void try_one(const char *body, size_t len)
{
    struct facts_job job;
    struct facts_run run;
    struct facts_pull pull;

    if (parse_pull(body, len, &pull) == 0) {
        check_id(pull.number, 0);
        check_text(pull.head_sha);
        check(*pull.head_sha);
        facts_pull_finish(&pull);
    }
    if (parse_job(body, len, &job) == 0) {
        check_job(&job);
        facts_job_finish(&job);
    }
    if (parse_run(body, len, &run) == 0) {
        check_run(&run);
        facts_run_finish(&run);
    }
}

/* What is printed of an element is a body of its kind again, with the same id. */
static void try_print(const char *body, size_t len, uint64_t id)
{
    struct facts_job job;
    size_t text_len;
    char *text;

    if (parse_print(body, len, PARSE_JOBS, id, &text, &text_len) == 0) {
        check(strlen(text) == text_len && text[text_len - 1] == '\n');
        check(parse_job(text, text_len, &job) == 0 && job.id == id);
        facts_job_finish(&job);
        free(text);
    }
    if (parse_print(body, len, PARSE_RUNS, id, &text, &text_len) == 0)
        free(text);
}

static void try_pages(const char *body, size_t len, size_t which)
{
    struct facts_job_list jobs;
    struct facts_run_list runs;
    struct facts_repo_list repos;

    if (parse_jobs_page(body, len, &jobs) == 0) {
        check(jobs.count <= PARSE_ITEMS_MAX && jobs.total_count >= -1);
        for (size_t i = 0; i < jobs.count; i++)
            check_job(&jobs.items[i]);
        if (jobs.count)
            try_print(body, len, jobs.items[which % jobs.count].id);
        facts_job_list_finish(&jobs);
    }
    if (parse_runs_page(body, len, &runs) == 0) {
        for (size_t i = 0; i < runs.count; i++)
            check_run(&runs.items[i]);
        facts_run_list_finish(&runs);
    }
    if (parse_repos_page(body, len, &repos) == 0) {
        for (size_t i = 0; i < repos.count; i++)
            check_repo(&repos.items[i]);
        facts_repo_list_finish(&repos);
    }
}

static void try_quota(const char *body, size_t len)
{
    struct facts_quota quota;

    if (parse_quota(body, len, &quota) == 0)
        check(quota.limit >= -1 && quota.remaining >= -1 && quota.reset_s >= -1);
}

static void try_message(const char *body, size_t len)
{
    struct parse_error error;

    parse_error_message(body, len, &error);
    check(memchr(error.message, 0, sizeof(error.message)) != NULL);
    for (const char *c = error.message; *c; c++)
        check(*c >= 0x20 && *c < 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body;

    if (size < 2)
        return 0;
    /* A copy of exactly its length: a read past it is seen. */
    body = malloc(size - 1);
    check(body != NULL);
    memcpy(body, data + 1, size - 1);
    try_one(body, size - 1);
    try_pages(body, size - 1, data[0]);
    try_message(body, size - 1);
    try_quota(body, size - 1);
    free(body);
    return 0;
}
