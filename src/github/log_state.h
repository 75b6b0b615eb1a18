/*
 * log_state.h - what is known of a log at its source: where it is (the signed URL), its size and
 * ETag and how sure they are, whether it will change, and who waits to know. Here, too: what one
 * response of storage says about a log.
 *
 * Signed URL. It is documented to live for one minute and seen to live for ten; storage checks its
 * age only when a request starts. It is used until storage refuses it or it is ten minutes old, and
 * obtained by one API request at a time.
 *
 * Responses. GitHub's runner writes a log of one block (2 MiB) as a block blob when the job ends,
 * and a longer one as an append blob that grows while the job runs and is sealed at its end. So a
 * block blob and a sealed append blob are final by themselves. GHES and the former service say
 * neither, and may support no ranges and send no length. A proxy may respond in storage's place,
 * with a page that blocks or a login form. So a response is a log's only if its type says so; and a
 * whole body that nothing shows to be a blob, which any server could have sent, only if it begins
 * like a runner's log.
 *
 * Size and ETag. One response may be wrong, and what it said may have been reported to a reader
 * already. So responses are counted. A size is reported when a response leaves no doubt: it brings
 * all that was asked for, or says that there is no more. Other sizes (a length that stands alone, a
 * part shorter than asked for) are reported once more responses agree than may be wrong unnoticed
 * (R1). Of a log that may still grow a larger size is no contradiction.
 *
 * A response that contradicts what was reported is refused, and asked for again. When as many in a
 * row contradict it alike, and the start of the log, fetched once more (the recheck), is byte by
 * byte the same, what was reported was wrong: the right size is reported. Where that start, or both
 * size and ETag, are others, storage has another log by now, and what was begun cannot be finished.
 *
 * Network thread only, but for log_state_create.
 */
#ifndef GHLOGFS_GITHUB_LOG_STATE_H
#define GHLOGFS_GITHUB_LOG_STATE_H

#include "github/core.h"
#include "github/request.h"
#include "list.h"
#include "net/net.h"
#include "net/url.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

/* -- One response of storage ------------------------------------------------------------------- */

#define RESPONSE_START 32 /* bytes that show how a body begins */
#define RESPONSE_TYPE 64  /* a type of content, cut */

struct response_info {
    bool is_sized;
    uint64_t size;       /* of the whole log */
    uint64_t first, end; /* the bytes that this body holds; end UINT64_MAX: to where it ends */
    bool is_final;
    bool is_weak;             /* the size alone is not enough to be believed */
    bool is_unframed;         /* only the end of the connection told it */
    bool is_blob;             /* storage sent it: its headers tell the kind of blob */
    int64_t last_modified_ms; /* UTC, -1 unknown */
    char etag[SOURCE_ETAG_LEN];
};

/* status: 200, 206 or 416. -EIO: the headers contradict each other or miss what they must say;
 * -ENOMSG: the type of the content is not a log's (response_read_type). Pure. */
int response_info_read(const struct net_request *r, int status, struct response_info *ret_info);

/* The type of the content without its parameters, fit to be shown; "" where there is none. */
void response_read_type(const struct net_request *r, char ret_type[RESPONSE_TYPE]);
/* Whether a log may have this type. Pure. */
bool response_is_log_type(const char *type);

/* Whether a body that begins so, or is no longer than that, may be a runner's log: byte order
 * marks, a timestamp. */
bool response_begins_like_log(const char *start, size_t len);

/* -- The log ----------------------------------------------------------------------------------- */

#define LOG_STATE_VOTES 4 /* responses that must agree: one more than may be wrong unnoticed (R1) */

/* Shared by the requests under way; wiped when the last reference is dropped. */
struct signed_url {
    unsigned refs;
    int64_t obtained_ms;
    struct net_url at;
    char text[];
};

/* Of a redirect's Location. -EPROTO: it may not be followed (R7), which is logged with its host;
 * -ENOMEM. */
int signed_url_create(struct core *core, const char *location, struct signed_url **ret_url);
void signed_url_unref(struct signed_url *url);

/* Who waits for the log's URL, or for the end of its finality check. */
struct log_waiter {
    struct list link;
    /* failure NULL: what was waited for is there. The waiter is in no list then. */
    void (*wake)(struct log_waiter *w, const struct source_failure *failure);
};

void log_waiters_wake(struct list *waiters, const struct source_failure *failure);

enum job_state { JOB_UNKNOWN, JOB_RUNNING, JOB_COMPLETED };

struct source_log {
    struct core *core;
    struct list in_api; /* api's lock */
    struct repo_name repo;
    uint64_t job;
    const struct source_log_ops *ops;
    void *who;
    struct progress_wait *waits_for; /* of all that is asked about it; NULL: noted nowhere */
    enum source_class class;         /* demand, once anybody who waits has asked */

    struct signed_url *url; /* NULL: to be obtained */
    int64_t url_asked_ms;   /* when one was last asked for; 0 never */
    struct api_request url_request;
    struct list url_waiters; /* log_waiter */
    uint64_t key;            /* of the log at storage, whatever its URL (refusals.h) */

    bool is_sized, is_reported;
    struct source_metadata known; /* size, ETag: of what is believed; final: was reported so */
    int rejected;                 /* what on_metadata() refused it with */

    /* How sure size and ETag are, and what contradicts them. */
    bool is_weak;   /* as in response_info */
    bool has_ended; /* a response was given after the log's last change */
    bool is_other;  /* storage has another log by now */
    uint64_t reported_size;
    unsigned votes, etag_votes, rival_votes;
    struct response_info rival;
    uint64_t start_len, start_digest;  /* the first bytes that were delivered */
    struct log_transfer *recheck;      /* fetches them once more */
    struct response_info recheck_info; /* what it has found */
    uint64_t recheck_digest;

    /* The finality check's: is the job completed, and did the log still change then? */
    enum job_state job_state;
    bool has_no_log;      /* the job has ended without ever running (S19) */
    int64_t job_asked_ms; /* 0: never */
    bool has_steps;       /* the job ran, or runs */
    char job_etag[SOURCE_ETAG_LEN];
    struct api_request job_request;
    bool is_checking, is_end_wanted;
    bool is_job_single;        /* the next request for the job is not repeated if refused */
    struct list check_waiters; /* log_waiter */
    struct log_transfer *end_check;
    void (*checked)(void *who, const struct source_failure *failure); /* NULL: the owner has not
                                                                       * asked for it */

    /* What the owner has posted (api.c). */
    struct source_task promote_task, check_task, release_task;
    bool is_check_completed; /* the job was seen completed by who checks its log */
    void (*posted_checked)(void *who, const struct source_failure *failure);
    void (*released)(void *who);
};

/* job_request is not initialised. NULL: no memory. Any thread. */
struct source_log *log_state_create(struct core *core, const struct repo_name *repo, uint64_t job,
                                    bool completed, const struct source_log_ops *ops, void *who);

/* Cancels what is under way for it, and frees it. Nobody may wait for it. */
void log_state_destroy(struct source_log *log);

/* Somebody waits for it from now on. */
void log_state_promote(struct source_log *log);

/* A URL that is young enough, or NULL: then log_state_want_url, which may wake from within. */
struct signed_url *log_state_usable_url(struct source_log *log);
void log_state_want_url(struct source_log *log, struct log_waiter *w);

/*
 * Whether only checking a running job's log is not worth a new URL, because the last one is too
 * young (P12). They are charged; a check with one that storage still takes is not.
 */
bool log_state_is_url_too_costly(const struct source_log *log);

/* Storage refuses this one. */
void log_state_drop_url(struct source_log *log, const struct signed_url *url);

bool log_state_is_completed(const struct source_log *log);

/*
 * Takes a response of storage into account: its size, if it is known, and what it proves.
 * after_completion: it was asked for after the job was seen completed. whole: the stream under way
 * brings all of the log to who wants it. May call on_metadata(). -ESTALE: it contradicts what is
 * believed; else what on_metadata() refused it with.
 */
int log_state_learn(struct source_log *log, const struct response_info *info, bool after_completion,
                    bool whole);

/* The size seen is that of a running job's log. 0, or what on_metadata() refused it with. */
int log_state_report_growing(struct source_log *log);

/* Bytes of the log were delivered: its start is remembered, to know it again. */
void log_state_note_bytes(struct source_log *log, uint64_t offset, const char *data, size_t len);

/* log->recheck_info has come: the start of the log, asked for once more. */
void log_state_judge_recheck(struct source_log *log);

#endif
