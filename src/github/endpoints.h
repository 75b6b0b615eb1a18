/*
 * endpoints.h - what is asked, as a URL of GitHub's REST API. Pure.
 *
 * Owners and repositories have passed their grammar, ids are numbers: nothing in them needs an
 * escape. A filter comes percent-encoded; what no URL may have in it is refused.
 */
#ifndef GHLOGFS_GITHUB_ENDPOINTS_H
#define GHLOGFS_GITHUB_ENDPOINTS_H

#include "source.h"

/* All: the caller frees the URL. -EINVAL: no such question; -ENOMEM. */
int question_make_url(const char *base, const struct source_facts *f, char **ret_url);

/*
 * SOURCE_OWNER_REPOS of an owner who is no organization: GitHub answers 404 to the question for an
 * organization's then. The question for a user's answers for organizations too, but shows only what
 * is public.
 */
int question_make_user_repos_url(const char *base, const struct source_facts *f, char **ret_url);

int question_make_log_url(const char *base, const struct repo_name *repo, uint64_t job,
                          char **ret_url);

#endif
