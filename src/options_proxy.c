#include "options_proxy.h"

#include "options_text.h"

#include <string.h>
#include <strings.h>

/* The first of the named variables that has a value. */
static const char *first_of(char *const *env, const char *const *names)
{
    const char *value = NULL;

    for (; value == NULL && *names != NULL; names++)
        value = options_text_environment(env, *names);
    return value;
}

/* The variables are those curl would read, in its order: an http API does not use the proxy meant
 * for https, and HTTP_PROXY in capitals may come from a request to a CGI program. */
const char *options_proxy_from_environment(char *const *env, bool https)
{
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL};
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};

    return first_of(env, https ? for_https : for_http);
}

const char *options_proxy_exceptions(char *const *env)
{
    static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};

    return first_of(env, names);
}

const char *options_proxy_refuse(const char *proxy)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    const char *rest = strstr(proxy, "://");
    const char *host = rest != NULL ? rest + 3 : proxy;
    const char *at = strrchr(host, '@');

    if (at != NULL)
        host = at + 1;
    if (strchr(proxy, ' ') != NULL || strcspn(host, "/:?#") == 0)
        return "must be a URL";
    if (rest == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strlen(schemes[i]) == (size_t)(rest - proxy) &&
            strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0)
            return NULL;
    }
    return "must begin with http://, https:// or socks5://";
}

/* The last '@' counts: a password may hold one that nobody escaped. */
void options_proxy_show(FILE *out, const char *proxy)
{
    const char *scheme_end = strstr(proxy, "://");
    const char *start = scheme_end != NULL ? scheme_end + 3 : proxy;
    const char *at = strrchr(start, '@');

    fprintf(out, "%.*s%s%s", (int)(start - proxy), proxy, at != NULL ? "***" : "",
            at != NULL ? at : start);
}
