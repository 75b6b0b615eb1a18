/* How branches are spelled below branches/, and which one a path means (S12, S19). */
#include "views/names.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16

struct known {
    struct facts_run made[MOST];
    const struct facts_run *runs[MOST];
    struct branch_runs all;
};

/* Runs 100, 101, ... of these branches, the newest first; "OWNER:branch" is a fork's, ":branch"
 * that of a deleted one. */
static void know(struct known *k, const char *const *branches, size_t count)
{
    static char owners[MOST][64];

    *k = (struct known){0};
    for (size_t i = 0; i < count; i++) {
        const char *colon = strchr(branches[i], ':');
        snprintf(owners[i], sizeof(owners[i]), "%.*s", colon ? (int)(colon - branches[i]) : 0,
                 branches[i]);
        k->made[i] = (struct facts_run){
            .id = 100 + i,
            .repo_id = 1,
            .head_repo_id = colon && !owners[i][0] ? 0
                            : colon                ? 2
                                                   : 1,
            .head_branch = (char *)(uintptr_t)(colon ? colon + 1 : branches[i]),
            .head_repo_owner = owners[i],
        };
        k->runs[count - 1 - i] = &k->made[i];
    }
    k->all = (struct branch_runs){k->runs, count};
}

static void check_parts(const struct known *k, const char *path, const char *const *expected)
{
    struct branch_parts parts;
    struct branch_dir dir;
    size_t i = 0;

    assert_int_equal(branch_dir_find(&k->all, path, &dir), 0);
    assert_int_equal(branch_parts_make(&k->all, &dir, &parts), 0);
    for (; expected[i]; i++) {
        assert_true(i < parts.count);
        assert_string_equal(parts.shown[i].name, expected[i]);
    }
    assert_int_equal(parts.count, i);
    branch_parts_finish(&parts);
}

/* The number of the one run that the path is the branch of; 0: of none. */
static uint64_t run_of(const struct known *k, const char *path)
{
    struct branch_dir dir;
    uint64_t found = 0;

    if (branch_dir_find(&k->all, path, &dir))
        return 0;
    for (size_t i = 0; i < k->all.count; i++) {
        if (!branch_dir_has_run(&dir, k->runs[i]))
            continue;
        assert_int_equal(found, 0);
        found = k->runs[i]->id;
    }
    assert_int_equal(branch_dir_has_runs(&k->all, &dir), found != 0);
    return found;
}

#define KNOW(k, ...)                                                                               \
    know(k, (const char *const[]){__VA_ARGS__},                                                    \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define CHECK_PARTS(k, path, ...) check_parts(k, path, (const char *const[]){__VA_ARGS__ NULL})

static void a_branch_is_spelled_part_by_part(void **state)
{
    struct known k;

    (void)state;
    KNOW(&k, "main", "a/b", "a/b-c/d", "a/7", "2", "x.lock", "a//b");
    CHECK_PARTS(&k, "", "a", "x.lock (branch)", "2 (branch)", "main", );
    CHECK_PARTS(&k, "a", "_ (branch)", "7 (branch)", "b-c", "b", );
    CHECK_PARTS(&k, "a/b", );
    assert_int_equal(run_of(&k, "main"), 100);
    assert_int_equal(run_of(&k, "a"), 0);
    assert_int_equal(run_of(&k, "a/b"), 101);
    assert_int_equal(run_of(&k, "a/b-c/d"), 102);
    assert_int_equal(run_of(&k, "a/7 (branch)"), 103);
    assert_int_equal(run_of(&k, "2 (branch)"), 104);
    assert_int_equal(run_of(&k, "a/_ (branch)/b"), 106);
}

static void a_branch_that_ends_with_a_slash(void **state)
{
    struct known k;

    (void)state;
    KNOW(&k, "a/", "/a", "a");
    CHECK_PARTS(&k, "", "a", "_ (branch)", );
    CHECK_PARTS(&k, "a", "_ (branch)", );
    assert_int_equal(run_of(&k, "a/_ (branch)"), 100);
    assert_int_equal(run_of(&k, "_ (branch)/a"), 101);
    assert_int_equal(run_of(&k, "a"), 102);
}

static void forks_have_their_owner_in_front(void **state)
{
    struct known k;

    (void)state;
    KNOW(&k, "main", "other:main", "Other:x/y", "octo:same", "other:-5", "-bad:main", "other:5",
         ":gone");
    CHECK_PARTS(&k, "", "unknown:gone", "other:5", "_-bad:main", "other:-5", "octo:same", "Other:x",
                "other:main", "main", );
    assert_int_equal(run_of(&k, "main"), 100);
    assert_int_equal(run_of(&k, "other:main"), 101);
    CHECK_PARTS(&k, "Other:x", "y", );
    assert_int_equal(run_of(&k, "Other:x/y"), 102);
    assert_int_equal(run_of(&k, "OTHER:x/y"), 102); /* owners compare case-insensitively */
    assert_int_equal(run_of(&k, "other:X/y"), 0);
    assert_int_equal(run_of(&k, "octo:same"), 103);
    assert_int_equal(run_of(&k, "unknown:gone"), 107);
    assert_int_equal(run_of(&k, "_-bad:main"), 105);
}

static void s12_parts_that_become_equal_differ_by_their_oldest_run(void **state)
{
    struct known k;

    (void)state;
    KNOW(&k, "f/-x", "f/_-x", "f/\n-x", "f/_-x/deep", "-x");
    CHECK_PARTS(&k, "", "_-x", "f", );
    CHECK_PARTS(&k, "f", "_-x (101)", "_-x (102)", "_-x", );
    CHECK_PARTS(&k, "f/_-x (101)", "deep", );
    CHECK_PARTS(&k, "f/_-x", );
    assert_int_equal(run_of(&k, "f/_-x"), 100);
    assert_int_equal(run_of(&k, "f/_-x (101)"), 101);
    assert_int_equal(run_of(&k, "f/_-x (102)"), 102);
    assert_int_equal(run_of(&k, "f/_-x (101)/deep"), 103);
    assert_int_equal(run_of(&k, "_-x"), 104);
}

static void what_no_known_run_has_is_not_found(void **state)
{
    struct branch_dir dir;
    struct known k;

    (void)state;
    KNOW(&k, "main", "a/b");
    assert_int_equal(branch_dir_find(&k.all, "mai", &dir), -ENOENT);
    assert_int_equal(branch_dir_find(&k.all, "main/x", &dir), -ENOENT);
    assert_int_equal(branch_dir_find(&k.all, "b", &dir), -ENOENT);
    know(&k, NULL, 0);
    assert_int_equal(branch_dir_find(&k.all, "main", &dir), -ENOENT);
}

static void check_unmake(const char *path, const char *expected)
{
    char *name = NULL;

    assert_int_equal(branch_name_unmake(path, &name), expected != NULL);
    if (expected)
        assert_string_equal(name, expected);
    free(name);
}

static void what_an_unknown_path_may_stand_for(void **state)
{
    (void)state;
    check_unmake("feature/_-x", "feature/-x");
    check_unmake("_-x/_+y/z", "-x/+y/z");
    check_unmake("7 (branch)", "7");
    check_unmake("a/7 (branch)/x.lock (branch)", "a/7/x.lock");
    check_unmake("some:a/_-x", "some:a/-x");
    check_unmake("main", NULL);
    check_unmake("a/_b/__-c", NULL);
    check_unmake(" (branch)", NULL);
    check_unmake("_", NULL);
    check_unmake("", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_is_spelled_part_by_part),
        cmocka_unit_test(a_branch_that_ends_with_a_slash),
        cmocka_unit_test(forks_have_their_owner_in_front),
        cmocka_unit_test(s12_parts_that_become_equal_differ_by_their_oldest_run),
        cmocka_unit_test(what_no_known_run_has_is_not_found),
        cmocka_unit_test(what_an_unknown_path_may_stand_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
