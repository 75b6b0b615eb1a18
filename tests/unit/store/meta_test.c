/*
 * The form of a .meta: what was written is read, anything else is refused (R2, R8).
 */
#include "store/meta.h"

#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST "api.test"
#define JOB 123456789012

static uint64_t three_pages[] = {1, UINT64_MAX, 0x0123456789abcdef};

static struct store_meta sample(void)
{
    struct store_meta m = {.size = 2 * STORE_PAGE_SIZE + 1,
                           .mtime_ms = -5,
                           .final = true,
                           .etag = "W/\"abc\"",
                           .checksums = three_pages};

    store_meta_add_name(&m, "octo/repo");
    store_meta_add_name(&m, "octo/other");
    return m;
}

static void *encode(const struct store_meta *m, size_t *ret_len)
{
    void *data = NULL;

    assert_int_equal(meta_encode(m, HOST, JOB, &data, ret_len), 0);
    return data;
}

static void what_was_written_is_read(void **state)
{
    struct store_meta m = sample(), back;
    size_t len;
    void *data = encode(&m, &len);

    (void)state;
    assert_int_equal(meta_decode(data, len, HOST, JOB, &back), 0);
    assert_true(back.size == m.size && back.mtime_ms == -5 && back.final);
    assert_string_equal(back.etag, m.etag);
    assert_int_equal(back.name_count, 2);
    assert_string_equal(store_meta_next_name(&back, back.names), "octo/other");
    assert_memory_equal(back.checksums, three_pages, sizeof(three_pages));
    store_meta_finish(&back);
    free(data);
}

static void without_checksums_there_are_none(void **state)
{
    struct store_meta m = sample(), back;
    size_t len;
    void *data;

    (void)state;
    m.checksums = NULL;
    m.final = false;
    data = encode(&m, &len);
    assert_int_equal(meta_decode(data, len, HOST, JOB, &back), 0);
    assert_true(back.size == m.size && !back.final && !back.checksums);
    free(data);
}

static void longest_strings_fit(void **state)
{
    struct store_meta m = sample(), back;
    size_t len;
    void *data;

    (void)state;
    memset(m.etag, 'e', sizeof(m.etag) - 1);
    m.name_count = 2;
    memset(m.names, 'n', STORE_NAMES_LEN);
    m.names[STORE_NAME_LEN - 1] = m.names[STORE_NAMES_LEN - 1] = 0;
    data = encode(&m, &len);
    assert_int_equal(meta_decode(data, len, HOST, JOB, &back), 0);
    assert_int_equal(strlen(back.etag), STORE_ETAG_LEN - 1);
    assert_int_equal(strlen(back.names), STORE_NAME_LEN - 1);
    assert_int_equal(strlen(store_meta_next_name(&back, back.names)),
                     STORE_NAMES_LEN - STORE_NAME_LEN - 1);
    assert_null(store_meta_next_name(&back, store_meta_next_name(&back, back.names)));
    store_meta_finish(&back);
    free(data);
    m.etag[sizeof(m.etag) - 1] = 'e';
    assert_int_equal(meta_encode(&m, HOST, JOB, &data, &len), -EINVAL);
}

static void every_flipped_bit_is_refused(void **state)
{
    struct store_meta m = sample(), back;
    size_t len;
    unsigned char *data = encode(&m, &len);

    (void)state;
    for (size_t i = 0; i < len * 8; i++) {
        data[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_int_equal(meta_decode(data, len, HOST, JOB, &back), -ENOENT);
        data[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    free(data);
}

static void every_other_length_is_refused(void **state)
{
    struct store_meta m = sample(), back;
    size_t len;
    unsigned char *data = encode(&m, &len), *longer = calloc(1, len + 8);

    (void)state;
    assert_non_null(longer);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(meta_decode(data, cut, HOST, JOB, &back), -ENOENT);
    memcpy(longer, data, len);
    assert_int_equal(meta_decode(longer, len + 8, HOST, JOB, &back), -ENOENT);
    free(longer);
    free(data);
}

static void other_host_or_job_is_refused(void **state)
{
    struct store_meta m = sample(), back;
    size_t len;
    void *data = encode(&m, &len);

    (void)state;
    assert_int_equal(meta_decode(data, len, "api.tesu", JOB, &back), -ENOENT);
    assert_int_equal(meta_decode(data, len, HOST, JOB + 1, &back), -ENOENT);
    free(data);
}

/* Bytes with a right checksum of their own that are not a meta: a field changed, then sealed
 * anew. */
static void sealed_nonsense_is_refused(void **state)
{
    const size_t fields[] = {0, 7, 18, 23, 32, 36, 40, 50};
    struct store_meta m = sample(), back;
    size_t len;
    unsigned char *data = encode(&m, &len);
    uint64_t sum;

    (void)state;
    for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        unsigned char old = data[fields[i]];
        data[fields[i]] = 0xee;
        sum = store_page_checksum(data, len - 8);
        memcpy(data + len - 8, &sum, 8);
        assert_int_equal(meta_decode(data, len, HOST, JOB, &back), -ENOENT);
        data[fields[i]] = old;
    }
    free(data);
}

static void oldest_name_is_dropped(void **state)
{
    struct store_meta m = {0};
    char name[] = "octo/repo-0";

    (void)state;
    for (unsigned i = 0; i < STORE_NAMES_MAX + 1; i++, name[10]++)
        assert_true(store_meta_add_name(&m, name));
    assert_int_equal(m.name_count, STORE_NAMES_MAX);
    assert_false(store_meta_has_name(&m, "octo/repo-0"));
    assert_true(store_meta_has_name(&m, "Octo/REPO-8"));
    assert_false(store_meta_add_name(&m, "OCTO/repo-8"));
    assert_false(store_meta_add_name(&m, ""));
    assert_int_equal(m.name_count, STORE_NAMES_MAX);
}

static void long_names_displace_the_oldest(void **state)
{
    struct store_meta m = {0};
    char name[STORE_NAME_LEN] = {0};

    (void)state;
    assert_null(store_meta_next_name(&m, NULL));
    for (unsigned i = 0; i < 3; i++)
        assert_true(store_meta_add_name(&m, i == 0 ? "octo/first" : i == 1 ? "octo/b" : "octo/c"));
    for (unsigned i = 0; i < 4; i++) {
        memset(name, 'a' + (int)i, sizeof(name) - 1);
        assert_true(store_meta_add_name(&m, name));
        assert_true(store_meta_has_name(&m, name));
        assert_int_equal(m.name_count, i == 0 ? 4 : 1);
    }
    assert_false(store_meta_has_name(&m, "octo/first"));
    assert_true(store_meta_add_name(&m, "octo/first"));
    assert_int_equal(m.name_count, 2);
}

static void hasher_in_pieces_is_the_checksum(void **state)
{
    struct odd {
        char shift;
        struct store_hasher h;
    } odd;
    unsigned char data[3000];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 7);
    for (size_t cut = 0; cut <= sizeof(data); cut += 59) {
        store_hasher_init(&odd.h);
        store_hasher_update(&odd.h, data, cut);
        store_hasher_update(&odd.h, NULL, 0);
        store_hasher_update(&odd.h, data + cut, sizeof(data) - cut);
        assert_true(store_hasher_digest(&odd.h) == store_page_checksum(data, sizeof(data)));
    }
    assert_true(store_page_checksum(data, 10) != store_page_checksum(data, 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(without_checksums_there_are_none),
        cmocka_unit_test(longest_strings_fit),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(other_host_or_job_is_refused),
        cmocka_unit_test(sealed_nonsense_is_refused),
        cmocka_unit_test(oldest_name_is_dropped),
        cmocka_unit_test(long_names_displace_the_oldest),
        cmocka_unit_test(hasher_in_pieces_is_the_checksum),
    };

    return cmocka_run_group_tests_name("store/meta", tests, NULL, NULL);
}
