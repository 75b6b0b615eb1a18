/*
 * user.ghlogfs.*: what is known of a job and its log, at no cost (S17).
 */
#include "views/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "user.ghlogfs."

static const char *reason_word(enum source_reason reason)
{
    switch (reason) {
    case SOURCE_PENDING: return "pending";
    case SOURCE_NEVER:
    case SOURCE_NOT_FOUND: return "never";
    case SOURCE_EXPIRED: return "expired";
    case SOURCE_FORBIDDEN: return "forbidden";
    case SOURCE_LIMITED: return "limited";
    case SOURCE_REFUSED:
    case SOURCE_UNREACHABLE:
    case SOURCE_OFFLINE: return "unreachable";
    default: return "unknown";
    }
}

static int get_state(struct views *v, const struct place *p, char **ret_value)
{
    struct log *log = cache_hold(v->config.cache, p->job);
    struct log_known known;
    const char *word;

    if (!log)
        return -ENOMEM;
    log_get_known(log, &p->repo, &known);
    log_release(log);
    if (known.available)
        word = known.live ? "running" : "available";
    else
        word = reason_word(known.failure.reason);
    *ret_value = strdup(word);
    return *ret_value ? 0 : -ENOMEM;
}

static int get_of_job(const struct facts_job *job, const char *name, char **ret_value)
{
    const char *text = NULL;
    char id[32];

    snprintf(id, sizeof(id), "%llu", (unsigned long long)job->run_id);
    if (!strcmp(name, "status"))
        text = job->status_text;
    else if (!strcmp(name, "conclusion"))
        text = job->conclusion_text;
    else if (!strcmp(name, "run_id"))
        text = job->run_id ? id : NULL;
    else if (!strcmp(name, "html_url"))
        text = job->html_url;
    else if (!strcmp(name, "head_sha"))
        text = job->head_sha;
    else if (!strcmp(name, "name"))
        text = job->name;
    if (!text || !*text)
        return -ENODATA;
    *ret_value = strdup(text);
    return *ret_value ? 0 : -ENOMEM;
}

int views_get_xattr(struct views *v, const struct place *p, const char *name, char **ret_value)
{
    struct catalog_seen seen;
    int rc;

    if (!p->job || strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return -ENODATA;
    name += strlen(PREFIX);
    if (!strcmp(name, "state"))
        return get_state(v, p, ret_value);
    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return -ENODATA;
    rc = get_of_job(seen.job, name, ret_value);
    catalog_seen_release(&seen);
    return rc;
}
