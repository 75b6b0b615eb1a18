/*
 * cache_fixture.h - a cache over a store of its own and a fake source, as its tests see it.
 */
#ifndef GHLOGFS_UNIT_CACHE_CACHE_FIXTURE_H
#define GHLOGFS_UNIT_CACHE_CACHE_FIXTURE_H

#include "cache/cache.h"
#include "fake_source.h"
#include "guest.h"
#include "store/scratch.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define PAGE (64 * KIB)
#define FIRST SOURCE_FIRST_RANGE

struct cache_fixture {
    struct scratch *scratch;
    struct store_config store_config;
    struct store *store;
    struct waits waits;
    struct fake_source fake;
    struct cache *cache;
    unsigned idle_max;
    int64_t (*now_ms)(void); /* of the cache; NULL: guest_now_ms */
};

extern const struct repo_name fixture_name, fixture_other;
extern const struct log_hint fixture_no_hint;

/* setup and teardown of cmocka: *state is a cache_fixture over a scratch directory, 1 GiB. */
int cache_fixture_setup(void **state);
int cache_fixture_teardown(void **state);

/* The same without a directory: no_cache, with this much memory. */
void cache_fixture_forget_disk(struct cache_fixture *b, uint64_t memory);

/* Destroys the cache as unmounting does and creates it again over the same store. */
void cache_fixture_remount(struct cache_fixture *b);
/* The first half of that. */
void cache_fixture_unmount(struct cache_fixture *b);
void cache_fixture_mount(struct cache_fixture *b);

/* Calls log_get_stat and waits until there is an answer. Another thread serves what is missing. */
int fixture_stat(struct log *log, struct log_stat *ret_stat);
int fixture_stat_as(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                    struct log_stat *ret_stat);

/* Calls log_get_stat once. PENDING_PARKED: `g` is parked. */
int fixture_try_stat(struct log *log, struct guest *g, struct log_stat *ret_stat);
/* Reads once and compares each byte. Returns what log_read does; *ret_len: how many bytes. */
int fixture_try_read(struct log_reader *r, uint64_t job, uint64_t offset, size_t len,
                     struct guest *g, size_t *ret_len);
/* Reads until there is an answer; another thread serves. */
int fixture_read(struct log_reader *r, uint64_t job, uint64_t offset, size_t len);
/* The same; it serves the requested ranges itself. */
int fixture_read_served(struct cache_fixture *b, struct log_reader *r, uint64_t job,
                        uint64_t offset, size_t len);

/* Serves what is requested until the guest has its answer. */
void fixture_serve_until(struct cache_fixture *b, struct guest *g);

/* A log whose stat is known: served whole if it is up to a MiB, else the first MiB of it. */
struct log *fixture_know(struct cache_fixture *b, uint64_t job);
/* Calls log_get_stat and takes the request for the first range, but does not serve it. */
struct fake_want *fixture_begin(struct cache_fixture *b, struct log *log, struct guest *g);

/* Returns when the writer has nothing left to do and `wants` ranges are under way. */
void fixture_settle(struct cache_fixture *b, unsigned wants);
/* Serves until nothing is requested any more. */
void fixture_settle_served(struct cache_fixture *b);

#endif
