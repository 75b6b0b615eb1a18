/*
 * Files that are text in memory: what GitHub says as JSON, and what this mount says of itself.
 *
 * The kernel keeps size and pages of a file for all who have it open. So one node stands for one
 * text: the text is made when the path is looked up, which gives its exact size, and a lookup that
 * makes another text gives another node. A node keeps its text for the open that mostly follows.
 * One that is opened later, with no lookup (by a descriptor, a bind mount), gets the text anew; if
 * that has changed since, its size is not what the kernel knows, and it is opened with direct I/O.
 */
#include "store/store.h"
#include "views/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECENT_MS 10000 /* a text is opened as it was looked up */

/* The list of jobs that the job was last seen in. False: none, or the job has not ended. */
static bool find_list(struct views *v, const struct vnode *p, struct catalog_question *ret_q,
                      bool *ret_settled)
{
    struct catalog_seen seen;
    bool found;

    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return false;
    found = seen.job->status == FACTS_COMPLETED && seen.job->run_id;
    if (found) {
        const struct attempts_run run = {.repo = p->repo, .id = seen.job->run_id};
        attempts_question(&run, seen.job->attempt, ret_q);
        *ret_settled = catalog_is_settled(v->config.catalog, seen.job);
    }
    catalog_seen_release(&seen);
    return found;
}

/* The steps of a job may come later than its end: the list that it is in is asked for again where it
 * is old. Whether that goes well or not, it is the latest word. */
static int refresh_list(struct views *v, const struct catalog_question *q, struct waiter *w)
{
    const struct catalog_answer *answer;
    int rc = catalog_recall(v->config.catalog, q, w, &answer);

    if (!rc) {
        catalog_answer_release(answer);
        rc = catalog_ask(v->config.catalog, q, w, &answer);
    }
    if (!rc)
        catalog_answer_release(answer);
    return rc == PENDING_PARKED ? rc : 0;
}

/* A job that has ended is shown as the list of its run had it; that costs no request. */
int view_text_of_job(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                     size_t *ret_len)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = p->repo, .id = p->job}, list;
    bool is_settled, is_listed = find_list(v, p, &list, &is_settled);
    int rc = is_listed && !is_settled ? refresh_list(v, &list, w) : 0;

    if (rc)
        return rc;
    rc = catalog_get_json(v->config.catalog, &q, is_listed ? &list : NULL, w, ret_text, ret_len);
    if (!rc)
        catalog_note_used(v->config.catalog, &p->repo, p->job);
    return rc;
}

int view_text_of_run(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                     size_t *ret_len)
{
    const struct catalog_question q = {.what = SOURCE_RUN, .repo = p->repo, .id = p->run};
    const struct catalog_answer *answer;
    const struct facts_run *listed;
    struct catalog_question from;
    int rc = runs_find_listed(v, p, w, &listed, &answer);

    if (!rc)
        catalog_answer_release(answer);
    else if (rc != -ENOENT)
        return rc;
    runs_question(v, &p->repo, &from);
    return catalog_get_json(v->config.catalog, &q, rc ? NULL : &from, w, ret_text, ret_len);
}

int view_text_of_attempt(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                         size_t *ret_len)
{
    const struct catalog_question q = {
        .what = SOURCE_RUN_ATTEMPT, .repo = p->repo, .id = p->run, .attempt = p->attempt};

    return catalog_get_json(v->config.catalog, &q, NULL, w, ret_text, ret_len);
}

/* --- what the mount reports of itself ----------------------------------------------------------- */

/* Takes `text`, malloc'd; NULL: no memory. */
static int give(char *text, char **ret_text, size_t *ret_len)
{
    if (!text)
        return -ENOMEM;
    *ret_text = text;
    *ret_len = strlen(text);
    return 0;
}

int view_text_of_stats(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                       size_t *ret_len)
{
    (void)p;
    (void)w;
    return give(v->config.stats(v->config.who), ret_text, ret_len);
}

int view_text_of_options(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                         size_t *ret_len)
{
    (void)p;
    (void)w;
    return give(strdup(v->config.options), ret_text, ret_len);
}

int view_text_of_version(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                         size_t *ret_len)
{
    (void)p;
    (void)w;
    return give(strdup(v->config.version), ret_text, ret_len);
}

/* --- counted ---------------------------------------------------------------------------------- */

/* The texts of the mount itself belong to no repository. They are small and few: all are kept. */
static bool take_budget(struct views *v, const struct vnode *p, struct view_text *t)
{
    if (!p->repo.repo[0])
        return true;
    t->budget = &v->texts_kept;
    if (atomic_fetch_add(t->budget, t->len) + t->len <= VIEWS_TEXTS_BYTES)
        return true;
    atomic_fetch_sub(t->budget, t->len);
    t->budget = NULL;
    return false;
}

static int make_text(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                     struct view_text **ret_text)
{
    struct view_text *t = calloc(1, sizeof(*t));
    int rc = t ? make(v, p, w, &t->bytes, &t->len) : -ENOMEM;

    if (rc) {
        free(t);
        return rc;
    }
    atomic_init(&t->refs, 1);
    atomic_init(&t->made_ms, v->config.now_ms());
    *ret_text = t;
    return 0;
}

struct view_text *view_text_ref(struct view_text *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void view_text_unref(struct view_text *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    if (t->budget)
        atomic_fetch_sub(t->budget, t->len);
    free(t->bytes);
    free(t);
}

/* --- looking up and opening ------------------------------------------------------------------- */

static uint64_t sum_of(const struct view_text *t)
{
    return store_page_checksum(t->bytes, t->len);
}

int view_text_look_up(struct views *v, struct vnode *p, view_make_text *make, struct waiter *w)
{
    struct view_text *t;
    int rc = make_text(v, p, make, w, &t);

    if (rc)
        return rc;
    p->size = t->len;
    p->sum = sum_of(t);
    if (take_budget(v, p, t))
        p->content = t;
    else
        view_text_unref(t);
    return 0;
}

void view_text_renew(struct view_text *t, const struct view_text *same)
{
    atomic_store(&t->made_ms, atomic_load(&same->made_ms));
}

int view_text_open(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                   struct view_text **ret_text, bool *ret_is_same)
{
    struct view_text *t = p->content;
    int rc;

    if (t && v->config.now_ms() - atomic_load(&t->made_ms) < RECENT_MS) {
        *ret_text = view_text_ref(t);
        *ret_is_same = true;
        return 0;
    }
    rc = make_text(v, p, make, w, &t);
    if (rc)
        return rc;
    *ret_text = t;
    *ret_is_same = t->len == p->size && sum_of(t) == p->sum;
    return 0;
}
