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
#define FAILURE_HOLD_MS 1000  /* nor what has failed for a while when this was told */
#define EXTRA_HOLD_MS 60000   /* nor what was refused and can be done without */

/* One page under way. */
struct page_ask {
    struct source_facts facts;
    struct task task;
    struct entry *entry;
    unsigned page; /* from 0 */
    /* the answer, copied on the network thread */
    struct source_failure failure;
    bool not_modified;
    char *body;
    size_t len;
    char etag[SOURCE_ETAG_LEN];
    unsigned next_page;
};

void entry_page_key(const struct entry *e, unsigned page, char key[ENTRY_RECORD_LEN])
{
    snprintf(key, ENTRY_RECORD_LEN, "%s/%u", e->key, page + 1);
}

static void handle_page(struct task *task);

/* Network thread: copies and hands over. */
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
        if (!answer->not_modified) {
            ask->body = malloc(answer->len + 1);
            if (ask->body && answer->len)
                memcpy(ask->body, answer->body, answer->len);
            ask->len = answer->len;
        }
    }
    ask->task.run = handle_page;
    tasks_post(c->clerk, &ask->task);
}

/* The page of the answer before, if there is one; lock not held. Counted. */
static struct page *old_page(struct entry *e, unsigned page)
{
    struct page *p = NULL;

    pthread_mutex_lock(&e->catalog->lock);
    if (e->answer && page < e->answer->page_count)
        p = page_ref(e->answer->pages[page]);
    pthread_mutex_unlock(&e->catalog->lock);
    return p;
}

static void fail_round(struct round *r, const struct source_failure *failure)
{
    if (r->failure.reason == SOURCE_FINE)
        r->failure = *failure;
}

static unsigned page_size(const struct entry *e)
{
    return e->q.limit && e->q.limit < CATALOG_PAGE ? e->q.limit : CATALOG_PAGE;
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
                                       .per_page = page_size(e),
                                       .tries = e->tries,
                                       .done = on_page};
    snprintf(ask->facts.filter, sizeof(ask->facts.filter), "%s", e->q.filter);
    old = old_page(e, page);
    if (old)
        memcpy(ask->facts.etag, old->etag, sizeof(old->etag));
    page_unref(old);
    e->round->outstanding++;
    source->ops->want_facts(source->self, &ask->facts);
}

/* The errno does not say what was wrong. */
static void say_garbage(const struct entry *e)
{
    static const char *const about[] = {[SOURCE_JOB] = "a job",
                                        [SOURCE_RUN] = "a run",
                                        [SOURCE_RUN_ATTEMPT] = "a run's attempt",
                                        [SOURCE_RUN_JOBS] = "the jobs of a run",
                                        [SOURCE_ATTEMPT_JOBS] = "the jobs of a run",
                                        [SOURCE_RUNS] = "the runs",
                                        [SOURCE_WORKFLOW_RUNS] = "the runs of a workflow",
                                        [SOURCE_WORKFLOWS] = "the workflows",
                                        [SOURCE_OWNER_REPOS] = "the repositories",
                                        [SOURCE_MY_REPOS] = "the repositories"};

    diag_say(e->catalog->config.diag, DIAG_WARNING,
             "API: %s%s%s: the answer about %s makes no sense", e->q.repo.owner,
             e->q.repo.repo[0] ? "/" : "", e->q.repo.repo, about[e->q.what]);
}

static int parse_answer(const struct page_ask *ask, struct page **ret_page)
{
    if (ask->entry->round->bytes > ENTRY_BYTES_MAX)
        return -EPROTO;
    if (!ask->body)
        return -ENOMEM;
    return page_parse(ask->entry->q.what, ask->body, ask->len, ask->etag, ask->next_page, ret_page);
}

/* What the body or the 304 stands for; NULL: the round has failed. */
static struct page *take_page(struct page_ask *ask)
{
    struct source_failure garbage = {.err = -EPROTO, .reason = SOURCE_PROTOCOL};
    struct entry *e = ask->entry;
    struct page *p = NULL;
    int rc;

    if (ask->failure.reason != SOURCE_FINE) {
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
            say_garbage(e);
        garbage.err = rc;
        garbage.until_ms = e->catalog->config.now_ms() + PROTOCOL_HOLD_MS;
        fail_round(e->round, &garbage);
        return NULL;
    }
    e->round->bodies[ask->page] = ask->body;
    e->round->lens[ask->page] = ask->len;
    ask->body = NULL;
    return p;
}

static uint64_t count_entries(const struct page *p)
{
    return p->jobs.count + p->runs.count + p->repos.count + p->workflows.count;
}

/* How many pages the listing has, by its first; at least one. What says nothing of its length is
 * followed from page to page. */
static unsigned count_pages(const struct entry *e, const struct page *first)
{
    uint64_t want = e->q.limit ? e->q.limit : CATALOG_ENTRIES_MAX;
    uint64_t size = page_size(e);

    /* A full page without a Link, of a listing that has more: a proxy may have dropped the header. */
    if (first->total < 0 || (!first->next_page && count_entries(first) < size))
        return 1;
    if ((uint64_t)first->total < want)
        want = (uint64_t)first->total;
    want = (want + size - 1) / size;
    return want < 1 ? 1 : want > ENTRY_PAGES_MAX ? ENTRY_PAGES_MAX : (unsigned)want;
}

/* A listing that goes on beyond what its first page promised is followed. */
static bool goes_on(const struct entry *e, const struct page *last, unsigned page_count)
{
    if (!last || !last->next_page || page_count >= ENTRY_PAGES_MAX)
        return false;
    return !e->q.limit || page_count * page_size(e) < e->q.limit;
}

/*
 * Once the round is through: pages of different rounds make no listing. The first page leads to the
 * others, so it goes before they change and comes when they have.
 */
static void save_pages(struct entry *e, struct round *r, const struct answer *a)
{
    struct store *s = e->catalog->config.store;
    char key[ENTRY_RECORD_LEN];
    bool changed = a->view.settled;

    for (unsigned i = 0; i < a->page_count; i++)
        changed |= r->bodies[i] != NULL;
    if (!changed)
        return;
    entry_page_key(e, 0, key);
    if (!r->bodies[0] && page_load_body(s, key, &r->bodies[0], &r->lens[0]))
        r->bodies[0] = NULL;
    if (a->page_count > 1)
        store_drop_record(s, key);
    for (unsigned i = a->page_count; i-- > 0;) {
        if (!r->bodies[i])
            continue;
        entry_page_key(e, i, key);
        page_save(s, key, a->pages[i], r->bodies[i], r->lens[i], i == 0 && a->view.settled);
    }
}

static struct answer *make_answer(struct entry *e, struct round *r, bool may_settle)
{
    struct answer *a = answer_create(r->pages, r->page_count, e->q.limit, false);

    memset(r->pages, 0, sizeof(r->pages));
    if (!a) {
        fail_round(r, &(struct source_failure){.err = -ENOMEM, .reason = SOURCE_BROKEN});
        return NULL;
    }
    a->view.settled = may_settle &&
                      answer_has_ended(e->q.what, &a->view, e->catalog->config.wall_ms());
    save_pages(e, r, a);
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

/* The asker can do without the answer. If GitHub could be asked and gave none, it is not asked again
 * soon. Where there is no such thing (404) nothing is missing, and nothing is said. */
static void hold_extra(const struct entry *e, struct source_failure *failure)
{
    int64_t until_ms = e->catalog->config.now_ms() + EXTRA_HOLD_MS;

    if (!is_refusal(failure->reason) && failure->reason != SOURCE_PROTOCOL &&
        failure->reason != SOURCE_BROKEN)
        return;
    if (failure->until_ms < until_ms)
        failure->until_ms = until_ms;
    if (failure->reason != SOURCE_NOT_FOUND)
        diag_say(e->catalog->config.diag, DIAG_WARNING,
                 "API: %s/%s: the list of the runs with %s%s cannot be had: shown without it",
                 e->q.repo.owner, e->q.repo.repo,
                 e->q.what == SOURCE_WORKFLOW_RUNS ? "workflow=" : "", e->q.filter);
}

static void finish_round(struct entry *e)
{
    struct catalog *c = e->catalog;
    struct round *r = e->round;
    struct answer *a = NULL, *old = NULL;
    bool may_settle;
    int err = 0;

    pthread_mutex_lock(&c->lock);
    may_settle = e->round_may_settle;
    pthread_mutex_unlock(&c->lock);
    if (r->failure.reason == SOURCE_FINE)
        a = make_answer(e, r, may_settle);
    if (e->tries)
        hold_extra(e, &r->failure);
    pthread_mutex_lock(&c->lock);
    if (a) {
        old = e->answer;
        adopt_answer(e, a);
    } else {
        int64_t now = c->config.now_ms();
        e->failure = r->failure;
        e->refused |= is_refusal(r->failure.reason);
        if (r->failure.until_ms <= now && e->answer)
            e->failure.until_ms = now + FAILURE_HOLD_MS; /* those who wait see it when they ask */
        else if (r->failure.until_ms <= now)
            err = r->failure.err;
    }
    e->phase = ENTRY_IDLE;
    e->round = NULL;
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < r->page_count; i++) {
        page_unref(r->pages[i]);
        free(r->bodies[i]);
    }
    free(r);
    answer_unref(old);
    catalog_trim(c);
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, err);
    entry_put(e);
}

static void go_on(struct entry *e, unsigned page)
{
    struct round *r = e->round;
    bool failed = r->failure.reason != SOURCE_FINE;
    unsigned known = r->page_count;

    if (!failed && page == 0)
        r->page_count = count_pages(e, r->pages[0]);
    if (!failed && r->outstanding == 0 && r->page_count == known &&
        goes_on(e, r->pages[known - 1], known))
        r->page_count++;
    for (unsigned i = known; i < r->page_count; i++)
        ask_page(e, i);
    if (r->outstanding == 0)
        finish_round(e);
}

static void handle_page(struct task *task)
{
    struct page_ask *ask = list_entry(task, struct page_ask, task);
    struct entry *e = ask->entry;
    unsigned page = ask->page;

    e->round->pages[page] = take_page(ask);
    e->round->outstanding--;
    free(ask->body);
    free(ask);
    go_on(e, page);
}

static void begin(struct task *task)
{
    struct entry *e = list_entry(task, struct entry, begin);

    ask_page(e, 0);
    if (e->round->outstanding == 0)
        finish_round(e);
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
    r->page_count = 1;
    e->round = r;
    e->begin.run = begin;
    tasks_post(e->catalog->clerk, &e->begin);
}

/* --- from disk --- */

/* All pages of the listing's records; 0 if there is one that is missing. */
static unsigned load_pages(struct entry *e, struct page *pages[ENTRY_PAGES_MAX], bool *ret_settled)
{
    char key[ENTRY_RECORD_LEN];
    unsigned count = 0, want = 1;
    bool ignored;

    while (count < want) {
        entry_page_key(e, count, key);
        if (page_load(e->catalog->config.store, key, e->q.what, &pages[count],
                      count ? &ignored : ret_settled))
            break;
        if (count++ == 0)
            want = count_pages(e, pages[0]);
        if (count == want && goes_on(e, pages[count - 1], count))
            want++;
    }
    if (count == want)
        return count;
    while (count > 0)
        page_unref(pages[--count]);
    return 0;
}

void entry_load(struct entry *e)
{
    struct catalog *c = e->catalog;
    struct page *pages[ENTRY_PAGES_MAX];
    struct answer *a = NULL;
    bool settled = false;
    unsigned count = load_pages(e, pages, &settled);

    if (count)
        a = answer_create(pages, count, e->q.limit, false);
    if (a)
        a->view.settled = settled && answer_has_ended(e->q.what, &a->view, c->config.wall_ms());
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

static void run_adoption(struct task *task)
{
    struct adoption *ad = list_entry(task, struct adoption, task);
    struct entry *e = ad->entry;
    struct catalog *c = e->catalog;
    struct answer *a = NULL, *old = NULL;
    struct page *p;
    char key[ENTRY_RECORD_LEN];

    if (!page_parse(e->q.what, ad->body, ad->len, "", 0, &p))
        a = answer_create(&p, 1, 1, false);
    if (a) {
        a->view.settled = answer_has_ended(e->q.what, &a->view, c->config.wall_ms());
        entry_page_key(e, 0, key);
        page_save(c->config.store, key, a->pages[0], ad->body, ad->len, a->view.settled);
        pthread_mutex_lock(&c->lock);
        old = e->answer;
        adopt_answer(e, a);
        if (e->phase == ENTRY_NEW)
            e->phase = ENTRY_IDLE;
        pthread_mutex_unlock(&c->lock);
        answer_unref(old);
        catalog_trim(c);
    }
    entry_put(e);
    free(ad->body);
    free(ad);
}

void entry_adopt(struct entry *e, const char *body, size_t len)
{
    struct adoption *ad = calloc(1, sizeof(*ad));

    if (ad)
        ad->body = malloc(len + 1);
    if (!ad || !ad->body) {
        free(ad);
        entry_put(e);
        return;
    }
    memcpy(ad->body, body, len);
    ad->len = len;
    ad->entry = e;
    ad->task.run = run_adoption;
    tasks_post(e->catalog->clerk, &ad->task);
}
