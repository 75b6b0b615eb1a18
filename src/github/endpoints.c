#include "github/endpoints.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 100

/* "per_page=100&page=1" */
struct paging {
    char text[48];
};

static struct paging paging_of(const struct source_facts *f)
{
    struct paging p;
    unsigned per_page = f->per_page && f->per_page < PAGE_MAX ? f->per_page : PAGE_MAX;

    snprintf(p.text, sizeof(p.text), "per_page=%u&page=%u", per_page, f->page ? f->page : 1);
    return p;
}

/* Whether every byte may stand in a URL as it is, and none ends the query. */
static bool is_encoded(const char *s)
{
    for (; *s; s++)
        if (*s <= 0x20 || *s >= 0x7f || strchr("#\"<>\\^`{|}", *s))
            return false;
    return true;
}

/* A path would lose these, or be another. */
static bool is_dots(const char *s)
{
    return strcmp(s, ".") == 0 || strcmp(s, "..") == 0;
}

/* A workflow's id or file as one segment of a path; an escape that is there already stays. */
static void encode_segment(const char *s, char *out, size_t cap)
{
    size_t at = 0;

    for (; *s && at + 4 <= cap; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~%", *s))
            out[at++] = *s;
        else
            at += (size_t)snprintf(out + at, cap - at, "%%%02X", (unsigned char)*s);
    }
    out[at] = 0;
}

static int of_runs(const char *base, const struct source_facts *f, char **url)
{
    return asprintf(url, "%s/repos/%s/%s/actions/runs?%s%s%s", base, f->repo.owner, f->repo.repo,
                    paging_of(f).text, f->filter[0] ? "&" : "", f->filter);
}

static int of_workflow_runs(const char *base, const struct source_facts *f, char **url)
{
    char segment[3 * sizeof(f->filter)];

    encode_segment(f->filter, segment, sizeof(segment));
    return asprintf(url, "%s/repos/%s/%s/actions/workflows/%s/runs?%s", base, f->repo.owner,
                    f->repo.repo, segment, paging_of(f).text);
}

/* The parts of a repository that have an id. */
static int of_thing(const char *base, const struct source_facts *f, char **url)
{
    char root[512];

    snprintf(root, sizeof(root), "repos/%s/%s/actions", f->repo.owner, f->repo.repo);
    switch (f->question) {
    case SOURCE_JOB: return asprintf(url, "%s/%s/jobs/%" PRIu64, base, root, f->id);
    case SOURCE_RUN: return asprintf(url, "%s/%s/runs/%" PRIu64, base, root, f->id);
    case SOURCE_RUN_ATTEMPT:
        return asprintf(url, "%s/%s/runs/%" PRIu64 "/attempts/%u", base, root, f->id, f->attempt);
    default:
        return asprintf(url, "%s/%s/runs/%" PRIu64 "/attempts/%u/jobs?%s", base, root, f->id,
                        f->attempt, paging_of(f).text);
    }
}

static int print_url(const char *base, const struct source_facts *f, char **url)
{
    switch (f->question) {
    case SOURCE_RUNS: return of_runs(base, f, url);
    case SOURCE_WORKFLOW_RUNS: return of_workflow_runs(base, f, url);
    case SOURCE_OWNER_REPOS:
        return asprintf(url, "%s/orgs/%s/repos?sort=pushed&%s", base, f->repo.owner,
                        paging_of(f).text);
    case SOURCE_MY_REPOS:
        return asprintf(url, "%s/user/repos?sort=pushed&%s", base, paging_of(f).text);
    default: return of_thing(base, f, url);
    }
}

static bool has_fit_filter(const struct source_facts *f)
{
    if (strnlen(f->filter, sizeof(f->filter)) == sizeof(f->filter))
        return false;
    if (f->question == SOURCE_RUNS)
        return is_encoded(f->filter);
    return f->question != SOURCE_WORKFLOW_RUNS || (f->filter[0] && !is_dots(f->filter));
}

int question_make_url(const char *base, const struct source_facts *f, char **ret_url)
{
    char *url;

    if (!has_fit_filter(f))
        return -EINVAL;
    if (print_url(base, f, &url) < 0)
        return -ENOMEM;
    *ret_url = url;
    return 0;
}

int question_make_user_repos_url(const char *base, const struct source_facts *f, char **ret_url)
{
    char *url;

    if (asprintf(&url, "%s/users/%s/repos?sort=pushed&%s", base, f->repo.owner, paging_of(f).text) <
        0)
        return -ENOMEM;
    *ret_url = url;
    return 0;
}

int question_make_log_url(const char *base, const struct repo_name *repo, uint64_t job,
                          char **ret_url)
{
    char *url;

    if (asprintf(&url, "%s/repos/%s/%s/actions/jobs/%" PRIu64 "/logs", base, repo->owner,
                 repo->repo, job) < 0)
        return -ENOMEM;
    *ret_url = url;
    return 0;
}
