/*
 * The key of the store: what is accepted, and that no message repeats what was refused (T7).
 */
#include "shared/credentials.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, bool is_s3, struct shared_credentials *c)
{
    const char *reason = "";
    int rc = shared_credentials_parse(text, strlen(text), is_s3, c, &reason);

    if (rc < 0) {
        assert_true(reason[0] != '\0');
        assert_null(strstr(reason, "SECRET123"));
    }
    return rc;
}

static void a_line_of_each_kind_is_read(void **state)
{
    struct shared_credentials c;

    (void)state;
    assert_int_equal(parse("AKIA s/e+c=\n", true, &c), 0);
    assert_string_equal(c.user, "AKIA");
    assert_string_equal(c.password, "s/e+c=");
    assert_string_equal(c.session, "");
    assert_int_equal(parse("# the team's\n\n  AKIA\tsecret  session== \r\n\n", true, &c), 0);
    assert_string_equal(c.session, "session==");
    assert_int_equal(parse("me pass:word", false, &c), 0);
    assert_string_equal(c.user, "me");
    assert_string_equal(c.password, "pass:word");
    assert_int_equal(parse("Bearer abc", false, &c), 0);
    assert_string_equal(c.bearer, "abc");
    assert_string_equal(c.user, "");
}

static void anything_else_is_refused(void **state)
{
    static const struct {
        const char *text;
        bool is_s3;
    } bad[] = {
        {"", true},
        {"\n \n# nothing\n", true},
        {"SECRET123", true},
        {"a SECRET123 c d", true},
        {"a SECRET123\nb SECRET123", true},
        {"bearer SECRET123", true},
        {"a SECRET123 c", false},
        {"a:b SECRET123", false},
        {"bearer a SECRET123", false},
        {"a SECRET123\x01", true},
        {"a SECRET123\xc3\xa9", true},
    };
    struct shared_credentials c = {.user = "untouched"};
    char *large = malloc(3000);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(bad[i].text, bad[i].is_s3, &c), -EBADMSG);
    memset(large, 'x', 2999);
    large[2999] = '\0';
    large[1] = ' ';
    assert_int_equal(parse(large, true, &c), -EBADMSG);
    assert_string_equal(c.user, "untouched");
    free(large);
}

static void variables_count_both_or_not_at_all(void **state)
{
    struct shared_credentials c = {.user = "x"};
    const char *reason = "";

    (void)state;
    assert_int_equal(shared_credentials_make("AKIA", "secret", NULL, &c, &reason), 0);
    assert_string_equal(c.password, "secret");
    assert_int_equal(shared_credentials_make("AKIA", "secret", "token", &c, &reason), 0);
    assert_string_equal(c.session, "token");
    assert_int_equal(shared_credentials_make(NULL, "", NULL, &c, &reason), 0);
    assert_string_equal(c.user, "");
    assert_int_equal(shared_credentials_make("AKIA", NULL, NULL, &c, &reason), -EBADMSG);
    assert_non_null(strstr(reason, "missing"));
    assert_int_equal(shared_credentials_make("AK IA", "secret", NULL, &c, &reason), -EBADMSG);
}

static void nothing_is_left_of_them(void **state)
{
    static const struct shared_credentials none;
    struct shared_credentials c, other;

    (void)state;
    memset(&c, 0, sizeof(c));
    memset(&other, 0, sizeof(other));
    assert_int_equal(parse("a b", true, &c), 0);
    assert_int_equal(parse("a c", true, &other), 0);
    assert_false(shared_credentials_is_same(&c, &other));
    assert_int_equal(parse("a b", true, &other), 0);
    assert_true(shared_credentials_is_same(&c, &other));
    shared_credentials_finish(&c);
    assert_memory_equal(&c, &none, sizeof(c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_each_kind_is_read),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(variables_count_both_or_not_at_all),
        cmocka_unit_test(nothing_is_left_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
