#include "cache/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void pages_init(struct pages *t)
{
    memset(t, 0, sizeof(*t));
}

void pages_finish(struct pages *t)
{
    free(t->state);
    free(t->sum);
    pages_init(t);
}

int pages_grow(struct pages *t, uint64_t count)
{
    uint8_t *state;
    uint64_t *sum;

    if (count <= t->count)
        return 0;
    state = realloc(t->state, count);
    if (!state)
        return -ENOMEM;
    t->state = state;
    sum = realloc(t->sum, count * sizeof(*sum));
    if (!sum)
        return -ENOMEM;
    t->sum = sum;
    memset(t->state + t->count, PAGE_ABSENT, count - t->count);
    t->count = count;
    return 0;
}

int pages_adopt(struct pages *t, const uint64_t *sums, uint64_t count)
{
    int rc = pages_grow(t, count);

    if (rc || !count)
        return rc;
    memcpy(t->sum, sums, count * sizeof(*sums));
    memset(t->state, PAGE_UNCHECKED, count);
    t->present = 0;
    return 0;
}

void pages_doubt(struct pages *t)
{
    for (uint64_t page = 0; page < t->count; page++)
        if (t->state[page] == PAGE_PRESENT)
            t->state[page] = PAGE_UNCHECKED;
    t->present = 0;
}

void pages_clear(struct pages *t)
{
    if (t->count)
        memset(t->state, PAGE_ABSENT, t->count);
    t->present = 0;
}

enum page_state pages_get(const struct pages *t, uint64_t page)
{
    return page < t->count ? (enum page_state)t->state[page] : PAGE_ABSENT;
}

void pages_set_present(struct pages *t, uint64_t page, uint64_t sum)
{
    if (page >= t->count)
        return;
    if (t->state[page] != PAGE_PRESENT)
        t->present++;
    t->state[page] = PAGE_PRESENT;
    t->sum[page] = sum;
}

void pages_set_absent(struct pages *t, uint64_t page)
{
    if (page >= t->count)
        return;
    if (t->state[page] == PAGE_PRESENT)
        t->present--;
    t->state[page] = PAGE_ABSENT;
}
