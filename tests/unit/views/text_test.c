/* Generated texts: what a lookup reported of one is true of the file that is opened next. */
#include "views/internal.h"

#include "catalog/catalog_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Stats that are others each time, unless they are held still. */
struct counter {
    unsigned made, step;
    size_t len;
};

static int64_t now;

static int64_t now_ms(void)
{
    return now;
}

static char *make_stats(void *who, enum vnode_kind kind)
{
    struct counter *s = who;
    char *text = malloc(s->len + 32);

    assert_int_equal(kind, VNODE_STATS);
    s->made += s->step;
    memset(text, ' ', s->len);
    snprintf(text + s->len, 32, "%u\n", s->made);
    return text;
}

static void begin(struct views *v, struct counter *s)
{
    now = 1000;
    *s = (struct counter){.made = 7, .step = 93};
    *v = (struct views){.config = {.now_ms = now_ms, .stats = make_stats, .who = s}};
}

/* What is needed is present: no wait. */
static void look_up(struct views *v, const struct vnode *dir, const char *name, struct vnode *p)
{
    struct guest g;

    guest_init(&g);
    assert_int_equal(views_lookup(v, dir, name, &g.waiter, p), 0);
    guest_finish(&g);
}

static void look_up_stats(struct views *v, struct vnode *p)
{
    const struct vnode control = {.kind = VNODE_CONTROL};

    look_up(v, &control, "stats", p);
}

static struct view_opened open_it(struct views *v, const struct vnode *p)
{
    struct view_opened opened = {0};
    struct guest g;

    guest_init(&g);
    assert_int_equal(views_open(v, p, &g.waiter, &opened), 0);
    guest_finish(&g);
    return opened;
}

static void check_open(struct views *v, const struct vnode *p, const char *text, bool is_same)
{
    struct view_opened opened = open_it(v, p);
    struct view_bytes bytes = {0};

    assert_int_equal(opened.direct, !is_same);
    assert_int_equal(views_read(opened.file, 0, 1000, NULL, &bytes), 0);
    views_close(opened.file);
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.len);
    views_bytes_done(&bytes);
}

static void check_json(struct views *v, const struct vnode *p)
{
    struct view_opened opened = open_it(v, p);
    struct view_bytes bytes = {0};

    assert_false(opened.direct);
    assert_int_equal(views_read(opened.file, 0, SIZE_MAX, NULL, &bytes), 0);
    assert_true(bytes.len == p->size);
    views_bytes_done(&bytes);
    views_close(opened.file);
}

static void text_is_opened_as_it_was_looked_up(void **state)
{
    struct vnode first, second;
    struct view_attr attr;
    struct counter s;
    struct views v;

    (void)state;
    begin(&v, &s);
    look_up_stats(&v, &first);
    look_up_stats(&v, &second); /* by another process, with another text, before the first opens */
    assert_true(first.size == 4 && second.size == 4 && first.sum != second.sum);
    assert_int_equal(views_get_attr(&v, &first, NULL, &attr), 0);
    assert_true(attr.size == 4 && attr.valid_ms == 0);
    check_open(&v, &first, "100\n", true);
    check_open(&v, &second, "193\n", true);
    check_open(&v, &first, "100\n", true);
    assert_int_equal(s.made, 193);
    views_vnode_finish(&first);
    views_vnode_finish(&second);
}

/* By a descriptor or a bind mount, with no lookup in front. */
static void text_opened_late_is_made_anew(void **state)
{
    struct vnode p, again;
    struct counter s;
    struct views v;

    (void)state;
    begin(&v, &s);
    look_up_stats(&v, &p);
    now += 60000;
    check_open(&v, &p, "193\n", false);
    s.step = 0;
    s.made = 100;
    check_open(&v, &p, "100\n", true);
    look_up_stats(&v, &again); /* the same: its node stays that of the path */
    assert_true(again.sum == p.sum);
    views_vnode_renew(&p, &again);
    views_vnode_finish(&again);
    s.made = 193;
    check_open(&v, &p, "100\n", true);
    views_vnode_finish(&p);
}

/* The kernel may remember a great many; what is not kept is made again, and is mostly the same. */
static void only_so_many_bytes_are_kept(void **state)
{
    enum { VNODES = 40, SIZE = 64 * 1024 };
    struct catalog_fixture *b = *state;
    const struct vnode job = {.kind = VNODE_JOB, .repo = fixture_repo, .job = 7};
    struct catalog_question q = fixture_job(7);
    struct vnode vnodes[VNODES];
    unsigned kept = 0;
    struct counter s;
    struct views v;
    char *body;

    begin(&v, &s);
    v.config.catalog = b->catalog;
    assert_true(asprintf(&body, "{\"id\":7,\"run_id\":1,\"status\":\"completed\",\"x\":\"%*s\"}",
                         SIZE, "") > 0);
    catalog_answer_release(fixture_learn(b, &q, body, ""));
    for (unsigned i = 0; i < VNODES; i++) {
        look_up(&v, &job, "job.json", &vnodes[i]);
        kept += vnodes[i].content != NULL;
        assert_true(vnodes[i].size > SIZE && v.texts_kept <= VIEWS_TEXTS_BYTES);
    }
    assert_in_range(kept, 10, VIEWS_TEXTS_BYTES / SIZE);
    assert_null(vnodes[VNODES - 1].content);
    check_json(&v, &vnodes[0]);
    check_json(&v, &vnodes[VNODES - 1]);
    for (unsigned i = 0; i < VNODES; i++)
        views_vnode_finish(&vnodes[i]);
    assert_true(v.texts_kept == 0);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_opened_as_it_was_looked_up),
        cmocka_unit_test(text_opened_late_is_made_anew),
        cmocka_unit_test_setup_teardown(only_so_many_bytes_are_kept, catalog_fixture_setup,
                                        catalog_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
