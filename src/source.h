/*
 * source.h - the contract between the modules that want bytes and facts (cache, catalog) and the
 * source that gets them (github/api; for generated logs, which are made of other logs,
 * views/generated).
 *
 * Any thread may call; the calls never block and never fail: an error is reported in the callback.
 * Callbacks come with no lock held and must not touch the disk. They come on the source's own
 * thread (of github/api: the network thread); done() may also come within the call itself, where
 * there is no memory to hand the want over.
 *
 * The source asks GitHub, takes redirects, keeps to the quota, retries what may be retried, resumes
 * a cut stream at the last byte that was taken, and judges whether a log is final. It does not know
 * pages, files or caches, and remembers no bytes.
 */
#ifndef GHLOGFS_SOURCE_H
#define GHLOGFS_SOURCE_H

#include "list.h"
#include "name.h"
#include "progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_ETAG_LEN 136
#define SOURCE_FILTER_LEN 768 /* the longest name of a branch, 244 bytes, percent-encoded */
#define SOURCE_FIRST_RANGE (UINT64_C(1) << 20) /* bytes asked for before the total is known (S3) */

/* What is wrong, in GitHub's world; `err` in source_failure is the errno for the user. */
enum source_reason {
    SOURCE_FINE = 0,
    SOURCE_NOT_FOUND,   /* API 404: no such thing, or no right to see it */
    SOURCE_PENDING,     /* no log yet: storage 404 and the job is not completed */
    SOURCE_NEVER,       /* completed, but storage has no log */
    SOURCE_EXPIRED,     /* API 410 */
    SOURCE_FORBIDDEN,   /* 401, 403, no token */
    SOURCE_LIMITED,     /* quota used up for longer than `wait`; of prefetch: not worth a retry */
    SOURCE_UNREACHABLE, /* name, connection, time */
    SOURCE_PROTOCOL,    /* TLS, redirect not allowed, garbage */
    SOURCE_BROKEN,      /* anything else, after retries */
    SOURCE_REFUSED,     /* the same 5xx several times running (of storage 403, too) */
    SOURCE_CHANGED,     /* another log is there by now: what was begun cannot be finished */
    SOURCE_OFFLINE,     /* -o offline */
    SOURCE_CLOSING,     /* unmounting */
    SOURCE_OVERSIZE,    /* an answer that exceeds the size limit */
};

struct source_failure {
    int err; /* negative errno */
    enum source_reason reason;
    int64_t until_ms;    /* monotonic: not worth asking again before; INT64_MAX: for good */
    int64_t completed_s; /* SOURCE_NEVER: when the job was completed, UTC; -1 unknown */
};

/* Work for the source's own thread, embedded in what it is about, so that handing it over needs no
 * memory. Zeroed by its owner; all else is the source's own. */
struct source_task {
    struct list link;
    void (*run)(void *self, struct source_task *t);
};

/* Whether a reader waits for it, or it is fetched ahead. */
enum source_class { SOURCE_DEMAND, SOURCE_PREFETCH };

/* How far to go for an answer: each includes those before it. */
enum effort { EFFORT_MEMORY, EFFORT_DISK, EFFORT_NETWORK };

/* --- bytes -------------------------------------------------------------------------------- */

struct source_log; /* a log at its source: the signed URL, the ETag, what is known. Opaque */

/* What the source has found out about a log as a whole. */
struct source_metadata {
    uint64_t size;            /* total bytes; of a live log: so far */
    bool final;               /* S8: will never change. False: a running job's log */
    bool whole;               /* the server has no ranges: the stream under way has all of it */
    bool proven;              /* the size will not turn out to be another */
    bool is_copy;             /* not GitHub's own word: what that has told of the size stands */
    bool provisional;         /* only the end of a connection shows where the log ends: it may be
                               * read, and must not be kept */
    int64_t last_modified_ms; /* UTC, -1 unknown */
    int64_t completed_ms;     /* UTC, the job's completed_at where it was asked; -1 unknown */
    char etag[SOURCE_ETAG_LEN];
};

struct source_log_ops {
    /*
     * Size and finality are known. Called once for a final log, and again when its size is proven
     * or turns out to be another; for a live one each time it has grown or has become final. Bytes
     * may have come before it (first range, or a server that promises no length). -ESTALE: it is
     * known to be otherwise, the answer that says so is wrong. Else nonzero: the log is not wanted
     * any more (a size over the bound: -EFBIG).
     */
    int (*on_metadata)(void *who, const struct source_metadata *metadata);
};

/* One range of a log. Owned by the caller; the source's from want_bytes until done. */
struct source_bytes {
    struct source_log *log;
    uint64_t from, to; /* [from, to); bytes beyond `to` come only where metadata->whole */
    enum source_class class;
    bool is_gone; /* GitHub is known to have no log any more (410): it is not asked for its bytes */

    /* In order, without gaps, from `from` on. SOURCE_FULL: none taken; offered again after
     * ops->resume. Negative errno: nothing of this range is wanted any more; done() follows. */
    int (*bytes)(struct source_bytes *b, uint64_t offset, const void *data, size_t len);
    /* NULL: all of it was delivered (to `to`, or to the log's end). Exactly once. The done of a
     * log's first range comes after on_metadata(), or with a failure. */
    void (*done)(struct source_bytes *b, const struct source_failure *failure);

    struct source_task task; /* the source's own: zeroed before want_bytes */
};

#define SOURCE_TAKEN 0
#define SOURCE_FULL 1

/* --- facts -------------------------------------------------------------------------------- */

/* The numbers are in the keys of the catalog's records on disk: none gets another meaning. */
enum source_question {
    SOURCE_JOB = 0,         /* id */
    SOURCE_RUN = 1,         /* id */
    SOURCE_RUN_ATTEMPT = 2, /* id, attempt */
    /* 3 was the jobs of a run's latest attempt */
    SOURCE_ATTEMPT_JOBS = 4, /* id, attempt; page */
    /* Newest first; page, per_page; filter: "branch=x", "status=failure" or "head_sha=x",
     * percent-encoded */
    SOURCE_RUNS = 5,
    SOURCE_WORKFLOW_RUNS = 6, /* filter: the workflow's id or file; page, per_page */
    /* 7 was the workflows of a repository, 8 is unused */
    SOURCE_OWNER_REPOS = 9, /* repo.owner only; the 100 pushed to last; page */
    SOURCE_MY_REPOS = 10,   /* those that the token can read; page */
    SOURCE_PULL = 11,       /* id: the pull request's number */
};

struct source_answer {
    const struct source_failure *failure; /* NULL: the body is here, or not_modified */
    bool not_modified;                    /* 304: what you have still stands */
    const char *body;                     /* JSON as it came; until facts_release */
    size_t len;
    const char *etag;   /* "" where none */
    unsigned next_page; /* from Link; 0: this is the last */
};

/*
 * One question. Owned by the caller; the source's from want_facts until done, and in part until
 * facts_release: answers that wait for their reader are bounded in bytes over the whole source, so
 * an answer that is not released delays others.
 */
struct source_facts {
    enum source_question question;
    struct repo_name repo;
    uint64_t id;
    unsigned attempt, page, per_page; /* page, per_page 0: the first, 100 */
    char filter[SOURCE_FILTER_LEN];
    char etag[SOURCE_ETAG_LEN]; /* of what is known; "" where nothing is */
    enum source_class class;
    /* How often it is sent at most while the server fails (5xx, cut connections), and while no
     * answer comes in time. tries 0: both as often as fits the deadline. */
    unsigned tries, waits;
    struct progress_wait *waits_for; /* where the source notes what it waits for; NULL: nowhere */

    void (*done)(struct source_facts *f, const struct source_answer *answer);

    /* the source's own: zeroed before want_facts */
    struct source_task task;
    struct source_body {
        char *data;
        size_t bytes; /* of the bound */
        bool beyond;  /* the one body that may go beyond it */
    } body;
};

/* --- archives ----------------------------------------------------------------------------- */

/*
 * All logs of an attempt of a run as one zip (S20), for one API request. GitHub makes it while it
 * is sent, so it has neither length nor ranges, and what is cut cannot be continued: it is
 * requested once. Owned by the caller; the source's from want_archive until done.
 */
struct source_archive {
    struct repo_name repo;
    uint64_t run;
    unsigned attempt;
    enum source_class class;
    struct progress_wait *waits_for; /* as in source_facts */

    /* As in source_bytes, from the archive's start. */
    int (*bytes)(struct source_archive *a, const void *data, size_t len);
    /* NULL: the stream ended in good order. Exactly once. */
    void (*done)(struct source_archive *a, const struct source_failure *failure);

    bool was_answered; /* once it is done: the API has answered, so the request has counted */

    /* the source's own: zeroed before want_archive */
    struct source_task task, promote_task, drop_task;
    void *transfer;
    bool is_wanted;
};

/* Facts that came while something else was asked (a job's status, for the finality of its log). */
struct source_listener {
    void *who;
    void (*job_learnt)(void *who, const struct repo_name *repo, uint64_t job, const char *body,
                       size_t len);
};

/* --- the source --------------------------------------------------------------------------- */

struct source_ops {
    /* `completed`: the job was seen completed before this call. waits_for: as in source_facts, for
     * all that is asked about the log; it must remain until `released`. NULL: no memory. */
    struct source_log *(*log_create)(void *self, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who,
                                     struct progress_wait *waits_for);
    /* No wants may be under way. After the call `who` is not called any more (an on_metadata() that
     * runs at this moment on the network thread may still finish: `who` must remain until
     * `released`, which does not come any more when the source is being stopped). */
    void (*log_release)(struct source_log *log, void (*released)(void *who));
    void (*want_bytes)(void *self, struct source_bytes *b);
    /* Asks a live log for its state again: on_metadata() comes if anything changed, then
     * checked(who, failure or NULL). `completed`: its job was seen so in the meantime. One check of
     * a log at a time. */
    void (*log_check)(struct source_log *log, bool completed,
                      void (*checked)(void *who, const struct source_failure *failure));
    /* A reader waits for the job's log, which was asked for as prefetch. It is named by the job, so
     * the log may be released meanwhile. */
    void (*log_promote)(void *self, uint64_t job);
    void (*want_facts)(void *self, struct source_facts *f);
    /* The answer has been read; once after each done, also a failed one. Any thread. */
    void (*facts_release)(void *self, struct source_facts *f);
    /* Not of a source of generated logs. */
    void (*want_archive)(void *self, struct source_archive *a);
    /* Somebody waits for it; nothing of it is wanted any more: done() follows. Once it is done
     * neither changes anything. */
    void (*archive_promote)(void *self, struct source_archive *a);
    void (*archive_drop)(void *self, struct source_archive *a);
    void (*resume)(void *self);
};

struct source {
    void *self;
    const struct source_ops *ops;
};

#endif
