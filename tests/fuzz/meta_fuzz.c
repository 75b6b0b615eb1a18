/*
 * Any bytes as a .meta: refused, or read as a meta that is written again as the same bytes. The
 * bytes are tried as they are and with the checksum that they should have, which no fuzzer guesses.
 */
#include "store/meta.h"
#include "store/store.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HOST "api.github.com"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_accepted(const struct store_meta *m, const uint8_t *data, size_t size,
                           uint64_t job)
{
    void *again = NULL;
    size_t len = 0;

    check(m->name_count <= STORE_NAMES_MAX);
    check(memchr(m->etag, '\0', sizeof(m->etag)) != NULL);
    check(!m->checksums || m->size / STORE_PAGE_SIZE <= size / 8);
    check(meta_encode(m, HOST, job, &again, &len) == 0);
    check(len == size && !memcmp(again, data, size));
    free(again);
}

static void try(const uint8_t *data, size_t size)
{
    struct store_meta m = {0};
    uint64_t job = 0;

    if (size >= 16)
        memcpy(&job, data + 8, sizeof(job));
    if (meta_decode(data, size, HOST, job, &m))
        return;
    check_accepted(&m, data, size, job);
    store_meta_finish(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *sealed;
    uint64_t sum;

    try(data, size);
    if (size < 8)
        return 0;
    sealed = malloc(size);
    check(sealed != NULL);
    memcpy(sealed, data, size);
    sum = store_page_checksum(sealed, size - 8);
    memcpy(sealed + size - 8, &sum, sizeof(sum));
    try(sealed, size);
    free(sealed);
    return 0;
}
