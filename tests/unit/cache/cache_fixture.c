#include "cache/cache_fixture.h"

#include "cache/internal.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const struct repo_name fixture_name = {"octo", "repo"}, fixture_other = {"other", "Repo"};
const struct log_hint fixture_no_hint = {.completed = false};

/* --- the writer --- */

struct probe {
    struct task task;
    sem_t run;
};

static void run_probe(struct task *task)
{
    sem_post(&list_entry(task, struct probe, task)->run);
}

static void pass_writer(struct cache_fixture *b)
{
    struct probe probe = {.task.run = run_probe};

    sem_init(&probe.run, 0, 0);
    writer_post(b->cache->writer, &probe.task);
    sem_wait(&probe.run);
    sem_destroy(&probe.run);
}

/* --- mounts --- */

void cache_fixture_mount(struct cache_fixture *b)
{
    struct cache_config config = {.waits = &b->waits,
                                  .source = b->fake.source,
                                  .now_ms = b->now_ms ? b->now_ms : guest_now_ms,
                                  .idle_max = b->idle_max};

    assert_int_equal(store_create(&b->store_config, &b->store), 0);
    config.store = b->store;
    assert_int_equal(cache_create(&config, &b->cache), 0);
}

void cache_fixture_unmount(struct cache_fixture *b)
{
    struct cache_stats stats;

    do { /* also what is planned is requested, and refused */
        fake_close(&b->fake);
        pass_writer(b);
        cache_get_stats(b->cache, &stats);
    } while (stats.fetches_running);
    cache_stop(b->cache);
    fake_turn(&b->fake);
    assert_true(list_is_empty(&b->waits.busy));
    cache_destroy(b->cache);
    store_destroy(b->store);
    fake_close(&b->fake);
    b->cache = NULL;
    b->store = NULL;
}

void cache_fixture_remount(struct cache_fixture *b)
{
    cache_fixture_unmount(b);
    cache_fixture_mount(b);
}

int cache_fixture_setup(void **state)
{
    struct cache_fixture *b = calloc(1, sizeof(*b));
    void *scratch;

    if (!b || scratch_setup(&scratch))
        return -1;
    b->scratch = scratch;
    b->idle_max = 16;
    b->store_config = (struct store_config){
        .dir = b->scratch->dir, .host = "api.test", .cache_size = GIB, .memory = 64 * MIB};
    assert_int_equal(waits_init(&b->waits), 0);
    fake_source_init(&b->fake);
    cache_fixture_mount(b);
    *state = b;
    return 0;
}

int cache_fixture_teardown(void **state)
{
    struct cache_fixture *b = *state;
    void *scratch = b->scratch;

    cache_fixture_unmount(b);
    fake_source_finish(&b->fake);
    waits_finish(&b->waits);
    free(b);
    return scratch_teardown(&scratch);
}

void cache_fixture_forget_disk(struct cache_fixture *b, uint64_t memory)
{
    cache_fixture_unmount(b);
    b->store_config.dir = NULL;
    b->store_config.memory = memory;
    cache_fixture_mount(b);
}

/* --- stat --- */

int fixture_try_stat(struct log *log, struct guest *g, struct log_stat *ret_stat)
{
    return log_get_stat(log, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, &g->waiter, ret_stat);
}

int fixture_stat_as(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                    struct log_stat *ret_stat)
{
    struct guest g;
    int rc;

    guest_init(&g);
    for (;;) {
        rc = log_get_stat(log, name, EFFORT_NETWORK, hint, &g.waiter, ret_stat);
        if (rc != PENDING_PARKED)
            break;
        rc = guest_wait(&g);
        if (rc)
            break;
    }
    guest_finish(&g);
    return rc;
}

int fixture_stat(struct log *log, struct log_stat *ret_stat)
{
    return fixture_stat_as(log, &fixture_name, &fixture_no_hint, ret_stat);
}

struct fake_want *fixture_begin(struct cache_fixture *b, struct log *log, struct guest *g)
{
    struct log_stat stat;

    assert_int_equal(fixture_try_stat(log, g, &stat), PENDING_PARKED);
    return fake_take_want(&b->fake);
}

struct log *fixture_know(struct cache_fixture *b, uint64_t job)
{
    struct log *log = cache_hold(b->cache, job);
    struct log_stat stat;
    struct guest g;

    assert_non_null(log);
    guest_init(&g);
    fake_serve(fixture_begin(b, log, &g));
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_true(stat.size == fake_job(&b->fake, job)->size);
    guest_finish(&g);
    fixture_settle(b, 0);
    return log;
}

/* --- read --- */

/* Compares each byte (S6). */
static void check_slice(const struct log_slice *s, uint64_t job)
{
    char data[64 * 1024];

    for (size_t done = 0; done < s->len;) {
        size_t part = s->len - done < sizeof(data) ? s->len - done : sizeof(data);
        ssize_t n = (ssize_t)part;
        if (s->data)
            memcpy(data, s->data + done, part);
        else
            n = pread(s->fd, data, part, (off_t)(s->offset + done));
        assert_true(n > 0);
        assert_true(fake_holds(job, s->offset + done, data, (size_t)n));
        done += (size_t)n;
    }
}

int fixture_try_read(struct log_reader *r, uint64_t job, uint64_t offset, size_t len,
                     struct guest *g, size_t *ret_len)
{
    struct log_slice slice;
    int rc = log_read(r, &fixture_name, offset, len, &g->waiter, &slice);

    if (rc)
        return rc;
    check_slice(&slice, job);
    *ret_len = slice.len;
    log_slice_done(&slice);
    return 0;
}

int fixture_read(struct log_reader *r, uint64_t job, uint64_t offset, size_t len)
{
    struct guest g;
    size_t got = 0;
    int rc;

    guest_init(&g);
    for (;;) {
        rc = fixture_try_read(r, job, offset, len, &g, &got);
        if (rc != PENDING_PARKED)
            break;
        rc = guest_wait(&g);
        if (rc)
            break;
    }
    if (!rc)
        assert_int_equal(got, len);
    guest_finish(&g);
    return rc;
}

void fixture_serve_until(struct cache_fixture *b, struct guest *g)
{
    while (!guest_is_answered(g)) {
        struct fake_want *w = fake_try_want(&b->fake);
        if (w) {
            fake_serve(w);
            continue;
        }
        pthread_mutex_lock(&b->fake.lock);
        if (list_is_empty(&b->fake.wants))
            fake_wait_a_while(&b->fake);
        pthread_mutex_unlock(&b->fake.lock);
    }
}

int fixture_read_served(struct cache_fixture *b, struct log_reader *r, uint64_t job,
                        uint64_t offset, size_t len)
{
    struct guest g;
    size_t got = 0;
    int rc;

    guest_init(&g);
    while ((rc = fixture_try_read(r, job, offset, len, &g, &got)) == PENDING_PARKED) {
        fixture_serve_until(b, &g);
        rc = guest_wait(&g);
        if (rc)
            break;
    }
    if (!rc)
        assert_int_equal(got, len);
    guest_finish(&g);
    return rc;
}

void fixture_settle(struct cache_fixture *b, unsigned wants)
{
    struct cache_stats stats;

    do {
        pass_writer(b);
        cache_get_stats(b->cache, &stats);
    } while (stats.fetches_running != wants || fake_count_wants(&b->fake) != wants);
    pass_writer(b);
}

void fixture_settle_served(struct cache_fixture *b)
{
    struct cache_stats stats;

    do {
        struct fake_want *w = fake_try_want(&b->fake);
        if (w)
            fake_serve(w);
        pthread_mutex_lock(&b->fake.lock);
        if (!w)
            fake_wait_a_while(&b->fake);
        pthread_mutex_unlock(&b->fake.lock);
        cache_get_stats(b->cache, &stats);
    } while (stats.fetches_running);
    fixture_settle(b, 0);
}
