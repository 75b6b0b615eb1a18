/*
 * seen.c - jobs by name and id in whatever answer they came, and what this mount has used.
 */
#include "catalog/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- jobs --- */

struct seen_job {
    struct seen_job *next; /* of its bucket */
    struct list in_order;
    uint64_t id;
    struct page *page; /* counted; NULL while it is added */
    const struct facts_job *job;
    struct repo_name repo;
    bool is_proven; /* by an answer in this mount */
};

int seen_init(struct seen *s)
{
    *s = (struct seen){.buckets = calloc(SEEN_BUCKETS, sizeof(struct seen_job *))};
    list_init(&s->order);
    list_init(&s->repos);
    return s->buckets ? 0 : -ENOMEM;
}

_Static_assert(SEEN_BUCKETS == 1u << 16, "link_of takes the top sixteen bits");

/* The link to the job under this name, in its bucket; if it is not there, the last link (NULL). */
static struct seen_job **link_of(struct seen *s, const struct repo_name *repo, uint64_t job)
{
    struct seen_job **link = &s->buckets[(job * UINT64_C(0x9E3779B97F4A7C15)) >> 48];

    while (*link && ((*link)->id != job || !name_is_same(&(*link)->repo, repo)))
        link = &(*link)->next;
    return link;
}

bool seen_forget(struct seen *s, unsigned count)
{
    bool any = s->job_count > 0;

    for (; count > 0 && s->job_count > 0; count--) {
        struct list *first = list_take_first(&s->order);
        struct seen_job *job = list_entry(first, struct seen_job, in_order);
        *link_of(s, &job->repo, job->id) = job->next;
        s->job_count--;
        page_unref(job->page);
        free(job);
    }
    return any;
}

/* How much is known: a job that has ended does not run again, and steps once listed stay. */
static int rank_of(const struct facts_job *job)
{
    if (job->status != FACTS_COMPLETED)
        return 0;
    if (job->step_count == 0)
        return 1;
    return facts_has_open_steps(job) ? 2 : 3;
}

void seen_add_page(struct seen *s, const struct repo_name *repo, struct page *p, bool is_proof)
{
    for (size_t i = 0; i < p->jobs.count; i++) {
        const struct facts_job *facts = &p->jobs.items[i];
        struct seen_job **link = link_of(s, repo, facts->id), *job = *link;
        if (!job) {
            job = calloc(1, sizeof(*job));
            if (!job)
                return; /* it is requested again when it is wanted */
            job->id = facts->id;
            job->repo = *repo;
            *link = job;
            s->job_count++;
        }
        list_remove(&job->in_order);
        list_push_back(&s->order, &job->in_order);
        job->is_proven |= is_proof;
        /* What comes from disk may be older than what is known, and the list of a later attempt
         * has no steps of a job that did not run again. */
        if (job->page && rank_of(facts) < rank_of(job->job))
            continue;
        page_unref(job->page);
        job->page = page_ref(p);
        job->job = facts;
        if (s->job_count > SEEN_MAX)
            seen_forget(s, 1);
    }
}

void seen_withdraw_proof(struct seen *s, const struct repo_name *repo, const struct page *p)
{
    for (size_t i = 0; i < p->jobs.count; i++) {
        struct seen_job *job = *link_of(s, repo, p->jobs.items[i].id);
        if (job)
            job->is_proven = false;
    }
}

const struct facts_job *seen_find(struct seen *s, const struct repo_name *repo, uint64_t job,
                                  struct page **ret_page)
{
    struct seen_job *known = *link_of(s, repo, job);

    if (!known)
        return NULL;
    list_remove(&known->in_order);
    list_push_back(&s->order, &known->in_order);
    *ret_page = page_ref(known->page);
    return known->job;
}

bool catalog_find_job(struct catalog *c, const struct repo_name *repo, uint64_t job,
                      struct catalog_seen *ret_seen)
{
    const struct facts_job *found;
    struct page *p = NULL;

    pthread_mutex_lock(&c->lock);
    found = seen_find(&c->seen, repo, job, &p);
    pthread_mutex_unlock(&c->lock);
    if (!found)
        return false;
    *ret_seen = (struct catalog_seen){.job = found, .held = p};
    return true;
}

bool catalog_is_proven(struct catalog *c, const struct repo_name *repo, uint64_t job,
                       bool *ret_completed)
{
    const struct seen_job *known;
    bool is_proven;

    pthread_mutex_lock(&c->lock);
    known = *link_of(&c->seen, repo, job);
    is_proven = known && known->is_proven;
    if (is_proven)
        *ret_completed = known->job->status == FACTS_COMPLETED;
    pthread_mutex_unlock(&c->lock);
    return is_proven;
}

void catalog_seen_release(struct catalog_seen *seen)
{
    page_unref(seen->held);
    seen->held = NULL;
}

/* --- what was used --- */

struct used_repo {
    struct list link;
    struct repo_name repo;
    unsigned job_count;
    uint64_t *jobs; /* capacity: job_count rounded up to JOBS_STEP; latest use last */
};

#define JOBS_STEP 64

static struct used_repo *find_used(struct seen *s, const struct repo_name *repo)
{
    list_each(link, &s->repos) {
        struct used_repo *u = list_entry(link, struct used_repo, link);
        if (name_is_same(&u->repo, repo))
            return u;
    }
    return NULL;
}

static void drop_used(struct seen *s, struct used_repo *u)
{
    list_remove(&u->link);
    s->repo_count--;
    free(u->jobs);
    free(u);
}

void seen_finish(struct seen *s)
{
    seen_forget(s, s->job_count);
    free(s->buckets);
    s->buckets = NULL;
    while (!list_is_empty(&s->repos))
        drop_used(s, list_entry(s->repos.next, struct used_repo, link));
}

/* Lock held. The repository, now the last in the order of use. NULL: no memory. */
static struct used_repo *use_repo(struct seen *s, const struct repo_name *repo)
{
    struct used_repo *u = find_used(s, repo);

    if (!u) {
        if (s->repo_count >= USED_REPOS_MAX)
            drop_used(s, list_entry(s->repos.next, struct used_repo, link));
        u = calloc(1, sizeof(*u));
        if (!u)
            return NULL;
        u->repo = *repo;
        s->repo_count++;
    }
    list_remove(&u->link);
    list_push_back(&s->repos, &u->link);
    return u;
}

/* Lock held. The job becomes the last; of too many the first is dropped. */
static void use_job(struct used_repo *u, uint64_t job)
{
    unsigned at = 0;

    while (at < u->job_count && u->jobs[at] != job)
        at++;
    if (at == USED_JOBS_MAX)
        at = 0;
    if (at < u->job_count) {
        memmove(u->jobs + at, u->jobs + at + 1, (--u->job_count - at) * sizeof(*u->jobs));
    } else if (u->job_count % JOBS_STEP == 0) {
        uint64_t *jobs = realloc(u->jobs, (u->job_count + JOBS_STEP) * sizeof(*jobs));
        if (!jobs)
            return;
        u->jobs = jobs;
    }
    u->jobs[u->job_count++] = job;
}

void catalog_note_used(struct catalog *c, const struct repo_name *repo, uint64_t job)
{
    struct used_repo *u;

    pthread_mutex_lock(&c->lock);
    u = use_repo(&c->seen, repo);
    if (u && job)
        use_job(u, job);
    pthread_mutex_unlock(&c->lock);
}

void catalog_each_used_repo(struct catalog *c, const char *owner,
                            void (*each)(void *who, const struct repo_name *repo), void *who)
{
    struct repo_name *names = calloc(USED_REPOS_MAX, sizeof(*names));
    unsigned count = 0;

    if (!names)
        return;
    pthread_mutex_lock(&c->lock);
    list_each(link, &c->seen.repos) {
        const struct used_repo *u = list_entry(link, struct used_repo, link);
        if (!owner || !strcasecmp(u->repo.owner, owner))
            names[count++] = u->repo;
    }
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < count; i++)
        each(who, &names[i]);
    free(names);
}

void catalog_each_used_job(struct catalog *c, const struct repo_name *repo,
                           void (*each)(void *who, uint64_t job), void *who)
{
    uint64_t *jobs = calloc(USED_JOBS_MAX, sizeof(*jobs));
    const struct used_repo *u;
    unsigned count = 0;

    if (!jobs)
        return;
    pthread_mutex_lock(&c->lock);
    u = find_used(&c->seen, repo);
    for (; u && count < u->job_count; count++)
        jobs[count] = u->jobs[count];
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < count; i++)
        each(who, jobs[i]);
    free(jobs);
}
