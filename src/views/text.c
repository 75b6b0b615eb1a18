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
#include "views/attempts.h"
#include "views/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECENT_MS 10000 /* a text is opened as it was looked up */

static int copy_text(const char *text, char **ret_text, size_t *ret_len)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    *ret_text = copy;
    *ret_len = strlen(copy);
    return 0;
}

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
    int rc = catalog_ask(v->config.catalog, q, EFFORT_DISK, w, &answer);

    if (!rc) {
        catalog_answer_release(answer);
        rc = catalog_ask(v->config.catalog, q, EFFORT_NETWORK, w, &answer);
    }
    if (!rc)
        catalog_answer_release(answer);
    return rc == PENDING_PARKED ? rc : 0;
}

/* A job that has ended is shown as the list of its run had it; that costs no request. */
static int get_job_json(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
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

static int get_run_json(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                        size_t *ret_len)
{
    struct catalog_question q = {.what = p->attempt ? SOURCE_RUN_ATTEMPT : SOURCE_RUN,
                                 .repo = p->repo,
                                 .id = p->run,
                                 .attempt = p->attempt};
    const struct catalog_answer *answer;
    const struct facts_run *listed;
    struct catalog_question from;
    int rc = p->attempt ? -ENOENT : runs_ask_listed(v, &p->repo, p->run, w, &listed, &answer);

    if (!rc)
        catalog_answer_release(answer);
    else if (rc != -ENOENT)
        return rc;
    runs_question(v, &p->repo, &from);
    return catalog_get_json(v->config.catalog, &q, rc ? NULL : &from, w, ret_text, ret_len);
}

static int make_bytes(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                      size_t *ret_len)
{
    switch (p->kind) {
    case VNODE_JOB_JSON: return get_job_json(v, p, w, ret_text, ret_len);
    case VNODE_RUN_JSON: return get_run_json(v, p, w, ret_text, ret_len);
    case VNODE_OPTIONS: return copy_text(v->config.options, ret_text, ret_len);
    case VNODE_VERSION: return copy_text(v->config.version, ret_text, ret_len);
    case VNODE_STATS:
        *ret_text = v->config.stats(v->config.who);
        *ret_len = *ret_text ? strlen(*ret_text) : 0;
        return *ret_text ? 0 : -ENOMEM;
    default: return -EISDIR;
    }
}

bool view_is_text(enum vnode_kind kind)
{
    return kind == VNODE_JOB_JSON || kind == VNODE_RUN_JSON || kind == VNODE_OPTIONS ||
           kind == VNODE_VERSION || kind == VNODE_STATS;
}

/* --- counted ---------------------------------------------------------------------------------- */

/* Those of this mount are small, and few paths lead to them: all are kept. */
static bool take_budget(struct views *v, const struct vnode *p, struct view_text *t)
{
    if (p->kind != VNODE_JOB_JSON && p->kind != VNODE_RUN_JSON)
        return true;
    t->budget = &v->texts_kept;
    if (atomic_fetch_add(t->budget, t->len) + t->len <= VIEWS_TEXTS_BYTES)
        return true;
    atomic_fetch_sub(t->budget, t->len);
    t->budget = NULL;
    return false;
}

static int make_text(struct views *v, const struct vnode *p, struct waiter *w,
                     struct view_text **ret_text)
{
    struct view_text *t = calloc(1, sizeof(*t));
    int rc = t ? make_bytes(v, p, w, &t->bytes, &t->len) : -ENOMEM;

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

int view_text_look_up(struct views *v, struct vnode *p, struct waiter *w)
{
    struct view_text *t;
    int rc = make_text(v, p, w, &t);

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

void views_vnode_renew(struct vnode *p, const struct vnode *same)
{
    if (p->content && same->content)
        atomic_store(&p->content->made_ms, atomic_load(&same->content->made_ms));
}

int view_text_open(struct views *v, const struct vnode *p, struct waiter *w,
                   struct view_text **ret_text, bool *ret_is_same)
{
    struct view_text *t = p->content;
    int rc;

    if (t && v->config.now_ms() - atomic_load(&t->made_ms) < RECENT_MS) {
        *ret_text = view_text_ref(t);
        *ret_is_same = true;
        return 0;
    }
    rc = make_text(v, p, w, &t);
    if (rc)
        return rc;
    *ret_text = t;
    *ret_is_same = t->len == p->size && sum_of(t) == p->sum;
    return 0;
}
