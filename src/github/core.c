#include "github/core.h"

#include "github/failure.h"
#include "hash.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* xorshift: good enough to spread retries, and without hidden state. */
uint32_t core_draw_chance(struct core *core)
{
    uint64_t x = core->chance;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    core->chance = x;
    return (uint32_t)(x >> 32);
}

void core_note_completed(struct core *core, uint64_t job)
{
    core->completed[job % CORE_COMPLETED_MAX] = job;
}

bool core_is_completed(const struct core *core, uint64_t job)
{
    return core->completed[job % CORE_COMPLETED_MAX] == job;
}

void core_note_user(struct core *core, const char *owner)
{
    uint64_t h = hash_string_nocase(HASH_START, owner);

    core->users[h % CORE_USERS_MAX] = h;
}

bool core_is_user(const struct core *core, const char *owner)
{
    uint64_t h = hash_string_nocase(HASH_START, owner);

    return core->users[h % CORE_USERS_MAX] == h;
}

bool core_allows_local(const struct core *core)
{
    return core->base_at.is_local || core->peer_private;
}

bool core_allows_http(const struct core *core)
{
    return strcmp(core->base_at.scheme, "http") == 0;
}

void core_close(struct core *core)
{
    struct list *link;

    core->closing = true;
    while ((link = list_take_first(&core->in_flight))) {
        struct in_flight *e = list_entry(link, struct in_flight, link);
        e->abort(e);
    }
}

bool core_refuses(const struct core *core, struct source_failure *ret_failure)
{
    if (core->closing)
        *ret_failure = failure_make(-ECONNABORTED, SOURCE_CLOSING, 0);
    else if (core->offline)
        *ret_failure = failure_make(-EHOSTUNREACH, SOURCE_OFFLINE, INT64_MAX);
    return core->closing || core->offline;
}

void core_say(struct core *core, const char *hop, const struct net_url *at, const char *what)
{
    if (!core->closing)
        diag_say(core->diag, DIAG_WARNING, "%s %s: %s", hop, at->host, what);
}

void core_say_limited(struct core *core, int64_t until_ms)
{
    time_t at = (time_t)(net_wall_s() + (until_ms - net_now_ms() + 59999) / 60000 * 60);
    char what[96];
    struct tm tm;

    gmtime_r(&at, &tm);
    snprintf(what, sizeof(what), "request quota used up, it returns by %02d:%02d UTC", tm.tm_hour,
             tm.tm_min);
    core_say(core, "API", &core->base_at, what);
}
