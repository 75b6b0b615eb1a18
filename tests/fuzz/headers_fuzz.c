/* Any header, as each kind that is looked at: no crash, and what is taken is within its bounds. */
#include "github/headers.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1767225600)
#define YEAR_10000 INT64_C(253402300800)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void try_range(const char *text)
{
    struct parse_range r;

    if (parse_content_range(text, &r) != 0)
        return;
    check(r.satisfied || r.total_known);
    check(r.satisfied ? r.end > r.first : r.end == 0 && r.first == 0);
    check(!r.total_known || r.end <= r.total);
}

static void try_times(const char *text)
{
    int64_t value;

    if (parse_http_date(text, NOW, &value) == 0)
        check(value >= 0 && value <= YEAR_10000);
    if (parse_retry_after(text, NOW, &value) == 0)
        check(value >= 0 && value <= 86400);
    if (parse_time(text, &value) == 0)
        check(value >= 0 && value <= (YEAR_10000 + 86400) * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    uint32_t page = 0;
    uint64_t value;

    check(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (parse_link_next(text, &page) == 0)
        check(page >= 2 && strstr(text, "page=") != NULL);
    check(parse_count(text) >= -1);
    check(parse_u64(text, &value) != 0 || strpbrk(text, "0123456789") != NULL);
    try_range(text);
    try_times(text);
    free(text);
    return 0;
}
