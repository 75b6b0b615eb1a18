/*
 * endpoints.h - a question of source.h as a URL of GitHub's REST API. Pure.
 *
 * Owners and repositories have passed their grammar, ids are numbers: nothing in them needs an
 * escape. A filter is percent-encoded already; one with bytes that no URL has is refused.
 */
#ifndef GHLOGFS_GITHUB_ENDPOINTS_H
#define GHLOGFS_GITHUB_ENDPOINTS_H

#include "source.h"

/*
 * Both: the caller frees the URL. -EINVAL: no such question; -ENOMEM.
 *
 * is_user: the owner of SOURCE_OWNER_REPOS is no organization: GitHub answers 404 to the request
 * for an organization's then. The endpoint of users lists organizations' repositories too, but only
 * public ones.
 */
int endpoint_make_url(const char *base, const struct source_facts *f, bool is_user, char **ret_url);

int endpoint_make_archive_url(const char *base, const struct source_archive *a, char **ret_url);

int endpoint_make_log_url(const char *base, const struct repo_name *repo, uint64_t job,
                          char **ret_url);

#endif
