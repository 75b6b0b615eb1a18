/*
 * catalog.h - what exists: repositories, runs, jobs, steps, with their age.
 *
 * One mechanism for all of it: a question (a run's jobs, a repository's runs, one job) has at most
 * one answer in the catalog. It is shown while it is fresh, requested again with its ETag when it
 * is not (S18), never requested again once it cannot change, and kept in the store over restarts.
 * Questions are single-flight; several pages are requested in parallel and become one snapshot, or
 * an error. Pages that do not add up to what the server itself counts are requested once more,
 * then shown, and never taken for what cannot change.
 *
 * It does not know paths or the bytes of logs, nor how GitHub is asked.
 *
 * Threads: any, but catalog_job_learnt (network thread). The parser thread (`ghlogfs-parse`)
 * parses answers and writes records; FUSE workers read records. One mutex, never held across I/O,
 * parsing or a callback. Whoever waits, waits by `pending` (EFFORT_NETWORK, EFFORT_DISK).
 */
#ifndef GHLOGFS_CATALOG_CATALOG_H
#define GHLOGFS_CATALOG_CATALOG_H

#include "facts.h"
#include "pending.h"
#include "source.h"

struct catalog;
struct store;
struct diag;

#define CATALOG_PAGE 100          /* entries of a page of a listing */
#define CATALOG_ENTRIES_MAX 10000 /* of one listing, whatever the server sends */

struct catalog_config {
    struct waits *waits;
    struct store *store;
    struct source source;
    struct diag *diag;
    int64_t (*now_ms)(void);  /* monotonic */
    int64_t (*wall_ms)(void); /* UTC */
    int64_t fresh_ms;         /* age at which an answer is requested again */
    int64_t patience_ms;      /* how long a caller that can do without it waits for an answer */
};

struct catalog_question {
    enum source_question what;
    struct repo_name repo;
    uint64_t id;
    unsigned attempt;
    char filter[SOURCE_FILTER_LEN]; /* as in source.h */
    unsigned limit;  /* entries wanted of a listing; 0: all, up to CATALOG_ENTRIES_MAX */
    bool may_settle; /* the caller knows that its subject has ended (a completed attempt) */
    /* The caller can do without the answer: few requests are sent for it, it is waited for
     * `patience_ms` (then -ETIMEDOUT), and a refusal is remembered for a minute. */
    bool is_extra;
};

/* A snapshot: never changes, counted. What is of the question's kind is filled; the others are
 * NULL, and so is an array where nothing is listed. */
struct catalog_answer {
    const struct facts_job **jobs;
    const struct facts_run **runs;
    const struct facts_repo **repos;
    size_t count; /* of that array; each id once, in GitHub's order */
    const struct facts_pull *pull;
    bool settled; /* will never change */
};

int catalog_create(const struct catalog_config *config, struct catalog **ret_catalog);
void catalog_stop(struct catalog *c); /* once the source is silent */
void catalog_destroy(struct catalog *c);

/*
 * The answer to a question. EFFORT_MEMORY and EFFORT_DISK give what is known, however old it is,
 * and send no request; EFFORT_NETWORK asks GitHub where that is missing or not fresh.
 *
 * 0: ret_answer is counted for the caller. PENDING_PARKED: ask again when `w` is woken; never with
 * EFFORT_MEMORY, where `w` may be NULL. -EAGAIN: nothing is known (not with EFFORT_NETWORK).
 * -errno: there is no answer and none can be had, or GitHub answers that it does not exist (any
 * more) or that this token may not see it.
 *
 * ret_answer NULL: only starts what is needed, for a caller that asks with `w` next, and never
 * parks. So several questions are requested at once.
 */
int catalog_ask(struct catalog *c, const struct catalog_question *q, enum effort effort,
                struct waiter *w, const struct catalog_answer **ret_answer);

/* A question that GitHub is being asked. */
struct catalog_status {
    struct catalog_question question;
    struct progress progress; /* bytes: of the answers that have come, page by page */
};

/* Up to `max` of them, those that began first. Returns how many there are. */
unsigned catalog_list_status(struct catalog *c, struct catalog_status *ret_status, unsigned max);

/* Why the last attempt to get the answer failed; SOURCE_FINE: it did not, or there was none. */
enum source_reason catalog_peek_failure(struct catalog *c, const struct catalog_question *q);

const struct catalog_answer *catalog_answer_hold(const struct catalog_answer *a);
void catalog_answer_release(const struct catalog_answer *a); /* NULL: nothing */

/* An answer of these jobs, which are jobs of the answers in `from`. It need not be held longer than
 * the call. NULL: no memory. */
const struct catalog_answer *catalog_answer_select(const struct catalog_answer *const *from,
                                                   size_t from_count,
                                                   const struct facts_job *const *jobs,
                                                   size_t count);

/*
 * The JSON of one job or run (q->what SOURCE_JOB, SOURCE_RUN, SOURCE_RUN_ATTEMPT), indented: out of
 * the listing `from` it was last seen in where that is on disk (`from` may be NULL), else requested
 * by itself. malloc'd.
 */
int catalog_get_json(struct catalog *c, const struct catalog_question *q,
                     const struct catalog_question *from, struct waiter *w, char **ret_text,
                     size_t *ret_len);

/* --- what is known of a job, from whatever answer --------------------------------------------- */

/* The latest facts about a job under this name, held until catalog_seen_release. */
struct catalog_seen {
    const struct facts_job *job;
    void *held;
};

/* What was seen is remembered in bounds: false does not mean that there is no such job. */
bool catalog_find_job(struct catalog *c, const struct repo_name *repo, uint64_t job,
                      struct catalog_seen *ret_seen);
/* The same out of an answer with jobs. */
bool catalog_find_in(const struct catalog_answer *jobs, uint64_t job,
                     struct catalog_seen *ret_seen);
void catalog_seen_release(struct catalog_seen *seen);

/* Whether GitHub has answered for this job under this name in this mount, alone or in a listing,
 * and has not refused since; then whether it had completed. False too if that was forgotten. */
bool catalog_is_proven(struct catalog *c, const struct repo_name *repo, uint64_t job,
                       bool *ret_completed);

/* Whether the job's facts will not change any more (facts_is_settled, now). */
bool catalog_is_settled(const struct catalog *c, const struct facts_job *job);

/* source_listener's job_learnt. Network thread. */
void catalog_job_learnt(void *catalog, const struct repo_name *repo, uint64_t job, const char *body,
                        size_t len);

/* --- what this mount has used ------------------------------------------------------------- */

/* Something of this job (0: of the repository) was shown under this name, so GitHub has it. */
void catalog_note_used(struct catalog *c, const struct repo_name *repo, uint64_t job);

/* Calls each for every used repository; with an owner (case-insensitive) for the owner's only. */
void catalog_each_used_repo(struct catalog *c, const char *owner,
                            void (*each)(void *who, const struct repo_name *repo), void *who);

/* Calls each for the used jobs of a repository, latest use last. */
void catalog_each_used_job(struct catalog *c, const struct repo_name *repo,
                           void (*each)(void *who, uint64_t job), void *who);

#endif
