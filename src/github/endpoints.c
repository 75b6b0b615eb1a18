#include "github/endpoints.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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

/* Of runs: every byte may stand in a URL as it is, and none ends the query. Of a workflow's runs: a
 * path would lose dots, or become another. */
static bool is_filter_valid(const struct source_facts *f)
{
    if (strnlen(f->filter, sizeof(f->filter)) == sizeof(f->filter))
        return false;
    if (f->question == SOURCE_WORKFLOW_RUNS)
        return f->filter[0] && strcmp(f->filter, ".") != 0 && strcmp(f->filter, "..") != 0;
    if (f->question == SOURCE_RUNS)
        for (const char *c = f->filter; *c; c++)
            if (*c <= 0x20 || *c >= 0x7f || strchr("#\"<>\\^`{|}", *c))
                return false;
    return true;
}

int endpoint_make_url(const char *base, const struct source_facts *f, bool is_user, char **ret_url)
{
    char actions[512], workflow[3 * sizeof(f->filter)];
    struct paging paging = paging_of(f);
    const char *amp = f->filter[0] ? "&" : "";
    char *url;
    int len;

    if (!is_filter_valid(f))
        return -EINVAL;
    snprintf(actions, sizeof(actions), "repos/%s/%s/actions", f->repo.owner, f->repo.repo);
    switch (f->question) {
    case SOURCE_JOB: len = asprintf(&url, "%s/%s/jobs/%" PRIu64, base, actions, f->id); break;
    case SOURCE_RUN: len = asprintf(&url, "%s/%s/runs/%" PRIu64, base, actions, f->id); break;
    case SOURCE_RUN_ATTEMPT:
        len = asprintf(&url, "%s/%s/runs/%" PRIu64 "/attempts/%u", base, actions, f->id,
                       f->attempt);
        break;
    case SOURCE_ATTEMPT_JOBS:
        len = asprintf(&url, "%s/%s/runs/%" PRIu64 "/attempts/%u/jobs?%s", base, actions, f->id,
                       f->attempt, paging.text);
        break;
    case SOURCE_RUNS:
        len = asprintf(&url, "%s/%s/runs?%s%s%s", base, actions, paging.text, amp, f->filter);
        break;
    case SOURCE_WORKFLOW_RUNS:
        /* An escape that is there already stays. */
        name_escape(f->filter, strlen(f->filter), "-._~%", workflow, sizeof(workflow));
        len = asprintf(&url, "%s/%s/workflows/%s/runs?%s", base, actions, workflow, paging.text);
        break;
    case SOURCE_OWNER_REPOS:
        len = asprintf(&url, "%s/%s/%s/repos?sort=pushed&%s", base, is_user ? "users" : "orgs",
                       f->repo.owner, paging.text);
        break;
    case SOURCE_MY_REPOS:
        len = asprintf(&url, "%s/user/repos?sort=pushed&%s", base, paging.text);
        break;
    case SOURCE_PULL:
        len = asprintf(&url, "%s/repos/%s/%s/pulls/%" PRIu64, base, f->repo.owner, f->repo.repo,
                       f->id);
        break;
    default: return -EINVAL;
    }
    if (len < 0)
        return -ENOMEM;
    *ret_url = url;
    return 0;
}

int endpoint_make_archive_url(const char *base, const struct source_archive *a, char **ret_url)
{
    char *url;

    if (asprintf(&url, "%s/repos/%s/%s/actions/runs/%" PRIu64 "/attempts/%u/logs", base,
                 a->repo.owner, a->repo.repo, a->run, a->attempt) < 0)
        return -ENOMEM;
    *ret_url = url;
    return 0;
}

int endpoint_make_log_url(const char *base, const struct repo_name *repo, uint64_t job,
                          char **ret_url)
{
    char *url;

    if (asprintf(&url, "%s/repos/%s/%s/actions/jobs/%" PRIu64 "/logs", base, repo->owner,
                 repo->repo, job) < 0)
        return -ENOMEM;
    *ret_url = url;
    return 0;
}
