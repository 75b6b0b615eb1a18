/*
 * shared.h - the shared store: a source (source.h) in front of GitHub's, which gives the bytes of
 * logs that somebody in the team has fetched before, and leaves all else to the source behind it.
 *
 * A log is asked of the store only once GitHub has answered for its job under this name to this
 * mount's token (T1): in a listing that the catalog had from GitHub, or, for one that it had not,
 * to a question about the job. Then log and .meta are asked for at once; nothing is handed over
 * before the .meta holds, and no page that does not match its checksum (T5). Whatever goes wrong,
 * the want goes on at the source behind, from the first byte that was not handed over (T2).
 *
 * A size from the store is final and, until all pages are there, not proven: GitHub's may still
 * correct it, and where GitHub has told another one before it is not believed. A log that GitHub is
 * known to have no more is asked of the store alone (T3).
 *
 * Threads: the store has a net of its own, and with it a thread, connections and handles on which
 * GitHub's token never is, nor the store's key on GitHub's (T7). Callbacks of source.h come on that
 * thread or on that of the source behind, but for one want on one of them only.
 *
 * End: shared_stop, before that of the source behind, which then gets no wants any more; it may
 * still end those that it has. shared_destroy once that has ended, too.
 */
#ifndef GHLOGFS_SHARED_SHARED_H
#define GHLOGFS_SHARED_SHARED_H

#include "shared/credentials.h"
#include "shared/location.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct diag;
struct net;
struct shared;
struct store;

/* Of its net: a connection that is not made by then is a failure (T2). Answers and bytes have
 * deadlines of the store's own; the timeout is longer than all of them, those of uploads, too. */
#define SHARED_CONNECT_MS 1000
#define SHARED_TIMEOUT_S 20

/* What this mount knows of a job under a name by GitHub's own answers. */
enum shared_proof {
    SHARED_UNPROVEN,
    SHARED_PROVEN,
    SHARED_RUNNING, /* it was still running then: there is no final log of it */
};

struct shared_config {
    struct source behind; /* GitHub's */
    struct net *net;      /* the store's own, which nobody else uses */
    unsigned connections; /* of that */
    const struct shared_location *location;
    const char *host; /* that the cache is keyed by */
    unsigned verify;  /* per cent of the logs it gives, of which a sample is compared with GitHub */
    bool has_token;   /* for GitHub; without one nothing is proven */
    struct store *store; /* whose logs are sent (put.h); NULL: none is */
    bool trust;          /* shared_trust=bucket: whoever may read the bucket may read all in it */
    struct diag *diag;

    /* On the store's thread; must not wait. */
    enum shared_proof (*get_proof)(void *who, const struct repo_name *repo, uint64_t job);
    /* On GitHub's thread: as source_listener's. */
    void (*job_learnt)(void *who, const struct repo_name *repo, uint64_t job, const char *body,
                       size_t len);
    /* The server refuses the key: read it again, and call shared_set_credentials whenever that is
     * done, on any thread. NULL: it is all there is. */
    void (*reread_key)(void *who);
    void *who;
};

/* The location and the host stay the caller's. The credentials are copied. */
int shared_create(const struct shared_config *config, const struct shared_credentials *credentials,
                  struct shared **ret_shared);
void shared_stop(struct shared *s); /* all wants end */
void shared_destroy(struct shared *s);

struct source shared_source(struct shared *s);

void shared_set_credentials(struct shared *s, const struct shared_credentials *credentials);

/* This mount has all of a log on disk. Unless it was the shared store's, it is sent there where
 * that is wanted. Any thread. */
void shared_note_published(struct shared *s, const struct repo_name *repo, uint64_t job);

/* What is known of the store and a log, as far as it is remembered. Any thread. */
enum shared_find {
    SHARED_LACKS,    /* or the store is not asked now */
    SHARED_MAY_HAVE, /* it was not asked for it yet */
    SHARED_HAS,      /* it has given it */
};

enum shared_find shared_find(struct shared *s, uint64_t job);

/* For `.ghlogfs/progress`: uploads that wait or are under way; as put_list_status (put.h). */
struct put_status;
unsigned shared_list_uploads(struct shared *s, struct put_status *ret_status, unsigned max);

struct shared_stats {
    uint64_t hits, misses, wrong, errors, timeouts, bytes_in, verified;
    uint64_t queued, sent, dropped, bytes_out; /* uploads */
    const char *state;                         /* "up", "resting", "off" */
};

void shared_get_stats(struct shared *s, struct shared_stats *ret_stats);

#endif
