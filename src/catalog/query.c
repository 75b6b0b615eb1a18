#include "catalog/internal.h"

#include "github/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW_OLD_AFTER_MS 1000 /* of waiting (S18) */

/* --- asking --- */

/* Lock held. */
static bool is_fresh(const struct entry *e, int64_t now, int64_t began)
{
    if (!e->answer)
        return false;
    return e->answer->view.settled ||
           (e->answered_ms &&
            (now - e->answered_ms < e->catalog->config.fresh_ms || e->answered_ms >= began));
}

/* Lock held. The caller knows more than when it was asked before: what has ended may now settle. */
static void learn_end(struct entry *e, const struct catalog_question *q)
{
    if (!q->may_settle || e->q.may_settle)
        return;
    e->q.may_settle = true;
    if (e->phase == ENTRY_IDLE && e->answer && !e->answer->view.settled)
        e->answered_ms = 0;
}

/* Lock held. Whether it has just failed: for those who waited for it too, however late they look. */
static bool has_failed(const struct entry *e, int64_t now, int64_t began)
{
    return e->failure.reason != SOURCE_FINE && (now < e->failure.until_ms || e->failed_ms >= began);
}

static void wake_slow(struct task *task)
{
    struct entry *e = list_entry(task, struct entry, slow);

    pthread_mutex_lock(&e->catalog->lock);
    e->slow_posted = false;
    pthread_mutex_unlock(&e->catalog->lock);
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
    entry_put(e);
}

struct steps {
    bool load, ask, post_slow;
    int64_t slow_ms; /* from now */
};

/* Lock held. */
static void start_asking(struct entry *e, const struct catalog_question *q, int64_t now,
                         struct steps *steps)
{
    e->phase = ENTRY_ASKING;
    e->started_ms = now;
    e->is_extra = q->is_extra;
    e->round_may_settle = e->q.may_settle || e->q.what == SOURCE_JOB ||
                          e->q.what == SOURCE_RUN_ATTEMPT;
    e->users++; /* the round */
    steps->ask = true;
}

/* Lock held. How much longer this waiter waits for something newer: what is made of several
 * listings waits for all of them together no longer than for one. Where there is no answer yet, who
 * can do without waits longer, but not again and again. */
static int64_t patience_ms(const struct entry *e, bool has_old, const struct waiter *w, int64_t now)
{
    int64_t since = w->began_ms < e->started_ms ? w->began_ms : e->started_ms;

    if (!has_old && e->failure.reason == SOURCE_FINE)
        return e->started_ms + e->catalog->config.patience_ms - now;
    return since + SHOW_OLD_AFTER_MS - now;
}

/* Lock held. Somebody is about to wait, and not for as long as it takes. Who waits longer than a
 * second looks again each second: the next round may have somebody who does not. */
static void post_slow(struct entry *e, int64_t after_ms, struct steps *steps)
{
    if (e->slow_posted)
        return;
    e->slow_posted = true;
    e->users++; /* the task */
    steps->post_slow = true;
    steps->slow_ms = after_ms < SHOW_OLD_AFTER_MS ? after_ms : SHOW_OLD_AFTER_MS;
}

/* Lock held. One look at what is known, of whatever age. */
static int look_at_known(struct entry *e, enum effort effort, struct steps *steps,
                         const struct catalog_answer **ret_answer)
{
    if (effort == EFFORT_DISK && e->phase == ENTRY_NEW) {
        e->phase = ENTRY_LOADING;
        steps->load = true;
    }
    if (effort == EFFORT_DISK && e->phase == ENTRY_LOADING)
        return PENDING_PARKED;
    if (!e->answer)
        return -EAGAIN;
    *ret_answer = entry_hold_answer(e);
    return 0;
}

/* Lock held. One look; PENDING_PARKED: take the steps, then park. */
static int look(struct entry *e, const struct catalog_question *q, struct waiter *w,
                struct steps *steps, const struct catalog_answer **ret_answer)
{
    bool has_old = e->answer && !e->refused;
    int64_t now = e->catalog->config.now_ms();

    if (!w->began_ms)
        w->began_ms = now;

    if (e->phase == ENTRY_NEW) {
        e->phase = ENTRY_LOADING;
        steps->load = true;
        return PENDING_PARKED;
    }
    if (e->phase == ENTRY_LOADING)
        return PENDING_PARKED;
    if (is_fresh(e, now, w->began_ms)) {
        *ret_answer = entry_hold_answer(e);
        return 0;
    }
    if (e->phase == ENTRY_IDLE && has_failed(e, now, w->began_ms)) {
        if (!has_old)
            return e->failure.err;
        *ret_answer = entry_hold_answer(e);
        return 0;
    }
    if (e->phase == ENTRY_IDLE && has_old && e->failure.reason == SOURCE_OFFLINE) {
        *ret_answer = entry_hold_answer(e);
        return 0;
    }
    if (e->phase == ENTRY_IDLE)
        start_asking(e, q, now, steps);
    if (!has_old && !q->is_extra)
        return PENDING_PARKED;
    if (patience_ms(e, has_old, w, now) > 0) {
        post_slow(e, patience_ms(e, has_old, w, now), steps);
        return PENDING_PARKED;
    }
    if (!has_old)
        return -ETIMEDOUT;
    *ret_answer = entry_hold_answer(e);
    return 0;
}

static void take_steps(struct entry *e, const struct steps *steps)
{
    if (steps->load)
        entry_load(e);
    if (steps->post_slow) {
        e->slow.run = wake_slow;
        tasks_post_after(e->catalog->clerk, &e->slow, steps->slow_ms);
    }
    if (steps->ask)
        round_start(e);
}

int catalog_ask(struct catalog *c, const struct catalog_question *q, enum effort effort,
                struct waiter *w, const struct catalog_answer **ret_answer)
{
    struct entry *e = entry_get(c, q, effort != EFFORT_MEMORY);
    const struct catalog_answer *answer = NULL;
    int rc;

    if (!e)
        return effort == EFFORT_MEMORY ? -EAGAIN : -ENOMEM;
    for (;;) {
        uint64_t generation = pending_generation(&e->wait);
        struct steps steps = {0};

        pthread_mutex_lock(&c->lock);
        if (effort == EFFORT_NETWORK) {
            learn_end(e, q);
            rc = look(e, q, w, &steps, &answer);
        } else {
            rc = look_at_known(e, effort, &steps, &answer);
        }
        pthread_mutex_unlock(&c->lock);
        take_steps(e, &steps);
        if (steps.load)
            continue;
        if (rc != PENDING_PARKED || !ret_answer || pending_park(&e->wait, w, generation, 0, 0))
            break;
    }
    entry_put(e);
    if (ret_answer && !rc)
        *ret_answer = answer;
    else
        catalog_answer_release(answer);
    return rc;
}

enum source_reason catalog_peek_failure(struct catalog *c, const struct catalog_question *q)
{
    struct entry *e = entry_get(c, q, false);
    enum source_reason reason;

    if (!e)
        return SOURCE_FINE;
    pthread_mutex_lock(&c->lock);
    reason = e->failure.reason;
    pthread_mutex_unlock(&c->lock);
    entry_put(e);
    return reason;
}

/* --- JSON --- */

/* Out of the record of a listing in which the job or run was seen. */
static int print_from(struct catalog *c, const struct catalog_question *q,
                      const struct catalog_question *from, char **ret_text, size_t *ret_len)
{
    char key[ENTRY_KEY_LEN], *body;
    int rc = -ENOENT;
    size_t len;

    entry_make_key(from, key);
    for (unsigned page = 0; rc == -ENOENT; page++) {
        if (saved_load_body(c->config.store, key, page, &body, &len))
            break;
        rc = q->what == SOURCE_JOB ? parse_print_job(body, len, q->id, ret_text, ret_len)
                                   : parse_print_run(body, len, q->id, ret_text, ret_len);
        free(body);
    }
    return rc;
}

/* A listing of one, so that it looks the same whichever way it came. What cannot be printed so is
 * given as it came. */
static int print_alone(const struct catalog_question *q, const struct page *p, char **ret_text,
                       size_t *ret_len)
{
    bool is_job = q->what == SOURCE_JOB;
    char *body = NULL;
    int rc = -ENOMEM, len;

    if (!p->body)
        return -ENOMEM;
    len = asprintf(&body, "{\"%s\":[%s]}", is_job ? "jobs" : "workflow_runs", p->body);
    if (len >= 0) {
        rc = is_job ? parse_print_job(body, (size_t)len, q->id, ret_text, ret_len)
                    : parse_print_run(body, (size_t)len, q->id, ret_text, ret_len);
        free(body);
    }
    if (!rc)
        return 0;
    *ret_text = strdup(p->body);
    *ret_len = p->len;
    return *ret_text ? 0 : -ENOMEM;
}

int catalog_get_json(struct catalog *c, const struct catalog_question *q,
                     const struct catalog_question *from, struct waiter *w, char **ret_text,
                     size_t *ret_len)
{
    const struct catalog_answer *view;
    int rc;

    if (from && !print_from(c, q, from, ret_text, ret_len))
        return 0;
    rc = catalog_ask(c, q, EFFORT_NETWORK, w, &view);
    if (rc)
        return rc;
    rc = print_alone(q, list_entry((void *)(uintptr_t)view, struct answer, view)->pages[0],
                     ret_text, ret_len);
    catalog_answer_release(view);
    return rc;
}

bool catalog_is_settled(const struct catalog *c, const struct facts_job *job)
{
    return facts_is_settled(job, c->config.wall_ms());
}

void catalog_job_learnt(void *catalog, const struct repo_name *repo, uint64_t job, const char *body,
                        size_t len)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = *repo, .id = job};
    struct entry *e = entry_get(catalog, &q, true);

    if (e)
        entry_adopt(e, body, len);
}
