#include "views/named.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What a run's directory has besides its jobs. */
static bool is_taken_in_run(const char *name)
{
    return !strcmp(name, "run.json") || !strcmp(name, "attempts");
}

/* The names in one answer, which is held: so it stays what its address says. */
struct named_run {
    const struct catalog_answer *jobs; /* NULL: free */
    struct safe_name *by_name;         /* sorted */
};

struct named {
    pthread_mutex_t lock;
    struct named_run runs[NAMED_RUNS]; /* lock; the latest use first */
};

int named_make(const struct catalog_answer *jobs, struct safe_name **ret_names)
{
    struct safe_name *names = calloc(jobs->count + 1, sizeof(*names));
    int rc;

    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < jobs->count; i++) {
        names[i].given = jobs->jobs[i]->name;
        names[i].id = jobs->jobs[i]->id;
    }
    rc = safe_name_assign(names, jobs->count, is_taken_in_run);
    if (rc)
        free(names);
    else
        *ret_names = names;
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct safe_name *)a)->name, ((const struct safe_name *)b)->name);
}

static int compare_name(const void *name, const void *of)
{
    return strcmp(name, ((const struct safe_name *)of)->name);
}

static void forget(struct named_run *run)
{
    free(run->by_name);
    catalog_answer_release(run->jobs);
    *run = (struct named_run){0};
}

struct named *named_create(void)
{
    struct named *n = calloc(1, sizeof(*n));

    if (n)
        pthread_mutex_init(&n->lock, NULL);
    return n;
}

void named_destroy(struct named *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < NAMED_RUNS; i++)
        forget(&n->runs[i]);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* Lock held. The run of this answer comes to the front; if it is not there, the last one is given up
 * in *ret_old and its room is free. */
static struct named_run *come_to_front(struct named *n, const struct catalog_answer *jobs,
                                       struct named_run *ret_old)
{
    struct named_run run;
    size_t at = 0;

    while (at < NAMED_RUNS - 1 && n->runs[at].jobs != jobs)
        at++;
    run = n->runs[at];
    if (run.jobs != jobs) {
        *ret_old = run;
        run = (struct named_run){0};
    }
    memmove(n->runs + 1, n->runs, at * sizeof(run));
    n->runs[0] = run;
    return &n->runs[0];
}

/* Lock held. */
static int give_names(struct named_run *run, const struct catalog_answer *jobs)
{
    int rc = named_make(jobs, &run->by_name);

    if (rc)
        return rc;
    qsort(run->by_name, jobs->count, sizeof(*run->by_name), compare_names);
    run->jobs = catalog_answer_hold(jobs);
    return 0;
}

int named_find(struct named *n, const struct catalog_answer *jobs, const char *name,
               uint64_t *ret_job)
{
    struct named_run old = {0}, *run;
    const struct safe_name *found = NULL;
    int rc = 0;

    pthread_mutex_lock(&n->lock);
    run = come_to_front(n, jobs, &old);
    if (!run->jobs)
        rc = give_names(run, jobs);
    if (!rc)
        found = bsearch(name, run->by_name, jobs->count, sizeof(*found), compare_name);
    if (found)
        *ret_job = found->id;
    pthread_mutex_unlock(&n->lock);
    forget(&old);
    return rc ? rc : found ? 0 : -ENOENT;
}
