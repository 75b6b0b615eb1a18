/*
 * Any text as the option shared=: refused with a reason, or a URL of unreserved characters that
 * means what it seems, and never plain http to the internet. Two lines: the option, the API's host.
 */
#include "net/url.h"
#include "shared/location.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_base(const struct shared_location *l)
{
    struct net_url url;

    check(net_url_parse(l->base, &url) == 0);
    check(!url.has_userinfo && strpbrk(l->base, "?#%@ ") == NULL);
    check(strcmp(url.host, l->host) == 0 || l->host[0] == '\0');
    check(l->is_plain == (strcmp(url.scheme, "http") == 0));
    check(!l->is_plain || url.is_local);
    check(l->base[strlen(l->base) - 1] != '/');
    check(strstr(l->base, "/../") == NULL && strstr(l->base + 8, "//") == NULL);
}

static void check_object(const struct shared_location *l, const char *host)
{
    const struct repo_name repo = {"Owner", "Repo.x"};
    char log[LOCATION_OBJECT_MAX], meta[LOCATION_OBJECT_MAX];
    struct net_url url;

    if (shared_location_make_url(l, host, &repo, 42, SHARED_LOG, log) < 0)
        return;
    check(shared_location_make_url(l, host, &repo, 42, SHARED_META, meta) == 0);
    check(strlen(meta) == strlen(log) + 5 && strncmp(log, meta, strlen(log)) == 0);
    check(strncmp(log, l->base, strlen(l->base)) == 0 && strcmp(meta + strlen(log), ".meta") == 0);
    check(net_url_parse(log, &url) == 0 && strpbrk(log + strlen(l->base), ":[]?#%@=+") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *rest = text;
    const char *reason = NULL, *option;
    struct shared_location l;

    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    option = strsep(&rest, "\n");
    if (shared_location_parse(option, &l, &reason) == 0) {
        check_base(&l);
        check_object(&l, rest ? rest : "api.github.com");
    } else {
        check(reason != NULL && reason[0] != '\0');
    }
    free(text);
    return 0;
}
