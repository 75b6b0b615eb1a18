/*
 * options_api.h - where the API is: from a URL, or from the host name that a user knows.
 *
 * Pure: no environment, no network. Does not decide which URL or host counts (options.c does), and
 * does not resolve names.
 *
 * Errors: -EINVAL with a reason that reads well after the name of what was refused, and never
 * repeats the refused text, which may hold a password. Outputs are untouched on failure.
 */
#ifndef GHLOGFS_OPTIONS_API_H
#define GHLOGFS_OPTIONS_API_H

#include <stdbool.h>

#define OPTIONS_HOST_MAX 253
#define OPTIONS_PATH_MAX 200

struct options_api {
    char scheme[8];                      /* "https" or "http" */
    char host[OPTIONS_HOST_MAX + 1];     /* lower case; an IPv6 address in brackets */
    unsigned port;                       /* 1-65535, the scheme's own where none was given */
    char key[OPTIONS_HOST_MAX + 8];      /* names this server in the cache: the host, and ":port"
                                         unless it is https on 443 */
    char web_host[OPTIONS_HOST_MAX + 8]; /* the name users and gh know it by: github.com */
    char url[OPTIONS_HOST_MAX + OPTIONS_PATH_MAX + 24]; /* all of it: https://api.github.com */
};

/* http or https, host, port, path; no user, no query, no fragment. Case and trailing slashes are
 * normalised, a default port is dropped. */
int options_api_from_url(struct options_api *api, const char *url, const char **reason);

/* HOST[:PORT] of github.com, SUB.ghe.com or a GitHub Enterprise Server; always https. */
int options_api_from_host(struct options_api *api, const char *host, const char **reason);

/* True for GitHub's own hosts (github.com, *.ghe.com), false for any other server. */
bool options_api_is_github(const struct options_api *api);

#endif
