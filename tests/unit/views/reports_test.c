/* Reports: made once for the same facts, kept, and never waited for by a lookup. */
#include "views/reports.h"

#include "cache/cache_fixture.h"
#include "catalog/catalog_fixture.h"
#include "views/runs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN 9

/* Views over a catalog and a cache. */
struct world {
    struct catalog_fixture *facts;
    struct cache_fixture *logs;
    struct views views;
};

static const struct vnode reports = {.kind = VNODE_REPORTS, .depth = 3};

static void start(struct world *w)
{
    const struct view_config config = {.cache = w->logs->cache,
                                       .catalog = w->facts->catalog,
                                       .store = w->logs->store,
                                       .waits = &w->logs->waits,
                                       .now_ms = guest_now_ms};
    const struct generated_config generated = {.cache = w->logs->cache,
                                               .store = w->logs->store,
                                               .waits = &w->logs->waits,
                                               .now_ms = guest_now_ms};

    w->views = (struct views){.config = config};
    w->views.attempts = attempts_create();
    w->views.names = job_names_create();
    w->views.reports = reports_create(&w->views);
    assert_int_equal(generated_create(&generated, &w->views.generated), 0);
}

/* All is taken down as at unmounting; the cache is mounted anew. */
static void end(struct world *w)
{
    fixture_settle(w->logs, 0);
    generated_stop(w->views.generated);
    fake_turn(&w->logs->fake);
    cache_fixture_unmount(w->logs);
    generated_destroy(w->views.generated);
    reports_destroy(w->views.reports);
    job_names_destroy(w->views.names);
    attempts_destroy(w->views.attempts);
    cache_fixture_mount(w->logs);
}

/* A run that failed, and so many jobs of it, from 1 on, whose only step did. */
static void learn(struct world *w, unsigned jobs, const char *status)
{
    static const char run[] =
        "{\"id\":9,\"run_attempt\":1,\"run_number\":4,\"name\":\"CI\",\"display_title\":\"T\","
        "\"event\":\"push\",\"head_branch\":\"main\",\"head_sha\":\"0123456789abcdef\","
        "\"html_url\":\"https://x\",\"status\":\"%s\",\"conclusion\":\"failure\"}";
    static const char job[] =
        "%s{\"id\":%u,\"run_id\":9,\"name\":\"build %u\",\"status\":\"completed\","
        "\"conclusion\":\"failure\",\"runner_id\":1,\"started_at\":\"2024-01-01T00:00:00Z\","
        "\"completed_at\":\"2024-01-01T00:00:05Z\",\"steps\":[{\"number\":1,\"name\":\"make\","
        "\"status\":\"completed\",\"conclusion\":\"failure\","
        "\"started_at\":\"2024-01-01T00:00:00Z\",\"completed_at\":\"2024-01-01T00:00:05Z\"}]}";
    const struct catalog_question q = {.what = SOURCE_RUN, .repo = fixture_repo, .id = RUN};
    struct catalog_question list = fixture_jobs(RUN);
    char body[4096];
    size_t len;

    list.may_settle = strcmp(status, "completed") == 0;
    guest_pass(2 * FRESH_MS);
    snprintf(body, sizeof(body), run, status);
    catalog_answer_release(fixture_learn(w->facts, &q, body, ""));
    len = (size_t)snprintf(body, sizeof(body), "{\"total_count\":%u,\"jobs\":[", jobs);
    for (unsigned i = 1; i <= jobs; i++)
        len += (size_t)snprintf(body + len, sizeof(body) - len, job, i > 1 ? "," : "", i, i);
    snprintf(body + len, sizeof(body) - len, "]}");
    catalog_answer_release(fixture_learn(w->facts, &list, body, ""));
}

static int setup(void **state)
{
    static struct world world;
    void *facts, *logs;

    assert_int_equal(catalog_fixture_setup(&facts), 0);
    assert_int_equal(cache_fixture_setup(&logs), 0);
    world = (struct world){.facts = facts, .logs = logs};
    *state = &world;
    start(&world);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *facts = w->facts, *logs = w->logs;

    end(w);
    return cache_fixture_teardown(&logs) || catalog_fixture_teardown(&facts);
}

static struct vnode look_up(struct world *w)
{
    struct vnode dir = reports, p;
    struct guest g;

    guest_init(&g);
    dir.repo = fixture_repo;
    assert_int_equal(views_lookup(&w->views, &dir, "9.txt", &g.waiter, &p), 0);
    assert_false(guest_is_answered(&g)); /* nothing of it is parked any more */
    guest_finish(&g);
    return p;
}

/* Serves the logs that it needs. */
static int wait_for_attr(struct world *w, const struct vnode *p, struct view_attr *ret_attr)
{
    struct guest g;
    int rc;

    guest_init(&g);
    while ((rc = views_get_attr(&w->views, p, &g.waiter, ret_attr)) == PENDING_PARKED) {
        fixture_serve_until(w->logs, &g);
        rc = guest_wait(&g);
        if (rc)
            break;
    }
    guest_finish(&g);
    return rc;
}

static int open_it(struct world *w, const struct vnode *p, struct view_opened *ret_opened)
{
    struct guest g;
    int rc;

    guest_init(&g);
    rc = views_open(&w->views, p, &g.waiter, ret_opened);
    guest_finish(&g);
    return rc;
}

static void close_checked(struct view_opened *opened, bool is_direct, const char *begin)
{
    struct view_bytes bytes = {0};

    assert_true(opened->direct == is_direct);
    assert_int_equal(views_read(opened->file, 0, 65536, NULL, &bytes), 0);
    assert_true(bytes.len > strlen(begin));
    assert_memory_equal(bytes.data, begin, strlen(begin));
    views_bytes_done(&bytes);
    views_close(opened->file);
}

static const char header[] =
    "run \"CI\" #4: \"T\", branch \"main\", commit 0123456789ab, attempt 1, "
    "push, 1 of 1 jobs failed, https://x\n";

static void a_lookup_does_not_wait_and_an_open_looks_the_path_up_again(void **state)
{
    struct world *w = *state;
    struct view_attr attr;
    struct view_opened opened;
    struct vnode late, known;

    fake_add(&w->logs->fake, 1, 5000);
    learn(w, 1, "completed");
    late = look_up(w);
    assert_int_equal(views_get_entry_attr(&w->views, &late, NULL, &attr), 0);
    assert_true(attr.size == 0 && attr.valid_ms == 0 && attr.type == VIEW_FILE);
    assert_int_equal(wait_for_attr(w, &late, &attr), 0);
    assert_true(attr.size > sizeof(header) && attr.valid_ms == 0);
    assert_int_equal(open_it(w, &late, &opened), -ESTALE);
    known = look_up(w);
    assert_true(known.size == attr.size);
    assert_int_equal(open_it(w, &known, &opened), 0);
    close_checked(&opened, false, header);
    /* By a descriptor: there is no path to be looked up again. */
    assert_int_equal(open_it(w, &late, &opened), 0);
    close_checked(&opened, true, header);
    views_vnode_finish(&late);
    views_vnode_finish(&known);
}

/* Whether the report can be had without a log. */
static bool is_at_hand(struct world *w)
{
    struct vnode p = look_up(w);
    bool known = p.size > 0;

    views_vnode_finish(&p);
    return known;
}

static void make(struct world *w)
{
    struct vnode p = look_up(w);
    struct view_attr attr;

    assert_int_equal(wait_for_attr(w, &p, &attr), 0);
    views_vnode_finish(&p);
    assert_true(is_at_hand(w));
}

static void other_facts_give_another_report(void **state)
{
    struct world *w = *state;

    for (uint64_t job = 1; job <= 3; job++)
        fake_add(&w->logs->fake, job, 5000);
    learn(w, 1, "in_progress");
    make(w);
    learn(w, 1, "in_progress");
    assert_true(is_at_hand(w));
    learn(w, 2, "in_progress");
    assert_false(is_at_hand(w));
    make(w);
    guest_pass(REPORTS_RECENT_MS);
    assert_true(is_at_hand(w));
}

/* The cache is mounted anew without the log: nothing can be made of it until it is served. */
static void remount_without_log(struct world *w)
{
    end(w);
    assert_int_equal(unlink(scratch_log(w->logs->scratch, 1, "")), 0);
    start(w);
}

static void of_a_run_that_ended_it_is_kept_on_disk(void **state)
{
    struct world *w = *state;

    fake_add(&w->logs->fake, 1, 5000);
    learn(w, 1, "in_progress");
    make(w);
    remount_without_log(w);
    assert_false(is_at_hand(w));
    make(w);
    learn(w, 1, "completed");
    make(w);
    remount_without_log(w);
    assert_true(is_at_hand(w));
}

static void without_a_log_it_is_kept_for_a_moment_only(void **state)
{
    struct world *w = *state;
    struct view_attr attr;
    struct guest g;
    struct vnode p;

    learn(w, 1, "completed");
    p = look_up(w);
    guest_init(&g);
    assert_int_equal(views_get_attr(&w->views, &p, &g.waiter, &attr), PENDING_PARKED);
    fake_fail(fake_take_want(&w->logs->fake), -EIO, SOURCE_BROKEN, guest_now_ms() + 1000);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(views_get_attr(&w->views, &p, &g.waiter, &attr), 0);
    assert_true(is_at_hand(w));
    guest_pass(REPORTS_PARTIAL_MS);
    fake_add(&w->logs->fake, 1, 5000);
    assert_false(is_at_hand(w));
    make(w);
    guest_finish(&g);
    views_vnode_finish(&p);
}

static void what_says_nothing_about_the_log_ends_the_report(void **state)
{
    struct world *w = *state;
    struct view_attr attr;
    struct guest g;
    struct vnode p;

    learn(w, 2, "completed");
    p = look_up(w);
    guest_init(&g);
    assert_int_equal(views_get_attr(&w->views, &p, &g.waiter, &attr), PENDING_PARKED);
    for (int i = 0; i < 3; i++) /* both ahead, then the first one for its reader */
        fake_fail(fake_take_want(&w->logs->fake), -EDQUOT, SOURCE_LIMITED, guest_now_ms() + 1000);
    assert_int_equal(guest_wait(&g), -EDQUOT);
    guest_finish(&g);
    views_vnode_finish(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lookup_does_not_wait_and_an_open_looks_the_path_up_again),
        TEST(other_facts_give_another_report),
        TEST(of_a_run_that_ended_it_is_kept_on_disk),
        TEST(without_a_log_it_is_kept_for_a_moment_only),
        TEST(what_says_nothing_about_the_log_ends_the_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
