#include "github/redirect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int redirect_check_storage(const char *location, bool allow_http, bool allow_local,
                           struct net_url *ret_at)
{
    struct net_url at;

    if (strnlen(location, REDIRECT_MAX + 1) > REDIRECT_MAX || net_url_parse(location, &at) < 0)
        return -EPROTO;
    if (at.has_userinfo || (at.is_local && !allow_local))
        return -EPROTO;
    if (strcmp(at.scheme, "https") != 0 && !(allow_http && strcmp(at.scheme, "http") == 0))
        return -EPROTO;
    *ret_at = at;
    return 0;
}

/* How long "scheme://authority" of a URL is. */
static int origin_len(const char *url)
{
    const char *authority = strstr(url, "://");

    return authority ? (int)(authority + 3 - url + strcspn(authority + 3, "/?#")) : 0;
}

int redirect_resolve_move(const char *base, const char *location, char **ret_url)
{
    struct net_url from, to;
    char *url;

    if (strnlen(location, REDIRECT_MAX + 1) > REDIRECT_MAX)
        return -EPROTO;
    if (location[0] == '/' && location[1] != '/') {
        if (asprintf(&url, "%.*s%s", origin_len(base), base, location) < 0)
            return -ENOMEM;
    } else {
        url = strdup(location);
        if (!url)
            return -ENOMEM;
    }
    if (net_url_parse(base, &from) < 0 || net_url_parse(url, &to) < 0 || to.has_userinfo ||
        strcmp(from.scheme, to.scheme) != 0 || strcmp(from.host, to.host) != 0 ||
        from.port != to.port) {
        free(url);
        return -EPROTO;
    }
    *ret_url = url;
    return 0;
}
