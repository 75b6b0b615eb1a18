/* A log in memory: sparse, counted exactly, and no file to any limit. */
#include "store/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)
#define END (64 * GIB)

static struct store_memory *create(void)
{
    struct store_memory *m = memory_create();

    assert_non_null(m);
    return m;
}

static void bytes_come_back_from_wherever_they_were_put(void **state)
{
    static const uint64_t places[] = {0, 64 * KIB - 1, 64 * KIB, 64 * (KIB * KIB) - 100,
                                      END - 200000};
    static char data[150000], copy[150000];
    struct store_memory *m = create();

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_int_equal(memory_map(m, places[i], places[i] + sizeof(data)), 0);
        assert_int_equal(memory_write(m, data, sizeof(data), places[i]), 0);
        memset(copy, 1, sizeof(copy));
        memory_read(m, copy, sizeof(copy), places[i]);
        assert_memory_equal(copy, data, sizeof(data));
    }
    memory_read(m, copy, 1000, 32 * GIB);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(copy[i], 0);
    memory_destroy(m);
    memory_destroy(NULL);
}

static void each_block_is_counted_once(void **state)
{
    struct store_memory *m = create();

    (void)state;
    assert_true(memory_missing(m, 0, 1) == 4 * KIB);
    assert_true(memory_missing(m, 4095, 4097) == 8 * KIB);
    assert_true(memory_missing(m, 0, KIB * KIB) == KIB * KIB);
    assert_true(memory_missing(m, 5, 5) == 0);
    assert_int_equal(memory_map(m, 60 * KIB, 70 * KIB), 0);
    assert_true(memory_missing(m, 60 * KIB, 70 * KIB) == 0);
    assert_true(memory_missing(m, 0, 128 * KIB) == 116 * KIB);
    assert_int_equal(memory_map(m, 0, 128 * KIB), 0);
    assert_true(memory_missing(m, 0, 128 * KIB) == 0);
    memory_destroy(m);
}

static void what_is_not_mapped_cannot_be_written(void **state)
{
    struct store_memory *m = create();
    char byte = 'x';

    (void)state;
    assert_int_equal(memory_write(m, &byte, 1, 0), -EFBIG);
    assert_int_equal(memory_map(m, END - 1, END), 0);
    assert_int_equal(memory_map(m, END - 1, END + 1), -EFBIG);
    assert_int_equal(memory_write(m, "ab", 2, END - 1), -EFBIG);
    assert_int_equal(memory_write(m, &byte, 1, END - 1), 0);
    memory_destroy(m);
}

/* Reads go on in memory where files may not be as large as the log, or not be opened at all (R3).
 * */
static void no_limit_of_files_holds_for_it_R3(void **state)
{
    static const int which[] = {RLIMIT_FSIZE, RLIMIT_NOFILE};
    struct rlimit before[2], none;
    struct store_memory *m;
    char byte = 'x';
    int rc;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    for (unsigned i = 0; i < 2; i++) {
        getrlimit(which[i], &before[i]);
        none = (struct rlimit){0, before[i].rlim_max};
        setrlimit(which[i], &none);
    }
    m = memory_create();
    rc = m ? memory_map(m, 0, KIB * KIB) : -ENOMEM;
    if (!rc)
        rc = memory_write(m, &byte, 1, KIB * KIB - 1);
    memory_destroy(m);
    for (unsigned i = 0; i < 2; i++)
        setrlimit(which[i], &before[i]);
    assert_int_equal(rc, 0);
}

static void where_the_system_gives_no_more_it_is_too_big(void **state)
{
    struct rlimit before, none;
    struct store_memory *m = create();
    int first, again;

    (void)state;
    if (sizeof(void *) < 8 || getrlimit(RLIMIT_AS, &before))
        skip();
    assert_int_equal(memory_map(m, 0, 64 * KIB), 0);
    none = (struct rlimit){64 * KIB, before.rlim_max};
    setrlimit(RLIMIT_AS, &none);
    first = memory_map(m, 0, 64 * KIB);
    again = memory_map(m, GIB, GIB + 64 * KIB);
    setrlimit(RLIMIT_AS, &before);
    assert_int_equal(first, 0);
    assert_int_equal(again, -EFBIG);
    memory_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_from_wherever_they_were_put),
        cmocka_unit_test(each_block_is_counted_once),
        cmocka_unit_test(what_is_not_mapped_cannot_be_written),
        cmocka_unit_test(no_limit_of_files_holds_for_it_R3),
        cmocka_unit_test(where_the_system_gives_no_more_it_is_too_big),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
