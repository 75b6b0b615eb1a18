/*
 * extract.h - the entries of one archive become logs in the store, and where their steps begin.
 *
 * Each whole log that is wanted and fits its job (match.h) is written into a backing file. It is
 * published when the archive has ended in good order: only then it is known that no other entry
 * can be meant. One thread; all calls may wait for the disk.
 */
#ifndef GHLOGFS_ARCHIVE_EXTRACT_H
#define GHLOGFS_ARCHIVE_EXTRACT_H

#include "archive/match.h"
#include "archive/steps.h"
#include "name.h"

#include <stdbool.h>
#include <stddef.h>

#define EXTRACT_LOGS_MAX 512 /* that wait for the archive's end: each has a file open */

struct extract;
struct store;

/* Where the steps of a job begin in its cleaned text. */
typedef void extract_keep_steps(void *who, const struct repo_name *repo, uint64_t job,
                                const struct archive_step *steps, size_t count);

struct extract_config {
    struct store *store;
    struct repo_name repo; /* under which GitHub has listed the jobs: it is verified (S14) */
    struct match *match;   /* the caller's */
    struct archive_steps_work *work;
    uint64_t bytes_max; /* of all logs together: what would not be kept is not worth writing */
    /* Whether the log of match_get_job(match, job) is still to be had from here. */
    bool (*is_wanted)(void *who, size_t job);
    /* It was published, or will not be. */
    void (*settled)(void *who, size_t job, bool is_published);
    void *who;
    extract_keep_steps *keep_steps;
    void *steps_who;
};

int extract_create(const struct extract_config *config, struct extract **ret_extract);

/* As unzip_ops of these names. */
bool extract_begin(struct extract *x, const char *name);
bool extract_data(struct extract *x, const void *data, size_t len);
void extract_end(struct extract *x, bool good);

/* Whether bytes_max was exceeded: nothing will be published. */
bool extract_is_over(const struct extract *x);

/* The archive has ended in good order. */
void extract_finish(struct extract *x);
void extract_destroy(struct extract *x);

#endif
