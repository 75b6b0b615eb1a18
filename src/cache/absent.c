#include "cache/absent.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_FIRST_MS 3000
#define PENDING_LAST_MS 30000
#define WAYS 4

struct absent_slot {
    uint64_t job; /* 0: free */
    char name[NAME_FULL_LEN];
    int64_t held_ms; /* how long the last "not yet" held */
    struct source_failure failure;
};

int absent_init(struct absent *t)
{
    t->slots = calloc(ABSENT_SLOTS, sizeof(*t->slots));
    return t->slots ? 0 : -ENOMEM;
}

void absent_finish(struct absent *t)
{
    free(t->slots);
    t->slots = NULL;
}

/* An entry may be in any of WAYS slots, so that two seldom evict each other. */
static struct absent_slot *slots_of(const struct absent *t, const char *folded, uint64_t job)
{
    uint64_t h = hash_string(job * UINT64_C(0x9E3779B97F4A7C15), folded);

    return &t->slots[(h >> 20) % (ABSENT_SLOTS / WAYS) * WAYS];
}

/* The slot of this name and job; NULL: none. */
static struct absent_slot *find(const struct absent *t, const char *folded, uint64_t job)
{
    struct absent_slot *slots = slots_of(t, folded, job);

    for (unsigned i = 0; i < WAYS; i++)
        if (slots[i].job == job && !strcmp(slots[i].name, folded))
            return &slots[i];
    return NULL;
}

const struct source_failure *absent_find(const struct absent *t, const struct repo_name *name,
                                         uint64_t job, int64_t now_ms)
{
    char folded[NAME_FULL_LEN];
    const struct absent_slot *s;

    name_fold(name, folded);
    s = find(t, folded, job);
    return s && now_ms < s->failure.until_ms ? &s->failure : NULL;
}

void absent_note(struct absent *t, const struct repo_name *name, uint64_t job,
                 const struct source_failure *failure, int64_t now_ms)
{
    char folded[NAME_FULL_LEN];
    struct absent_slot *s;
    int64_t held_ms = 0;

    name_fold(name, folded);
    s = find(t, folded, job);
    if (s) {
        held_ms = s->held_ms;
    } else { /* one that is free, or holds no longer than the others */
        struct absent_slot *slots = slots_of(t, folded, job);
        s = slots;
        for (unsigned i = 0; i < WAYS && s->job; i++)
            if (!slots[i].job || slots[i].failure.until_ms < s->failure.until_ms)
                s = &slots[i];
    }
    s->job = job;
    memcpy(s->name, folded, sizeof(folded));
    s->failure = *failure;
    s->held_ms = 0;
    if (failure->reason == SOURCE_PENDING) {
        s->held_ms = held_ms ? 2 * held_ms : PENDING_FIRST_MS;
        if (s->held_ms > PENDING_LAST_MS)
            s->held_ms = PENDING_LAST_MS;
        s->failure.until_ms = now_ms + s->held_ms;
    }
}
