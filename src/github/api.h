/*
 * api.h - the source of logs and facts (source.h) that asks GitHub: what is wanted becomes
 * requests, and their answers become facts, bytes or failures.
 *
 * It knows GitHub and what HTTP means, not curl, pages, caches or JSON beyond a job's status. Each
 * log costs one request to the API, answered by a redirect to a signed URL, and one or more to the
 * storage host behind it. The token goes to the API's scheme, host and port only; a signed URL is a
 * secret too: it is kept in memory only, and wiped.
 *
 * Threads: all its work is done on net's thread. api_create, api_close and api_destroy belong to
 * main; the calls of `struct source`, api_set_token, api_read_stats and api_get_delay may come on
 * any thread. Those of `struct source` post work that is embedded in what it is about (struct
 * source_task), so handing it over cannot fail.
 *
 * End: api_close makes every want fail with SOURCE_CLOSING; then net_stop; then api_destroy.
 * Nothing is called after net_stop.
 *
 * What source.h leaves open: a range that succeeds has `done` called after on_metadata().
 */
#ifndef GHLOGFS_GITHUB_API_H
#define GHLOGFS_GITHUB_API_H

#include "github/failure.h"
#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct api;

struct api_config {
    const char *base;  /* scheme://host[:port][/prefix], no slash at the end */
    const char *token; /* NULL: none. Copied, wiped in api_destroy */
    struct net *net;
    struct diag *diag;
    struct source_listener listener;

    /*
     * After a 401: read the token again and call api_set_token, from any thread and whenever that
     * is done (requests wait at most 10 s for it). Called on the network thread, so it must not
     * touch the disk itself. NULL: the token is all there is.
     */
    void (*reread_token)(void *who);
    void *who;

    int64_t deadline_ms;  /* without progress, then a want fails */
    int64_t wait_ms;      /* for quota, then SOURCE_LIMITED */
    uint32_t reserve;     /* API requests that prefetch leaves untouched */
    unsigned connections; /* net's: so that no request grows old in net's queue */
    bool offline;         /* every want fails at once, nothing is sent */
};

/* -EINVAL: the base is no URL, or the token could not be in a header; -ENOMEM. */
int api_create(const struct api_config *config, struct api **ret_api);

/* Every want under way, and every later one, fails with SOURCE_CLOSING. Once, before net_stop. */
void api_close(struct api *api);

/* After net_stop. Frees logs that were not released, without notice. */
void api_destroy(struct api *api);

struct source api_source(struct api *api);

/* What the token file holds now; NULL: it cannot be read or holds none, then the old one stays. */
void api_set_token(struct api *api, const char *token);

struct api_stats {
    uint64_t requests;           /* to the API, those under way too */
    uint64_t outcomes[OUTCOMES]; /* of those that have ended */
    uint64_t storage_requests;   /* to storage: never charged */
    int64_t limit, remaining;    /* the hour's quota; -1: none is known */
    int64_t reset_s;             /* UTC; -1: not known */
};

void api_read_stats(const struct api *api, struct api_stats *ret_stats);

/* What API requests of this class wait for in their queue, and until when (progress.h). */
enum progress_cause api_get_delay(const struct api *api, enum source_class class,
                                  int64_t *ret_until_ms);

#endif
