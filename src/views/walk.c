#include "views/walk.h"

#include "list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX 64 /* listings remembered; the least recently used are dropped */
#define ROUTES_NEAR                                                                                \
    16             /* walked last, one of which a walk may have come from: readers are parallel */
#define STEP_MAX 8 /* how far from a reader's head the next use may be: parallel ones overtake */
#define HEADS 6    /* readers told apart in a listing */

/* Signs of a walk. The first use of a log is one; two if its directory was listed before, unless it
 * is far from all others. */
#define SIGNS_MIN 4

#define SEEN 1u    /* used in this walk */
#define FETCHED 2u /* named to be prefetched */
#define ENTERED 4u /* its directory was listed since it was used */
#define TAKEN 8u   /* its run was */

struct entry {
    struct walk_job job;
    unsigned flags;
};

/* A reader: uses that lie close together. */
struct head {
    size_t low, high;      /* indices used */
    unsigned rises, falls; /* how often it went beyond them */
    unsigned used;         /* route.uses then; 0: none */
};

/* A listing and how far its readers have got in it. */
struct route {
    struct list link;
    struct repo_name repo;
    size_t count;
    size_t seen;    /* entries */
    size_t last;    /* index of the last use */
    unsigned signs; /* of a walk, in a row */
    unsigned uses;
    int64_t lister, enterer; /* who read it, and who a directory of a job in it, last; 0: unknown */
    struct head heads[HEADS];
    struct entry entries[];
};

struct walk {
    unsigned ahead;
    pthread_mutex_t lock;
    struct list routes; /* latest used or listed first */
    unsigned count;
};

struct walk *walk_create(unsigned ahead)
{
    struct walk *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->ahead = ahead;
    pthread_mutex_init(&w->lock, NULL);
    list_init(&w->routes);
    return w;
}

void walk_destroy(struct walk *w)
{
    struct list *link;

    if (!w)
        return;
    while ((link = list_take_first(&w->routes)))
        free(list_entry(link, struct route, link));
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* -- Listings ---------------------------------------------------------------------------------- */

/* Lock held. */
static struct route *find_listing(const struct walk *w, const struct repo_name *repo,
                                  const struct walk_job *jobs, size_t count)
{
    list_each(link, &w->routes) {
        struct route *r = list_entry(link, struct route, link);
        size_t i = 0;

        if (r->count != count || !name_is_same(&r->repo, repo))
            continue;
        while (i < count && r->entries[i].job.id == jobs[i].id)
            i++;
        if (i == count)
            return r;
    }
    return NULL;
}

static struct route *create_route(const struct repo_name *repo, const struct walk_job *jobs,
                                  size_t count)
{
    struct route *r = calloc(1, sizeof(*r) + count * sizeof(r->entries[0]));

    if (!r)
        return NULL;
    r->repo = *repo;
    r->count = count;
    for (size_t i = 0; i < count; i++)
        r->entries[i].job = jobs[i];
    return r;
}

void walk_note_listing(struct walk *w, const struct repo_name *repo, const struct walk_job *jobs,
                       size_t count, int64_t reader)
{
    struct route *r, *oldest;

    if (!w->ahead || count < 2)
        return;
    pthread_mutex_lock(&w->lock);
    r = find_listing(w, repo, jobs, count);
    if (r) {
        list_remove(&r->link);
    } else {
        r = create_route(repo, jobs, count);
        w->count += r != NULL;
    }
    if (r) {
        list_push_front(&w->routes, &r->link);
        r->lister = reader;
    }
    if (w->count > ROUTES_MAX) {
        oldest = list_entry(w->routes.prev, struct route, link);
        list_remove(&oldest->link);
        free(oldest);
        w->count--;
    }
    pthread_mutex_unlock(&w->lock);
}

/* Lock held. The route that the job is on, latest first; NULL: none. */
static struct route *find_route(struct walk *w, const struct repo_name *repo, uint64_t job,
                                size_t *ret_at)
{
    list_each(link, &w->routes) {
        struct route *r = list_entry(link, struct route, link);
        if (!name_is_same(&r->repo, repo))
            continue;
        for (*ret_at = 0; *ret_at < r->count; ++*ret_at)
            if (r->entries[*ret_at].job.id == job)
                return r;
    }
    return NULL;
}

void walk_note_enter(struct walk *w, const struct repo_name *repo, uint64_t job, int64_t reader)
{
    struct route *r;
    size_t at;

    pthread_mutex_lock(&w->lock);
    r = find_route(w, repo, job, &at);
    if (r) {
        r->entries[at].flags |= ENTERED;
        r->enterer = reader;
    }
    pthread_mutex_unlock(&w->lock);
}

/* -- Signs ------------------------------------------------------------------------------------- */

/* Lock held. Whether a reader has just gone through another listing of the repository, as one does
 * that goes from run to run: then the first log here in whose directory it comes is enough. */
static bool continues_walk(const struct walk *w, const struct route *now)
{
    unsigned walked = 0;

    list_each(link, &w->routes) {
        const struct route *r = list_entry(link, struct route, link);
        if (r == now || !r->seen || !name_is_same(&r->repo, &now->repo))
            continue;
        if (r->signs >= SIGNS_MIN - 1 && 2 * r->seen >= r->count)
            return true;
        if (++walked == ROUTES_NEAR)
            break;
    }
    return false;
}

/* A new walk: what was fetched in the last one may be gone. */
static void restart(struct route *r)
{
    for (size_t i = 0; i < r->count; i++)
        r->entries[i].flags &= ENTERED;
    memset(r->heads, 0, sizeof(r->heads));
    r->seen = 0;
    r->signs = r->uses = 0;
}

static bool is_new_walk(const struct route *r, size_t at)
{
    const struct entry *e = &r->entries[at];

    return (e->flags & SEEN) && at != r->last &&
           ((e->flags & ENTERED) || (at == 0 && (r->seen == r->count || r->last + 1 == r->count)));
}

/* The head that this use belongs to; else NULL, and *ret_free is one for it. */
static struct head *find_head(struct route *r, size_t at, struct head **ret_free)
{
    *ret_free = &r->heads[0];
    for (unsigned i = 0; i < HEADS; i++) {
        struct head *h = &r->heads[i];
        if (h->used && at + STEP_MAX >= h->low && at <= h->high + STEP_MAX)
            return h;
        if (h->used < (*ret_free)->used)
            *ret_free = h;
    }
    return NULL;
}

/* Whether one thread has listed the jobs, then the job's directory, and now uses its log. */
static bool is_descent(const struct route *r, size_t at, int64_t reader)
{
    return reader && r->lister == reader && r->enterer == reader &&
           (r->entries[at].flags & ENTERED);
}

/* Moves the head to this use, and counts the sign. NULL: it is far from all others. */
static struct head *note_sign(struct route *r, size_t at)
{
    struct head *space, *h = find_head(r, at, &space);
    struct entry *e = &r->entries[at];
    bool is_entered = e->flags & ENTERED, is_near = h || !r->seen;

    if (!is_near && !is_entered)
        r->signs = 0;
    r->signs += is_near && is_entered ? 2 : 1;
    r->seen++;
    e->flags = (e->flags | SEEN) & ~ENTERED;
    if (!h) {
        h = space;
        *h = (struct head){.low = at, .high = at};
    } else if (at > h->high) {
        h->high = at;
        h->rises++;
    } else if (at < h->low) {
        h->low = at;
        h->falls++;
    }
    h->used = ++r->uses;
    return is_near ? h : NULL;
}

/* -- What comes next --------------------------------------------------------------------------- */

static void add_next(struct route *r, size_t at, struct walk_next *next)
{
    struct entry *e = &r->entries[at];

    if ((e->flags & (SEEN | FETCHED)) || next->count == WALK_NEXT_MAX)
        return;
    e->flags |= FETCHED;
    next->jobs[next->count++] = e->job;
}

/* The readers of one listing share what is prefetched. */
static size_t get_window(const struct route *r, unsigned ahead)
{
    unsigned readers = 0;

    for (unsigned i = 0; i < HEADS; i++)
        readers += r->heads[i].used && r->uses - r->heads[i].used < 2 * HEADS;
    return ahead > readers ? ahead / readers : 1;
}

/* In the direction in which the head goes. */
static void look_ahead(struct route *r, const struct head *h, unsigned ahead,
                       struct walk_next *next)
{
    size_t window = get_window(r, ahead);

    if (h->falls >= 2 && h->falls > h->rises) {
        for (size_t i = h->low; i > 0 && h->low - i < window; i--)
            add_next(r, i - 1, next);
    } else {
        for (size_t i = h->high + 1; i < r->count && i - h->high <= window; i++)
            add_next(r, i, next);
    }
}

void walk_note_use(struct walk *w, const struct repo_name *repo, uint64_t job, bool is_sign,
                   int64_t reader, struct walk_next *ret_next)
{
    const struct head *h;
    struct route *r;
    size_t at;

    ret_next->is_walk = false;
    ret_next->run = 0;
    ret_next->count = 0;
    if (!w->ahead)
        return;
    pthread_mutex_lock(&w->lock);
    r = find_route(w, repo, job, &at);
    if (!r || !(is_sign || (r->entries[at].flags & FETCHED)))
        goto out;
    list_remove(&r->link);
    list_push_front(&w->routes, &r->link);
    if (is_new_walk(r, at))
        restart(r);
    r->last = at;
    if (r->entries[at].flags & SEEN)
        goto out;
    if (!r->seen)
        r->signs = continues_walk(w, r) || is_descent(r, at, reader) ? SIGNS_MIN - 2 : 0;
    h = note_sign(r, at);
    ret_next->is_walk = r->signs >= SIGNS_MIN;
    ret_next->run = r->entries[at].job.run;
    if (ret_next->is_walk && h)
        look_ahead(r, h, w->ahead, ret_next);
out:
    pthread_mutex_unlock(&w->lock);
}

/* -- Runs -------------------------------------------------------------------------------------- */

/* Lock held. */
static void flag_run(struct route *r, uint64_t run, unsigned set, unsigned clear)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].job.run == run)
            r->entries[i].flags = (r->entries[i].flags & ~clear) | set;
}

bool walk_take_run(struct walk *w, const struct repo_name *repo, uint64_t job)
{
    bool is_first = false;
    struct route *r;
    size_t at;

    pthread_mutex_lock(&w->lock);
    r = find_route(w, repo, job, &at);
    if (r && r->entries[at].job.run && !(r->entries[at].flags & TAKEN)) {
        is_first = true;
        flag_run(r, r->entries[at].job.run, TAKEN, 0);
    }
    pthread_mutex_unlock(&w->lock);
    return is_first;
}

void walk_put_back(struct walk *w, const struct repo_name *repo, uint64_t job)
{
    struct route *r;
    size_t at;

    pthread_mutex_lock(&w->lock);
    r = find_route(w, repo, job, &at);
    if (r)
        flag_run(r, r->entries[at].job.run, 0, TAKEN | FETCHED);
    pthread_mutex_unlock(&w->lock);
}
