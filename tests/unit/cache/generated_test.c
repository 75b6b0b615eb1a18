/* Generated logs: kept and read like any other, but they come from the generator. */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define JOB UINT64_C(5)
#define GENERATED (CACHE_GENERATED | JOB)

static void generated_log_comes_from_its_generator_and_is_kept(void **state)
{
    struct cache_fixture *b = *state;
    struct fake_source generator;
    struct log_reader r;
    struct log_stat stat;
    struct guest g;
    struct log *log;

    guest_init(&g);
    fake_source_init(&generator);
    fake_add(&generator, GENERATED, 300001)->has_no_range = true;
    cache_set_generator(b->cache, &generator.source);
    log = cache_hold(b->cache, GENERATED);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    fake_serve(fake_take_want(&generator));
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(stat.size, 300001);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, GENERATED, 0, 300001), 0);
    log_close(&r);
    log_release(log);
    fixture_settle(b, 0);
    fake_turn(&generator);
    assert_int_equal(b->fake.logs_created, 0);

    cache_fixture_remount(b);
    log = cache_hold(b->cache, GENERATED);
    assert_int_equal(fixture_stat(log, &stat), 0);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, GENERATED, 0, 300001), 0);
    log_close(&r);
    assert_int_equal(generator.bytes_wanted, 1);
    fake_source_finish(&generator);

    /* Another name is verified by the job itself (S14). */
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    {
        struct fake_facts *q = fake_take_facts(&b->fake);
        assert_true(q->f->id == JOB);
        fake_answer(&b->fake, q, "{}", "", 0);
    }
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
    log_release(log);
}

/* Each generation is a pass over the whole log, and brings all of the text. */
static void evicted_generated_log_is_generated_once(void **state)
{
    struct cache_fixture *b = *state;
    struct fake_source generator;
    struct log_reader r;
    struct log_stat stat;
    struct guest g;
    struct log *log;
    size_t len;

    guest_init(&g);
    fake_source_init(&generator);
    fake_add(&generator, GENERATED, 20 * MIB)->has_no_range = true;
    cache_set_generator(b->cache, &generator.source);
    log = cache_hold(b->cache, GENERATED);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    fake_serve(fake_take_want(&generator));
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    log_release(log);
    fake_turn(&generator);
    assert_int_equal(unlink(scratch_log(b->scratch, GENERATED, "")), 0);

    cache_fixture_remount(b);
    cache_set_generator(b->cache, &generator.source);
    log = cache_hold(b->cache, GENERATED);
    assert_int_equal(fixture_stat(log, &stat), 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, GENERATED, 0, MIB, &g, &len), PENDING_PARKED);
    fake_serve(fake_take_want(&generator));
    assert_int_equal(guest_wait(&g), 0);
    for (uint64_t at = 0; at < 20 * MIB; at += MIB)
        while (fixture_try_read(&r, GENERATED, at, MIB, &g, &len) == PENDING_PARKED)
            assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(generator.bytes_wanted, 2);
    log_close(&r);
    log_release(log);
    fixture_settle(b, 0);
    fake_turn(&generator);
    fake_source_finish(&generator);
    guest_finish(&g);
}

static void job_and_its_generated_log_are_separate_logs(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log;
    struct log *generated = cache_hold(b->cache, GENERATED);
    struct log_stat stat;

    fake_add(&b->fake, JOB, 77);
    log = fixture_know(b, JOB);
    assert_ptr_not_equal(log, generated);
    assert_int_equal(log_get_stat(generated, &fixture_name, EFFORT_DISK, NULL, NULL, &stat),
                     -EAGAIN);
    assert_int_equal(log_get_stat(log, &fixture_name, EFFORT_DISK, NULL, NULL, &stat), 0);
    log_release(log);
    log_release(generated);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(generated_log_comes_from_its_generator_and_is_kept),
        WITH_BENCH(evicted_generated_log_is_generated_once),
        WITH_BENCH(job_and_its_generated_log_are_separate_logs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
