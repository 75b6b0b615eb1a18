/*
 * cache_bench.h - a cache over a store of its own and a fake source, as its tests see it.
 */
#ifndef GHLOGFS_UNIT_CACHE_CACHE_BENCH_H
#define GHLOGFS_UNIT_CACHE_CACHE_BENCH_H

#include "cache/cache.h"
#include "fake_source.h"
#include "guest.h"
#include "store/scratch.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define PAGE (64 * KIB)
#define FIRST SOURCE_FIRST_RANGE

struct cache_bench {
    struct scratch *scratch;
    struct store_config store_config;
    struct store *store;
    struct waits waits;
    struct fake_source fake;
    struct cache *cache;
    unsigned idle_max;
};

extern const struct repo_name bench_name, bench_other;
extern const struct log_hint bench_no_hint;

/* setup and teardown of cmocka: *state is a struct cache_bench over a scratch directory, 1 GiB. */
int cache_bench_setup(void **state);
int cache_bench_teardown(void **state);

/* The same without a directory: no_cache, with this much memory. */
void cache_bench_forget_disk(struct cache_bench *b, uint64_t memory);

/* The cache is taken down as at unmounting and built anew over the same store. */
void cache_bench_remount(struct cache_bench *b);
/* The first half of that. */
void cache_bench_unmount(struct cache_bench *b);
void cache_bench_mount(struct cache_bench *b);

/* Asks, waits, asks again until there is an answer. What must come is at hand, or is given by
 * another thread. */
int bench_stat(struct log *log, struct log_stat *ret_stat);
int bench_stat_as(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                  struct log_stat *ret_stat);

/* Asks once. PENDING_PARKED: `g` is parked. */
int bench_try_stat(struct log *log, struct guest *g, struct log_stat *ret_stat);
/* Reads once and looks at each byte. What log_read says; *ret_len what came. */
int bench_try_read(struct log_reader *r, uint64_t job, uint64_t offset, size_t len, struct guest *g,
                   size_t *ret_len);
/* Reads until there is an answer; served by whoever else. */
int bench_read(struct log_reader *r, uint64_t job, uint64_t offset, size_t len);
/* The same, and the ranges that are wanted meanwhile are served here. */
int bench_read_served(struct cache_bench *b, struct log_reader *r, uint64_t job, uint64_t offset,
                      size_t len);

/* Serves what is wanted until the guest has its answer. */
void bench_serve_until(struct cache_bench *b, struct guest *g);

/* A log whose stat is known: served whole if it is up to a MiB, else the first MiB of it. */
struct log *bench_know(struct cache_bench *b, uint64_t job);
/* Its stat is asked for, and the want for its first range is taken but not served. */
struct fake_want *bench_begin(struct cache_bench *b, struct log *log, struct guest *g);

/* Returns when the writer has nothing left to do and `wants` ranges are under way. */
void bench_settle(struct cache_bench *b, unsigned wants);
/* Serves whatever is still wanted, and returns when nothing is. */
void bench_settle_served(struct cache_bench *b);

#endif
