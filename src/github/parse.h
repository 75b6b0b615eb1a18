/*
 * parse.h - GitHub's JSON to facts; the only place that knows cJSON.
 *
 * Pure: no I/O, no clock, no lock, no state between calls. It does not know URLs, status codes or
 * what a fact is used for, and does not check names by any grammar. headers.h has headers and
 * times.
 *
 * Input is a body with its explicit length, hostile until checked: at most PARSE_BODY_MAX bytes,
 * PARSE_DEPTH_MAX deep, PARSE_VALUES_MAX values, no NUL byte, nothing behind the value but white
 * space; a BOM in front is tolerated. Strings are cut to PARSE_TEXT_MAX bytes, never within a UTF-8
 * character. Ids are integers 1..2^53-1. Fields that GitHub has left out or set to null between
 * 2020 and 2026, and fields of the wrong type that are not essential, count as not given. Essential
 * are: the id of a job or run, a pull request's number and head, a repository's name and owner, a
 * list's array. A list's entry
 * without what is essential is skipped and counted (`unread`); -EPROTO if all entries are so,
 * unless all are null.
 *
 * Results are the caller's: facts_*_finish, or free() for strings. Errors: -EPROTO not what GitHub
 * sends; -ENOMEM; -ENOENT (print only) no such element. Outputs are untouched on failure.
 */
#ifndef GHLOGFS_GITHUB_PARSE_H
#define GHLOGFS_GITHUB_PARSE_H

#include "facts.h"

#include <stddef.h>
#include <stdint.h>

/* Bounds of what a server sends (R8). More is refused, not cut, except for texts. */
#define PARSE_BODY_MAX (16u << 20)
#define PARSE_DEPTH_MAX 64
#define PARSE_VALUES_MAX 1000000 /* cJSON takes 64 bytes and more for each */
#define PARSE_ITEMS_MAX 1000     /* of one page; GitHub's own limit is 100 */
#define PARSE_STEPS_MAX 10000    /* of one job */
#define PARSE_PULLS_MAX 100      /* pull requests of one run; more are left out */
#define PARSE_TEXT_MAX 1024      /* bytes of a text; a longer one is cut */
#define PARSE_MESSAGE_LEN 256

int parse_job(const char *body, size_t len, struct facts_job *ret_job);
int parse_run(const char *body, size_t len, struct facts_run *ret_run);
int parse_pull(const char *body, size_t len, struct facts_pull *ret_pull);

/* {"resources": {"core": {}}} of GET /rate_limit. */
int parse_quota(const char *body, size_t len, struct facts_quota *ret_quota);

/* {"total_count", "jobs": []}, {"total_count", "workflow_runs": []} */
#define PARSE_JOBS "jobs"
#define PARSE_RUNS "workflow_runs"
int parse_jobs_page(const char *body, size_t len, struct facts_job_list *ret_list);
int parse_runs_page(const char *body, size_t len, struct facts_run_list *ret_list);

/* [{repository}, ...]; total_count is -1. */
int parse_repos_page(const char *body, size_t len, struct facts_repo_list *ret_list);

/* GitHub's message beside an error status, in printable ASCII only. */
struct parse_error {
    char message[PARSE_MESSAGE_LEN];
};

/* "" where the body has no message (empty, HTML, XML, other JSON); never fails. */
void parse_error_message(const char *body, size_t len, struct parse_error *ret_error);

/* The element with this id out of a page, as indented JSON with a final newline; `array` is the
 * page's key of its elements. */
int parse_print(const char *body, size_t len, const char *array, uint64_t id, char **ret_text,
                size_t *ret_len);

#endif
