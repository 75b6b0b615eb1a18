/*
 * Uploads (T6) at the end of a mount, and beside a server that fails.
 */
#include "shared/shared.h"

#include "fake_source.h"
#include "net/http_server.h"
#include "net/net.h"
#include "store/scratch.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOB 42
#define PATIENCE_MS 30000

struct fixture {
    struct scratch *scratch;
    struct store *store;
    struct http_server *server;
    struct net *net;
    struct fake_source behind;
    struct shared_location location;
    struct shared *shared;
    struct net_task busy;
    sem_t is_busy, may_go_on;
};

static const struct repo_name repo = {"octo", "repo"};

static bool answer(struct http_conn *c)
{
    http_say(c, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
    return true;
}

static enum shared_proof get_proof(void *who, const struct repo_name *name, uint64_t job)
{
    (void)who, (void)name, (void)job;
    return SHARED_PROVEN;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct net_config net = {.connections = 2,
                             .timeout_s = SHARED_TIMEOUT_S,
                             .connect_ms = SHARED_CONNECT_MS,
                             .user_agent = "test",
                             .allow_http = true};
    const struct shared_credentials nobody = {.user = ""};
    struct shared_config config = {.connections = 1, .host = "api.test", .get_proof = get_proof};
    char where[64];
    const char *reason;
    void *scratch;

    assert_int_equal(scratch_setup(&scratch), 0);
    f->scratch = scratch;
    f->store = scratch_store(f->scratch, 64u << 20);
    for (uint64_t job = JOB; job < JOB + 3; job++)
        assert_int_equal(scratch_publish(f->store, job, 100000), 0);
    f->server = http_server_start(answer);
    fake_source_init(&f->behind);
    snprintf(where, sizeof(where), "http://127.0.0.1:%u/logs", http_server_port(f->server));
    assert_int_equal(shared_location_parse(where, &f->location, &reason), 0);
    assert_int_equal(net_create(&net, &f->net), 0);
    config.behind = f->behind.source;
    config.net = f->net;
    config.location = &f->location;
    config.store = f->store;
    config.who = f;
    assert_int_equal(shared_create(&config, &nobody, &f->shared), 0);
    sem_init(&f->is_busy, 0, 0);
    sem_init(&f->may_go_on, 0, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *scratch = f->scratch;

    shared_stop(f->shared);
    shared_destroy(f->shared);
    net_destroy(f->net);
    http_server_stop(f->server);
    fake_source_finish(&f->behind);
    store_destroy(f->store);
    scratch_teardown(&scratch);
    sem_destroy(&f->is_busy);
    sem_destroy(&f->may_go_on);
    free(f);
    return 0;
}

/* Until so many logs were dropped. */
static void wait_for_dropped(struct fixture *f, uint64_t count)
{
    int64_t until_ms = net_now_ms() + PATIENCE_MS;
    struct shared_stats stats;

    do {
        assert_true(net_now_ms() < until_ms);
        sched_yield();
        shared_get_stats(f->shared, &stats);
    } while (stats.dropped < count);
    assert_int_equal(stats.dropped, count);
}

static void be_busy(struct net_task *t)
{
    struct fixture *f = list_entry(t, struct fixture, busy);

    sem_post(&f->is_busy);
    sem_wait(&f->may_go_on);
}

static void *stop(void *shared)
{
    shared_stop(shared);
    return NULL;
}

/* The upload is given up before the network thread has begun with it. */
static void an_end_comes_before_the_beginning_of_a_request(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    f->busy.run = be_busy;
    net_post(f->net, &f->busy);
    sem_wait(&f->is_busy);
    shared_note_published(f->shared, &repo, JOB);
    assert_int_equal(pthread_create(&thread, NULL, stop, f->shared), 0);
    wait_for_dropped(f, 1);
    sem_post(&f->may_go_on);
    pthread_join(thread, NULL);
}

/* T2: it is left alone with uploads, too. Those that have not begun wait. */
static void a_server_that_rests_is_not_asked_whether_it_has_a_log(void **state)
{
    struct fixture *f = *state;
    struct shared_stats stats;

    for (uint64_t job = JOB; job < JOB + 3; job++)
        shared_note_published(f->shared, &repo, job);
    wait_for_dropped(f, 1);
    shared_get_stats(f->shared, &stats);
    assert_string_equal(stats.state, "resting");
    assert_int_equal(stats.queued, 2);
    assert_int_equal(http_server_requests(f->server), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_end_comes_before_the_beginning_of_a_request, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_server_that_rests_is_not_asked_whether_it_has_a_log,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
