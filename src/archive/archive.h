/*
 * archive.h - the logs of a run's attempt out of one archive (S20): one API request instead of one
 * for each job, and a tenth of the bytes.
 *
 * archives_want promises the logs that are missing (cache.h), and requests the archive. A thread of
 * its own, which may block, reads the zip as it comes (unzip.h) and writes the logs into backing
 * files (extract.h); they are published when the archive has ended in good order. Where a job's
 * step files are its log, where they begin is handed over (steps.h). What is not certainly a job's
 * log is dropped without a word: the promise ends, and whoever waits requests the log by itself.
 *
 * A reader waits for a promised log no longer than its own request would mostly take, and
 * ARCHIVE_PATIENCE_MS. Then this promise ends, and all others of an archive that has made no
 * progress meanwhile. At most one request is made for an attempt in a day, unless it brought what
 * it should; that is kept in the store.
 *
 * Logs are published on disk. Without one (no_cache) no archive is requested.
 *
 * Threads: the archive thread begins with the first archive. archives_want, archives_get_stats and
 * archives_list_status on any thread; the first may read the disk. Bytes come on the source's
 * thread and wait in a ring, ARCHIVE_RING bytes for each archive; a full one pauses the transfer.
 */
#ifndef GHLOGFS_ARCHIVE_ARCHIVE_H
#define GHLOGFS_ARCHIVE_ARCHIVE_H

#include "archive/extract.h"
#include "archive/match.h"
#include "name.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_RING (256u << 10)
#define ARCHIVES_MAX 24               /* under way at a time, if there are connections enough */
#define ARCHIVE_PATIENCE_MS 2000      /* beyond what a request of its own mostly takes */
#define ARCHIVE_PROGRESS ARCHIVE_RING /* bytes: less while a reader waited so long is none */
#define ARCHIVE_SILENCE_MS 5000       /* the archive being read is given up after it */
#define ARCHIVE_LIFE_MS (10 * 60 * 1000)
#define ARCHIVE_FAILED_S 86400 /* an attempt is not requested again before */
#define ARCHIVE_SOON_S 600     /* nor one that was good, but did not stay: the cache is small */
#define ARCHIVE_UNASKED_S 60   /* nor one that GitHub was not asked for: no quota, no network */
#define ARCHIVES_FAILED_MAX 3  /* in a row: a proxy may block their host. Then none is requested */
#define ARCHIVES_REST_MS (10 * 60 * 1000) /* for so long */

struct archives;
struct cache;
struct diag;
struct store;

struct archives_config {
    struct source source;
    struct cache *cache;
    struct store *store;
    struct diag *diag;
    int64_t (*now_ms)(void); /* monotonic, never 0 */
    int64_t (*wall_s)(void); /* UTC */
    unsigned jobs_min;       /* wanted logs that are worth an archive */
    unsigned runs_max;       /* archives under way; more are not begun */
    int64_t wait_max_ms;     /* of a reader, however slow requests are: within its deadline */
    bool timestamps;         /* of cleaned text: what archive_step's ranges are in */
    /* Where the steps of a job begin. On the archive thread. */
    extract_keep_steps *keep_steps;
    void *who;
    /* As the cache's; on the archive thread. */
    void (*published)(void *who, const struct repo_name *repo, uint64_t job);
    void *published_who;
};

struct archives_stats {
    uint64_t requested;
    uint64_t failed; /* of them: answered, and no log came out */
    uint64_t logs;   /* published out of them */
};

int archives_create(const struct archives_config *config, struct archives **ret_archives);

/* Ends the thread and all promises, while the source still runs. NULL is fine. */
void archives_stop(struct archives *a);
void archives_destroy(struct archives *a);

/*
 * Logs of this completed attempt are being read one after the other; `jobs`: all that ran in it,
 * also those whose logs are not wanted; their names stay the caller's. Where it is worth it, its
 * archive is requested, and what is missing of the wanted ones promised.
 */
void archives_want(struct archives *a, const struct repo_name *repo, uint64_t run, unsigned attempt,
                   const struct match_job *jobs, size_t count);

/* An archive that was requested, or is being read. */
struct archives_status {
    struct repo_name repo;
    uint64_t run;
    unsigned attempt;
    struct progress progress; /* bytes: of the zip that have come */
};

/* Up to `max` of them, those that began first. Returns how many there are. */
unsigned archives_list_status(struct archives *a, struct archives_status *ret_status, unsigned max);

void archives_get_stats(struct archives *a, struct archives_stats *ret_stats);

#endif
