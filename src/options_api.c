#include "options_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The C library's ctype follows the locale, and a host name does not. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text += 'a' - 'A';
    }
}

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

/* Letters, digits, '-' and '_' in labels of 1 to 63, none with '-' at an end. */
static bool name_is_valid(const char *name)
{
    size_t label = 0;

    for (const char *p = name;; p++) {
        if (*p == '.' || *p == '\0') {
            if (label == 0 || label > 63 || p[-1] == '-' || *(p - label) == '-')
                return false;
            if (*p == '\0')
                return true;
            label = 0;
        } else if (is_alnum(*p) || *p == '-' || *p == '_') {
            label++;
        } else {
            return false;
        }
    }
}

/* text is "[...]" and nothing else. */
static bool ipv6_is_valid(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    size_t length = strlen(text);

    if (length < 4 || length - 2 >= sizeof address || text[length - 1] != ']')
        return false;
    memcpy(address, text + 1, length - 2);
    address[length - 2] = '\0';
    return inet_pton(AF_INET6, address, &ignored) == 1;
}

static bool port_parse(const char *text, size_t length, unsigned *port)
{
    unsigned value = 0;

    if (length < 1 || length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value < 1 || value > 65535)
        return false;
    *port = value;
    return true;
}

/* Splits HOST[:PORT]; api->port stays as it is where none is given. */
static int authority_parse(struct options_api *api, const char *text, size_t length,
                           const char **reason)
{
    const char *bracket = length > 0 && text[0] == '[' ? memchr(text, ']', length) : NULL;
    const char *from = bracket != NULL ? bracket : text;
    const char *colon = memchr(from, ':', length - (size_t)(from - text));
    size_t host_length = colon != NULL ? (size_t)(colon - text) : length;

    if (memchr(text, '@', length) != NULL)
        return refuse(reason, "must not hold a user name or password");
    if (host_length == 0)
        return refuse(reason, "has no host");
    if (host_length > OPTIONS_HOST_MAX)
        return refuse(reason, "has too long a host name");
    if (colon != NULL && !port_parse(colon + 1, length - host_length - 1, &api->port))
        return refuse(reason, "has no valid port (1 to 65535) after its colon");
    memcpy(api->host, text, host_length);
    api->host[host_length] = '\0';
    lower(api->host);
    /* An embedded NUL cannot be: text is part of a C string. */
    if (!(api->host[0] == '[' ? ipv6_is_valid(api->host) : name_is_valid(api->host)))
        return refuse(reason, "has no valid host name");
    return 0;
}

static bool segment_is_dots(const char *segment, size_t length)
{
    return (length == 1 && segment[0] == '.') ||
           (length == 2 && segment[0] == '.' && segment[1] == '.');
}

/* A prefix is joined with paths of our own making: empty and dot segments would move them. */
static int path_parse(struct options_api *api, const char *text, const char **reason)
{
    size_t length = strlen(text);

    while (length > 0 && text[length - 1] == '/')
        length--;
    if (length > OPTIONS_PATH_MAX)
        return refuse(reason, "has too long a path");
    for (size_t i = 0; i < length;) {
        size_t segment = strcspn(text + i + 1, "/");

        if (segment == 0 || segment_is_dots(text + i + 1, segment))
            return refuse(reason, "has an empty or dot segment in its path");
        i += segment + 1;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_alnum(text[i]) && strchr("/-._~", text[i]) == NULL)
            return refuse(reason, "has a character in its path that is not allowed");
    }
    memcpy(api->path, text, length);
    api->path[length] = '\0';
    return 0;
}

static void web_host_derive(struct options_api *api)
{
    const char *name = api->key;

    if (strcmp(name, "api.github.com") == 0 ||
        (strncmp(name, "api.", 4) == 0 && ends_with(name + 4, ".ghe.com")))
        name += 4;
    snprintf(api->web_host, sizeof api->web_host, "%s", name);
}

/* Everything that follows from scheme, host, port and path. */
static void api_complete(struct options_api *api)
{
    bool https = strcmp(api->scheme, "https") == 0;
    char port[8] = "";

    if (api->port != (https ? 443U : 80U))
        snprintf(port, sizeof port, ":%u", api->port % 65536);
    snprintf(api->url, sizeof api->url, "%s://%s%s%s", api->scheme, api->host, port, api->path);
    if (!https)
        snprintf(port, sizeof port, ":%u", api->port % 65536);
    snprintf(api->key, sizeof api->key, "%s%s", api->host, port);
    web_host_derive(api);
}

int options_api_from_url(struct options_api *api, const char *url, const char **reason)
{
    struct options_api parsed = {.scheme = "https", .port = 443};
    const char *rest = url;
    size_t length;
    int rc;

    if (strncasecmp(url, "https://", 8) == 0) {
        rest += 8;
    } else if (strncasecmp(url, "http://", 7) == 0) {
        rest += 7;
        parsed.scheme[4] = '\0';
        parsed.port = 80;
    } else {
        return refuse(reason, "must begin with https:// or http://");
    }
    length = strcspn(rest, "/?#");
    if (strpbrk(rest, "?#") != NULL)
        return refuse(reason, "must not hold a query or a fragment");
    rc = authority_parse(&parsed, rest, length, reason);
    if (rc == 0)
        rc = path_parse(&parsed, rest + length, reason);
    if (rc < 0)
        return rc;
    api_complete(&parsed);
    *api = parsed;
    return 0;
}

/* github.com and SUB.ghe.com have their API beside them, a server of one's own has it inside. */
static int host_to_api(struct options_api *api, const char **reason)
{
    bool github = strcmp(api->host, "github.com") == 0 || strcmp(api->host, "api.github.com") == 0;
    char name[OPTIONS_HOST_MAX + 5];

    if (!github && !ends_with(api->host, ".ghe.com")) {
        snprintf(api->path, sizeof api->path, "/api/v3");
        return 0;
    }
    if (strncmp(api->host, "api.", 4) == 0 && strcmp(api->host, "api.ghe.com") != 0)
        return 0;
    snprintf(name, sizeof name, "api.%s", api->host);
    if (strlen(name) > OPTIONS_HOST_MAX)
        return refuse(reason, "has too long a host name");
    memcpy(api->host, name, strlen(name) + 1);
    return 0;
}

int options_api_from_host(struct options_api *api, const char *host, const char **reason)
{
    struct options_api parsed = {.scheme = "https", .port = 443};
    int rc;

    if (strpbrk(host, "/?#") != NULL)
        return refuse(reason, "must be a host name, not a URL (api_url takes one)");
    rc = authority_parse(&parsed, host, strlen(host), reason);
    if (rc == 0)
        rc = host_to_api(&parsed, reason);
    if (rc < 0)
        return rc;
    api_complete(&parsed);
    *api = parsed;
    return 0;
}

bool options_api_is_github(const struct options_api *api)
{
    return strcmp(api->host, "api.github.com") == 0 || strcmp(api->host, "github.com") == 0 ||
           ends_with(api->host, ".ghe.com");
}
