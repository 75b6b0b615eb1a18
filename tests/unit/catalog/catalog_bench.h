/*
 * catalog_bench.h - a catalog over a store of its own and a fake source, as its tests see it.
 */
#ifndef GHLOGFS_UNIT_CATALOG_CATALOG_BENCH_H
#define GHLOGFS_UNIT_CATALOG_CATALOG_BENCH_H

#include "catalog/catalog.h"
#include "fake_source.h"
#include "guest.h"
#include "store/scratch.h"

#define FRESH_MS 30000
#define PATIENCE_MS 8000

struct catalog_bench {
    struct scratch *scratch;
    struct store *store;
    struct waits waits;
    struct fake_source fake;
    struct catalog *catalog;
    char *body; /* the last that was made */
};

extern const struct repo_name bench_repo;

/* setup and teardown of cmocka: *state is a struct catalog_bench */
int catalog_bench_setup(void **state);
int catalog_bench_teardown(void **state);
/* Taken down as at unmounting and built anew over the same store. */
void catalog_bench_remount(struct catalog_bench *b);

/* The runs of a repository, so many; the jobs of a run; a job. */
struct catalog_question bench_runs(unsigned limit);
struct catalog_question bench_jobs(uint64_t run);
struct catalog_question bench_job(uint64_t job);

/* Bodies; valid until the next is made. Ids first, first + 1 ... of so many entries; `total` is
 * what the listing says of itself, -1 for nothing. */
const char *bench_runs_body(struct catalog_bench *b, uint64_t first, unsigned count, int total);
const char *bench_jobs_body(struct catalog_bench *b, uint64_t first, unsigned count, int total,
                            const char *status);
const char *bench_repos_body(struct catalog_bench *b, uint64_t first, unsigned count);
const char *bench_job_body(struct catalog_bench *b, uint64_t job, const char *status);

/* Asks once, as a new operation. PENDING_PARKED: the guest is parked. */
int bench_ask(struct catalog_bench *b, const struct catalog_question *q, struct guest *g,
              const struct catalog_answer **ret_answer);
/* The same operation asks again. */
int bench_ask_again(struct catalog_bench *b, const struct catalog_question *q, struct guest *g,
                    const struct catalog_answer **ret_answer);
/* The guest is parked: it waits, and asks again until it is answered. */
int bench_wait(struct catalog_bench *b, const struct catalog_question *q, struct guest *g,
               const struct catalog_answer **ret_answer);
/* A new operation that asks until it is answered: what it needs is at hand. */
int bench_get(struct catalog_bench *b, const struct catalog_question *q,
              const struct catalog_answer **ret_answer);

/* Asks, answers the one question that comes with it, and returns the answer. */
const struct catalog_answer *bench_learn(struct catalog_bench *b, const struct catalog_question *q,
                                         const char *body, const char *etag);

/* The question under way fails in this page size and in all smaller ones. */
void bench_refuse_sizes(struct catalog_bench *b, int err, enum source_reason reason);

/* The count of the answer, which is released. */
size_t bench_count(const struct catalog_answer *a);

/* Returns when the catalog's thread has done what it had to, also what has become due. */
void bench_pass_clerk(struct catalog_bench *b);

#endif
