/*
 * The cleaner: any chunking gives the same text, within the promised room, and without the bytes
 * that it promises to take out. The first byte chooses the chunks and whether timestamps stay.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/clean.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct text_cleaner cleaner;

static size_t clean(const uint8_t *in, size_t len, size_t piece, bool keep, char *out)
{
    size_t at = 0;
    text_cleaner_init(&cleaner, keep, NULL, NULL);
    for (size_t done = 0, n = piece; done < len; done += n) {
        if (n > len - done)
            n = len - done;
        size_t wrote = text_cleaner_feed(&cleaner, in + done, n, out + at);
        assert(wrote <= n + TEXT_CLEAN_SLACK);
        at += wrote;
    }
    return at + text_cleaner_finish(&cleaner, out + at);
}

static size_t newlines(const void *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((const char *)text)[i] == '\n';
    return count;
}

static void check_bytes(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)text[i];
        assert(b >= 0x20 || b == '\t' || b == '\n');
        assert(b != 0x7f);
        assert(i == 0 || b < 0x80 || b > 0x9f || text[i - 1] != '\xc2');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool keep = data[0] & 1;
    size_t piece = (size_t)(data[0] >> 1) + 1, len = size - 1;
    char *whole = malloc(len + TEXT_CLEAN_SLACK), *parts = malloc(len + TEXT_CLEAN_SLACK);
    assert(whole && parts);
    size_t whole_len = clean(data + 1, len, len, keep, whole);
    size_t parts_len = clean(data + 1, len, piece, keep, parts);
    assert(whole_len <= len && whole_len == parts_len);
    assert(memcmp(whole, parts, whole_len) == 0);
    assert(newlines(data + 1, len) == newlines(whole, whole_len));
    check_bytes(whole, whole_len);
    free(whole);
    free(parts);
    return 0;
}
