/*
 * Callers and network at random, for the sanitizers: each waiter is answered once, no listing is
 * short, no answer is freed while it is held.
 */
#include "catalog/catalog_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALLERS 4
#define ROUNDS 600
#define LISTED 150 /* jobs of a run: two pages */

struct stress;

struct caller {
    struct stress *stress;
    pthread_t thread;
    struct waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned parked, answers; /* lock */
    int err;                  /* lock */
    uint64_t chance;
    unsigned done;
};

struct stress {
    struct catalog_fixture *fixture;
    struct caller callers[CALLERS];
    atomic_uint running;
    atomic_bool broken;
    char what[128];
};

static uint64_t draw(uint64_t *chance, uint64_t below)
{
    *chance = *chance * 6364136223846793005u + 1442695040888963407u;
    return (*chance >> 33) % below;
}

static void complain(struct stress *s, const char *what)
{
    if (!atomic_exchange(&s->broken, true))
        snprintf(s->what, sizeof(s->what), "%s", what);
}

/* --- callers --- */

static void answer(struct waiter *w, int err)
{
    struct caller *a = list_entry(w, struct caller, waiter);

    pthread_mutex_lock(&a->lock);
    a->answers++;
    a->err = err;
    pthread_cond_signal(&a->answered);
    pthread_mutex_unlock(&a->lock);
}

static int wait_for_answer(struct caller *a)
{
    int err;

    pthread_mutex_lock(&a->lock);
    a->parked++;
    while (a->answers < a->parked)
        pthread_cond_wait(&a->answered, &a->lock);
    if (a->answers != a->parked)
        complain(a->stress, "a waiter was answered more than once");
    err = a->err;
    pthread_mutex_unlock(&a->lock);
    return err;
}

static void look_at(struct caller *a, const struct catalog_question *q,
                    const struct catalog_answer *answered)
{
    if (q->what == SOURCE_ATTEMPT_JOBS && answered->count != LISTED)
        complain(a->stress, "a short listing");
    if (q->what == SOURCE_JOB && (answered->count != 1 || answered->jobs[0]->id != q->id))
        complain(a->stress, "another job");
    for (size_t i = 0; i < answered->count; i++)
        if (strcmp(answered->jobs[i]->name, "build"))
            complain(a->stress, "an answer that is gone");
    a->done++;
}

static void ask(struct caller *a)
{
    struct catalog *c = a->stress->fixture->catalog;
    uint64_t id = draw(&a->chance, 5) + 1;
    struct catalog_question q = draw(&a->chance, 2) ? fixture_jobs(id) : fixture_job(id * 1000);
    const struct catalog_answer *answered;
    struct catalog_seen seen;
    int rc;

    a->waiter.began_ms = 0;
    q.may_settle = q.what == SOURCE_ATTEMPT_JOBS && draw(&a->chance, 10) == 0;
    if (draw(&a->chance, 4) == 0)
        (void)catalog_ask(c, &q, EFFORT_NETWORK, &a->waiter, NULL);
    while ((rc = catalog_ask(c, &q, EFFORT_NETWORK, &a->waiter, &answered)) == PENDING_PARKED) {
        rc = wait_for_answer(a);
        if (rc)
            break;
    }
    if (!rc) {
        look_at(a, &q, answered);
        catalog_answer_release(answered);
    }
    if (catalog_find_job(c, &fixture_repo, id * 1000 + draw(&a->chance, 100), &seen)) {
        if (strcmp(seen.job->name, "build"))
            complain(a->stress, "facts that are gone");
        catalog_seen_release(&seen);
    }
    catalog_note_used(c, &fixture_repo, id);
}

static void *run_caller(void *arg)
{
    struct caller *a = arg;

    /* What has failed is remembered: a quick reader gets the same failure many times, until the
     * network's thread has let time pass. */
    for (unsigned i = 0; (i < ROUNDS || a->done <= ROUNDS / 4) && !atomic_load(&a->stress->broken);
         i++) {
        ask(a);
        if (i >= ROUNDS)
            sched_yield();
    }
    atomic_fetch_sub(&a->stress->running, 1);
    return NULL;
}

/* --- the network --- */

static void refuse(struct catalog_fixture *b, struct fake_facts *q, uint64_t *chance)
{
    static const struct {
        int err;
        enum source_reason reason;
    } ways[] = {{-EIO, SOURCE_BROKEN},
                {-EDQUOT, SOURCE_LIMITED},
                {-ENOENT, SOURCE_NOT_FOUND},
                {-EHOSTUNREACH, SOURCE_UNREACHABLE}};
    unsigned i = (unsigned)draw(chance, 4);

    fake_refuse(&b->fake, q, ways[i].err, ways[i].reason,
                guest_now_ms() + (int64_t)draw(chance, 60));
}

static void answer_one(struct catalog_fixture *b, uint64_t *chance)
{
    static const char *const states[] = {"queued", "in_progress", "completed"};
    struct fake_facts *q = fake_try_facts(&b->fake);
    const char *status = states[draw(chance, 3)];
    unsigned before, count, next = 0;

    if (!q)
        sched_yield();
    else if (draw(chance, 16) == 0)
        refuse(b, q, chance);
    else if (q->f->question == SOURCE_JOB && q->f->etag[0] && draw(chance, 2))
        fake_answer(&b->fake, q, NULL, q->f->etag, 0);
    else if (q->f->question == SOURCE_JOB)
        fake_answer(&b->fake, q, fixture_job_body(b, q->f->id, status), "\"e\"", 0);
    else {
        before = (q->f->page - 1) * q->f->per_page;
        count = LISTED - before < q->f->per_page ? LISTED - before : q->f->per_page;
        next = before + count < LISTED ? q->f->page + 1 : 0;
        if (q->f->etag[0] && draw(chance, 2))
            fake_answer(&b->fake, q, NULL, q->f->etag, next);
        else
            fake_answer(&b->fake, q,
                        fixture_jobs_body(b, q->f->id * 1000 + before, count, LISTED, status),
                        "\"e\"", next);
    }
}

static void *run_network(void *arg)
{
    struct stress *s = arg;
    struct catalog_fixture *b = s->fixture;
    uint64_t chance = 99;

    while (atomic_load(&s->running)) {
        struct caller *a = &s->callers[draw(&chance, CALLERS)];
        answer_one(b, &chance);
        guest_pass((int64_t)draw(&chance, 4000));
        if (draw(&chance, 20) == 0) {
            uint64_t job = (draw(&chance, 5) + 1) * 1000;
            const char *body = fixture_job_body(b, job, "in_progress");
            catalog_job_learnt(b->catalog, &fixture_repo, job, body, strlen(body));
        }
        if (draw(&chance, 30) == 0 && pending_cancel(&b->waits, &a->waiter))
            answer(&a->waiter, -EINTR);
        if (draw(&chance, 60) == 0)
            waits_expire(&b->waits, guest_now_ms(), 20000);
    }
    return NULL;
}

static void callers_and_network_at_random(void **state)
{
    struct stress s = {.fixture = *state};
    pthread_t network;
    unsigned done = 0;

    atomic_init(&s.running, CALLERS);
    for (unsigned i = 0; i < CALLERS; i++) {
        struct caller *a = &s.callers[i];
        a->stress = &s;
        a->chance = i * 7919 + 1;
        a->waiter.wake = answer;
        pthread_mutex_init(&a->lock, NULL);
        pthread_cond_init(&a->answered, NULL);
    }
    assert_int_equal(pthread_create(&network, NULL, run_network, &s), 0);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&s.callers[i].thread, NULL, run_caller, &s.callers[i]), 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(s.callers[i].thread, NULL);
        done += s.callers[i].done;
    }
    pthread_join(network, NULL);
    if (atomic_load(&s.broken))
        fail_msg("%s", s.what);
    assert_true(done > CALLERS * ROUNDS / 4);
}

static void callers_and_network_at_random_over_old_records(void **state)
{
    callers_and_network_at_random(state);
    guest_pass(INT64_C(86400000));
    catalog_fixture_remount(*state);
    callers_and_network_at_random(state);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_fixture_setup, catalog_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(callers_and_network_at_random),
        WITH_BENCH(callers_and_network_at_random_over_old_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
