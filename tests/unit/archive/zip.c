#include "archive/zip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

void zip_put(struct zip *z, const void *data, size_t len)
{
    if (z->len + len + 1 > z->cap) {
        z->cap = 2 * (z->len + len + 1);
        z->bytes = realloc(z->bytes, z->cap);
        assert_non_null(z->bytes);
    }
    if (len)
        memcpy(z->bytes + z->len, data, len);
    z->len += len;
}

static void put_number(struct zip *z, uint32_t value, size_t bytes)
{
    unsigned char le[4] = {(unsigned char)value, (unsigned char)(value >> 8),
                           (unsigned char)(value >> 16), (unsigned char)(value >> 24)};
    zip_put(z, le, bytes);
}

static uint32_t crc_of(const unsigned char *data, size_t len)
{
    uint32_t crc = ~UINT32_C(0);

    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~crc;
}

void zip_put_entry(struct zip *z, const char *name, const void *data, size_t len,
                   uint32_t crc_error)
{
    zip_put(z, "PK\003\004", 4);
    put_number(z, 20, 2);
    put_number(z, 0x800, 2); /* the name is UTF-8 */
    put_number(z, 0, 2);     /* stored */
    put_number(z, 0, 4);
    put_number(z, crc_of(data, len) + crc_error, 4);
    put_number(z, (uint32_t)len, 4);
    put_number(z, (uint32_t)len, 4);
    put_number(z, (uint32_t)strlen(name), 2);
    put_number(z, 0, 2);
    zip_put(z, name, strlen(name));
    zip_put(z, data, len);
}

void zip_put_end(struct zip *z)
{
    zip_put(z, "PK\005\006\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
}

void zip_free(struct zip *z)
{
    free(z->bytes);
    *z = (struct zip){0};
}

/* -- Logs -------------------------------------------------------------------------------------- */

static size_t make_line(const struct match_job *job, size_t number, char *line, size_t size)
{
    time_t at = (time_t)(job->started_ms / 1000 + 1);
    char stamp[32];
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    if (number == 0)
        return (size_t)snprintf(line, size, "%s.0000000Z Complete job name: %s\n", stamp,
                                job->name);
    return (size_t)snprintf(line, size, "%s.%07zuZ job %llu, line %zu\n", stamp, number % 10000000,
                            (unsigned long long)job->id, number);
}

char *zip_make_log(const struct match_job *job, size_t size)
{
    char *log = malloc(size + 1), line[256];
    size_t at = 0;

    assert_non_null(log);
    for (size_t number = 0; at < size; number++) {
        size_t len = make_line(job, number, line, sizeof(line));

        if (len > size - at)
            len = size - at;
        memcpy(log + at, line, len);
        at += len;
    }
    log[size] = '\0';
    return log;
}
