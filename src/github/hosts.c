#include "github/hosts.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool is_at(const struct hosts_entry *e, const struct net_url *at)
{
    return e->at.port == at->port && strcmp(e->at.host, at->host) == 0 &&
           strcmp(e->at.scheme, at->scheme) == 0;
}

static struct hosts_entry *find(struct hosts *h, const struct net_url *at)
{
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (is_at(&h->entries[i], at))
            return &h->entries[i];
    return NULL;
}

/* What an entry says is of no more use after this. */
static int64_t last_use_ms(const struct hosts_entry *e)
{
    return e->until_ms > e->heard_ms ? e->until_ms : e->heard_ms;
}

/* The host's entry; if it has none, a free one, or that of the host that was of use longest ago. */
static struct hosts_entry *find_or_take(struct hosts *h, const struct net_url *at)
{
    struct hosts_entry *e = find(h, at);

    if (e)
        return e;
    e = &h->entries[0];
    for (size_t i = 1; i < HOSTS_MAX; i++)
        if (last_use_ms(&h->entries[i]) < last_use_ms(e))
            e = &h->entries[i];
    *e = (struct hosts_entry){.at = *at};
    return e;
}

int hosts_ask(struct hosts *h, const struct net_url *at, int64_t now_ms, int64_t *ret_until_ms)
{
    struct hosts_entry *e = find(h, at);

    if (!e || now_ms >= e->until_ms)
        return 0;
    if (now_ms >= e->probe_ms) {
        e->probe_ms = now_ms + HOSTS_PROBE_MS;
        return 0;
    }
    *ret_until_ms = e->until_ms;
    return e->err;
}

bool hosts_is_down(const struct hosts *h, const struct net_url *at, int64_t now_ms)
{
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (is_at(&h->entries[i], at))
            return now_ms < h->entries[i].until_ms;
    return false;
}

bool hosts_was_heard(const struct hosts *h, const struct net_url *at, int64_t since_ms)
{
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (is_at(&h->entries[i], at))
            return h->entries[i].heard_ms >= since_ms;
    return false;
}

void hosts_note_failure(struct hosts *h, const struct net_url *at, int err, int64_t since_ms,
                        int64_t now_ms)
{
    struct hosts_entry *e = find_or_take(h, at);

    if (err == -ETIMEDOUT && e->heard_ms >= since_ms)
        return;
    e->until_ms = now_ms + HOSTS_DOWN_MS;
    e->probe_ms = err == -ETIMEDOUT ? e->until_ms : now_ms + HOSTS_PROBE_MS;
    e->err = err;
}

void hosts_note_answer(struct hosts *h, const struct net_url *at, int64_t now_ms)
{
    struct hosts_entry *e = find_or_take(h, at);

    e->heard_ms = now_ms;
    e->until_ms = 0;
}
