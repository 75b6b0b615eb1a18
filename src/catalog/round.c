/*
 * round.c - one round of requests: the first page, then the rest in parallel, then one snapshot or
 * one failure. All of it runs on the parser thread but on_page (network thread) and round_prepare.
 */
#include "catalog/internal.h"

#include "diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL_HOLD_MS 5000 /* a malformed answer is not requested again before */
#define FAILURE_HOLD_MS 1000  /* nor what has failed */

/*
 * A list whose large pages cannot be read is requested in smaller ones: GitHub then answers every
 * request for large ones with 5xx, or too late, or with more than is accepted. In all that is 9
 * requests within 10 s; what still fails then is requested once a minute.
 */
#define PAGE_MEDIUM 30
#define PAGE_SMALL 10
#define TRIES_LARGE 2
#define TRIES_SMALLEST 5
#define TRIES_SMALLEST_LATER 3 /* of its second page and later ones */
#define TRIES_MAX (2 * TRIES_LARGE + TRIES_SMALLEST)
#define WAITS_MAX 4  /* for an answer that does not come in time; one of them in a large page */
#define REST_MS 1000 /* before smaller pages: GitHub may be in trouble itself */
#define FAILING_HOLD_MS 60000 /* what fails in all sizes is not requested again before */
#define EXTRA_TRIES 4         /* of an extra question: three faults are not noticed */

_Static_assert(PAGES_MAX >= CATALOG_ENTRIES_MAX / PAGE_SMALL, "the smallest pages of a whole list");

/* --- sizes and tries --- */

static bool is_list(const struct entry *e)
{
    return e->q.what != SOURCE_JOB && e->q.what != SOURCE_RUN && e->q.what != SOURCE_RUN_ATTEMPT &&
           e->q.what != SOURCE_PULL;
}

/* 0: there is none. */
static unsigned smaller_size(unsigned size)
{
    if (size > PAGE_MEDIUM)
        return PAGE_MEDIUM;
    return size > PAGE_SMALL ? PAGE_SMALL : 0;
}

static unsigned pages_max(const struct round *r)
{
    unsigned max = (CATALOG_ENTRIES_MAX + r->page_size - 1) / r->page_size;

    return max < PAGES_MAX ? max : PAGES_MAX;
}

/* Whether smaller pages may help: not where the host is down, or nothing is requested. */
static bool is_of_size(const struct source_failure *f)
{
    return (f->reason == SOURCE_BROKEN && f->err != -ENOMEM) || f->reason == SOURCE_OVERSIZE ||
           f->reason == SOURCE_REFUSED || (f->reason == SOURCE_UNREACHABLE && f->err == -ETIMEDOUT);
}

/* How often a page is requested; 0: as often as fits the deadline. */
static unsigned tries_of(const struct entry *e, unsigned page)
{
    const struct round *r = &e->round;
    unsigned left = r->tries_spent < TRIES_MAX ? TRIES_MAX - r->tries_spent : 1;
    unsigned tries = page == 0 ? TRIES_SMALLEST : TRIES_SMALLEST_LATER;

    if (r->is_probe && page == 0)
        return 1;
    if (r->is_extra)
        return EXTRA_TRIES;
    if (!is_list(e))
        return 0;
    if (smaller_size(r->page_size))
        tries = TRIES_LARGE;
    return tries < left ? tries : left;
}

/* --- requests --- */

static void fail_round(struct round *r, const struct source_failure *failure)
{
    if (r->failure.reason == SOURCE_FINE)
        r->failure = *failure;
}

/* Nothing is outstanding. */
static void set_page_count(struct round *r, unsigned count)
{
    struct page_query *queries = realloc(r->queries, count * sizeof(*queries));

    if (!queries) {
        fail_round(r, &(struct source_failure){.err = -ENOMEM, .reason = SOURCE_BROKEN});
        return;
    }
    r->queries = queries;
    if (count > r->page_count)
        memset(queries + r->page_count, 0, (count - r->page_count) * sizeof(*queries));
    r->page_count = count;
}

/* The page of the answer before, if it answers the same question and can be relied upon. The answer
 * is the parser's to replace while its entry is asking, so it is read without the lock. */
static struct page *old_page(const struct entry *e, unsigned page)
{
    const struct answer *a = e->answer;

    if (a && a->adds_up && a->page_size == e->round.page_size && page < a->page_count)
        return a->pages[page];
    return NULL;
}

static void handle_page(struct task *task);

/* Network thread: hands over to the parser. */
static void on_page(struct source_facts *facts, const struct source_answer *answer)
{
    struct page_query *query = list_entry(facts, struct page_query, facts);
    struct catalog *c = query->entry->catalog;

    atomic_fetch_add(&query->entry->received, answer->failure ? 0 : answer->len);
    pending_touch(&query->entry->wait, c->config.now_ms());
    if (answer->failure) {
        query->failure = *answer->failure;
    } else {
        query->not_modified = answer->not_modified;
        query->next_page = answer->next_page;
        snprintf(query->etag, sizeof(query->etag), "%s", answer->etag ? answer->etag : "");
        query->body = answer->body;
        query->len = answer->len;
    }
    query->task.run = handle_page;
    tasks_post(c->parser, &query->task);
}

static void request_page(struct entry *e, unsigned page)
{
    struct source *source = &e->catalog->config.source;
    struct round *r = &e->round;
    struct page_query *query = &r->queries[page];
    const struct page *old = r->doubtful ? NULL : old_page(e, page);
    unsigned waits = r->waits_spent < WAITS_MAX ? WAITS_MAX - r->waits_spent : 1;

    if (smaller_size(r->page_size) || r->is_probe)
        waits = 1;
    query->entry = e;
    query->facts = (struct source_facts){.question = e->q.what,
                                         .repo = e->q.repo,
                                         .id = e->q.id,
                                         .attempt = e->q.attempt,
                                         .page = page + 1,
                                         .per_page = r->page_size,
                                         .tries = tries_of(e, page),
                                         .waits = waits,
                                         .waits_for = &e->waits_for,
                                         .done = on_page};
    snprintf(query->facts.filter, sizeof(query->facts.filter), "%s", e->q.filter);
    if (old)
        memcpy(query->facts.etag, old->etag, sizeof(old->etag));
    r->outstanding++;
    source->ops->want_facts(source->self, &query->facts);
}

/* All at once. In pages smaller than wanted as many at once as have come, for they may fail too. */
static void request_pages(struct entry *e)
{
    struct round *r = &e->round;

    while (r->requested < r->page_count && r->failure.reason == SOURCE_FINE) {
        unsigned come = r->requested - r->outstanding;
        if (r->requested > 0 && r->page_size < entry_full_size(e) && r->outstanding >= come)
            return;
        request_page(e, r->requested++);
    }
}

/* The errno does not tell what was wrong, and with which question. */
static void tell(const struct entry *e, enum diag_level level, const char *what)
{
    static const char *const about[] = {[SOURCE_JOB] = "job",
                                        [SOURCE_RUN] = "run",
                                        [SOURCE_RUN_ATTEMPT] = "an attempt of run",
                                        [SOURCE_ATTEMPT_JOBS] = "the jobs of run",
                                        [SOURCE_RUNS] = "the runs",
                                        [SOURCE_WORKFLOW_RUNS] = "the runs of a workflow",
                                        [SOURCE_OWNER_REPOS] = "the repositories",
                                        [SOURCE_MY_REPOS] = "the repositories",
                                        [SOURCE_PULL] = "pull request"};
    char id[24] = "";

    if (e->q.id)
        snprintf(id, sizeof(id), " %llu", (unsigned long long)e->q.id);
    diag_log(e->catalog->config.diag, level, "API: %s%s%s: %s%s: %s", e->q.repo.owner,
             e->q.repo.repo[0] ? "/" : "", e->q.repo.repo, about[e->q.what], id, what);
}

/* What the body or the 304 stands for; NULL: the round has failed. A new page is saved at once: its
 * body need not be kept until the round is through. */
static struct page *take_page(struct entry *e, const struct page_query *query)
{
    struct source_failure malformed = {.err = -EPROTO, .reason = SOURCE_PROTOCOL};
    struct page *old = old_page(e, query->facts.page - 1), *p = NULL;
    struct round *r = &e->round;
    int rc = -EPROTO;

    if (query->failure.reason != SOURCE_FINE) {
        r->tries_spent += query->facts.tries;
        if (query->failure.err == -ETIMEDOUT)
            r->waits_spent += query->facts.waits;
        fail_round(r, &query->failure);
        return NULL;
    }
    if (query->not_modified && old)
        return page_ref(old);
    if (!query->not_modified) {
        r->bytes += query->len;
        if (r->bytes <= ENTRY_BYTES_MAX)
            rc = page_parse(e->q.what, query->body, query->len, query->etag, query->next_page, &p);
    }
    if (!rc) {
        r->changed = true;
        page_save(p, e->catalog->config.store, e->key, query->body, query->len);
        return p;
    }
    if (rc == -EPROTO)
        tell(e, DIAG_WARNING, "the answer is malformed");
    malformed.err = rc;
    malformed.until_ms = e->catalog->config.now_ms() + PROTOCOL_HOLD_MS;
    fail_round(r, &malformed);
    return NULL;
}

/* --- how many pages there are --- */

/* Entries that the listing has, as far as they are wanted, by its first page. */
static uint64_t count_wanted(const struct entry *e, const struct page *first)
{
    uint64_t want = e->q.limit ? e->q.limit : CATALOG_ENTRIES_MAX;

    return first->total >= 0 && (uint64_t)first->total < want ? (uint64_t)first->total : want;
}

/* How many pages the listing has, by its first; at least one. A listing that does not give its
 * length, or has less on its first page than was requested and no next page, is followed from page
 * to page. */
static unsigned count_pages(const struct entry *e, const struct page *first)
{
    uint64_t want = count_wanted(e, first), size = e->round.page_size, count = 1;

    if (first->total < 0 || (!first->next_page && first->sent < size))
        return 1;
    if (want > first->sent)
        count += (want - first->sent + size - 1) / size;
    return count > pages_max(&e->round) ? pages_max(&e->round) : (unsigned)count;
}

/*
 * A listing that continues beyond the count of its first page is followed, up to an empty page. So
 * is one without a Link (a proxy may have dropped it) that has less than its count, or, without a
 * count, as long as its pages are full.
 */
static bool has_more(const struct entry *e)
{
    const struct round *r = &e->round;
    const struct page *first = r->queries[0].page, *last = r->queries[r->page_count - 1].page;
    uint64_t sent = 0;

    if (!is_list(e) || r->page_count >= pages_max(r) || !last->sent)
        return false;
    for (unsigned i = 0; i < r->page_count; i++)
        sent += r->queries[i].page->sent;
    if (e->q.limit && sent >= e->q.limit)
        return false;
    if (last->next_page)
        return true;
    return first->total < 0 ? last->sent >= r->page_size : sent < count_wanted(e, first);
}

/* --- the end of a round --- */

static void drop_pages(struct round *r)
{
    for (unsigned i = 0; i < r->page_count; i++)
        page_unref(r->queries[i].page);
    r->page_count = 0;
    r->requested = 0;
}

/* The round's pages as one snapshot; NULL: no memory. */
static struct answer *make_answer(struct entry *e)
{
    struct round *r = &e->round;
    struct answer *a = answer_create(r->page_count, r->page_size);

    for (unsigned i = 0; a && i < r->page_count; i++)
        a->pages[a->page_count++] = page_ref(r->queries[i].page);
    drop_pages(r);
    if (a && !answer_index(a, e->q.limit)) {
        a->adds_up = answer_adds_up(a, &e->q);
        return a;
    }
    answer_unref(a);
    fail_round(r, &(struct source_failure){.err = -ENOMEM, .reason = SOURCE_BROKEN});
    return NULL;
}

/* Whether GitHub has answered that there is nothing for us, rather than could not be asked:
 * then what it answered before is hidden, also if the next request fails. */
static bool is_refusal(enum source_reason reason)
{
    return reason == SOURCE_NOT_FOUND || reason == SOURCE_FORBIDDEN || reason == SOURCE_EXPIRED;
}

/* Whether GitHub could be reached, and gave no usable answer. */
static bool is_held(enum source_reason reason)
{
    return is_refusal(reason) || reason == SOURCE_PROTOCOL || reason == SOURCE_BROKEN ||
           reason == SOURCE_OVERSIZE || reason == SOURCE_REFUSED;
}

/* Lock held. Callers that wait find the failure when they ask again: what it means for a view of
 * several answers is theirs to decide. */
static void adopt_failure(struct entry *e)
{
    const struct round *r = &e->round;
    int64_t now = e->catalog->config.now_ms();
    int64_t hold = FAILURE_HOLD_MS;

    e->failure = r->failure;
    e->failure_number = ++e->catalog->outcomes;
    e->refused |= is_refusal(r->failure.reason);
    for (unsigned i = 0; e->refused && e->answer && i < e->answer->page_count; i++)
        seen_withdraw_proof(&e->catalog->seen, &e->q.repo, e->answer->pages[i]);
    if (is_list(e) && is_of_size(&r->failure)) {
        if (r->was_heard && r->failure.reason == SOURCE_UNREACHABLE)
            e->failure.reason = SOURCE_BROKEN;
        e->is_failing = true;
        if (e->failure.reason != SOURCE_UNREACHABLE)
            hold = FAILING_HOLD_MS;
    }
    if (r->is_extra && is_held(r->failure.reason))
        hold = FAILING_HOLD_MS;
    if (e->failure.until_ms < now + hold)
        e->failure.until_ms = now + hold;
}

static void tell_of_extra(const struct entry *e)
{
    const char *kind = e->q.what == SOURCE_WORKFLOW_RUNS ? "workflow=" : "";

    if (e->q.what == SOURCE_PULL)
        tell(e, DIAG_NOTICE, "no answer: the view is shown without what it would add");
    else
        diag_log(e->catalog->config.diag, DIAG_NOTICE,
                 "API: %s/%s: the runs with %s%s: no answer: the view is shown without them",
                 e->q.repo.owner, e->q.repo.repo, kind, e->q.filter);
}

/* Ends the round with this answer; NULL: with its failure. */
static void finish_round(struct entry *e, struct answer *a)
{
    struct catalog *c = e->catalog;
    struct round *r = &e->round;
    struct answer *old = NULL;

    if (a) {
        a->view.settled = a->adds_up && r->may_settle &&
                          answer_has_ended(e->q.what, a, c->config.wall_ms());
        if (r->changed || a->view.settled)
            answer_save(a, c->config.store, e->key);
        if (!a->adds_up)
            tell(e, DIAG_NOTICE,
                 "the list does not match its total_count: shown as it is, requested again");
    } else if (r->is_extra && is_held(r->failure.reason) && r->failure.reason != SOURCE_NOT_FOUND) {
        /* Where there is no such thing (404) nothing is missing. */
        tell_of_extra(e);
    }
    free(r->queries);
    r->queries = NULL;
    pthread_mutex_lock(&c->lock);
    if (a) {
        old = entry_adopt_answer(e, a, true);
        e->is_failing = false;
        if (!r->is_probe)
            e->page_size = r->page_size;
    } else {
        adopt_failure(e);
    }
    e->phase = ENTRY_IDLE;
    list_remove(&e->in_asking);
    c->asking_count--;
    pthread_mutex_unlock(&c->lock);
    answer_unref(old);
    catalog_trim(c);
    entry_wake(e);
    entry_put(e);
}

/* The same from its first page on, in pages of this size. */
static void begin_again(struct entry *e, unsigned page_size, int64_t after_ms)
{
    struct round *r = &e->round;

    drop_pages(r);
    r->page_size = page_size;
    r->failure = (struct source_failure){0};
    tasks_post_after(e->catalog->parser, &r->begin, after_ms);
}

static void conclude_failure(struct entry *e)
{
    struct round *r = &e->round;
    unsigned smaller = smaller_size(r->page_size);
    struct answer *doubtful = r->doubtful;
    bool is_list_of_size = is_list(e) && is_of_size(&r->failure);

    r->was_heard |= r->failure.reason != SOURCE_UNREACHABLE;
    if (is_list_of_size && smaller && !r->is_probe && !r->is_extra) {
        begin_again(e, smaller, r->failure.reason == SOURCE_UNREACHABLE ? 0 : REST_MS);
        return;
    }
    drop_pages(r);
    if (is_refusal(r->failure.reason)) {
        answer_unref(doubtful);
        doubtful = NULL;
        if (e->q.what == SOURCE_ATTEMPT_JOBS)
            tell(e, DIAG_NOTICE, "GitHub refuses this list, although it lists the run");
    }
    if (is_list_of_size && r->was_heard && !doubtful && !r->is_extra)
        tell(e, DIAG_WARNING, "no answer, not even in small pages: requested again once a minute");
    finish_round(e, doubtful);
}

/* A listing without end is not requested once more: it has already taken as many requests as are
 * ever sent for a list. Of two that do not add up the longer one is taken. */
static void conclude(struct entry *e)
{
    struct round *r = &e->round;
    bool was_fine = !e->answer || e->answer->adds_up, is_endless = r->page_count >= pages_max(r);
    struct answer *a = r->failure.reason == SOURCE_FINE ? make_answer(e) : NULL;

    if (!a) {
        conclude_failure(e);
    } else if (!a->adds_up && !r->doubtful && was_fine && !is_endless) {
        r->doubtful = a;
        begin_again(e, r->page_size, 0);
    } else if (r->doubtful && !a->adds_up && a->view.count < r->doubtful->view.count) {
        answer_unref(a);
        finish_round(e, r->doubtful);
    } else {
        answer_unref(r->doubtful);
        finish_round(e, a);
    }
}

static void handle_page(struct task *task)
{
    struct page_query *query = list_entry(task, struct page_query, task);
    struct entry *e = query->entry;
    struct source *source = &e->catalog->config.source;
    struct round *r = &e->round;

    query->page = take_page(e, query);
    r->outstanding--;
    source->ops->facts_release(source->self, &query->facts);
    if (r->failure.reason == SOURCE_FINE) {
        if (query == r->queries)
            set_page_count(r, count_pages(e, query->page));
        if (r->outstanding == 0 && r->requested == r->page_count && has_more(e))
            set_page_count(r, r->page_count + 1);
        request_pages(e);
    }
    if (r->outstanding == 0)
        conclude(e);
}

static void begin(struct task *task)
{
    struct round *r = list_entry(task, struct round, begin);
    struct entry *e = list_entry(r, struct entry, round);

    if (atomic_load(&e->catalog->is_stopping)) /* the source is closed */
        fail_round(r, &(struct source_failure){.err = -ECONNABORTED, .reason = SOURCE_CLOSING});
    set_page_count(r, 1);
    request_pages(e);
    if (r->outstanding == 0)
        conclude(e);
}

void round_prepare(struct entry *e, bool is_extra, int64_t now_ms)
{
    unsigned size = entry_full_size(e);

    if (e->is_failing && !is_extra)
        size = size > PAGE_SMALL ? PAGE_SMALL : size;
    else if (e->page_size)
        size = e->page_size;
    e->phase = ENTRY_ASKING;
    list_push_back(&e->catalog->asking, &e->in_asking);
    e->catalog->asking_count++;
    atomic_store(&e->received, 0);
    progress_wait_note(&e->waits_for, PROGRESS_FLOWS, 0);
    e->users++;
    e->round = (struct round){
        .started_ms = now_ms,
        .is_extra = is_extra,
        .may_settle = e->q.may_settle || e->q.what == SOURCE_JOB || e->q.what == SOURCE_RUN_ATTEMPT,
        .is_probe = e->is_failing || (is_extra && e->failure.reason != SOURCE_FINE),
        .page_size = size,
        .begin.run = begin,
    };
}
