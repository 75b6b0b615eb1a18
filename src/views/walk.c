#include "views/walk.h"

#include "list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX 64 /* listings remembered; the least recently walked are dropped */
#define STEP_MAX 8    /* how far apart two opens in a row may be: parallel readers overtake */
#define SIGNS_MIN 4   /* of a walk. An open is one sign, two if its directory was listed before */

/* A listing and how far a reader has got in it. */
struct route {
    struct list link;
    struct repo_name repo;
    size_t count;
    size_t last;    /* index of the last open */
    size_t fetched; /* everything before this index was opened or fetched */
    size_t entered; /* index + 1 of the job whose directory was listed last; 0: none */
    unsigned signs; /* of a walk, in a row */
    uint64_t jobs[];
};

struct walk {
    unsigned ahead;
    pthread_mutex_t lock;
    struct list routes; /* latest walked first */
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

/* Lock held. */
static bool is_known(const struct walk *w, const struct repo_name *repo, const uint64_t *jobs,
                     size_t count)
{
    list_each(link, &w->routes) {
        const struct route *r = list_entry(link, struct route, link);
        if (r->count == count && name_is_same(&r->repo, repo) &&
            !memcmp(r->jobs, jobs, count * sizeof(*jobs)))
            return true;
    }
    return false;
}

/* Lock held. Whether the reader has just gone through another listing of the repository, as a
 * reader does that goes from run to run: then the first log opened here is a sufficient sign. */
static bool continues_walk(const struct walk *w, const struct repo_name *repo)
{
    const struct route *latest;

    if (list_is_empty(&w->routes))
        return false;
    latest = list_entry(w->routes.next, struct route, link);
    return name_is_same(&latest->repo, repo) && latest->last + 1 == latest->count &&
           latest->signs >= SIGNS_MIN - 1;
}

void walk_note_listing(struct walk *w, const struct repo_name *repo, const uint64_t *jobs,
                       size_t count)
{
    struct route *r, *oldest;

    if (!w->ahead || count < 2)
        return;
    pthread_mutex_lock(&w->lock);
    r = is_known(w, repo, jobs, count) ? NULL : calloc(1, sizeof(*r) + count * sizeof(*jobs));
    if (r) {
        r->repo = *repo;
        r->count = count;
        r->signs = continues_walk(w, repo) ? SIGNS_MIN - 1 : 0;
        memcpy(r->jobs, jobs, count * sizeof(*jobs));
        list_push_front(&w->routes, &r->link);
        w->count++;
    }
    if (w->count > ROUTES_MAX) {
        oldest = list_entry(w->routes.prev, struct route, link);
        list_remove(&oldest->link);
        free(oldest);
        w->count--;
    }
    pthread_mutex_unlock(&w->lock);
}

/* Lock held. The route that the job is on, latest walked first; NULL: none. */
static struct route *find_route(struct walk *w, const struct repo_name *repo, uint64_t job,
                                size_t *ret_at)
{
    list_each(link, &w->routes) {
        struct route *r = list_entry(link, struct route, link);
        if (!name_is_same(&r->repo, repo))
            continue;
        for (*ret_at = 0; *ret_at < r->count; ++*ret_at)
            if (r->jobs[*ret_at] == job)
                return r;
    }
    return NULL;
}

void walk_note_enter(struct walk *w, const struct repo_name *repo, uint64_t job)
{
    struct route *r;
    size_t at;

    pthread_mutex_lock(&w->lock);
    r = find_route(w, repo, job, &at);
    if (r)
        r->entered = at + 1;
    pthread_mutex_unlock(&w->lock);
}

/* Lock held. What is worth fetching now that index `at` was opened. */
static size_t advance(struct walk *w, struct route *r, size_t at, uint64_t *ret_jobs, size_t cap)
{
    size_t distance = at > r->last ? at - r->last : r->last - at;
    size_t end = at + 1 + w->ahead < r->count ? at + 1 + w->ahead : r->count;
    size_t n = 0;

    if (r->fetched && at == r->last)
        return 0; /* the same log once more */
    if (at == 0 && r->last + 1 == r->count)
        r->fetched = r->signs = 0; /* a new walk: what was fetched in the last one may be gone */
    if (distance > STEP_MAX && r->fetched)
        r->signs = 0;
    r->signs += r->entered == at + 1 ? 2 : 1;
    r->last = at;
    if (r->fetched < at + 1)
        r->fetched = at + 1;
    if (r->signs < SIGNS_MIN)
        return 0;
    while (r->fetched < end && n < cap)
        ret_jobs[n++] = r->jobs[r->fetched++];
    return n;
}

size_t walk_note_open(struct walk *w, const struct repo_name *repo, uint64_t job,
                      uint64_t *ret_jobs, size_t cap)
{
    struct route *r;
    size_t n = 0, at;

    if (!w->ahead)
        return 0;
    pthread_mutex_lock(&w->lock);
    r = find_route(w, repo, job, &at);
    if (r) {
        list_remove(&r->link);
        list_push_front(&w->routes, &r->link);
        n = advance(w, r, at, ret_jobs, cap);
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}
