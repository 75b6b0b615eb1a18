/*
 * Any key and any file as a record: a key that is accepted leads nowhere else, a file that is
 * accepted was sealed under this key. Input: the key, a NUL, the file.
 */
#include "store/internal.h"

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

static void check_key(const char *key)
{
    if (!record_key_is_valid(key))
        return;
    check(key[0] && key[0] != '/' && key[strlen(key) - 1] != '/' && strlen(key) <= 1000);
    check(!strstr(key, "//") && !strstr(key, "/../") && !strchr(key, '~') && !strchr(key, '\n'));
    check(strcmp(key, "..") && strncmp(key, "../", 3));
}

static void check_file(const char *key, const uint8_t *file, size_t size)
{
    unsigned char *sealed = malloc(size + RECORD_TRAILER);
    size_t len = 0;

    check(sealed != NULL);
    if (!record_open(HOST, key, file, size, &len))
        check(len == size - RECORD_TRAILER);
    memcpy(sealed, file, size);
    record_seal(HOST, key, file, size, sealed + size);
    check(!record_open(HOST, key, sealed, size + RECORD_TRAILER, &len) && len == size);
    check(record_open(HOST, "another/key", sealed, size + RECORD_TRAILER, &len) ||
          !strcmp(key, "another/key"));
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\0', size) : NULL;

    if (!end)
        return 0;
    check_key((const char *)data);
    check_file((const char *)data, end + 1, size - (size_t)(end + 1 - data));
    return 0;
}
