#include "catalog/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct seen_job {
    uint64_t id;
    struct page *page;
    const struct facts_job *job;
    struct repo_name repo;
};

int seen_init(struct seen *s)
{
    s->slots = calloc(SEEN_SLOTS, sizeof(*s->slots));
    list_init(&s->repos);
    s->repo_count = 0;
    return s->slots ? 0 : -ENOMEM;
}

static void drop_used(struct seen *s, struct used_repo *u)
{
    list_remove(&u->link);
    s->repo_count--;
    free(u->jobs);
    free(u);
}

static void drop_job(struct seen_job *j)
{
    if (!j)
        return;
    page_unref(j->page);
    free(j);
}

void seen_finish(struct seen *s)
{
    for (unsigned i = 0; s->slots && i < SEEN_SLOTS; i++)
        drop_job(s->slots[i]);
    free(s->slots);
    s->slots = NULL;
    while (!list_is_empty(&s->repos))
        drop_used(s, list_entry(s->repos.next, struct used_repo, link));
}

/* A job has one place: two repositories cannot have the same job, but two names can. */
static struct seen_job **slot_of(struct seen *s, uint64_t job)
{
    return &s->slots[(job * UINT64_C(0x9E3779B97F4A7C15)) >> 48];
}

_Static_assert(SEEN_SLOTS == 1u << 16, "slot_of takes the top sixteen bits");

/* What comes from disk may be older than what is known: a job that has ended does not run again. */
static bool is_older(const struct seen_job *known, const struct repo_name *repo,
                     const struct facts_job *job)
{
    return known && known->id == job->id && known->job->status == FACTS_COMPLETED &&
           job->status != FACTS_COMPLETED && name_is_same(&known->repo, repo);
}

void seen_add_page(struct seen *s, const struct repo_name *repo, struct page *p)
{
    for (size_t i = 0; i < p->jobs.count; i++) {
        struct seen_job **slot = slot_of(s, p->jobs.items[i].id);
        struct seen_job *job;
        if (is_older(*slot, repo, &p->jobs.items[i]))
            continue;
        job = malloc(sizeof(*job));
        if (!job)
            return; /* it is asked for again when it is wanted */
        *job = (struct seen_job){.id = p->jobs.items[i].id,
                                 .page = page_ref(p),
                                 .job = &p->jobs.items[i],
                                 .repo = *repo};
        drop_job(*slot);
        *slot = job;
    }
}

const struct facts_job *seen_find(struct seen *s, const struct repo_name *repo, uint64_t job,
                                  struct page **ret_page)
{
    const struct seen_job *known = *slot_of(s, job);

    if (!known || known->id != job || !name_is_same(&known->repo, repo))
        return NULL;
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
