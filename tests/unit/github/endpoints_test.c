#include "github/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct source_facts ask(enum source_question question)
{
    struct source_facts f = {.question = question, .repo = {"octo", "hello.c"}};

    return f;
}

static void assert_url(const struct source_facts *f, const char *path)
{
    char *url;

    assert_int_equal(endpoint_make_url("https://h/api/v3", f, false, &url), 0);
    assert_string_equal(url + strlen("https://h/api/v3"), path);
    free(url);
}

static void each_question_has_its_url(void **state)
{
    struct source_facts f;

    (void)state;
    f = ask(SOURCE_JOB);
    f.id = (UINT64_C(1) << 53) - 1;
    assert_url(&f, "/repos/octo/hello.c/actions/jobs/9007199254740991");
    f = ask(SOURCE_RUN);
    f.id = 7;
    assert_url(&f, "/repos/octo/hello.c/actions/runs/7");
    f.question = SOURCE_RUN_ATTEMPT;
    f.attempt = 2;
    assert_url(&f, "/repos/octo/hello.c/actions/runs/7/attempts/2");
    f.question = SOURCE_ATTEMPT_JOBS;
    assert_url(&f, "/repos/octo/hello.c/actions/runs/7/attempts/2/jobs?per_page=100&page=1");
    f = ask(SOURCE_OWNER_REPOS);
    assert_url(&f, "/orgs/octo/repos?sort=pushed&per_page=100&page=1");
    f = ask(SOURCE_PULL);
    f.id = 12;
    assert_url(&f, "/repos/octo/hello.c/pulls/12");
    f = ask(SOURCE_MY_REPOS);
    assert_url(&f, "/user/repos?sort=pushed&per_page=100&page=1");
}

static void page_and_filter_are_in_the_query(void **state)
{
    struct source_facts f = ask(SOURCE_RUNS);

    (void)state;
    f.per_page = 30;
    f.page = 3;
    memcpy(f.filter, "branch=a%2Fb", 13);
    assert_url(&f, "/repos/octo/hello.c/actions/runs?per_page=30&page=3&branch=a%2Fb");
    f.per_page = 1000;
    f.filter[0] = 0;
    assert_url(&f, "/repos/octo/hello.c/actions/runs?per_page=100&page=3");
}

static void workflow_is_one_segment_of_the_path(void **state)
{
    struct source_facts f = ask(SOURCE_WORKFLOW_RUNS);

    (void)state;
    memcpy(f.filter, "a/../b c?.yml", 14);
    assert_url(&f, "/repos/octo/hello.c/actions/workflows/a%2F..%2Fb%20c%3F.yml/runs"
                   "?per_page=100&page=1");
}

static void malformed_filter_is_refused(void **state)
{
    static const char *const bad[] = {"a b", "a#b", "a\nb", "\xc3\xa4", "a\x7f"};
    struct source_facts f = ask(SOURCE_RUNS);
    char *url;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memcpy(f.filter, bad[i], strlen(bad[i]) + 1);
        assert_int_equal(endpoint_make_url("https://h", &f, false, &url), -EINVAL);
    }
    memset(f.filter, 'a', sizeof(f.filter));
    assert_int_equal(endpoint_make_url("https://h", &f, false, &url), -EINVAL);
    f = ask(SOURCE_WORKFLOW_RUNS);
    assert_int_equal(endpoint_make_url("https://h", &f, false, &url), -EINVAL);
    memcpy(f.filter, "..", 3);
    assert_int_equal(endpoint_make_url("https://h", &f, false, &url), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_question_has_its_url),
        cmocka_unit_test(page_and_filter_are_in_the_query),
        cmocka_unit_test(workflow_is_one_segment_of_the_path),
        cmocka_unit_test(malformed_filter_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
