/*
 * What a name means inside a directory: by grammar, without asking anybody, wherever that is enough (S13).
 */
#include "views/room.h"

#include <errno.h>
#include <string.h>

void place_below(const struct place *dir, enum place_kind kind, struct place *ret_place)
{
    *ret_place = *dir;
    ret_place->kind = kind;
    ret_place->text = NULL;
    ret_place->log = NULL;
    ret_place->depth = dir->depth + 1;
}

struct fixed_name {
    enum place_kind dir;
    const char *name;
    enum place_kind kind;
};

/* Names that the tree itself uses. */
static const struct fixed_name fixed_names[] = {
    {PLACE_ROOT, VIEWS_CONTROL, PLACE_CONTROL}, {PLACE_CONTROL, "stats", PLACE_STATS},
    {PLACE_CONTROL, "options", PLACE_OPTIONS},  {PLACE_CONTROL, "version", PLACE_VERSION},
    {PLACE_REPO, "jobs", PLACE_JOBS},           {PLACE_JOB, "log", PLACE_LOG},
    {PLACE_JOB, "job.json", PLACE_JOB_JSON},
};

static const struct fixed_name *find_fixed(enum place_kind dir, const char *name)
{
    for (size_t i = 0; i < sizeof(fixed_names) / sizeof(fixed_names[0]); i++)
        if (fixed_names[i].dir == dir && !strcmp(fixed_names[i].name, name))
            return &fixed_names[i];
    return NULL;
}

static int lookup_owner(const struct place *dir, const char *name, struct place *ret_place)
{
    if (!name_is_owner(name))
        return -ENOENT;
    place_below(dir, PLACE_OWNER, ret_place);
    memcpy(ret_place->repo.owner, name, strlen(name) + 1);
    return 0;
}

static int lookup_repo(const struct place *dir, const char *name, struct place *ret_place)
{
    if (!name_is_repo(name))
        return -ENOENT;
    place_below(dir, PLACE_REPO, ret_place);
    memcpy(ret_place->repo.repo, name, strlen(name) + 1);
    return 0;
}

static int lookup_job(const struct place *dir, const char *name, struct place *ret_place)
{
    uint64_t id;

    if (!name_parse_id(name, &id))
        return -ENOENT;
    place_below(dir, PLACE_JOB, ret_place);
    ret_place->job = id;
    return 0;
}

/* A place that needs its log holds it. */
static int hold_log(struct views *v, struct place *p)
{
    if (p->kind != PLACE_LOG)
        return 0;
    p->log = cache_hold(v->config.cache, p->job);
    return p->log ? 0 : -ENOMEM;
}

int views_lookup(struct views *v, const struct place *dir, const char *name, struct waiter *w,
                 struct place *ret_place)
{
    const struct fixed_name *fixed = find_fixed(dir->kind, name);

    (void)w;
    if (fixed) {
        place_below(dir, fixed->kind, ret_place);
        return hold_log(v, ret_place);
    }
    switch (dir->kind) {
    case PLACE_ROOT: return lookup_owner(dir, name, ret_place);
    case PLACE_OWNER: return lookup_repo(dir, name, ret_place);
    case PLACE_JOBS: return lookup_job(dir, name, ret_place);
    default: return -ENOENT;
    }
}
