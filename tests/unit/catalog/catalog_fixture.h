/*
 * catalog_fixture.h - a catalog over a store of its own and a fake source, as its tests see it.
 */
#ifndef GHLOGFS_UNIT_CATALOG_CATALOG_FIXTURE_H
#define GHLOGFS_UNIT_CATALOG_CATALOG_FIXTURE_H

#include "catalog/catalog.h"
#include "fake_source.h"
#include "guest.h"
#include "store/scratch.h"

#define FRESH_MS 30000
#define PATIENCE_MS 8000

struct catalog_fixture {
    struct scratch *scratch;
    struct store *store;
    struct waits waits;
    struct fake_source fake;
    struct catalog *catalog;
    char *body; /* the last that was made */
};

extern const struct repo_name fixture_repo;

/* setup and teardown of cmocka: *state is a struct catalog_fixture */
int catalog_fixture_setup(void **state);
int catalog_fixture_teardown(void **state);
/* Taken down as at unmounting and built anew over the same store. */
void catalog_fixture_remount(struct catalog_fixture *b);

/* The runs of a repository, so many; the jobs of a run; a job. */
struct catalog_question fixture_runs(unsigned limit);
struct catalog_question fixture_jobs(uint64_t run);
struct catalog_question fixture_job(uint64_t job);

/* Bodies; valid until the next is made. Ids first, first + 1 ... of so many entries; `total` is the
 * listing's total_count, -1 for none. */
const char *fixture_runs_body(struct catalog_fixture *b, uint64_t first, unsigned count, int total);
const char *fixture_jobs_body(struct catalog_fixture *b, uint64_t first, unsigned count, int total,
                              const char *status);
const char *fixture_repos_body(struct catalog_fixture *b, uint64_t first, unsigned count);
const char *fixture_job_body(struct catalog_fixture *b, uint64_t job, const char *status);

/* Asks once, as a new operation. PENDING_PARKED: the guest is parked. */
int fixture_ask(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                const struct catalog_answer **ret_answer);
/* The same operation asks again. */
int fixture_ask_again(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                      const struct catalog_answer **ret_answer);
/* The guest is parked: it waits, and asks again until it is answered. */
int fixture_wait(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                 const struct catalog_answer **ret_answer);
/* A new operation that asks until it is answered: what it needs is at hand. */
int fixture_get(struct catalog_fixture *b, const struct catalog_question *q,
                const struct catalog_answer **ret_answer);

/* Asks, answers the one question that comes with it, and returns the answer. */
const struct catalog_answer *fixture_learn(struct catalog_fixture *b,
                                           const struct catalog_question *q, const char *body,
                                           const char *etag);

/* The question under way fails in this page size and in all smaller ones. */
void fixture_refuse_sizes(struct catalog_fixture *b, int err, enum source_reason reason);

/* The count of the answer, which is released. */
size_t fixture_count(const struct catalog_answer *a);

/* Returns when the catalog's thread has done what it had to, also what has become due. */
void fixture_pass_parser(struct catalog_fixture *b);

#endif
