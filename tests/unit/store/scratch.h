/*
 * scratch.h - what the store's tests share: a directory for one test, and logs in it.
 */
#ifndef GHLOGFS_TESTS_UNIT_STORE_SCRATCH_H
#define GHLOGFS_TESTS_UNIT_STORE_SCRATCH_H

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define SCRATCH_PATH 512

struct scratch {
    char top[64];            /* a fresh directory; not in /tmp, which may be a tmpfs */
    char dir[SCRATCH_PATH];  /* the cache directory in it, not made yet */
    char path[SCRATCH_PATH]; /* the last scratch_path */
};

/* Skips the test and prints why. */
void scratch_skip(const char *why);

/* A mount namespace of our own, in which tests may mount, for the rest of the process. */
bool scratch_may_mount(void);

/* setup and teardown of cmocka: *state is a struct scratch, everything in it is deleted */
int scratch_setup(void **state);
int scratch_teardown(void **state);
void scratch_remove(const char *path);

/* A path below the top. */
const char *scratch_path(struct scratch *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Of a log of the host "api.test" or its meta. */
const char *scratch_log(struct scratch *x, uint64_t job, const char *ending);

/* A store over the scratch directory, for api.test; fails the test if it cannot be. */
struct store *scratch_store(struct scratch *x, uint64_t cache_size);

/* The bytes of a log: page `page` of job `job`. */
void scratch_page(uint64_t job, uint64_t page, unsigned char data[STORE_PAGE_SIZE]);

/* A meta of a complete final log, with checksums. store_meta_finish on it. */
void scratch_meta(uint64_t job, uint64_t size, struct store_meta *ret_meta);

/* Reserves and writes a whole log. Returns store_backing_reserve's result. */
int scratch_fill(struct store *s, struct store_backing *b, uint64_t job, uint64_t size);

/* Opens, fills, publishes, closes. */
int scratch_publish(struct store *s, uint64_t job, uint64_t size);

/* Whether a log can be opened, and if so that it has the right bytes (else the test fails). */
bool scratch_is_whole(struct store *s, uint64_t job);

/* Sets a log's time of use, in seconds. */
void scratch_set_age(struct scratch *x, uint64_t job, int64_t mtime);

#endif
