#include "catalog/catalog_fixture.h"

#include "catalog/internal.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct repo_name fixture_repo = {"octo", "repo"};

static void mount(struct catalog_fixture *b)
{
    struct catalog_config config = {.waits = &b->waits,
                                    .source = b->fake.source,
                                    .now_ms = guest_now_ms,
                                    .wall_ms = guest_now_ms,
                                    .fresh_ms = FRESH_MS,
                                    .patience_ms = PATIENCE_MS};

    config.store = b->store = scratch_store(b->scratch, 1 << 30);
    assert_int_equal(catalog_create(&config, &b->catalog), 0);
}

static void unmount(struct catalog_fixture *b)
{
    do {
        fake_close(&b->fake);
        fixture_pass_parser(b);
    } while (fake_count_facts(&b->fake));
    catalog_stop(b->catalog);
    assert_true(list_is_empty(&b->waits.busy));
    catalog_destroy(b->catalog);
    store_destroy(b->store);
}

void catalog_fixture_remount(struct catalog_fixture *b)
{
    unmount(b);
    mount(b);
}

int catalog_fixture_setup(void **state)
{
    struct catalog_fixture *b = calloc(1, sizeof(*b));
    void *scratch;

    if (!b || scratch_setup(&scratch))
        return -1;
    b->scratch = scratch;
    assert_int_equal(waits_init(&b->waits), 0);
    fake_source_init(&b->fake);
    mount(b);
    *state = b;
    return 0;
}

int catalog_fixture_teardown(void **state)
{
    struct catalog_fixture *b = *state;
    void *scratch = b->scratch;

    unmount(b);
    fake_source_finish(&b->fake);
    waits_finish(&b->waits);
    free(b->body);
    free(b);
    return scratch_teardown(&scratch);
}

/* --- questions and bodies --- */

struct catalog_question fixture_runs(unsigned limit)
{
    return (struct catalog_question){.what = SOURCE_RUNS, .repo = fixture_repo, .limit = limit};
}

struct catalog_question fixture_jobs(uint64_t run)
{
    return (struct catalog_question){
        .what = SOURCE_ATTEMPT_JOBS, .repo = fixture_repo, .id = run, .attempt = 1};
}

struct catalog_question fixture_job(uint64_t job)
{
    return (struct catalog_question){.what = SOURCE_JOB, .repo = fixture_repo, .id = job};
}

static FILE *open_body(struct catalog_fixture *b, size_t *len)
{
    FILE *f;

    free(b->body);
    b->body = NULL;
    f = open_memstream(&b->body, len);
    assert_non_null(f);
    return f;
}

static void write_head(FILE *f, int total, const char *items)
{
    fputc('{', f);
    if (total >= 0)
        fprintf(f, "\"total_count\":%d,", total);
    fprintf(f, "\"%s\":[", items);
}

const char *fixture_runs_body(struct catalog_fixture *b, uint64_t first, unsigned count, int total)
{
    size_t len;
    FILE *f = open_body(b, &len);

    write_head(f, total, "workflow_runs");
    for (unsigned i = 0; i < count; i++)
        fprintf(
            f,
            "%s{\"id\":%llu,\"name\":\"CI\",\"status\":\"completed\",\"conclusion\":\"success\","
            "\"run_attempt\":1,\"workflow_id\":5,\"head_branch\":\"main\","
            "\"created_at\":\"2024-01-01T00:00:00Z\"}",
            i ? "," : "", (unsigned long long)(first + i));
    fputs("]}", f);
    fclose(f);
    return b->body;
}

static void write_job(FILE *f, uint64_t job, const char *status)
{
    bool is_done = !strcmp(status, "completed");

    fprintf(f,
            "{\"id\":%llu,\"run_id\":9,\"run_attempt\":1,\"name\":\"build\",\"status\":\"%s\","
            "\"conclusion\":%s,\"completed_at\":%s,\"steps\":[]}",
            (unsigned long long)job, status, is_done ? "\"success\"" : "null",
            is_done ? "\"2024-01-01T00:00:00Z\"" : "null");
}

const char *fixture_jobs_body(struct catalog_fixture *b, uint64_t first, unsigned count, int total,
                              const char *status)
{
    size_t len;
    FILE *f = open_body(b, &len);

    write_head(f, total, "jobs");
    for (unsigned i = 0; i < count; i++) {
        if (i)
            fputc(',', f);
        write_job(f, first + i, status);
    }
    fputs("]}", f);
    fclose(f);
    return b->body;
}

const char *fixture_repos_body(struct catalog_fixture *b, uint64_t first, unsigned count)
{
    size_t len;
    FILE *f = open_body(b, &len);

    fputc('[', f);
    for (unsigned i = 0; i < count; i++)
        fprintf(f,
                "%s{\"id\":%llu,\"name\":\"r%llu\",\"full_name\":\"octo/r%llu\","
                "\"owner\":{\"login\":\"octo\"},\"pushed_at\":\"2024-01-01T00:00:00Z\"}",
                i ? "," : "", (unsigned long long)(first + i), (unsigned long long)(first + i),
                (unsigned long long)(first + i));
    fputc(']', f);
    fclose(f);
    return b->body;
}

const char *fixture_job_body(struct catalog_fixture *b, uint64_t job, const char *status)
{
    size_t len;
    FILE *f = open_body(b, &len);

    write_job(f, job, status);
    fclose(f);
    return b->body;
}

/* --- asking --- */

int fixture_ask_again(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                      const struct catalog_answer **ret_answer)
{
    return catalog_ask(b->catalog, q, EFFORT_NETWORK, &g->waiter, ret_answer);
}

int fixture_ask(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                const struct catalog_answer **ret_answer)
{
    g->waiter.began_ms = 0;
    return fixture_ask_again(b, q, g, ret_answer);
}

int fixture_wait(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                 const struct catalog_answer **ret_answer)
{
    int rc;

    do {
        rc = guest_wait(g);
        if (!rc)
            rc = fixture_ask_again(b, q, g, ret_answer);
    } while (rc == PENDING_PARKED);
    return rc;
}

int fixture_get(struct catalog_fixture *b, const struct catalog_question *q,
                const struct catalog_answer **ret_answer)
{
    struct guest g;
    int rc;

    guest_init(&g);
    rc = fixture_ask(b, q, &g, ret_answer);
    if (rc == PENDING_PARKED)
        rc = fixture_wait(b, q, &g, ret_answer);
    guest_finish(&g);
    return rc;
}

const struct catalog_answer *fixture_learn(struct catalog_fixture *b,
                                           const struct catalog_question *q, const char *body,
                                           const char *etag)
{
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), body, etag, 0);
    assert_int_equal(fixture_wait(b, q, &g, &a), 0);
    guest_finish(&g);
    return a;
}

void fixture_refuse_sizes(struct catalog_fixture *b, int err, enum source_reason reason)
{
    unsigned per_page;

    do {
        struct fake_facts *q = fake_take_facts(&b->fake);
        per_page = q->f->per_page;
        fake_refuse(&b->fake, q, err, reason, guest_now_ms() + 1000);
        fixture_pass_parser(b);
        guest_pass(1000);
        fixture_pass_parser(b);
    } while (per_page > 10);
}

size_t fixture_count(const struct catalog_answer *a)
{
    size_t count = a->count;

    catalog_answer_release(a);
    return count;
}

/* --- its thread --- */

struct marker {
    struct task task;
    sem_t run;
};

static void run_marker(struct task *task)
{
    sem_post(&list_entry(task, struct marker, task)->run);
}

void fixture_pass_parser(struct catalog_fixture *b)
{
    /* Twice: what is due lines up behind the first. */
    for (unsigned i = 0; i < 2; i++) {
        struct marker marker = {.task.run = run_marker};
        sem_init(&marker.run, 0, 0);
        tasks_post(b->catalog->parser, &marker.task);
        sem_wait(&marker.run);
        sem_destroy(&marker.run);
    }
}
