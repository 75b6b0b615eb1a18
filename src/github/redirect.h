/*
 * redirect.h - where a redirect may lead (R7). Pure.
 *
 * A log's redirect (302) leads to storage, anywhere in the world, and is followed without the
 * token. A moved repository's (301, 307, 308; where facts are asked, also 302) stays on the API's
 * own scheme, host and port, and is followed with it. GitHub's storage hosts come and go by the
 * hundred, and a GHES serves logs from its own host, so there is no list of hosts and no guess by
 * the host: the status, and what was asked, say which it is.
 */
#ifndef GHLOGFS_GITHUB_REDIRECT_H
#define GHLOGFS_GITHUB_REDIRECT_H

#include "net/url.h"

#include <stdbool.h>

#define REDIRECT_MAX 8192 /* bytes of a Location */

/*
 * May a signed URL lead there? https anywhere; http only with allow_http (the API itself is http);
 * a literal address that is loopback or private only with allow_local (the API itself is there);
 * no userinfo. -EPROTO: no.
 */
int redirect_check_storage(const char *location, bool allow_http, bool allow_local,
                           struct net_url *ret_at);

/*
 * The URL of a moved repository's Location, absolute or a path on the same host. The caller frees
 * it. -EPROTO: it leads elsewhere; -ENOMEM.
 */
int redirect_resolve_move(const char *base, const char *location, char **ret_url);

#endif
