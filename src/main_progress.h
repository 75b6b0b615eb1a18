/*
 * main_progress.h - the text of .ghlogfs/progress: what is under way in all modules of a mount, a
 * line each, those that began first at the top. The manual page describes the columns.
 *
 * Any thread. Each module is asked on its own, under its own lock and for at most
 * PROGRESS_LINES_MAX entries, so what is written is no moment of the whole mount: something that
 * goes from one module to the next may be missing or there twice.
 */
#ifndef GHLOGFS_MAIN_PROGRESS_H
#define GHLOGFS_MAIN_PROGRESS_H

#include "archive/archive.h"
#include "cache/cache.h"
#include "catalog/catalog.h"
#include "shared/put.h"
#include "views/views.h"

#define PROGRESS_LINES_MAX 100 /* of all that is under way; the rest is counted */

struct api;
struct shared;

struct progress_snapshot {
    unsigned fetch_count, question_count, archive_count, report_count, upload_count; /* of all */
    struct cache_status fetches[PROGRESS_LINES_MAX];
    struct catalog_status questions[PROGRESS_LINES_MAX];
    struct archives_status archives[PROGRESS_LINES_MAX];
    struct reports_status reports[PROGRESS_LINES_MAX];
    struct put_status uploads[PROGRESS_LINES_MAX];
    struct progress_delay {
        enum progress_cause cause;
        int64_t until_ms;
    } delays[2]; /* of the queues of API requests, by class */
};

struct progress_modules {
    struct api *api;
    struct cache *cache;
    struct catalog *catalog;
    struct views *views;
    struct shared *shared; /* NULL: there is no shared store */
};

void progress_collect(const struct progress_modules *from, struct progress_snapshot *ret_snapshot);

/* now_ms: monotonic; wall_s: the same moment, UTC. Times are printed as local ones. malloc'd; ""
 * where nothing is under way; NULL: no memory. */
char *progress_print(const struct progress_snapshot *s, int64_t now_ms, int64_t wall_s);

#endif
