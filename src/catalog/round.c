/*
 * One round of asking: the first page, then the rest in parallel, then one snapshot or one failure.
 * Everything but the source's callback runs on the catalog's own thread.
 */
#include "catalog/entry.h"

#include "diag.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL_HOLD_MS 5000 /* garbage is not asked for again before */
#define FAILURE_HOLD_MS 1000  /* nor what has failed */

/*
 * A list that large pages cannot be had of is asked for in smaller ones: GitHub answers 5xx for good
 * then, or not in time, or with more than is taken. In all that is 9 questions within 10 s; what then
 * still fails is asked once a minute.
 */
static const unsigned page_sizes[] = {CATALOG_PAGE, 30, 10};
#define TRIES_LARGE 2
#define TRIES_SMALLEST 5
#define TRIES_SMALLEST_LATER 3 /* of its second page and later ones */
#define TRIES_MAX (2 * TRIES_LARGE + TRIES_SMALLEST)
#define WAITS_MAX 4  /* for an answer that does not come in time; one of them in a large page */
#define REST_MS 1000 /* before smaller pages: GitHub may be in trouble itself */
#define FAILING_HOLD_MS 60000 /* what fails in all sizes is not asked for again before */
#define EXTRA_TRIES 4         /* of what can be done without: three faults are not noticed */

_Static_assert(SAVED_PAGES_MAX >= CATALOG_ENTRIES_MAX / 10, "the smallest pages of a whole list");

/* One page under way. */
struct page_ask {
    struct source_facts facts;
    struct task task;
    struct entry *entry;
    unsigned page; /* from 0 */
    /* the answer, as far as it does not lie in facts */
    struct source_failure failure;
    bool not_modified;
    const char *body;
    size_t len;
    char etag[SOURCE_ETAG_LEN];
    unsigned next_page;
};

static void handle_page(struct task *task);

/* Network thread: hands over. */
static void on_page(struct source_facts *facts, const struct source_answer *answer)
{
    struct page_ask *ask = list_entry(facts, struct page_ask, facts);
    struct catalog *c = ask->entry->catalog;

    pending_touch(&ask->entry->wait, c->config.now_ms());
    if (answer->failure) {
        ask->failure = *answer->failure;
    } else {
        ask->not_modified = answer->not_modified;
        ask->next_page = answer->next_page;
        snprintf(ask->etag, sizeof(ask->etag), "%s", answer->etag ? answer->etag : "");
        ask->body = answer->body;
        ask->len = answer->len;
    }
    ask->task.run = handle_page;
    tasks_post(c->clerk, &ask->task);
}

/* --- sizes --- */

static bool is_list(const struct entry *e)
{
    return e->q.what != SOURCE_JOB && e->q.what != SOURCE_RUN && e->q.what != SOURCE_RUN_ATTEMPT;
}

static unsigned full_size(const struct entry *e)
{
    return e->q.limit && e->q.limit < CATALOG_PAGE ? e->q.limit : CATALOG_PAGE;
}

/* 0: there is none. */
static unsigned smaller_size(unsigned size)
{
    for (size_t i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++)
        if (page_sizes[i] < size)
            return page_sizes[i];
    return 0;
}

static unsigned smallest_size(const struct entry *e)
{
    unsigned size = full_size(e), next;

    while ((next = smaller_size(size)))
        size = next;
    return size;
}

static unsigned pages_max(const struct round *r)
{
    unsigned max = CATALOG_ENTRIES_MAX / r->page_size + (CATALOG_ENTRIES_MAX % r->page_size > 0);

    return max < SAVED_PAGES_MAX ? max : SAVED_PAGES_MAX;
}

/* Whether smaller pages may help: not where the host is down, or nothing is asked. */
static bool is_of_size(const struct source_failure *f)
{
    return (f->reason == SOURCE_BROKEN && f->err != -ENOMEM) || f->reason == SOURCE_OVERSIZE ||
           f->reason == SOURCE_REFUSED || (f->reason == SOURCE_UNREACHABLE && f->err == -ETIMEDOUT);
}

/* How often a page is asked for; 0: as often as fits the deadline. */
static unsigned tries_of(const struct entry *e, unsigned page)
{
    unsigned tries;

    if (!is_list(e))
        return 0;
    if (e->round->is_probe && page == 0)
        return 1;
    if (e->is_extra)
        return EXTRA_TRIES;
    if (smaller_size(e->round->page_size))
        tries = TRIES_LARGE;
    else
        tries = page == 0 ? TRIES_SMALLEST : TRIES_SMALLEST_LATER;
    if (e->round->tries_spent >= TRIES_MAX)
        return 1;
    return tries < TRIES_MAX - e->round->tries_spent ? tries : TRIES_MAX - e->round->tries_spent;
}

static unsigned waits_of(const struct entry *e)
{
    const struct round *r = e->round;

    if (smaller_size(r->page_size) || r->is_probe || r->waits_spent >= WAITS_MAX)
        return 1;
    return WAITS_MAX - r->waits_spent;
}

/* --- asking --- */

/* The page of the answer before, if it answers the same question and can be relied upon; lock not
 * held. Counted. */
static struct page *old_page(struct entry *e, unsigned page)
{
    const struct answer *a;
    struct page *p = NULL;

    pthread_mutex_lock(&e->catalog->lock);
    a = e->answer;
    if (a && a->adds_up && a->page_size == e->round->page_size && page < a->page_count)
        p = page_ref(a->pages[page]);
    pthread_mutex_unlock(&e->catalog->lock);
    return p;
}

static void fail_round(struct round *r, const struct source_failure *failure)
{
    if (r->failure.reason == SOURCE_FINE)
        r->failure = *failure;
}

static void ask_page(struct entry *e, unsigned page)
{
    struct source *source = &e->catalog->config.source;
    struct page_ask *ask = calloc(1, sizeof(*ask));
    struct page *old;

    if (!ask) {
        fail_round(e->round, &(struct source_failure){.err = -ENOMEM, .reason = SOURCE_BROKEN});
        return;
    }
    ask->entry = e;
    ask->page = page;
    ask->facts = (struct source_facts){.question = e->q.what,
                                       .repo = e->q.repo,
                                       .id = e->q.id,
                                       .attempt = e->q.attempt,
                                       .page = page + 1,
                                       .per_page = e->round->page_size,
                                       .tries = tries_of(e, page),
                                       .waits = waits_of(e),
                                       .done = on_page};
    snprintf(ask->facts.filter, sizeof(ask->facts.filter), "%s", e->q.filter);
    old = e->round->doubtful ? NULL : old_page(e, page);
    if (old)
        memcpy(ask->facts.etag, old->etag, sizeof(old->etag));
    page_unref(old);
    e->round->outstanding++;
    source->ops->want_facts(source->self, &ask->facts);
}

/* All at once. In pages smaller than wanted as many at once as have come, for they may fail too. */
static void ask_pages(struct entry *e)
{
    struct round *r = e->round;

    while (r->asked < r->page_count && r->failure.reason == SOURCE_FINE) {
        unsigned come = r->asked - r->outstanding;
        if (r->asked > 0 && r->page_size < full_size(e) && r->outstanding >= come)
            return;
        ask_page(e, r->asked++);
    }
}

/* "the jobs of run 5" */
static void name_question(const struct entry *e, char *ret_name, size_t cap)
{
    static const char *const about[] = {[SOURCE_JOB] = "job",
                                        [SOURCE_RUN] = "run",
                                        [SOURCE_RUN_ATTEMPT] = "an attempt of run",
                                        [SOURCE_ATTEMPT_JOBS] = "the jobs of run",
                                        [SOURCE_RUNS] = "the runs",
                                        [SOURCE_WORKFLOW_RUNS] = "the runs of a workflow",
                                        [SOURCE_OWNER_REPOS] = "the repositories",
                                        [SOURCE_MY_REPOS] = "the repositories"};

    snprintf(ret_name, cap, "%s", about[e->q.what]);
    if (e->q.id)
        snprintf(ret_name + strlen(ret_name), cap - strlen(ret_name), " %llu",
                 (unsigned long long)e->q.id);
}

/* The errno does not say what was wrong, and with which question. */
static void say(const struct entry *e, const char *what)
{
    char name[64];

    name_question(e, name, sizeof(name));
    diag_say(e->catalog->config.diag, DIAG_WARNING, "API: %s%s%s: the answer about %s %s",
             e->q.repo.owner, e->q.repo.repo[0] ? "/" : "", e->q.repo.repo, name, what);
}

static int parse_answer(const struct page_ask *ask, struct page **ret_page)
{
    if (ask->entry->round->bytes > ENTRY_BYTES_MAX)
        return -EPROTO;
    return page_parse(ask->entry->q.what, ask->body, ask->len, ask->etag, ask->next_page, ret_page);
}

/* What the body or the 304 stands for; NULL: the round has failed. A new page is saved at once: its
 * body need not be kept until the round is through. */
static struct page *take_page(struct page_ask *ask)
{
    struct source_failure garbage = {.err = -EPROTO, .reason = SOURCE_PROTOCOL};
    struct entry *e = ask->entry;
    struct page *p = NULL;
    int rc;

    if (ask->failure.reason != SOURCE_FINE) {
        e->round->tries_spent += ask->facts.tries;
        if (ask->failure.err == -ETIMEDOUT)
            e->round->waits_spent += ask->facts.waits;
        fail_round(e->round, &ask->failure);
        return NULL;
    }
    if (ask->not_modified) {
        p = old_page(e, ask->page);
        rc = p ? 0 : -EPROTO;
    } else {
        e->round->bytes += ask->len;
        rc = parse_answer(ask, &p);
    }
    if (rc) {
        if (rc == -EPROTO)
            say(e, "makes no sense");
        garbage.err = rc;
        garbage.until_ms = e->catalog->config.now_ms() + PROTOCOL_HOLD_MS;
        fail_round(e->round, &garbage);
        return NULL;
    }
    if (!ask->not_modified) {
        e->round->changed = true;
        saved_put_page(e->catalog->config.store, e->key, p, ask->body, ask->len);
    }
    return p;
}

/* --- how many pages there are --- */

/* Entries that the listing has, as far as they are wanted, by its first page. */
static uint64_t count_wanted(const struct entry *e, const struct page *first)
{
    uint64_t want = e->q.limit ? e->q.limit : CATALOG_ENTRIES_MAX;

    return first->total >= 0 && (uint64_t)first->total < want ? (uint64_t)first->total : want;
}

/* How many pages the listing has, by its first; at least one. What says nothing of its length, or has
 * less on its first page than was asked for and no next one, is followed from page to page. */
static unsigned count_pages(const struct entry *e, const struct page *first)
{
    uint64_t want = count_wanted(e, first), sent = page_count_sent(first);
    uint64_t size = e->round->page_size, count = 1;

    if (first->total < 0 || (!first->next_page && sent < size))
        return 1;
    if (want > sent)
        count += (want - sent + size - 1) / size;
    return count > pages_max(e->round) ? pages_max(e->round) : (unsigned)count;
}

/*
 * A listing that goes on beyond what its first page promised is followed, up to an empty page. So is
 * one without a Link (a proxy may have dropped it) that has less than it promised, or, if it promises
 * nothing, as long as its pages are full.
 */
static bool goes_on(const struct entry *e)
{
    const struct round *r = e->round;
    const struct page *last = r->pages[r->page_count - 1];
    uint64_t come = page_count_sent(last), sent = 0;

    if (!is_list(e) || r->page_count >= pages_max(r) || !come)
        return false;
    for (unsigned i = 0; i < r->page_count; i++)
        sent += page_count_sent(r->pages[i]);
    if (e->q.limit && sent >= e->q.limit)
        return false;
    if (last->next_page)
        return true;
    if (r->pages[0]->total < 0)
        return come >= r->page_size;
    return sent < count_wanted(e, r->pages[0]);
}

/* --- the end of a round --- */

static void save_list(struct entry *e, const struct answer *a)
{
    const struct saved_list list = {.pages = a->pages,
                                    .page_count = a->page_count,
                                    .page_size = a->page_size,
                                    .settled = a->view.settled,
                                    .adds_up = a->adds_up};

    saved_put_list(e->catalog->config.store, e->key, &list);
}

/* The round's pages as one snapshot; NULL: no memory. */
static struct answer *make_answer(struct entry *e)
{
    struct round *r = e->round;
    struct answer *a = answer_create(r->pages, r->page_count, e->q.limit);

    memset(r->pages, 0, sizeof(r->pages));
    if (!a) {
        fail_round(r, &(struct source_failure){.err = -ENOMEM, .reason = SOURCE_BROKEN});
        return NULL;
    }
    a->page_size = r->page_size;
    a->adds_up = answer_adds_up(a, &e->q);
    return a;
}

/* Lock held. */
static void adopt_answer(struct entry *e, struct answer *a)
{
    struct catalog *c = e->catalog;

    e->answer = a;
    e->answered_ms = c->config.now_ms();
    e->failure = (struct source_failure){0};
    e->refused = false;
    for (unsigned i = 0; i < a->page_count; i++) {
        page_charge(a->pages[i], &c->bytes);
        seen_add_page(&c->seen, &e->q.repo, a->pages[i]);
    }
}

/* Whether GitHub has said that there is nothing for us, rather than could not be asked: then what it
 * said before is shown no more, also if it cannot be asked next time. */
static bool is_refusal(enum source_reason reason)
{
    return reason == SOURCE_NOT_FOUND || reason == SOURCE_FORBIDDEN || reason == SOURCE_EXPIRED;
}

/* Whether GitHub could be asked, and gave no answer that is of use. */
static bool is_held(enum source_reason reason)
{
    return is_refusal(reason) || reason == SOURCE_PROTOCOL || reason == SOURCE_BROKEN ||
           reason == SOURCE_OVERSIZE || reason == SOURCE_REFUSED;
}

/* The asker can do without the answer. Where there is no such thing (404) nothing is missing. */
static void say_without(const struct entry *e)
{
    enum source_reason reason = e->round->failure.reason;

    if (is_held(reason) && reason != SOURCE_NOT_FOUND)
        diag_say(e->catalog->config.diag, DIAG_WARNING,
                 "API: %s/%s: the list of the runs with %s%s cannot be had: shown without it",
                 e->q.repo.owner, e->q.repo.repo,
                 e->q.what == SOURCE_WORKFLOW_RUNS ? "workflow=" : "", e->q.filter);
}

/* Lock held. Those who wait see it when they ask: what one answer of several comes to is theirs to
 * decide. */
static void adopt_failure(struct entry *e)
{
    const struct round *r = e->round;
    int64_t now = e->catalog->config.now_ms();
    int64_t hold = FAILURE_HOLD_MS;

    e->failure = r->failure;
    e->failed_ms = now;
    e->refused |= is_refusal(r->failure.reason);
    if (is_list(e) && is_of_size(&r->failure)) {
        if (r->was_heard && r->failure.reason == SOURCE_UNREACHABLE)
            e->failure.reason = SOURCE_BROKEN;
        e->is_failing = true;
        if (e->failure.reason != SOURCE_UNREACHABLE)
            hold = FAILING_HOLD_MS;
    }
    if (e->is_extra && is_held(r->failure.reason))
        hold = FAILING_HOLD_MS;
    if (e->failure.until_ms < now + hold)
        e->failure.until_ms = now + hold;
}

/* Lock not held. Whether the answer there is now has nothing missing that is known of. */
static bool was_fine(struct entry *e)
{
    bool fine;

    pthread_mutex_lock(&e->catalog->lock);
    fine = !e->answer || e->answer->adds_up;
    pthread_mutex_unlock(&e->catalog->lock);
    return fine;
}

/* What is seen of an answer once it is adopted. */
static void complete_answer(struct entry *e, struct answer *a)
{
    bool may_settle;

    pthread_mutex_lock(&e->catalog->lock);
    may_settle = e->round_may_settle;
    pthread_mutex_unlock(&e->catalog->lock);
    a->view.settled = a->adds_up && may_settle &&
                      answer_has_ended(e->q.what, &a->view, e->catalog->config.wall_ms());
    if (e->round->changed || a->view.settled)
        save_list(e, a);
    if (!a->adds_up)
        say(e, "does not add up to its total_count: what came is shown, it is asked for again");
}

/* Ends the round with this answer; NULL: with its failure. */
static void finish_round(struct entry *e, struct answer *a)
{
    struct catalog *c = e->catalog;
    struct round *r = e->round;
    struct answer *old = NULL;

    if (a)
        complete_answer(e, a);
    else if (e->is_extra)
        say_without(e);
    pthread_mutex_lock(&c->lock);
    if (a) {
        old = e->answer;
        adopt_answer(e, a);
        e->is_failing = false;
        if (!r->is_probe)
            e->page_size = r->page_size;
    } else {
        adopt_failure(e);
    }
    e->phase = ENTRY_IDLE;
    e->round = NULL;
    pthread_mutex_unlock(&c->lock);
    free(r);
    answer_unref(old);
    catalog_trim(c);
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
    entry_put(e);
}

static void begin(struct task *task);

static void drop_pages(struct round *r)
{
    for (unsigned i = 0; i < r->page_count; i++) {
        page_unref(r->pages[i]);
        r->pages[i] = NULL;
    }
}

/* The same from its first page on, in pages of this size. */
static void begin_again(struct entry *e, unsigned page_size, int64_t after_ms)
{
    struct round *r = e->round;

    drop_pages(r);
    r->page_size = page_size;
    r->page_count = 1;
    r->asked = 0;
    r->failure = (struct source_failure){0};
    e->begin.run = begin;
    tasks_post_after(e->catalog->clerk, &e->begin, after_ms);
}

static void conclude_failure(struct entry *e)
{
    struct round *r = e->round;
    unsigned smaller = smaller_size(r->page_size);
    struct answer *doubtful = r->doubtful;
    bool is_list_of_size = is_list(e) && is_of_size(&r->failure);

    r->was_heard |= r->failure.reason != SOURCE_UNREACHABLE;
    if (is_list_of_size && smaller && !r->is_probe && !e->is_extra) {
        begin_again(e, smaller, r->failure.reason == SOURCE_UNREACHABLE ? 0 : REST_MS);
        return;
    }
    drop_pages(r);
    if (is_refusal(r->failure.reason)) {
        answer_unref(doubtful);
        doubtful = NULL;
        if (e->q.what == SOURCE_ATTEMPT_JOBS)
            say(e, "is refused, though the run is listed");
    }
    if (is_list_of_size && r->was_heard && !doubtful && !e->is_extra)
        say(e, "cannot be had, not even in small pages: it is asked for once a minute");
    finish_round(e, doubtful);
}

/* Of two that do not add up the one that has more. */
static struct answer *choose(struct answer *first, struct answer *second)
{
    bool is_second = second->adds_up || second->view.count >= first->view.count;

    answer_unref(is_second ? first : second);
    return is_second ? second : first;
}

/* One without end is not asked for once more: that took as many requests as are ever sent for a list. */
static void conclude(struct entry *e)
{
    struct round *r = e->round;
    struct answer *a = r->failure.reason == SOURCE_FINE ? make_answer(e) : NULL;

    if (!a) {
        conclude_failure(e);
    } else if (!a->adds_up && !r->doubtful && was_fine(e) && r->page_count < pages_max(r)) {
        r->doubtful = a;
        begin_again(e, r->page_size, 0);
    } else {
        finish_round(e, r->doubtful ? choose(r->doubtful, a) : a);
    }
}

static void go_on(struct entry *e, unsigned page)
{
    struct round *r = e->round;

    if (r->failure.reason == SOURCE_FINE) {
        if (page == 0)
            r->page_count = count_pages(e, r->pages[0]);
        if (r->outstanding == 0 && r->asked == r->page_count && goes_on(e))
            r->page_count++;
        ask_pages(e);
    }
    if (r->outstanding == 0)
        conclude(e);
}

static void handle_page(struct task *task)
{
    struct page_ask *ask = list_entry(task, struct page_ask, task);
    struct entry *e = ask->entry;
    struct source *source = &e->catalog->config.source;
    unsigned page = ask->page;

    e->round->pages[page] = take_page(ask);
    e->round->outstanding--;
    source->ops->facts_release(source->self, &ask->facts);
    free(ask);
    go_on(e, page);
}

static void begin(struct task *task)
{
    struct entry *e = list_entry(task, struct entry, begin);
    struct round *r = e->round;

    if (atomic_load(&e->catalog->is_stopping)) /* nobody would answer */
        fail_round(r, &(struct source_failure){.err = -ECONNABORTED, .reason = SOURCE_CLOSING});
    ask_pages(e);
    if (r->outstanding == 0)
        conclude(e);
}

void round_start(struct entry *e)
{
    struct round *r = calloc(1, sizeof(*r));

    if (!r) {
        pthread_mutex_lock(&e->catalog->lock);
        e->phase = ENTRY_IDLE;
        pthread_mutex_unlock(&e->catalog->lock);
        pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, -ENOMEM);
        entry_put(e);
        return;
    }
    pthread_mutex_lock(&e->catalog->lock);
    r->is_probe = e->is_failing || (e->is_extra && e->failure.reason != SOURCE_FINE);
    r->page_size = e->is_failing && !e->is_extra ? smallest_size(e)
                   : e->page_size                ? e->page_size
                                                 : full_size(e);
    pthread_mutex_unlock(&e->catalog->lock);
    r->page_count = 1;
    e->round = r;
    e->begin.run = begin;
    tasks_post(e->catalog->clerk, &e->begin);
}

/* --- from disk --- */

void entry_load(struct entry *e)
{
    struct catalog *c = e->catalog;
    struct page *pages[SAVED_PAGES_MAX];
    struct answer *a = NULL;
    struct saved_list list;

    if (!saved_load(c->config.store, e->key, e->q.what, pages, &list))
        a = answer_create(list.pages, list.page_count, e->q.limit);
    if (a) {
        a->page_size = list.page_size;
        a->adds_up = list.adds_up;
        a->view.settled = list.settled &&
                          answer_has_ended(e->q.what, &a->view, c->config.wall_ms());
    }
    pthread_mutex_lock(&c->lock);
    if (a && !e->answer) { /* else it was learnt beside the way meanwhile */
        adopt_answer(e, a);
        e->answered_ms = 0;
        a = NULL;
    }
    e->phase = ENTRY_IDLE;
    pthread_mutex_unlock(&c->lock);
    answer_unref(a);
    catalog_trim(c);
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
}

/* --- beside the way --- */

struct adoption {
    struct task task;
    struct entry *entry;
    char *body;
    size_t len;
};

static void end_adoption(struct adoption *ad)
{
    atomic_fetch_sub(&ad->entry->catalog->adopted, ad->len);
    entry_put(ad->entry);
    free(ad->body);
    free(ad);
}

static void run_adoption(struct task *task)
{
    struct adoption *ad = list_entry(task, struct adoption, task);
    struct entry *e = ad->entry;
    struct catalog *c = e->catalog;
    struct answer *a = NULL, *old = NULL;
    struct page *p;

    if (!page_parse(e->q.what, ad->body, ad->len, "", 0, &p))
        a = answer_create(&p, 1, 1);
    if (a) {
        a->page_size = full_size(e);
        a->adds_up = true;
        a->view.settled = answer_has_ended(e->q.what, &a->view, c->config.wall_ms());
        saved_put_page(c->config.store, e->key, a->pages[0], ad->body, ad->len);
        save_list(e, a);
        pthread_mutex_lock(&c->lock);
        old = e->answer;
        adopt_answer(e, a);
        if (e->phase == ENTRY_NEW)
            e->phase = ENTRY_IDLE;
        pthread_mutex_unlock(&c->lock);
        answer_unref(old);
        catalog_trim(c);
    }
    end_adoption(ad);
}

void entry_adopt(struct entry *e, const char *body, size_t len)
{
    struct catalog *c = e->catalog;
    struct adoption *ad = calloc(1, sizeof(*ad));
    bool fits = atomic_fetch_add(&c->adopted, len) + len <= ADOPTED_BYTES_MAX;

    if (ad && fits)
        ad->body = malloc(len + 1);
    if (!ad || !ad->body) { /* it is asked for when it is wanted */
        atomic_fetch_sub(&c->adopted, len);
        free(ad);
        entry_put(e);
        return;
    }
    memcpy(ad->body, body, len);
    ad->len = len;
    ad->entry = e;
    ad->task.run = run_adoption;
    tasks_post(c->clerk, &ad->task);
}
