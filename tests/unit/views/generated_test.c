/* Cleaned text and its steps: who waits for one job's is not told how another's ended. */
#include "views/generated.h"

#include "cache/cache_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE 5000

static int64_t monotonic_ms(void)
{
    return guest_now_ms();
}

static struct generated *make_generated(struct cache_bench *b)
{
    struct generated_config config = {
        .cache = b->cache, .store = b->store, .waits = &b->waits, .now_ms = monotonic_ms};
    struct generated *d = NULL;

    assert_int_equal(generated_create(&config, &d), 0);
    return d;
}

/* The text's stat is known, and so it can be cut. */
static struct log *know_text(struct cache_bench *b, struct generated *d, uint64_t job)
{
    struct log *text = cache_hold(b->cache, generated_id(d, job));
    struct log *raw = bench_know(b, job);
    struct log_stat stat;
    struct guest g;
    int rc;

    guest_init(&g);
    do {
        rc = generated_get_stat(d, text, &bench_name, job, &bench_no_hint, &g.waiter, &stat);
        if (rc == PENDING_PARKED)
            rc = guest_wait(&g) ? -EIO : PENDING_PARKED;
    } while (rc == PENDING_PARKED);
    assert_int_equal(rc, 0);
    log_release(raw);
    guest_finish(&g);
    return text;
}

static void one_cut_that_fails_fails_no_other(void **state)
{
    struct facts_step steps[1] = {{.number = 1, .name = (char[]){"Set up job"}}};
    struct facts_job lost = {.id = 7, .steps = steps, .step_count = 1};
    struct facts_job found = {.id = 8, .steps = steps, .step_count = 1};
    struct cache_bench *b = *state;
    struct generated *d = make_generated(b);
    struct text_range range;
    struct fake_want *want;
    struct guest first, second;
    struct log *text;

    guest_init(&first);
    guest_init(&second);
    fake_add(&b->fake, 8, SIZE);
    text = know_text(b, d, 8);
    assert_int_equal(generated_get_step(d, text, &bench_name, &lost, 1, &first.waiter, &range),
                     PENDING_PARKED);
    want = fake_take_want(&b->fake); /* its cutting waits for the log; the other's behind it */
    assert_int_equal(generated_get_step(d, text, &bench_name, &found, 1, &second.waiter, &range),
                     PENDING_PARKED);
    fake_fail(want, -ENOENT, SOURCE_NOT_FOUND, guest_now_ms() + 30000);
    assert_int_not_equal(guest_wait(&first), 0);
    assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(generated_get_step(d, text, &bench_name, &found, 1, &second.waiter, &range),
                     0);
    assert_true(range.begin == 0 && range.end > 0);
    log_release(text);
    bench_settle(b, 0);
    generated_stop(d);
    fake_turn(&b->fake);
    cache_bench_unmount(b);
    generated_destroy(d);
    cache_bench_mount(b);
    guest_finish(&first);
    guest_finish(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_cut_that_fails_fails_no_other, cache_bench_setup,
                                        cache_bench_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
