/*
 * Listings: one snapshot each, in a fixed order.
 */
#include "views/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view_listing {
    struct view_entry *entries;
    size_t count, room;
};

struct view_listing *listing_create(void)
{
    return calloc(1, sizeof(struct view_listing));
}

void views_listing_release(struct view_listing *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free((void *)(uintptr_t)l->entries[i].name);
    free(l->entries);
    free(l);
}

int listing_add(struct view_listing *l, const char *name, enum view_type type)
{
    char *copy = strdup(name);

    if (!copy)
        return -ENOMEM;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        struct view_entry *entries = realloc(l->entries, room * sizeof(*entries));
        if (!entries) {
            free(copy);
            return -ENOMEM;
        }
        l->entries = entries;
        l->room = room;
    }
    l->entries[l->count++] = (struct view_entry){.name = copy, .type = type};
    return 0;
}

bool listing_has(const struct view_listing *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->entries[i].name, name))
            return true;
    return false;
}

bool views_listing_get(const struct view_listing *l, size_t i, struct view_entry *ret_entry)
{
    if (i >= l->count)
        return false;
    *ret_entry = l->entries[i];
    return true;
}

/* What a walk over used names adds to. */
struct collecting {
    struct view_listing *listing;
    int rc;
    bool owners; /* the owner's part of a name, else the repository's */
};

static void add_repo(void *who, const struct repo_name *repo)
{
    struct collecting *to = who;
    const char *name = to->owners ? repo->owner : repo->repo;

    if (!to->rc && !listing_has(to->listing, name))
        to->rc = listing_add(to->listing, name, VIEW_DIRECTORY);
}

static void add_job(void *who, uint64_t job)
{
    struct collecting *to = who;
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)job);
    if (!to->rc && !listing_has(to->listing, name))
        to->rc = listing_add(to->listing, name, VIEW_DIRECTORY);
}

static int list_names(struct view_listing *l, const char *const *names, enum view_type type)
{
    int rc = 0;

    for (; *names && !rc; names++)
        rc = listing_add(l, *names, type);
    return rc;
}

/* Whether the job is GitHub's at all, from what is known or else by asking; -ENOENT: it is not. */
static int prove_job(struct views *v, const struct place *dir, struct log *log, struct waiter *w)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = dir->repo, .id = dir->job};
    const struct catalog_answer *answer;
    struct catalog_seen seen;
    struct log_stat stat;
    int rc;

    if (!log_peek_stat(log, &dir->repo, &stat))
        return 0;
    if (catalog_find_job(v->config.catalog, &dir->repo, dir->job, &seen)) {
        catalog_seen_release(&seen);
        return 0;
    }
    rc = catalog_ask(v->config.catalog, &q, w, &answer);
    if (!rc)
        catalog_answer_release(answer);
    return rc;
}

/* S19: `log` is listed unless it is known to be absent; that of a job that is still queued or in
 * progress only once it was seen. */
static bool shows_log(struct views *v, const struct place *dir, struct log *log)
{
    struct log_known known;
    struct log_hint hint;

    log_get_known(log, &dir->repo, &known);
    if (known.available)
        return true;
    if (known.failure.err == -ENOENT)
        return false;
    view_job_hint(v, dir, &hint);
    return hint.completed;
}

static int list_job(struct views *v, const struct place *dir, struct waiter *w,
                    struct view_listing *l)
{
    struct log *log = cache_hold(v->config.cache, dir->job);
    int rc;

    if (!log)
        return -ENOMEM;
    rc = prove_job(v, dir, log, w);
    if (!rc && shows_log(v, dir, log))
        rc = listing_add(l, "log", VIEW_FILE);
    if (!rc)
        rc = listing_add(l, "job.json", VIEW_FILE);
    log_release(log);
    return rc;
}

static int list_place(struct views *v, const struct place *dir, struct waiter *w,
                      struct view_listing *l)
{
    static const char *const in_repo[] = {"jobs", NULL};
    static const char *const in_control[] = {"stats", "options", "version", NULL};
    struct collecting to = {.listing = l, .owners = dir->kind == PLACE_ROOT};

    switch (dir->kind) {
    case PLACE_ROOT: catalog_each_used_repo(v->config.catalog, NULL, add_repo, &to); return to.rc;
    case PLACE_OWNER:
        catalog_each_used_repo(v->config.catalog, dir->repo.owner, add_repo, &to);
        return to.rc;
    case PLACE_JOBS:
        catalog_each_used_job(v->config.catalog, &dir->repo, add_job, &to);
        return to.rc;
    case PLACE_JOB: return list_job(v, dir, w, l);
    case PLACE_REPO: return list_names(l, in_repo, VIEW_DIRECTORY);
    case PLACE_CONTROL: return list_names(l, in_control, VIEW_FILE);
    default: return -ENOTDIR;
    }
}

int views_list(struct views *v, const struct place *dir, struct waiter *w,
               struct view_listing **ret_listing)
{
    struct view_listing *l = listing_create();
    int rc;

    if (!l)
        return -ENOMEM;
    rc = list_place(v, dir, w, l);
    if (rc) {
        views_listing_release(l);
        return rc;
    }
    *ret_listing = l;
    return 0;
}
