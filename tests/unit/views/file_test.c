/* Open files of logs. The test answers view_get_part() in place of views/part.c. */
#include "views/internal.h"

#include "cache/cache_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define JOB UINT64_C(7)
#define FINAL_SIZE 90000

static unsigned parts_told;

/* First as of a moment ago, while the log was live; the log has become final since. */
int view_get_part(struct views *v, const struct vnode *p, struct waiter *w,
                  struct view_part *ret_part)
{
    (void)v;
    (void)p;
    (void)w;
    *ret_part = (struct view_part){
        .stat = {.size = parts_told ? FINAL_SIZE : 1000, .final = parts_told > 0}};
    parts_told++;
    return 0;
}

/* Else its old size would be that of the file for as long as the kernel keeps it. */
static void log_that_becomes_final_while_it_is_opened_is_whole(void **state)
{
    struct cache_fixture *b = *state;
    struct views v = {.config.cache = b->cache, .walk = walk_create(0)};
    struct vnode p = {.kind = VNODE_LOG, .repo = fixture_name, .job = JOB};
    struct view_opened opened;
    struct view_bytes bytes;
    struct guest g;

    guest_init(&g);
    parts_told = 0;
    fake_add(&b->fake, JOB, FINAL_SIZE);
    p.log = fixture_know(b, JOB);
    assert_int_equal(view_file_open(&v, &p, NULL, &g.waiter, &opened), 0);
    assert_false(opened.direct);
    assert_int_equal(views_read(opened.file, 0, FINAL_SIZE, &g.waiter, &bytes), 0);
    assert_int_equal(bytes.len, FINAL_SIZE);
    views_bytes_done(&bytes);
    views_close(opened.file);
    log_release(p.log);
    walk_destroy(v.walk);
    guest_finish(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(log_that_becomes_final_while_it_is_opened_is_whole,
                                        cache_fixture_setup, cache_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
