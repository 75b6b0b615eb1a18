#include "catalog/seen.h"

#include "catalog/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct seen_job {
    struct seen_job *next; /* of its bucket */
    struct list in_order;
    uint64_t id;
    struct page *page;
    const struct facts_job *job;
    struct repo_name repo;
};

int seen_init(struct seen *s)
{
    s->buckets = calloc(SEEN_BUCKETS, sizeof(struct seen_job *));
    list_init(&s->order);
    s->job_count = 0;
    list_init(&s->repos);
    s->repo_count = 0;
    return s->buckets ? 0 : -ENOMEM;
}

static void drop_used(struct seen *s, struct used_repo *u)
{
    list_remove(&u->link);
    s->repo_count--;
    free(u->jobs);
    free(u);
}

/* The link to the job under this name, in its bucket; to NULL, the bucket's last, if it is not there. */
static struct seen_job **link_of(struct seen *s, const struct repo_name *repo, uint64_t job)
{
    struct seen_job **link = &s->buckets[(job * UINT64_C(0x9E3779B97F4A7C15)) >> 48];

    while (*link && ((*link)->id != job || !name_is_same(&(*link)->repo, repo)))
        link = &(*link)->next;
    return link;
}

_Static_assert(SEEN_BUCKETS == 1u << 16, "link_of takes the top sixteen bits");

static void drop_oldest(struct seen *s)
{
    struct seen_job *job = list_entry(list_take_first(&s->order), struct seen_job, in_order);

    *link_of(s, &job->repo, job->id) = job->next;
    s->job_count--;
    page_unref(job->page);
    free(job);
}

bool seen_forget(struct seen *s, unsigned count)
{
    bool any = s->job_count > 0;

    for (; count > 0 && s->job_count > 0; count--)
        drop_oldest(s);
    return any;
}

void seen_finish(struct seen *s)
{
    seen_forget(s, s->job_count);
    free(s->buckets);
    s->buckets = NULL;
    while (!list_is_empty(&s->repos))
        drop_used(s, list_entry(s->repos.next, struct used_repo, link));
}

/* How much the facts tell: a job that has ended does not run again, and steps that were told stay. */
static int rank_of(const struct facts_job *job)
{
    if (job->status != FACTS_COMPLETED)
        return 0;
    if (job->step_count == 0)
        return 1;
    return facts_has_open_steps(job) ? 2 : 3;
}

/* What comes from disk may be older than what is known, and the list of a later attempt tells no steps
 * of a job that did not run again. */
static bool is_poorer(const struct facts_job *job, const struct seen_job *known)
{
    return rank_of(job) < rank_of(known->job);
}

static void use_job(struct seen *s, struct seen_job *job)
{
    list_remove(&job->in_order);
    list_push_back(&s->order, &job->in_order);
}

/* The job's place, made if there is none. NULL: no memory. */
static struct seen_job *place_of(struct seen *s, const struct repo_name *repo, uint64_t id)
{
    struct seen_job **link = link_of(s, repo, id), *job = *link;

    if (!job) {
        job = calloc(1, sizeof(*job));
        if (!job)
            return NULL;
        job->id = id;
        job->repo = *repo;
        list_init(&job->in_order);
        *link = job;
        s->job_count++;
    }
    use_job(s, job);
    return job;
}

void seen_add_page(struct seen *s, const struct repo_name *repo, struct page *p)
{
    for (size_t i = 0; i < p->jobs.count; i++) {
        struct seen_job *job = place_of(s, repo, p->jobs.items[i].id);
        if (!job)
            return; /* it is asked for again when it is wanted */
        if (job->page && is_poorer(&p->jobs.items[i], job))
            continue;
        page_unref(job->page);
        job->page = page_ref(p);
        job->job = &p->jobs.items[i];
        if (s->job_count > SEEN_MAX)
            drop_oldest(s);
    }
}

const struct facts_job *seen_find(struct seen *s, const struct repo_name *repo, uint64_t job,
                                  struct page **ret_page)
{
    struct seen_job *known = *link_of(s, repo, job);

    if (!known)
        return NULL;
    use_job(s, known);
    *ret_page = page_ref(known->page);
    return known->job;
}

struct used_repo *seen_find_used(struct seen *s, const struct repo_name *repo)
{
    list_each(link, &s->repos) {
        struct used_repo *u = list_entry(link, struct used_repo, link);
        if (name_is_same(&u->repo, repo))
            return u;
    }
    return NULL;
}

static struct used_repo *use_repo(struct seen *s, const struct repo_name *repo)
{
    struct used_repo *u = seen_find_used(s, repo);

    if (u) {
        list_remove(&u->link);
    } else {
        if (s->repo_count >= USED_REPOS_MAX)
            drop_used(s, list_entry(s->repos.next, struct used_repo, link));
        u = calloc(1, sizeof(*u));
        if (!u)
            return NULL;
        u->repo = *repo;
        s->repo_count++;
    }
    list_push_back(&s->repos, &u->link);
    return u;
}

/* Room for one more job; the oldest goes when there are too many. */
static bool make_room(struct used_repo *u)
{
    uint64_t *jobs;

    if (u->job_count < u->job_room)
        return true;
    if (u->job_count == USED_JOBS_MAX) {
        memmove(u->jobs, u->jobs + 1, (USED_JOBS_MAX - 1) * sizeof(*u->jobs));
        u->job_count--;
        return true;
    }
    jobs = realloc(u->jobs, (u->job_room + 64) * sizeof(*jobs));
    if (!jobs)
        return false;
    u->jobs = jobs;
    u->job_room += 64;
    return true;
}

void seen_note_used(struct seen *s, const struct repo_name *repo, uint64_t job)
{
    struct used_repo *u = use_repo(s, repo);

    if (!u || !job)
        return;
    for (unsigned i = u->job_count; i-- > 0;) {
        if (u->jobs[i] != job)
            continue;
        u->job_count--;
        memmove(u->jobs + i, u->jobs + i + 1, (u->job_count - i) * sizeof(*u->jobs));
        break;
    }
    if (make_room(u))
        u->jobs[u->job_count++] = job;
}

/* --- for others --- */

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

void catalog_seen_release(struct catalog_seen *seen)
{
    page_unref(seen->held);
    seen->held = NULL;
}

void catalog_note_used(struct catalog *c, const struct repo_name *repo, uint64_t job)
{
    pthread_mutex_lock(&c->lock);
    seen_note_used(&c->seen, repo, job);
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
    const struct used_repo *u;
    uint64_t *jobs = NULL;
    unsigned count = 0;

    pthread_mutex_lock(&c->lock);
    u = seen_find_used(&c->seen, repo);
    if (u && u->job_count) {
        jobs = calloc(u->job_count, sizeof(*jobs));
        count = jobs ? u->job_count : 0;
        for (unsigned i = 0; i < count; i++)
            jobs[i] = u->jobs[i];
    }
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < count; i++)
        each(who, jobs[i]);
    free(jobs);
}
