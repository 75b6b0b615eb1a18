/*
 * plan.h - what to fetch next in a log. Pure: computes from the recent reads of an open file what
 * is worth fetching.
 *
 * At first only the first MiB of a log is fetched (S5). Once a reader has gone through half of
 * that, the window ahead of it is four times what it has read sequentially, up to 64 MiB, fetched
 * in ranges of at least 4 MiB (S3: at most one request for each 4 MiB). A reader who jumps (tail,
 * less G, mmap) gets what it reads and a little more, and starts anew; one that then reads
 * backwards (tac, some copies of mapped memory) gets blocks of at least 4 MiB that end where it
 * came from.
 */
#ifndef GHLOGFS_CACHE_PLAN_H
#define GHLOGFS_CACHE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_JUMP (UINT64_C(128) << 10) /* what a jump brings at least: the kernel's readahead */
#define PLAN_WHOLE (UINT64_C(1) << 20)  /* a log up to this comes in one range (S3) */
#define PLAN_SEQUENTIAL (UINT64_C(512) << 10) /* read before a window opens */
#define PLAN_RANGE (UINT64_C(4) << 20)        /* the smallest range within a window */
#define PLAN_RANGE_LARGE (UINT64_C(8) << 20)  /* once the window is wide */
#define PLAN_WINDOW_MAX (UINT64_C(64) << 20)
/* Reads this near each other are sequential: the parts of the kernel's readahead
 * (mountpoint_raise_readahead) arrive in any order. */
#define PLAN_NEAR (UINT64_C(2) << 20)

/* One open file's position; zeroed at open. */
struct plan_reader {
    uint64_t next; /* end of the furthest sequential read */
    uint64_t run;  /* bytes read sequentially */
    uint64_t low;  /* start of the lowest one */
};

struct plan_wish {
    uint64_t need_to; /* [offset, need_to) must come */
    uint64_t want_to; /* [offset, want_to) is worth having; >= need_to */
    uint64_t range;   /* bytes of one range */
    bool backwards; /* [offset, want_to) is the end of a block; plan_block_start finds its start */
};

/* Notes a read; *ret_wish is what is worth fetching then. All ends are cut to `size`. */
void plan_note_read(struct plan_reader *r, uint64_t offset, uint64_t len, uint64_t size,
                    struct plan_wish *ret_wish);

/* For a backward reader: where the block begins that ends at `end`, if everything from `gap` on is
 * missing. It is at least a range long and leaves no smaller gap behind. */
uint64_t plan_block_start(uint64_t gap, uint64_t end);

/* Whether a stream that is still at `at` would take too long for a reader at `offset`. */
bool plan_is_far(uint64_t at, uint64_t offset);

#endif
