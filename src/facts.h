/*
 * facts.h - what GitHub reports about repositories, runs, jobs and steps, as plain structs.
 *
 * The lowest layer: a reader need not know how they were obtained. The structs know no JSON, no
 * HTTP, no age and no lock; their owner documents which thread may touch them.
 *
 * Owners: a struct owns its strings and arrays. facts_*_finish frees them and leaves the struct
 * zeroed; it may be called on a zeroed struct and twice. A struct may be moved by assignment.
 * Strings are never NULL in a struct that was filled; "" is what the server did not give. They are
 * data from the server: cut to a bound, not checked by any grammar (a name may be "..", hold a
 * slash, a control character or bytes that are not UTF-8). Times are UTC milliseconds,
 * FACTS_NO_TIME where the server gave none. Ids are 1..NAME_ID_MAX; 0 is "not given" in a field
 * that refers to something else.
 *
 * A new fact takes one line each here, in facts_*_finish if it is a string, and in the table of
 * github/parse.c.
 */
#ifndef GHLOGFS_FACTS_H
#define GHLOGFS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACTS_NO_TIME INT64_C(-1)

enum facts_status {
    FACTS_STATUS_UNKNOWN,
    FACTS_QUEUED,
    FACTS_IN_PROGRESS,
    FACTS_COMPLETED,
    FACTS_WAITING,
    FACTS_REQUESTED,
    FACTS_PENDING,
};

enum facts_conclusion {
    FACTS_NO_CONCLUSION, /* null, absent: there is none yet */
    FACTS_SUCCESS,
    FACTS_FAILURE,
    FACTS_CANCELLED,
    FACTS_SKIPPED,
    FACTS_NEUTRAL,
    FACTS_TIMED_OUT,
    FACTS_ACTION_REQUIRED,
    FACTS_STARTUP_FAILURE,
    FACTS_STALE,
    FACTS_OTHER_CONCLUSION, /* a word that is not in the table; the text has it */
};

struct facts_step {
    uint32_t number;
    char *name;
    enum facts_status status;
    enum facts_conclusion conclusion;
    int64_t started_ms, completed_ms;
};

struct facts_job {
    uint64_t id;
    uint64_t run_id;  /* 0: not given */
    uint32_t attempt; /* 1 where not given */
    char *name;
    enum facts_status status;
    enum facts_conclusion conclusion;
    char *status_text, *conclusion_text; /* as the server wrote them */
    char *head_sha, *html_url;
    int64_t created_ms, started_ms, completed_ms;
    struct facts_step *steps; /* in the server's order */
    size_t step_count;
    bool never_ran; /* completed, and reported without a runner and without steps */
};

struct facts_run {
    uint64_t id;
    uint64_t workflow_id; /* 0: not given */
    uint32_t attempt;     /* the latest; 1 where not given */
    uint32_t number;      /* among the workflow's runs; 0: not given */
    enum facts_status status;
    enum facts_conclusion conclusion;
    char *name;  /* the workflow's */
    char *title; /* of the commit, the pull request, or what the workflow makes of them */
    char *event; /* what started it: "push" */
    char *head_branch, *head_sha, *html_url;
    char *path;                     /* ".github/workflows/ci.yml", maybe "...@ref" */
    uint64_t repo_id, head_repo_id; /* of the head 0 when the fork was deleted */
    char *head_repo_owner;          /* "" when the fork was deleted */
    int64_t created_ms, updated_ms;
    uint64_t *pulls; /* numbers of the repository's pull requests that it belongs to; none of a
                      * fork's is among them */
    size_t pull_count;
};

struct facts_pull {
    uint64_t number;
    char *head_sha;
};

struct facts_repo {
    uint64_t id; /* 0: not given */
    char *owner, *name;
    int64_t pushed_ms;
};

/* Requests an hour. -1: not given. */
struct facts_quota {
    int64_t limit, remaining;
    int64_t reset_s; /* UTC seconds */
};

/* One page of a listing. total_count: of the whole listing, -1 where not given. unread: entries of
 * the page that could not be parsed (null, without an id): they are in no array. */
struct facts_job_list {
    struct facts_job *items;
    size_t count, unread;
    int64_t total_count;
};

struct facts_run_list {
    struct facts_run *items;
    size_t count, unread;
    int64_t total_count;
};

struct facts_repo_list {
    struct facts_repo *items;
    size_t count, unread;
    int64_t total_count;
};

/* The value of GitHub's word; of NULL and "" UNKNOWN and NO_CONCLUSION. */
enum facts_status facts_status_from(const char *text);
enum facts_conclusion facts_conclusion_from(const char *text);

/* Whether the conclusion is one that the view `failed` lists (S19). */
bool facts_is_failed(enum facts_conclusion conclusion);

/* Where the branch of a run is. Decided by the ids of the repositories in the run itself: a moved
 * or renamed repository keeps its id, and a fork has another one, also under the same owner. */
enum facts_origin { FACTS_OWN_BRANCH, FACTS_FORK, FACTS_DELETED_FORK };
enum facts_origin facts_origin_of(const struct facts_run *run);

/* When the job ended, else began, else was created, UTC; FACTS_NO_TIME: not given. */
int64_t facts_job_time_ms(const struct facts_job *job);

/* Whether the job may have a complete log: it has ended, was not skipped, and has run (S19). */
bool facts_may_have_log(const struct facts_job *job);

/* Whether the step has not ended. */
bool facts_is_open(const struct facts_step *step);

/* Whether a completed job has steps that have not ended: its runner was lost, or the server is
 * behind. */
bool facts_has_open_steps(const struct facts_job *job);

/*
 * Whether nothing about the job will change any more. A completed job's steps may be reported later
 * than its end: a job without steps, or with open ones, is settled FACTS_SETTLES_MS after it (S10).
 */
#define FACTS_SETTLES_MS (24 * 3600 * INT64_C(1000))
bool facts_is_settled(const struct facts_job *job, int64_t now_ms);

void facts_job_finish(struct facts_job *job);
void facts_run_finish(struct facts_run *run);
void facts_pull_finish(struct facts_pull *pull);
void facts_repo_finish(struct facts_repo *repo);

void facts_job_list_finish(struct facts_job_list *list);
void facts_run_list_finish(struct facts_run_list *list);
void facts_repo_list_finish(struct facts_repo_list *list);

#endif
