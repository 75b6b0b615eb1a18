/* Generated texts: made of whole logs, once; and where the steps begin in them. */
#include "views/generated.h"

#include "cache/cache_fixture.h"
#include "text/clean.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 5000
#define LARGE (12 * MIB) /* its text is longer than the cache's ring */

static int64_t monotonic_ms(void)
{
    return guest_now_ms();
}

static struct generated *start(struct cache_fixture *b)
{
    struct generated_config config = {
        .cache = b->cache, .store = b->store, .waits = &b->waits, .now_ms = monotonic_ms};
    struct generated *d = NULL;

    assert_int_equal(generated_create(&config, &d), 0);
    return d;
}

/* Everything is taken down as at unmounting; the cache is mounted anew. */
static void end(struct cache_fixture *b, struct generated *d)
{
    fixture_settle(b, 0);
    generated_stop(d);
    fake_turn(&b->fake);
    cache_fixture_unmount(b);
    generated_destroy(d);
    cache_fixture_mount(b);
}

static int wait_for_stat(struct cache_fixture *b, struct generated *d, struct log *text,
                         uint64_t job, struct log_stat *ret_stat)
{
    struct guest g;
    int rc;

    guest_init(&g);
    while ((rc = generated_get_stat(d, text, &fixture_name, job, &fixture_no_hint, &g.waiter,
                                    ret_stat)) == PENDING_PARKED) {
        fixture_serve_until(b, &g);
        assert_int_equal(guest_wait(&g), 0);
    }
    guest_finish(&g);
    return rc;
}

/* The text's stat is known, and so it can be cut. */
static struct log *know_text(struct cache_fixture *b, struct generated *d, uint64_t job)
{
    struct log *text = cache_hold(b->cache, generated_id(d, job));
    struct log_stat stat;

    assert_int_equal(wait_for_stat(b, d, text, job, &stat), 0);
    fixture_settle(b, 0);
    return text;
}

/* The text that has to come; malloc'd. */
static char *clean(uint64_t job, size_t size, size_t *ret_len)
{
    struct text_cleaner *c = malloc(sizeof(*c));
    char *raw = malloc(size), *text = malloc(size + 2 * (size_t)TEXT_CLEAN_SLACK);

    fake_fill(job, 0, raw, size);
    text_cleaner_init(c, false, NULL, NULL);
    *ret_len = text_cleaner_feed(c, raw, size, text);
    *ret_len += text_cleaner_finish(c, text + *ret_len);
    free(raw);
    free(c);
    return text;
}

/* Compares what one read gives. Its length; PENDING_PARKED becomes 0. */
static size_t compare(struct log_reader *r, uint64_t offset, const char *text, size_t len,
                      struct guest *g)
{
    static char data[MIB];
    struct log_slice slice;
    size_t n;
    int rc = log_read(r, &fixture_name, offset, sizeof(data), &g->waiter, &slice);

    if (rc == PENDING_PARKED)
        return 0;
    assert_int_equal(rc, 0);
    n = slice.len;
    assert_int_equal(n, len - offset < sizeof(data) ? len - offset : sizeof(data));
    if (slice.data)
        memcpy(data, slice.data, n);
    else
        assert_int_equal(pread(slice.fd, data, n, (off_t)slice.offset), n);
    assert_memory_equal(data, text + offset, n);
    log_slice_done(&slice);
    return n;
}

static void read_on(struct log_reader *r, uint64_t offset, const char *text, size_t len,
                    struct guest *g)
{
    while (offset < len) {
        size_t n = compare(r, offset, text, len, g);
        if (!n)
            assert_int_equal(guest_wait(g), 0);
        offset += n;
    }
}

static void cleaned_text_is_made_of_the_whole_log(void **state)
{
    struct cache_fixture *b = *state;
    struct generated *d = start(b);
    struct log_reader r;
    struct log_stat stat;
    struct guest g;
    struct log *text;
    char *expected;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 8, LARGE);
    expected = clean(8, LARGE, &len);
    text = cache_hold(b->cache, generated_id(d, 8));
    assert_int_equal(wait_for_stat(b, d, text, 8, &stat), 0);
    assert_int_equal(stat.size, len);
    assert_int_equal(stat.mtime_ms, 1700000000000);
    assert_true(stat.final && stat.proven);
    log_open(text, &r);
    read_on(&r, 0, expected, len, &g);
    log_close(&r);
    log_release(text);
    free(expected);
    end(b, d);
    guest_finish(&g);
}

/* Of an evicted text a reader wants the end, and another one its beginning. */
static void two_readers_of_an_evicted_text_get_their_parts(void **state)
{
    struct cache_fixture *b = *state;
    struct generated *d = start(b);
    struct log_reader late, early;
    struct guest g, other;
    struct log *text;
    uint64_t at = LARGE / 2;
    char *expected;
    size_t len;

    guest_init(&g);
    guest_init(&other);
    fake_add(&b->fake, 8, LARGE);
    expected = clean(8, LARGE, &len);
    log_release(know_text(b, d, 8));
    end(b, d);
    assert_int_equal(unlink(scratch_log(b->scratch, CACHE_GENERATED | UINT64_C(1) << 56 | 8, "")),
                     0);

    d = start(b);
    text = know_text(b, d, 8);
    log_open(text, &late);
    log_open(text, &early);
    assert_int_equal(compare(&late, at, expected, len, &g), 0);
    assert_int_equal(compare(&early, 0, expected, len, &other), 0);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(guest_wait(&other), 0);
    read_on(&late, at, expected, len, &g);
    read_on(&early, 0, expected, len, &other);
    log_close(&late);
    log_close(&early);
    log_release(text);
    free(expected);
    end(b, d);
    guest_finish(&g);
    guest_finish(&other);
}

static void one_cut_that_fails_fails_no_other(void **state)
{
    struct facts_step steps[1] = {{.number = 1, .name = (char[]){"Set up job"}}};
    struct facts_job lost = {.id = 7, .steps = steps, .step_count = 1};
    struct facts_job found = {.id = 8, .steps = steps, .step_count = 1};
    struct cache_fixture *b = *state;
    struct generated *d = start(b);
    struct text_range range;
    struct fake_want *want;
    struct guest first, second;
    struct log *text;

    guest_init(&first);
    guest_init(&second);
    fake_add(&b->fake, 8, SIZE);
    text = know_text(b, d, 8);
    assert_int_equal(generated_get_step(d, text, &fixture_name, &lost, 1, &first.waiter, &range),
                     PENDING_PARKED);
    want = fake_take_want(&b->fake); /* its cutting waits for the log; the other's behind it */
    assert_int_equal(generated_get_step(d, text, &fixture_name, &found, 1, &second.waiter, &range),
                     PENDING_PARKED);
    fake_fail(want, -ENOENT, SOURCE_NOT_FOUND, guest_now_ms() + 30000);
    assert_int_not_equal(guest_wait(&first), 0);
    assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(generated_get_step(d, text, &fixture_name, &found, 1, &second.waiter, &range),
                     0);
    assert_true(range.begin == 0 && range.end > 0);
    log_release(text);
    end(b, d);
    guest_finish(&first);
    guest_finish(&second);
}

static void steps_are_cut_once_for_all_who_ask(void **state)
{
    struct facts_step steps[2] = {{.number = 1, .name = (char[]){"Set up job"}},
                                  {.number = 2, .name = (char[]){"make"}}};
    struct facts_job job = {.id = 8, .steps = steps, .step_count = 2};
    struct cache_fixture *b = *state;
    struct generated *d = start(b);
    struct text_range range, other;
    struct guest first, second;
    struct log_stat stat;
    struct log *text;

    guest_init(&first);
    guest_init(&second);
    fake_add(&b->fake, 8, SIZE);
    text = know_text(b, d, 8);
    assert_int_equal(log_get_stat(text, &fixture_name, EFFORT_MEMORY, NULL, NULL, &stat), 0);
    if (generated_get_step(d, text, &fixture_name, &job, 1, &first.waiter, &range))
        assert_int_equal(guest_wait(&first), 0);
    if (generated_get_step(d, text, &fixture_name, &job, 2, &second.waiter, &other))
        assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(generated_get_step(d, text, &fixture_name, &job, 1, NULL, &range), 0);
    assert_int_equal(generated_get_step(d, text, &fixture_name, &job, 2, NULL, &other), 0);
    assert_true(range.begin == 0 && range.end == other.begin && other.end == stat.size);
    assert_int_equal(generated_get_step(d, text, &fixture_name, &job, 3, NULL, &range), -ENOENT);
    log_release(text);
    end(b, d);

    /* The store has the table: no wait. */
    d = start(b);
    text = know_text(b, d, 8);
    assert_int_equal(generated_get_step(d, text, &fixture_name, &job, 2, NULL, &range), 0);
    assert_true(range.begin == other.begin && range.end == other.end);
    log_release(text);
    end(b, d);
    guest_finish(&first);
    guest_finish(&second);
}

/* A task on the text thread that reads and cuts. */
struct reading {
    struct task task;
    struct generated *generated;
    const struct facts_job *job;
    char *text;
    size_t len;
    struct text_range ranges[2];
    int rc;
    sem_t done;
};

static int append(void *who, const char *data, size_t len)
{
    struct reading *r = who;

    r->text = realloc(r->text, r->len + len);
    memcpy(r->text + r->len, data, len);
    r->len += len;
    return 0;
}

static void run_reading(struct task *task)
{
    struct reading *r = list_entry(task, struct reading, task);

    r->rc = generated_cut(r->generated, &fixture_name, r->job, r->ranges);
    if (!r->rc)
        r->rc = generated_read(r->generated, &fixture_name, r->job->id, append, r);
    sem_post(&r->done);
}

static void a_task_reads_the_text_and_cuts_it_as_the_views_do(void **state)
{
    struct facts_step steps[2] = {{.number = 1, .name = (char[]){"Set up job"}},
                                  {.number = 2, .name = (char[]){"make"}}};
    struct facts_job job = {.id = 8, .steps = steps, .step_count = 2};
    struct cache_fixture *b = *state;
    struct generated *d = start(b);
    struct reading r = {.task.run = run_reading, .generated = d, .job = &job};
    struct text_range range;
    struct guest g;
    struct log *text;
    char *expected;
    size_t len;

    guest_init(&g);
    sem_init(&r.done, 0, 0);
    fake_add(&b->fake, 8, SIZE);
    expected = clean(8, SIZE, &len);
    text = know_text(b, d, 8);
    generated_post(d, &r.task);
    sem_wait(&r.done);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.len, len);
    assert_memory_equal(r.text, expected, len);
    /* It was kept, and is not made again. */
    assert_int_equal(generated_get_step(d, text, &fixture_name, &job, 2, &g.waiter, &range), 0);
    assert_true(range.begin == r.ranges[1].begin && range.end == r.ranges[1].end);
    log_release(text);
    end(b, d);
    guest_finish(&g);
    sem_destroy(&r.done);
    free(r.text);
    free(expected);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cleaned_text_is_made_of_the_whole_log),
        TEST(two_readers_of_an_evicted_text_get_their_parts),
        TEST(one_cut_that_fails_fails_no_other),
        TEST(steps_are_cut_once_for_all_who_ask),
        TEST(a_task_reads_the_text_and_cuts_it_as_the_views_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
