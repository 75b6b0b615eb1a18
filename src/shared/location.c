#include "shared/location.h"

#include "net/url.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define S3 "s3://"
#define TEXT_MAX 1024
#define BUCKET_MIN 3
#define BUCKET_MAX 63
#define PREFIX_MAX 200
#define ENDPOINT_MAX 300
#define REGION_USUAL "us-east-1"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UNRESERVED LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-._~"

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return -EINVAL;
}

/* Copies [from, to) as a string. False: it does not fit. */
static bool take(char *to, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

/* All parts together are shorter than LOCATION_BASE_MAX. */
static void append(struct shared_location *l, const char *text)
{
    size_t len = strlen(l->base);

    snprintf(l->base + len, sizeof(l->base) - len, "%s", text);
}

/* A path of unreserved characters, "" or "/a/b": no part is empty, "." or "..". */
static bool is_path(const char *path)
{
    while (*path == '/') {
        size_t len = strspn(++path, UNRESERVED);
        if (!len || (len <= 2 && strspn(path, ".") >= len))
            return false;
        path += len;
    }
    return !*path;
}

/* -- The server -------------------------------------------------------------------------------- */

/*
 * [scheme://host[:port]] without user, query and fragment, and the path behind it, without slashes
 * at its end. `url` is not longer than TEXT_MAX.
 */
static int split_server(const char *url, struct shared_location *l, char *path, size_t path_size,
                        const char **reason)
{
    struct net_url parts;
    const char *rest = strstr(url, "://");
    size_t len;
    bool is_v6, is_usual;
    int n;

    if (!rest || net_url_parse(url, &parts) < 0 || parts.host[0] == '.')
        return refuse(reason, "is not the URL of a server");
    if (parts.has_userinfo)
        return refuse(reason, "has a user or password: these belong into shared_key_file");
    if (strpbrk(url, "?#"))
        return refuse(reason, "has a query or fragment, which is for s3:// only");
    l->is_plain = strcmp(parts.scheme, "http") == 0;
    if (l->is_plain && !parts.is_local)
        return refuse(reason, "is plain http to a host that is no loopback or private address");
    is_v6 = strchr(parts.host, ':') != NULL;
    is_usual = parts.port == (l->is_plain ? 80 : 443);
    n = snprintf(l->base, sizeof(l->base), "%s://%s%s%s", parts.scheme, is_v6 ? "[" : "",
                 parts.host, is_v6 ? "]" : "");
    if (!is_usual)
        snprintf(l->base + n, sizeof(l->base) - (size_t)n, ":%u", parts.port);
    snprintf(l->host, sizeof(l->host), "%s", parts.host);

    rest += strlen("://");
    rest += strcspn(rest, "/");
    len = strlen(rest);
    while (len > 0 && rest[len - 1] == '/')
        len--;
    if (!take(path, path_size, rest, len))
        return refuse(reason, "has a path that is too long");
    if (!is_path(path))
        return refuse(reason, "has a path with other characters than letters, digits and -._~");
    return 0;
}

static int parse_http(const char *text, struct shared_location *l, const char **reason)
{
    char path[PREFIX_MAX + 1];
    int rc = split_server(text, l, path, sizeof(path), reason);

    if (rc == 0)
        append(l, path);
    return rc;
}

/* -- Buckets ----------------------------------------------------------------------------------- */

struct s3_parts {
    char bucket[BUCKET_MAX + 1];
    char prefix[PREFIX_MAX + 1]; /* "" or "/a/b" */
    char endpoint[ENDPOINT_MAX + 1];
    char region[40];
};

/* The rules that all servers share: 3 to 63 bytes of a-z, 0-9, "-" and ".", the first and the last
 * no mark. */
static bool is_bucket(const char *name)
{
    size_t len = strlen(name);

    return len >= BUCKET_MIN && len <= BUCKET_MAX &&
           name[strspn(name, LOWER DIGITS "-.")] == '\0' && isalnum((unsigned char)name[0]) &&
           isalnum((unsigned char)name[len - 1]) && !strstr(name, "..");
}

/* One NAME=VALUE of the query. */
static int take_parameter(const char *text, size_t len, struct s3_parts *p, const char **reason)
{
    static const char endpoint[] = "endpoint=", region[] = "region=";

    if (len > strlen(endpoint) && strncmp(text, endpoint, strlen(endpoint)) == 0) {
        if (p->endpoint[0])
            return refuse(reason, "has two endpoints");
        if (!take(p->endpoint, sizeof(p->endpoint), text + strlen(endpoint),
                  len - strlen(endpoint)))
            return refuse(reason, "has an endpoint that is too long");
        return 0;
    }
    if (len > strlen(region) && strncmp(text, region, strlen(region)) == 0) {
        if (p->region[0])
            return refuse(reason, "has two regions");
        if (!take(p->region, sizeof(p->region), text + strlen(region), len - strlen(region)) ||
            p->region[strspn(p->region, LOWER DIGITS "-")])
            return refuse(reason, "has a region that is none");
        return 0;
    }
    return refuse(reason, "has a parameter other than endpoint=URL and region=NAME");
}

static int split_s3(const char *text, struct s3_parts *p, const char **reason)
{
    size_t bucket = strcspn(text, "/?"), path = strcspn(text + bucket, "?");
    const char *query = text + bucket + path;

    if (!take(p->bucket, sizeof(p->bucket), text, bucket) || !is_bucket(p->bucket))
        return refuse(reason, "has no valid bucket: 3 to 63 of a-z, 0-9, - and .");
    while (path > 0 && text[bucket + path - 1] == '/')
        path--;
    if (!take(p->prefix, sizeof(p->prefix), text + bucket, path) || !is_path(p->prefix))
        return refuse(reason, "has a prefix that is too long, or has other characters than "
                              "letters, digits and -._~");
    while (*query) {
        size_t len = strcspn(++query, "&");
        int rc = take_parameter(query, len, p, reason);
        if (rc < 0)
            return rc;
        query += len;
    }
    if (!p->region[0])
        memcpy(p->region, REGION_USUAL, sizeof(REGION_USUAL));
    return 0;
}

static int parse_s3(const char *text, struct shared_location *l, const char **reason)
{
    struct s3_parts p = {.bucket = ""};
    char path[PREFIX_MAX + 1];
    bool is_by_host;
    int rc = split_s3(text, &p, reason);

    if (rc < 0)
        return rc;
    is_by_host = !p.endpoint[0] && !strchr(p.bucket, '.');
    if (!p.endpoint[0])
        snprintf(p.endpoint, sizeof(p.endpoint), "https://%s%ss3.%s.amazonaws.com",
                 is_by_host ? p.bucket : "", is_by_host ? "." : "", p.region);
    rc = split_server(p.endpoint, l, path, sizeof(path), reason);
    if (rc < 0)
        return rc;
    if (path[0])
        return refuse(reason, "has an endpoint with a path");
    memcpy(l->region, p.region, sizeof(l->region));
    if (!is_by_host) {
        append(l, "/");
        append(l, p.bucket);
    }
    append(l, p.prefix);
    return 0;
}

int shared_location_parse(const char *text, struct shared_location *ret_location,
                          const char **reason)
{
    struct shared_location l = {.base = ""};
    int rc;

    if (strnlen(text, TEXT_MAX) == TEXT_MAX)
        return refuse(reason, "is too long");
    if (strncmp(text, S3, strlen(S3)) == 0)
        rc = parse_s3(text + strlen(S3), &l, reason);
    else if (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0)
        rc = parse_http(text, &l, reason);
    else
        return refuse(reason, "begins with neither s3:// nor https://");
    if (rc == 0)
        *ret_location = l;
    return rc;
}

/* -- Objects ----------------------------------------------------------------------------------- */

int shared_location_make_url(const struct shared_location *location, const char *host,
                             const struct repo_name *repo, uint64_t job, enum shared_object what,
                             char ret_url[LOCATION_OBJECT_MAX])
{
    char folded[NAME_FULL_LEN], key[256];
    size_t len = strlen(host);

    /* The brackets of an IPv6 address and its colons are no unreserved characters either. */
    if (!len || len >= sizeof(key) || host[0] == '.' || host[strspn(host, LOWER DIGITS "-._:[]")])
        return -EINVAL;
    for (size_t i = 0; i <= len; i++)
        key[i] = strchr(":[]", host[i]) && host[i] ? '~' : host[i];
    name_fold(repo, folded);
    snprintf(ret_url, LOCATION_OBJECT_MAX, "%s/v1/%s/%s/%" PRIu64 "%s", location->base, key, folded,
             job, what == SHARED_META ? ".meta" : "");
    return 0;
}
