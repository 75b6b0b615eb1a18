/*
 * pages.h - which pages of one log are present. Pure: no lock, no I/O; the cache's lock protects
 * it.
 *
 * A page is 64 KiB of a log; the last may be shorter. "Under way" is no state of a page: a page is
 * under way exactly if a fetch covers it, so the two cannot disagree. Checksums are kept from the
 * moment a page is present, for the .meta and for pages that come from a published file.
 */
#ifndef GHLOGFS_CACHE_PAGES_H
#define GHLOGFS_CACHE_PAGES_H

#include "store/store.h"

#include <stdint.h>

#define PAGE_SHIFT 16
#define PAGE_SIZE (UINT64_C(1) << PAGE_SHIFT)

_Static_assert(PAGE_SIZE == STORE_PAGE_SIZE, "one kind of page");

enum page_state {
    PAGE_ABSENT,
    PAGE_UNCHECKED, /* on disk since before this mount; its checksum is not compared yet */
    PAGE_PRESENT,   /* its bytes never change again (law 3) */
};

struct pages {
    uint64_t count;   /* pages in the table */
    uint64_t present; /* how many are PAGE_PRESENT */
    uint8_t *state;
    uint64_t *sum;
};

/* Bytes of page `page` in a log of `size` bytes. */
static inline uint64_t page_length(uint64_t size, uint64_t page)
{
    uint64_t start = page << PAGE_SHIFT;
    return size - start < PAGE_SIZE ? size - start : PAGE_SIZE;
}

void pages_init(struct pages *t);
void pages_finish(struct pages *t);

/* Makes the table at least `count` pages long; new ones are absent. -ENOMEM leaves it as it was. */
int pages_grow(struct pages *t, uint64_t count);

/* All pages are in a file with these checksums, unchecked. -ENOMEM. */
int pages_adopt(struct pages *t, const uint64_t *sums, uint64_t count);

/* Present pages become unchecked: they are in another file from now on. */
void pages_doubt(struct pages *t);

/* All pages become absent (the file was evicted). */
void pages_clear(struct pages *t);

enum page_state pages_get(const struct pages *t, uint64_t page);
void pages_set_present(struct pages *t, uint64_t page, uint64_t sum);
void pages_set_absent(struct pages *t, uint64_t page);

#endif
