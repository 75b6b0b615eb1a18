/*
 * query.c - the caller's side: whether what is known answers a question, and what to wait for.
 */
#include "catalog/internal.h"

#include "github/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW_OLD_AFTER_MS 1000 /* of waiting (S18) */

/* Lock held. */
static bool is_fresh(const struct entry *e, int64_t now, const struct waiter *w)
{
    if (!e->answer)
        return false;
    return e->answer->view.settled ||
           (e->answered_ms && (now - e->answered_ms < e->catalog->config.fresh_ms ||
                               e->answer_number > w->began_after));
}

static void wake_slow(struct task *task)
{
    struct entry *e = list_entry(task, struct entry, slow);

    pthread_mutex_lock(&e->catalog->lock);
    e->slow_posted = false;
    pthread_mutex_unlock(&e->catalog->lock);
    entry_wake(e);
    entry_put(e);
}

/* Lock held. How much longer this waiter waits for something newer. A view of several listings
 * waits no longer for all of them together than for one. Where there is no answer yet, a caller
 * that can do without it waits longer, but not each time. */
static int64_t patience_ms(const struct entry *e, bool has_old, const struct waiter *w, int64_t now)
{
    int64_t started = e->round.started_ms;
    int64_t since = w->began_ms < started ? w->began_ms : started;

    if (!has_old && e->failure.reason == SOURCE_FINE)
        return started + e->catalog->config.patience_ms - now;
    return since + SHOW_OLD_AFTER_MS - now;
}

/* What is to be done once the lock is released. */
struct steps {
    bool load, ask;
    int64_t slow_ms; /* post the timer, for so long; 0: not */
};

/* Lock held. 0: the entry's answer is to be shown; PENDING_PARKED: take the steps, then park. */
static int check(struct entry *e, const struct catalog_question *q, enum effort effort,
                 struct waiter *w, struct steps *steps)
{
    int64_t now = e->catalog->config.now_ms(), patience;
    bool has_old = e->answer && !e->refused;

    if (effort != EFFORT_MEMORY && e->phase == ENTRY_NEW) {
        e->phase = ENTRY_LOADING;
        steps->load = true;
    }
    if (effort != EFFORT_MEMORY && e->phase == ENTRY_LOADING)
        return PENDING_PARKED;
    if (effort != EFFORT_NETWORK)
        return e->answer ? 0 : -EAGAIN;

    if (!w->began_ms) {
        w->began_ms = now;
        w->began_after = e->catalog->outcomes;
    }
    /* The caller knows more than when it was asked before: what has ended may now settle. */
    if (q->may_settle && !e->q.may_settle) {
        e->q.may_settle = true;
        if (e->phase == ENTRY_IDLE && e->answer && !e->answer->view.settled)
            e->answered_ms = 0;
    }
    if (is_fresh(e, now, w))
        return 0;
    /* It has just failed, also for waiters that were woken by that and check later. */
    if (e->phase == ENTRY_IDLE && e->failure.reason != SOURCE_FINE &&
        (now < e->failure.until_ms || e->failure_number > w->began_after))
        return has_old ? 0 : e->failure.err;
    if (e->phase == ENTRY_IDLE && has_old && e->failure.reason == SOURCE_OFFLINE)
        return 0;
    if (e->phase == ENTRY_IDLE) {
        round_prepare(e, q->is_extra, now);
        steps->ask = true;
    }
    if (!has_old && !q->is_extra)
        return PENDING_PARKED;
    patience = patience_ms(e, has_old, w, now);
    if (patience <= 0)
        return has_old ? 0 : -ETIMEDOUT;
    /* A caller that waits longer than a second looks again each second: the next round may have
     * one that does not. */
    if (!e->slow_posted) {
        e->slow_posted = true;
        e->slow.run = wake_slow;
        e->users++; /* the task */
        steps->slow_ms = patience < SHOW_OLD_AFTER_MS ? patience : SHOW_OLD_AFTER_MS;
    }
    return PENDING_PARKED;
}

int catalog_ask(struct catalog *c, const struct catalog_question *q, enum effort effort,
                struct waiter *w, const struct catalog_answer **ret_answer)
{
    struct entry *e = entry_get(c, q, effort != EFFORT_MEMORY);
    int rc;

    if (!e)
        return effort == EFFORT_MEMORY ? -EAGAIN : -ENOMEM;
    for (;;) {
        uint64_t generation = pending_generation(&e->wait);
        struct steps steps = {0};

        pthread_mutex_lock(&c->lock);
        rc = check(e, q, effort, w, &steps);
        if (!rc && ret_answer)
            *ret_answer = catalog_answer_hold(&e->answer->view);
        pthread_mutex_unlock(&c->lock);
        if (steps.slow_ms)
            tasks_post_after(c->parser, &e->slow, steps.slow_ms);
        if (steps.ask)
            tasks_post(c->parser, &e->round.begin);
        if (steps.load)
            entry_load(e);
        else if (rc != PENDING_PARKED || !ret_answer || pending_park(&e->wait, w, generation, 0, 0))
            break;
    }
    entry_put(e);
    return rc;
}

unsigned catalog_list_status(struct catalog *c, struct catalog_status *ret_status, unsigned max)
{
    unsigned count, n = 0;

    pthread_mutex_lock(&c->lock);
    count = c->asking_count;
    for (struct list *link = c->asking.next; link != &c->asking && n < max; link = link->next) {
        const struct entry *e = list_entry(link, struct entry, in_asking);
        struct progress *p = &ret_status[n].progress;
        ret_status[n++].question = e->q;
        p->begun_ms = e->round.started_ms;
        p->bytes = atomic_load(&e->received);
        p->size = p->rate = PROGRESS_UNKNOWN;
        p->cause = progress_wait_get(&e->waits_for, &p->until_ms);
    }
    pthread_mutex_unlock(&c->lock);
    return count;
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

bool catalog_is_settled(const struct catalog *c, const struct facts_job *job)
{
    return facts_is_settled(job, c->config.wall_ms());
}

/* --- JSON --- */

/* The key under which a listing has what the question is about. */
static const char *array_of(const struct catalog_question *q)
{
    return q->what == SOURCE_JOB ? PARSE_JOBS : PARSE_RUNS;
}

/* Out of the record of a listing in which the job or run was seen. */
static int print_from(struct catalog *c, const struct catalog_question *q,
                      const struct catalog_question *from, char **ret_text, size_t *ret_len)
{
    char key[ENTRY_KEY_LEN], *body;
    int rc = -ENOENT;
    size_t len;

    entry_make_key(from, key);
    for (unsigned page = 0; rc == -ENOENT; page++) {
        if (page_load_body(c->config.store, key, page, &body, &len))
            break;
        rc = parse_print(body, len, array_of(q), q->id, ret_text, ret_len);
        free(body);
    }
    return rc;
}

/* As a listing of one, so that it is the same text whichever way it came. What cannot be printed
 * so is given as it came. */
static int print_alone(const struct catalog_question *q, const struct page *p, char **ret_text,
                       size_t *ret_len)
{
    char *body;
    int rc, len;

    len = p->body ? asprintf(&body, "{\"%s\":[%s]}", array_of(q), p->body) : -1;
    if (len < 0)
        return -ENOMEM;
    rc = parse_print(body, (size_t)len, array_of(q), q->id, ret_text, ret_len);
    free(body);
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
