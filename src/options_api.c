#include "options_api.h"

#include "net/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), tail_length = strlen(tail);

    return length > tail_length && strcmp(text + length - tail_length, tail) == 0;
}

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return -EINVAL;
}

/* Labels of 1 to 63 characters, none with '-' at an end. A host becomes the name of a directory of
 * the cache and an argument of gh, so neither ".." nor "-x" may pass. */
static bool has_valid_labels(const char *host)
{
    for (;;) {
        size_t length = strcspn(host, ".");

        if (length < 1 || length > 63 || host[0] == '-' || host[length - 1] == '-')
            return false;
        if (host[length] == '\0')
            return true;
        host += length + 1;
    }
}

/* Scheme, host and port of a URL. */
static int parse_base(struct options_api *api, const char *url, const char **reason)
{
    const char *authority = strstr(url, "://") + 3;
    size_t length = strcspn(authority, "/");
    struct net_url parsed;
    bool is_v6;

    if (memchr(authority, '@', length) != NULL)
        return refuse(reason, "must not hold a user name or password");
    if (net_url_parse(url, &parsed) < 0 || authority[length - 1] == ':')
        return refuse(reason, "has no valid host or port (HOST or HOST:PORT, port 1 to 65535)");
    is_v6 = strchr(parsed.host, ':') != NULL;
    if (strlen(parsed.host) > OPTIONS_HOST_MAX)
        return refuse(reason, "has too long a host name");
    if (!is_v6 && !has_valid_labels(parsed.host))
        return refuse(reason, "has no valid host name");
    memcpy(api->scheme, parsed.scheme, sizeof api->scheme);
    snprintf(api->host, sizeof api->host, is_v6 ? "[%.251s]" : "%.253s", parsed.host);
    api->port = parsed.port;
    return 0;
}

/* A prefix is joined with paths that begin with a slash: empty and dot segments would move them. */
static bool is_valid_path(const char *path)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "/-._~";

    if (path[strspn(path, allowed)] != '\0')
        return false;
    while (*path != '\0') {
        size_t length = strcspn(++path, "/");

        if (length == 0 || (path[0] == '.' && (length == 1 || (length == 2 && path[1] == '.'))))
            return false;
        path += length;
    }
    return true;
}

/* What follows from scheme, host and port. */
static void complete(struct options_api *api, const char *path)
{
    bool https = strcmp(api->scheme, "https") == 0;
    const char *name = api->key;
    char port[8] = "";

    if (api->port != (https ? 443U : 80U))
        snprintf(port, sizeof port, ":%u", api->port % 65536);
    snprintf(api->url, sizeof api->url, "%s://%s%s%s", api->scheme, api->host, port, path);
    if (!https)
        snprintf(port, sizeof port, ":%u", api->port % 65536);
    snprintf(api->key, sizeof api->key, "%s%s", api->host, port);
    if (strcmp(name, "api.github.com") == 0 ||
        (strncmp(name, "api.", 4) == 0 && ends_with(name + 4, ".ghe.com")))
        name += 4;
    snprintf(api->web_host, sizeof api->web_host, "%s", name);
}

int options_api_from_url(struct options_api *api, const char *url, const char **reason)
{
    struct options_api parsed = {.port = 0};
    char path[OPTIONS_PATH_MAX + 1];
    const char *from;
    size_t length;
    int rc;

    if (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)
        return refuse(reason, "must begin with https:// or http://");
    if (strpbrk(url, "?#") != NULL)
        return refuse(reason, "must not hold a query or a fragment");
    rc = parse_base(&parsed, url, reason);
    if (rc < 0)
        return rc;
    from = strstr(url, "://") + 3;
    from += strcspn(from, "/");
    length = strlen(from);
    while (length > 0 && from[length - 1] == '/')
        length--;
    if (length > OPTIONS_PATH_MAX)
        return refuse(reason, "has too long a path");
    memcpy(path, from, length);
    path[length] = '\0';
    if (!is_valid_path(path))
        return refuse(reason, "has a path with an empty segment, a dot segment, or a character "
                              "other than letters, digits and -._~");
    complete(&parsed, path);
    *api = parsed;
    return 0;
}

/* github.com and SUB.ghe.com have their API at a host of its own, any other server below a path. */
int options_api_from_host(struct options_api *api, const char *host, const char **reason)
{
    struct options_api parsed = {.port = 0};
    char url[OPTIONS_HOST_MAX + 24];
    int rc;

    if (strpbrk(host, "/?#") != NULL)
        return refuse(reason, "must be a host name, not a URL (api_url takes one)");
    if ((size_t)snprintf(url, sizeof url, "https://%s", host) >= sizeof url)
        return refuse(reason, "has too long a host name");
    rc = parse_base(&parsed, url, reason);
    if (rc < 0)
        return rc;
    if (!options_api_is_github(&parsed)) {
        complete(&parsed, "/api/v3");
    } else if (strncmp(parsed.host, "api.", 4) == 0 && strcmp(parsed.host, "api.ghe.com") != 0) {
        complete(&parsed, "");
    } else {
        if (strlen(parsed.host) + 4 > OPTIONS_HOST_MAX)
            return refuse(reason, "has too long a host name");
        memmove(parsed.host + 4, parsed.host, strlen(parsed.host) + 1);
        memcpy(parsed.host, "api.", 4);
        complete(&parsed, "");
    }
    *api = parsed;
    return 0;
}

bool options_api_is_github(const struct options_api *api)
{
    return strcmp(api->host, "api.github.com") == 0 || strcmp(api->host, "github.com") == 0 ||
           ends_with(api->host, ".ghe.com");
}
