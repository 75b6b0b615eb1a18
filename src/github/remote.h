/*
 * remote.h - a log at its source: where it is (the signed URL), what is known of it (size, ETag,
 * whether it will change), and those who wait to know.
 *
 * A signed URL is documented to live for one minute and seen to live for ten; storage looks at its
 * age only when a request starts. It is used until storage refuses it or it is ten minutes old, and
 * minted by one API request at a time (range.h and inquiry.h ask; they sit above). Network thread
 * only, but for remote_make.
 */
#ifndef GHLOGFS_GITHUB_REMOTE_H
#define GHLOGFS_GITHUB_REMOTE_H

#include "github/core.h"
#include "github/request.h"
#include "github/sight.h"
#include "list.h"
#include "net/url.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

/* Shared by the requests under way; wiped when the last lets go. */
struct remote_url {
    unsigned refs;
    int64_t minted_ms;
    struct net_url at;
    char text[];
};

struct remote_url *remote_url_ref(struct remote_url *url);
void remote_url_unref(struct remote_url *url);

struct remote_waiter {
    struct list link;
    /* failure NULL: what was waited for is here. The waiter is in no list then. */
    void (*wake)(struct remote_waiter *w, const struct source_failure *failure);
};

#define REMOTE_DIGEST_START UINT64_C(1469598103934665603)

enum remote_job { REMOTE_JOB_UNKNOWN, REMOTE_JOB_RUNNING, REMOTE_JOB_COMPLETED };

struct source_log {
    struct core *core;
    struct list in_core; /* core's logs_lock */
    struct repo_name repo;
    uint64_t job;
    const struct source_log_ops *ops;
    void *who;
    enum source_class class; /* demand, once anybody who waits has asked */

    struct remote_url *url; /* NULL: to be minted */
    int64_t minted_ms;      /* when one was last asked for; 0 never */
    struct api_request mint;
    struct list for_url; /* remote_waiter */
    uint64_t key;        /* of the log at storage, whatever its URL (refusals.h) */

    bool is_sized, is_told, is_final, is_whole;
    uint64_t size;
    int64_t last_modified_ms, completed_ms;
    char etag[SOURCE_ETAG_LEN];
    int unwanted; /* what on_metadata() refused it with */

    /* The belief's (belief.h): how sure size and ETag are, and who says otherwise. */
    bool is_weak, is_unframed; /* as in struct sight */
    bool has_ended;            /* an answer was given after the log's last change */
    bool is_proven;            /* several answers, or one with all of the log, have said the size */
    bool is_other;             /* storage has another log by now */
    uint64_t told_size;
    unsigned votes, etag_votes, rival_votes;
    struct sight rival;
    uint64_t start_len, start_digest; /* the first bytes that were delivered */
    struct range *opinion;
    struct sight second; /* what it has found */
    uint64_t second_digest;
    void (*ask_again)(struct source_log *log); /* for a second opinion; set as `inquire` is */

    /* The inquiry's (inquiry.h): is the job completed, and did the log still change then? */
    enum remote_job job_state;
    bool has_no_log;      /* the job has ended without ever running (S19) */
    int64_t job_asked_ms; /* 0: never */
    bool has_steps;       /* the job ran, or runs */
    char job_etag[SOURCE_ETAG_LEN];
    struct api_request job_call;
    bool is_inquiring, is_end_wanted;
    bool is_job_single;      /* the next question about the job is not repeated if it is refused */
    struct list for_inquiry; /* remote_waiter */
    struct list checks;      /* log_check */
    struct range *end_range;
    void (*inquire)(struct source_log *log); /* set by whoever makes the log */

    struct net_task release_task;
    void (*released)(void *who);
};

/* NULL: no memory. Any thread. */
struct source_log *remote_make(struct core *core, const struct repo_name *repo, uint64_t job,
                               bool completed, const struct source_log_ops *ops, void *who);

/* Cancels what is under way for it, and frees it. Nobody may wait for it. */
void remote_free(struct source_log *log);

/* Somebody waits for it from now on. */
void remote_promote(struct source_log *log);

/* A URL that is young enough, or NULL: then remote_want_url, which may wake from within the call. */
struct remote_url *remote_young_url(struct source_log *log);
void remote_want_url(struct source_log *log, struct remote_waiter *w);

/*
 * Whether just looking at a running job's log is not worth a new URL, because the last one is too
 * young (P12). They are charged; looking with one that storage still takes is not.
 */
bool remote_is_url_too_dear(const struct source_log *log);

/* Storage would not have this one. */
void remote_drop_url(struct source_log *log, const struct remote_url *url);

/* Waits for the end of the inquiry that is under way or starts now. */
void remote_want_inquiry(struct source_log *log, struct remote_waiter *w);

bool remote_is_completed(const struct source_log *log);

#endif
