/* The table of kinds, and what a vnode carries to what is below it. */
#include "views/internal.h"

#include "catalog/catalog_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define JOB UINT64_C(7)
#define ENDED_MS INT64_C(1704067200000) /* 2024-01-01 */

static const char running[] =
    "{\"id\":7,\"run_id\":9,\"name\":\"build\",\"status\":\"in_progress\",\"conclusion\":null,"
    "\"completed_at\":null,\"steps\":[]}";
static const char settled[] =
    "{\"id\":7,\"run_id\":9,\"name\":\"build\",\"status\":\"completed\",\"conclusion\":\"success\","
    "\"runner_id\":1,\"completed_at\":\"2024-01-01T00:00:00Z\",\"steps\":[{\"number\":1,"
    "\"name\":\"a\",\"status\":\"completed\",\"conclusion\":\"success\","
    "\"started_at\":\"2024-01-01T00:00:00Z\",\"completed_at\":\"2024-01-01T00:00:00Z\"}]}";

static char *make_stats(void *who, enum vnode_kind kind)
{
    (void)who, (void)kind;
    return strdup("count 1\n");
}

static char *make_progress(void *who)
{
    (void)who;
    return strdup("");
}

static struct views make_views(struct catalog_fixture *b)
{
    return (struct views){.config = {.catalog = b->catalog,
                                     .now_ms = guest_now_ms,
                                     .progress = make_progress,
                                     .options = "options\n",
                                     .version = "version\n",
                                     .stats = make_stats}};
}

static struct vnode look_up(struct views *v, const struct vnode *dir, const char *name)
{
    struct vnode p;
    struct guest g;

    guest_init(&g);
    assert_int_equal(views_lookup(v, dir, name, &g.waiter, &p), 0);
    guest_finish(&g);
    return p;
}

static void learn(struct catalog_fixture *b, const char *body)
{
    struct catalog_question q = fixture_job(JOB);

    guest_pass(2 * FRESH_MS);
    catalog_answer_release(fixture_learn(b, &q, body, ""));
}

static void what_is_listed_is_found_as_it_is_listed(void **state)
{
    struct views v = make_views(*state);
    const struct vnode control = {.kind = VNODE_CONTROL};
    struct view_listing *l;
    struct view_entry entry;
    size_t count = 0;

    assert_int_equal(views_list(&v, &control, NULL, &l), 0);
    for (; views_listing_get(l, count, &entry); count++) {
        struct view_attr attr;
        struct vnode p;
        p = look_up(&v, &control, entry.name);
        assert_int_equal(views_get_attr(&v, &p, NULL, &attr), 0);
        assert_int_equal(attr.type, entry.type);
        assert_int_equal(views_list(&v, &p, NULL, &(struct view_listing *){NULL}), -ENOTDIR);
        views_vnode_finish(&p);
    }
    assert_int_equal(count, 6);
    views_listing_release(l);
}

/* The catalog forgets what it has seen; what cannot change needs no look. */
static void facts_of_a_settled_job_are_carried_to_what_is_below_it(void **state)
{
    struct catalog_fixture *b = *state;
    struct views v = make_views(b);
    const struct vnode jobs = {.kind = VNODE_JOBS, .repo = fixture_repo, .depth = 3};
    struct view_attr attr;
    struct vnode job;

    learn(b, settled);
    job = look_up(&v, &jobs, "7");
    assert_true(job.settled_ms == ENDED_MS && !job.has_no_log);
    catalog_fixture_remount(b);
    v.config.catalog = b->catalog;
    assert_int_equal(views_get_attr(&v, &job, NULL, &attr), 0);
    assert_true(attr.mtime_ms == ENDED_MS);
    views_vnode_finish(&job);
}

static void facts_that_may_change_are_never_carried(void **state)
{
    struct catalog_fixture *b = *state;
    struct views v = make_views(b);
    const struct vnode jobs = {.kind = VNODE_JOBS, .repo = fixture_repo, .depth = 3};
    struct view_attr attr;
    struct vnode unknown, job;

    unknown = look_up(&v, &jobs, "7");
    learn(b, running);
    job = look_up(&v, &jobs, "7");
    assert_true(unknown.settled_ms == 0 && job.settled_ms == 0);
    learn(b, settled);
    assert_int_equal(views_get_attr(&v, &job, NULL, &attr), 0);
    assert_true(attr.mtime_ms == ENDED_MS);
    assert_int_equal(views_get_attr(&v, &unknown, NULL, &attr), 0);
    assert_true(attr.mtime_ms == ENDED_MS);
    views_vnode_finish(&unknown);
    views_vnode_finish(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_listed_is_found_as_it_is_listed,
                                        catalog_fixture_setup, catalog_fixture_teardown),
        cmocka_unit_test_setup_teardown(facts_of_a_settled_job_are_carried_to_what_is_below_it,
                                        catalog_fixture_setup, catalog_fixture_teardown),
        cmocka_unit_test_setup_teardown(facts_that_may_change_are_never_carried,
                                        catalog_fixture_setup, catalog_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
