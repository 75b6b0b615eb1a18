/*
 * Many threads at random: readers who look, open, read, close and are cancelled; a network that
 * delivers, stalls and fails. Each waiter is answered once, each byte that is answered is right.
 * Meant for ThreadSanitizer and AddressSanitizer.
 */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define READERS 4
#define ROUNDS 250
#define JOBS 12

struct stress;

struct reader {
    struct stress *stress;
    pthread_t thread;
    struct waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned parked, answers; /* lock */
    int err;                  /* lock */
    uint64_t chance;
    unsigned done; /* reads that returned bytes */
};

struct stress {
    struct cache_fixture *fixture;
    struct reader readers[READERS];
    atomic_uint running; /* readers that have not finished */
    atomic_bool broken;
    char what[128]; /* the first thing that went wrong */
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

/* --- readers --- */

static void answer(struct waiter *w, int err)
{
    struct reader *r = list_entry(w, struct reader, waiter);

    pthread_mutex_lock(&r->lock);
    r->answers++;
    r->err = err;
    pthread_cond_signal(&r->answered);
    pthread_mutex_unlock(&r->lock);
}

static int wait_for_answer(struct reader *r)
{
    int err;

    pthread_mutex_lock(&r->lock);
    r->parked++;
    while (r->answers < r->parked)
        pthread_cond_wait(&r->answered, &r->lock);
    if (r->answers != r->parked)
        complain(r->stress, "a waiter was answered more than once");
    err = r->err;
    pthread_mutex_unlock(&r->lock);
    return err;
}

static const struct repo_name *any_name(struct reader *r)
{
    return draw(&r->chance, 8) ? &fixture_name : &fixture_other;
}

static int look(struct reader *r, struct log *log, const struct repo_name *name,
                struct log_stat *ret_stat)
{
    struct log_hint hint = {.completed = draw(&r->chance, 2)};
    int rc;

    if (draw(&r->chance, 10) == 0)
        log_get_stat(log, name, EFFORT_NETWORK, &hint, NULL, ret_stat);
    while ((rc = log_get_stat(log, name, EFFORT_NETWORK, &hint, &r->waiter, ret_stat)) ==
           PENDING_PARKED) {
        rc = wait_for_answer(r);
        if (rc)
            break;
    }
    return rc;
}

static void check(struct reader *r, const struct log_slice *slice, uint64_t job)
{
    char data[8192];

    for (size_t done = 0; done < slice->len;) {
        size_t part = slice->len - done < sizeof(data) ? slice->len - done : sizeof(data);
        ssize_t n = (ssize_t)part;
        if (slice->data)
            memcpy(data, slice->data + done, part);
        else
            n = pread(slice->fd, data, part, (off_t)(slice->offset + done));
        if (n <= 0 || !fake_holds(job, slice->offset + done, data, (size_t)n)) {
            complain(r->stress, "wrong bytes");
            return;
        }
        done += (size_t)n;
    }
}

static void read_some(struct reader *r, struct log_reader *reader, const struct repo_name *name,
                      uint64_t job, uint64_t size)
{
    uint64_t offset = draw(&r->chance, size + 1);
    size_t len = (size_t)draw(&r->chance, 200000) + 1;
    struct log_slice slice;
    int rc;

    while ((rc = log_read(reader, name, offset, len, &r->waiter, &slice)) == PENDING_PARKED) {
        rc = wait_for_answer(r);
        if (rc)
            return;
    }
    if (rc)
        return;
    if (slice.len < len && slice.len < size - offset)
        complain(r->stress, "a short answer");
    check(r, &slice, job);
    log_slice_done(&slice);
    r->done++;
}

static void visit(struct reader *r)
{
    uint64_t job = draw(&r->chance, JOBS) + 1;
    const struct repo_name *name = any_name(r);
    struct log *log = cache_hold(r->stress->fixture->cache, job);
    struct log_reader reader;
    struct log_stat stat;

    if (!look(r, log, name, &stat)) {
        log_open(log, &reader);
        for (uint64_t reads = draw(&r->chance, 5); reads > 0; reads--)
            read_some(r, &reader, name, job, stat.size);
        if (stat.final && draw(&r->chance, 6) == 0 &&
            log_fetch_all(log, name, &r->waiter) == PENDING_PARKED)
            wait_for_answer(r);
        log_close(&reader);
    }
    log_release(log);
}

static void *run_reader(void *arg)
{
    struct reader *r = arg;

    for (unsigned i = 0; i < ROUNDS && !atomic_load(&r->stress->broken); i++)
        visit(r);
    atomic_fetch_sub(&r->stress->running, 1);
    return NULL;
}

/* --- the network --- */

static void fail_somehow(struct fake_want *w, uint64_t *chance)
{
    static const struct {
        int err;
        enum source_reason reason;
        int64_t lasts_ms;
    } ways[] = {{-EIO, SOURCE_BROKEN, 2},      {-ENOENT, SOURCE_PENDING, 3000},
                {-EDQUOT, SOURCE_LIMITED, 3},  {-ENOENT, SOURCE_NOT_FOUND, 2},
                {-EPROTO, SOURCE_PROTOCOL, 0}, {-ETIMEDOUT, SOURCE_UNREACHABLE, 1},
                {-EACCES, SOURCE_FORBIDDEN, 2}};
    unsigned i = (unsigned)draw(chance, sizeof(ways) / sizeof(ways[0]));

    fake_fail(w, ways[i].err, ways[i].reason, guest_now_ms() + ways[i].lasts_ms);
}

static void go_on_with(struct fake_want *w, uint64_t *chance)
{
    uint64_t what = draw(chance, 100);

    if (what < 4) {
        fail_somehow(w, chance);
    } else if (what < 20 && !w->log->is_told) {
        if (fake_tell(w))
            fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms());
    } else if (w->at < fake_end_of(w)) {
        fake_try_give(w, (size_t)draw(chance, 65000) + 1);
    } else if (!w->log->is_told) {
        if (fake_tell(w))
            fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms());
    } else {
        fake_done(w);
    }
}

static void answer_facts(struct fake_source *f, uint64_t *chance)
{
    struct fake_facts *q = fake_try_facts(f);

    if (!q)
        return;
    if (draw(chance, 4) == 0)
        fake_refuse(f, q, -ENOENT, SOURCE_NOT_FOUND, guest_now_ms() + 3);
    else
        fake_answer(f, q, "{}", "", 0);
}

/* A running job's log has grown, or has come to its end. */
static void look_at_live(struct fake_source *f, uint64_t *chance)
{
    uint64_t job = draw(chance, JOBS) + 1;
    struct source_log *log = fake_find_log(f, job);
    struct fake_job *j = fake_job(f, job);

    if (!log || !j->is_live || !log->is_told || !log->is_checked)
        return;
    j->size += draw(chance, 90000);
    j->is_live = draw(chance, 6) > 0;
    fake_tell_log(log);
    fake_end_check(log, NULL);
}

/* Cancels, expires, advances the time: what main and the request handler do. */
static void disturb(struct stress *s, uint64_t *chance)
{
    struct reader *r = &s->readers[draw(chance, READERS)];

    guest_pass((int64_t)draw(chance, 40));
    if (draw(chance, 20) == 0 && pending_cancel(&s->fixture->waits, &r->waiter))
        answer(&r->waiter, -EINTR);
    if (draw(chance, 50) == 0)
        waits_expire(&s->fixture->waits, guest_now_ms(), 500);
}

static void *run_network(void *arg)
{
    struct stress *s = arg;
    struct fake_source *f = &s->fixture->fake;
    uint64_t chance = 4711;

    while (atomic_load(&s->running)) {
        unsigned count = fake_count_wants(f);
        for (unsigned generation = 0; generation < 8; generation++) {
            struct fake_want *w = fake_nth_want(f, (unsigned)draw(&chance, count + 1));
            if (w)
                go_on_with(w, &chance);
        }
        answer_facts(f, &chance);
        look_at_live(f, &chance);
        fake_turn(f);
        disturb(s, &chance);
        if (!count)
            sched_yield();
    }
    return NULL;
}

/* --- all of it --- */

static void add_jobs(struct fake_source *f)
{
    static const uint64_t sizes[] = {0,       1,           PAGE,     PAGE + 1,  300000, MIB,
                                     MIB + 9, 3 * MIB + 7, 10 * MIB, 20 * PAGE, 777777, 2 * MIB};

    for (uint64_t job = 1; job <= JOBS; job++)
        fake_add(f, job, sizes[job - 1]);
    fake_job(f, 8)->has_no_range = true;
    fake_job(f, 11)->is_live = true;
    fake_job(f, 12)->is_live = true;
}

static void run_all(struct cache_fixture *b)
{
    struct stress s = {.fixture = b};
    pthread_t network;
    unsigned done = 0;

    add_jobs(&b->fake);
    atomic_init(&s.running, READERS);
    for (unsigned i = 0; i < READERS; i++) {
        struct reader *r = &s.readers[i];
        r->stress = &s;
        r->chance = i * 7919 + 1;
        r->waiter.wake = answer;
        pthread_mutex_init(&r->lock, NULL);
        pthread_cond_init(&r->answered, NULL);
    }
    assert_int_equal(pthread_create(&network, NULL, run_network, &s), 0);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&s.readers[i].thread, NULL, run_reader, &s.readers[i]), 0);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(s.readers[i].thread, NULL);
        done += s.readers[i].done;
        assert_int_equal(s.readers[i].answers, s.readers[i].parked);
    }
    pthread_join(network, NULL);
    if (atomic_load(&s.broken))
        fail_msg("%s", s.what);
    assert_true(done > ROUNDS / 2);
}

static void readers_and_network_at_random_on_disk(void **state)
{
    struct cache_fixture *b = *state;

    cache_fixture_unmount(b);
    b->idle_max = 2;
    cache_fixture_mount(b);
    run_all(b);
}

static void readers_and_network_at_random_in_little_memory(void **state)
{
    struct cache_fixture *b = *state;

    b->idle_max = 3;
    cache_fixture_forget_disk(b, 12 * MIB);
    run_all(b);
}

static void readers_and_network_at_random_with_a_small_cache(void **state)
{
    struct cache_fixture *b = *state;

    cache_fixture_unmount(b);
    b->idle_max = 1;
    b->store_config.cache_size = 4 * MIB;
    cache_fixture_mount(b);
    run_all(b);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(readers_and_network_at_random_on_disk),
        WITH_BENCH(readers_and_network_at_random_in_little_memory),
        WITH_BENCH(readers_and_network_at_random_with_a_small_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
