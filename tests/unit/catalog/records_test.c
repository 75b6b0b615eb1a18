/* Records of answers: what is loaded is one round's, whatever other mounts wrote meanwhile (point
 * of R4). */
#include "catalog/catalog_fixture.h"

#include "catalog/page.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY "asked/octo/repo/5/9-1/-0"
#define PAGES 3

/* A round of one mount: its pages and what it has to do to save them, in order. */
struct writer {
    char *bodies[PAGES];
    struct answer *answer;
};

/* Rounds share a page where the listing has not changed there. */
static void begin_writer(struct catalog_fixture *b, struct writer *w, unsigned round,
                         unsigned shared, unsigned page_count)
{
    w->answer = answer_create(page_count, 10);
    assert_non_null(w->answer);
    for (unsigned i = 0; i < page_count; i++) {
        uint64_t first = i == shared ? 1 + i * 100 : 10000 * (uint64_t)round + i * 100;
        char etag[16];
        snprintf(etag, sizeof(etag), "\"%llu\"", (unsigned long long)first);
        w->bodies[i] = strdup(fixture_jobs_body(b, first, 10, 30, "completed"));
        assert_non_null(w->bodies[i]);
        assert_int_equal(page_parse(SOURCE_ATTEMPT_JOBS, w->bodies[i], strlen(w->bodies[i]), etag,
                                    i + 1 < page_count ? i + 2 : 0, &w->answer->pages[i]),
                         0);
    }
    w->answer->page_count = page_count;
    w->answer->view.settled = true;
    w->answer->adds_up = true;
}

static void end_writer(struct writer *w)
{
    for (unsigned i = 0; i < w->answer->page_count; i++)
        free(w->bodies[i]);
    answer_unref(w->answer);
}

/* Step 0.. of saving; the last is the list. */
static void step(struct store *s, const struct writer *w, unsigned n)
{
    if (n < w->answer->page_count)
        assert_int_equal(page_save(w->answer->pages[n], s, KEY, w->bodies[n], strlen(w->bodies[n])),
                         0);
    else
        assert_int_equal(answer_save(w->answer, s, KEY), 0);
}

static bool is_of(const struct writer *w, const struct answer *a)
{
    if (a->page_count != w->answer->page_count)
        return false;
    for (unsigned i = 0; i < a->page_count; i++)
        if (a->pages[i]->jobs.items[0].id != w->answer->pages[i]->jobs.items[0].id)
            return false;
    return true;
}

/* Loads what is there: nothing, or one of the writers' listings, whole. */
static bool check(struct store *s, struct writer *const *writers, unsigned count)
{
    struct answer *a;
    bool found = false;

    if (answer_load(s, KEY, SOURCE_ATTEMPT_JOBS, &a))
        return false;
    for (unsigned i = 0; i < count; i++)
        found |= is_of(writers[i], a);
    assert_true(found);
    answer_unref(a);
    return true;
}

/* Every way in which two writers' steps can fall: bit i of the mask, whose turn the i-th is. */
static void interleave(struct catalog_fixture *b, unsigned shared, unsigned first_pages,
                       unsigned second_pages)
{
    struct writer old, first, second, *const all[] = {&old, &first, &second};
    unsigned steps = first_pages + second_pages + 2;

    begin_writer(b, &old, 1, shared, PAGES);
    begin_writer(b, &first, 2, shared, first_pages);
    begin_writer(b, &second, 3, shared, second_pages);
    for (unsigned mask = 0; mask < 1u << steps; mask++) {
        unsigned at[2] = {0, 0};
        if ((unsigned)__builtin_popcount(mask) != second_pages + 1)
            continue;
        for (unsigned n = 0; n <= PAGES; n++)
            step(b->store, &old, n);
        for (unsigned i = 0; i < steps; i++) {
            unsigned who = mask >> i & 1;
            step(b->store, who ? &second : &first, at[who]++);
            check(b->store, all, 3);
        }
    }
    end_writer(&old);
    end_writer(&first);
    end_writer(&second);
}

static void r4_pages_of_two_rounds_are_never_one_listing(void **state)
{
    struct catalog_fixture *b = *state;

    interleave(b, PAGES, 3, 3); /* they share no page */
    interleave(b, 0, 3, 3);
    interleave(b, 2, 3, 3);
    interleave(b, PAGES, 1, 3);
    interleave(b, 0, 2, 1);
}

static void r4_writers_in_turn_leave_the_last_ones_listing(void **state)
{
    struct catalog_fixture *b = *state;
    struct writer first, second, *last = &second;

    begin_writer(b, &first, 1, PAGES, 3);
    begin_writer(b, &second, 2, PAGES, 2);
    for (unsigned n = 0; n <= 3; n++)
        step(b->store, &first, n);
    for (unsigned n = 0; n <= 2; n++)
        step(b->store, &second, n);
    assert_true(check(b->store, &last, 1));
    last = &first;
    for (unsigned n = 0; n <= 3; n++)
        step(b->store, &first, n);
    assert_true(check(b->store, &last, 1));
    end_writer(&first);
    end_writer(&second);
}

/* What half a round has left does not take the listing before it away. */
static void pages_without_their_list_change_nothing(void **state)
{
    struct catalog_fixture *b = *state;
    struct writer first, second, *known = &first;

    begin_writer(b, &first, 1, PAGES, 3);
    begin_writer(b, &second, 2, PAGES, 3);
    for (unsigned n = 0; n <= 3; n++)
        step(b->store, &first, n);
    for (unsigned n = 0; n < 3; n++)
        step(b->store, &second, n);
    assert_true(check(b->store, &known, 1));
    end_writer(&first);
    end_writer(&second);
}

static void what_does_not_add_up_is_not_loaded_as_settled(void **state)
{
    struct catalog_fixture *b = *state;
    struct answer *loaded;
    struct writer w;

    begin_writer(b, &w, 1, PAGES, 1);
    w.answer->adds_up = false;
    step(b->store, &w, 0);
    step(b->store, &w, 1);
    assert_int_equal(answer_load(b->store, KEY, SOURCE_ATTEMPT_JOBS, &loaded), 0);
    assert_false(loaded->view.settled);
    assert_false(loaded->adds_up);
    assert_int_equal(loaded->page_size, 10);
    answer_unref(loaded);
    end_writer(&w);
}

/* A list of another version, cut, or with a wrong count is as if there were none. */
static void r8_damaged_list_record_is_not_loaded(void **state)
{
    struct catalog_fixture *b = *state;
    struct answer *loaded;
    struct writer w;
    size_t len;
    void *data;

    begin_writer(b, &w, 1, PAGES, 2);
    for (unsigned n = 0; n <= 2; n++)
        step(b->store, &w, n);
    assert_int_equal(store_get_record(b->store, KEY, &data, &len), 0);
    for (size_t i = 0; i < len; i++) {
        unsigned char *bytes = data;
        if (i >= 12 && i < 24) /* page size and flags */
            continue;
        bytes[i] ^= 0x41;
        assert_int_equal(store_put_record(b->store, KEY, data, len), 0);
        assert_int_not_equal(answer_load(b->store, KEY, SOURCE_ATTEMPT_JOBS, &loaded), 0);
        bytes[i] ^= 0x41;
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(store_put_record(b->store, KEY, data, cut), 0);
        assert_int_not_equal(answer_load(b->store, KEY, SOURCE_ATTEMPT_JOBS, &loaded), 0);
    }
    free(data);
    end_writer(&w);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_fixture_setup, catalog_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(r4_pages_of_two_rounds_are_never_one_listing),
        WITH_BENCH(r4_writers_in_turn_leave_the_last_ones_listing),
        WITH_BENCH(pages_without_their_list_change_nothing),
        WITH_BENCH(what_does_not_add_up_is_not_loaded_as_settled),
        WITH_BENCH(r8_damaged_list_record_is_not_loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
