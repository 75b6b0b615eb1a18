/* The zip reader: archives made here byte by byte, and real ones where they are. */
#include "archive/unzip.h"
#include "archive/zip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_entry(struct zip *z, const char *name, const char *text, uint32_t crc_error)
{
    zip_put_entry(z, name, text, strlen(text), crc_error);
}

/* -- A reader -----------------------------------------------------------------------------------
 * */

struct reader {
    struct zip *zip;
    size_t at, step;
    ssize_t read_err;
    FILE *file;
    char block[65536];

    const char *skipped; /* this entry is not wanted */
    size_t enough;       /* bytes of an entry that are wanted; 0: all */
    char text[4096];     /* NAME:CONTENT:good or bad; */
    size_t len;
    size_t taken;
    unsigned good, bad;
};

static void note(struct reader *r, const void *data, size_t len)
{
    if (r->file)
        return;
    assert_true(r->len + len < sizeof(r->text));
    memcpy(r->text + r->len, data, len);
    r->len += len;
    r->text[r->len] = 0;
}

static ssize_t on_read(void *who, const void **ret_data)
{
    struct reader *r = who;
    size_t n = r->step;

    if (r->file) {
        *ret_data = r->block;
        return (ssize_t)fread(r->block, 1, sizeof(r->block), r->file);
    }
    if (r->at == r->zip->len)
        return r->read_err;
    if (n > r->zip->len - r->at)
        n = r->zip->len - r->at;
    *ret_data = r->zip->bytes + r->at;
    r->at += n;
    return (ssize_t)n;
}

static bool on_begin(void *who, const char *name)
{
    struct reader *r = who;

    if (r->skipped && strcmp(name, r->skipped) == 0)
        return false;
    r->taken = 0;
    note(r, name, strlen(name));
    note(r, ":", 1);
    return true;
}

static bool on_data(void *who, const void *data, size_t len)
{
    struct reader *r = who;

    note(r, data, len);
    r->taken += len;
    return !r->enough || r->taken < r->enough;
}

static void on_end(void *who, bool good)
{
    struct reader *r = who;

    r->good += good;
    r->bad += !good;
    note(r, good ? ":good;" : ":bad;", good ? 6 : 5);
}

static const struct unzip_ops ops = {on_read, on_begin, on_data, on_end};

/* Reads the zip in pieces of `step` bytes, and frees it. */
static int read_zip(struct zip *z, struct reader *r, size_t step)
{
    char why[128];
    int rc;

    r->zip = z;
    r->step = step;
    rc = unzip(&ops, r, why, sizeof(why));
    assert_true(why[0]);
    zip_free(z);
    return rc;
}

/* -- Tests --------------------------------------------------------------------------------------
 * */

static void entries_come_in_order_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t step = 1; step < 200; step += 7) {
        struct zip z = {0};
        struct reader r = {0};

        put_entry(&z, "0_build.txt", "hello\n", 0);
        put_entry(&z, "🔒/1_Set up.txt", "", 0);
        zip_put_end(&z);
        assert_int_equal(read_zip(&z, &r, step), 0);
        assert_string_equal(r.text, "0_build.txt:hello\n:good;🔒/1_Set up.txt::good;");
    }
}

static void wrong_crc_makes_its_entry_bad_and_no_other(void **state)
{
    struct zip z = {0};
    struct reader r = {0};

    (void)state;
    put_entry(&z, "a", "one", 0);
    put_entry(&z, "b", "two", 1);
    put_entry(&z, "c", "three", 0);
    zip_put_end(&z);
    assert_int_equal(read_zip(&z, &r, 10), 0);
    assert_int_equal(r.good, 2);
    assert_int_equal(r.bad, 1);
    assert_non_null(strstr(r.text, "a:one:good;"));
    assert_non_null(strstr(r.text, "c:three:good;"));
}

static void what_is_not_wanted_is_skipped(void **state)
{
    struct zip z = {0};
    struct reader r = {.skipped = "b", .enough = 2};

    (void)state;
    put_entry(&z, "a", "one", 0);
    put_entry(&z, "b", "two", 0);
    put_entry(&z, "c", "x", 0);
    zip_put_end(&z);
    assert_int_equal(read_zip(&z, &r, 1000), 0);
    assert_string_equal(r.text, "a:one:bad;c:x:good;");
}

static void cut_anywhere_gives_no_wrong_entry(void **state)
{
    struct zip whole = {0};

    (void)state;
    put_entry(&whole, "a", "one", 0);
    put_entry(&whole, "b", "twotwotwo", 0);
    zip_put_end(&whole);
    for (size_t len = 0; len < whole.len - 22; len++) {
        struct zip z = {0};
        struct reader r = {0};

        zip_put(&z, whole.bytes, len);
        assert_int_equal(read_zip(&z, &r, 5), -EPROTO);
        assert_null(strstr(r.text, "twotwotwo:good"));
        if (len < 30)
            assert_int_equal(r.good, 0);
    }
    zip_free(&whole);
}

static void what_is_no_zip_is_refused(void **state)
{
    static const char *const bodies[] = {"<!DOCTYPE html><html>blocked</html>",
                                         "{\"message\": 1}",
                                         "",
                                         "PK",
                                         "\x1f\x8b\x08 gzip",
                                         "Rar!\x1a\x07"};

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct zip z = {0};
        struct reader r = {0};

        zip_put(&z, bodies[i], strlen(bodies[i]));
        assert_int_equal(read_zip(&z, &r, 3), -EPROTO);
        assert_int_equal(r.good + r.bad, 0);
    }
}

static void failure_to_read_is_passed_on(void **state)
{
    struct zip z = {0};
    struct reader r = {.read_err = -ETIMEDOUT};

    (void)state;
    put_entry(&z, "a", "one", 0);
    z.len -= 2;
    assert_int_equal(read_zip(&z, &r, 5), -ETIMEDOUT);
    assert_string_equal(r.text, "a:o:bad;");
}

static void long_and_odd_names_do_no_harm(void **state)
{
    struct zip z = {0};
    struct reader r = {0};
    char name[UNZIP_NAME_MAX + 2];

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    put_entry(&z, name, "long", 0);
    put_entry(&z, "../../etc/passwd", "odd", 0);
    put_entry(&z, "folder/", "", 0);
    put_entry(&z, "\xff\xfe", "not UTF-8", 0);
    put_entry(&z, "last", "l", 0);
    zip_put_end(&z);
    assert_int_equal(read_zip(&z, &r, 100), 0);
    assert_null(strstr(r.text, "long"));
    assert_null(strstr(r.text, "folder"));
    assert_non_null(strstr(r.text, "../../etc/passwd:odd:good;")); /* it is a text, no path */
    assert_non_null(strstr(r.text, "last:l:good;"));
}

static void number_of_entries_has_a_bound(void **state)
{
    struct zip z = {0};
    struct reader r = {0};

    (void)state;
    for (unsigned i = 0; i < UNZIP_ENTRIES_MAX + 1; i++)
        put_entry(&z, "n", "", 0);
    zip_put_end(&z);
    r.skipped = "n";
    assert_int_equal(read_zip(&z, &r, 1 << 20), -EFBIG);
}

static void real_archives_are_read_whole(void **state)
{
    glob_t found;

    (void)state;
    if (glob("../shared/real/archives/*.zip", 0, NULL, &found)) {
        print_message("skipped: there are no real archives in ../shared/real/archives\n");
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct reader r = {.file = fopen(found.gl_pathv[i], "rbe")};
        char why[128];

        assert_non_null(r.file);
        assert_int_equal(unzip(&ops, &r, why, sizeof(why)), 0);
        assert_true(r.good > 3);
        assert_int_equal(r.bad, 0);
        fclose(r.file);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_in_order_in_pieces_of_any_size),
        cmocka_unit_test(wrong_crc_makes_its_entry_bad_and_no_other),
        cmocka_unit_test(what_is_not_wanted_is_skipped),
        cmocka_unit_test(cut_anywhere_gives_no_wrong_entry),
        cmocka_unit_test(what_is_no_zip_is_refused),
        cmocka_unit_test(failure_to_read_is_passed_on),
        cmocka_unit_test(long_and_odd_names_do_no_harm),
        cmocka_unit_test(number_of_entries_has_a_bound),
        cmocka_unit_test(real_archives_are_read_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
