#include "github/hosts.h"

#include <stddef.h>
#include <string.h>

static bool is_at(const struct hosts_down *d, const struct net_url *at)
{
    return d->until_ms && d->at.port == at->port && strcmp(d->at.host, at->host) == 0 &&
           strcmp(d->at.scheme, at->scheme) == 0;
}

static struct hosts_down *find(struct hosts *h, const struct net_url *at)
{
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (is_at(&h->down[i], at))
            return &h->down[i];
    return NULL;
}

int hosts_ask(struct hosts *h, const struct net_url *at, int64_t now_ms, int64_t *ret_until_ms)
{
    struct hosts_down *d = find(h, at);

    if (!d || now_ms >= d->until_ms)
        return 0;
    if (now_ms >= d->probe_ms) {
        d->probe_ms = now_ms + HOSTS_PROBE_MS;
        return 0;
    }
    *ret_until_ms = d->until_ms;
    return d->err;
}

bool hosts_is_down(const struct hosts *h, const struct net_url *at, int64_t now_ms)
{
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (is_at(&h->down[i], at))
            return now_ms < h->down[i].until_ms;
    return false;
}

/* A free entry, or the one that ends first. */
static struct hosts_down *take(struct hosts *h)
{
    struct hosts_down *first = &h->down[0];

    for (size_t i = 1; i < HOSTS_MAX; i++)
        if (h->down[i].until_ms < first->until_ms)
            first = &h->down[i];
    return first;
}

void hosts_note_down(struct hosts *h, const struct net_url *at, int err, int64_t now_ms)
{
    struct hosts_down *d = find(h, at);

    if (!d)
        d = take(h);
    *d = (struct hosts_down){.at = *at,
                             .until_ms = now_ms + HOSTS_DOWN_MS,
                             .probe_ms = now_ms + HOSTS_PROBE_MS,
                             .err = err};
}

void hosts_note_answer(struct hosts *h, const struct net_url *at)
{
    struct hosts_down *d = find(h, at);

    if (d)
        *d = (struct hosts_down){0};
}
