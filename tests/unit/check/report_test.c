/* Lines of `ghlogfs --check` as text and as JSON. */
#include "check/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a report with these two lines prints; the caller frees. */
static char *print(bool json, const struct check_line *a, const struct check_line *b)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct check_report r;

    assert_int_equal(check_report_init(&r, json, out), 0);
    check_report_add(&r, a);
    check_report_add(&r, b);
    assert_int_equal(check_report_finish(&r, "1.2", "github.com"), 0);
    assert_int_equal(r.errors, (a->state == CHECK_ERROR) + (b->state == CHECK_ERROR));
    fclose(out);
    return text;
}

static void text_has_one_line_for_each(void **state)
{
    struct check_line a = {.name = "api"}, b = {.name = "token"};
    char *text;

    (void)state;
    check_set(&a, CHECK_OK, "status %d", 200);
    check_set(&b, CHECK_ERROR, "refused\nok       token");
    check_advise(&b, "run %s", "gh");
    text = print(false, &a, &b);
    assert_string_equal(text, "ok       api           status 200\n"
                              "error    token         refused?ok       token; run gh\n"
                              "1 error, 0 warnings\n");
    free(text);
}

static void json_has_the_same_and_members(void **state)
{
    struct check_line a = {.name = "cache"}, b = {.name = "shared"};
    char *text;

    (void)state;
    check_set(&a, CHECK_WARNING, "\"a\\b\" \xc3\xa4 \xff \xed\xa0\x80 \xc0\x80");
    check_advise(&a, "mend");
    check_add_text(&a, "path", "/a\tb");
    check_add_number(&a, "mode", -448);
    check_set(&b, CHECK_SKIPPED, "none");
    text = print(true, &a, &b);
    assert_string_equal(
        text,
        "{\"version\":\"1.2\",\"host\":\"github.com\",\"errors\":0,\"warnings\":1,"
        "\"checks\":[\n"
        "  {\"name\":\"cache\",\"state\":\"warning\",\"text\":\"\\\"a\\\\b\\\" \xc3\xa4 "
        "\\ufffd \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\",\"advice\":\"mend\","
        "\"path\":\"/a\\u0009b\",\"mode\":-448},\n"
        "  {\"name\":\"shared\",\"state\":\"skipped\",\"text\":\"none\",\"advice\":\"\"}]}\n");
    free(text);
}

/* A member that does not fit is left out whole, so that what is printed stays JSON. */
static void long_texts_and_members_are_bounded(void **state)
{
    struct check_line a = {.name = "cache"}, b = {.name = "api"};
    char longer[2 * CHECK_TEXT_MAX], *text;

    (void)state;
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    check_set(&a, CHECK_OK, "%s", longer);
    check_add_text(&a, "path", longer);
    check_add_number(&a, "mode", 1);
    check_set(&b, CHECK_OK, "fine");
    assert_int_equal(strlen(a.text), CHECK_TEXT_MAX - 1);
    assert_string_equal(a.members, ",\"mode\":1");
    text = print(true, &a, &b);
    assert_non_null(strstr(text, "\"advice\":\"\",\"mode\":1},\n"));
    free(text);
}

static void sizes_are_for_people(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 bytes"},
                 {1023, "1023 bytes"},
                 {1024, "1.0 KiB"},
                 {1536 << 10, "1.5 MiB"},
                 {(UINT64_C(1) << 30) - 1, "1.0 GiB"},
                 {UINT64_C(4) << 30, "4.0 GiB"},
                 {UINT64_MAX, "16384.0 PiB"}};
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_print_size(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* A full disk, a pipe without a reader. */
static void what_cannot_be_printed_is_an_error(void **state)
{
    FILE *out = fopen("/dev/full", "w");
    struct check_line l = {.name = "api"};
    struct check_report r;

    (void)state;
    assert_non_null(out);
    check_set(&l, CHECK_OK, "fine");
    assert_int_equal(check_report_init(&r, true, out), 0);
    check_report_add(&r, &l);
    assert_true(check_report_finish(&r, "1.2", "github.com") < 0);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_one_line_for_each),
        cmocka_unit_test(json_has_the_same_and_members),
        cmocka_unit_test(long_texts_and_members_are_bounded),
        cmocka_unit_test(sizes_are_for_people),
        cmocka_unit_test(what_cannot_be_printed_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
