/*
 * advice.h - what to do about a failure: the words in brackets behind a message.
 *
 * Pure. Holds no secret: of the URLs that GitHub sends, nothing but the path is repeated.
 */
#ifndef GHLOGFS_GITHUB_ADVICE_H
#define GHLOGFS_GITHUB_ADVICE_H

#include "github/failure.h"

#include <stdbool.h>

#define ADVICE_CAP 320

/* About an error of net; `cause` is what net_failure_text told. NULL: there is none to give. */
const char *advice_on_error(enum failure_hop hop, int err, const char *cause);

/* What GitHub's refusal tells about the token. Headers: NULL where absent. */
struct advice_denial {
    int status;
    bool has_token;
    const char *scopes;      /* X-OAuth-Scopes: those of a classic token */
    const char *accepted;    /* X-Accepted-OAuth-Scopes: any of them would do */
    const char *permissions; /* X-Accepted-GitHub-Permissions: what other tokens need */
    const char *sso;         /* X-GitHub-SSO */
};

/* "": there is none to give. For a 404 there mostly is none, since most things that are not found
 * do not exist. */
void advice_on_denial(const struct advice_denial *d, char text[ADVICE_CAP]);

#endif
