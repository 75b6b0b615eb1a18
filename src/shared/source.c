/*
 * The source: what becomes of each log that is wanted, at the store or behind it.
 */
#include "shared/put.h"
#include "shared/server.h"
#include "shared/shared.h"
#include "shared/verify.h"

#include "diag.h"
#include "store/meta.h"
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MISSED_MAX 4096 /* jobs known not to be there; a new one may replace another */
#define PAGE STORE_PAGE_SIZE

struct shared {
    struct shared_config config;
    struct shared_server server;
    atomic_bool closed;
    struct put *put;       /* NULL: nothing is sent */
    struct verify *verify; /* NULL: nothing is compared */
    atomic_uint_fast64_t missed[MISSED_MAX];
    atomic_uint_fast64_t given[MISSED_MAX]; /* the same of jobs whose logs it gave */

    pthread_mutex_t lock;
    struct list logs;   /* lock; of struct source_log */
    struct list posted; /* lock; source_task, for the store's thread */
    bool is_posted;     /* lock; net_task is posted, or runs */
    struct net_task net_task;
    struct shared_credentials new_credentials; /* lock */
    struct source_task credentials_task, close_task;
};

/* All but BEHIND is decided on the store's thread, and BEHIND for good. */
enum phase {
    UNDECIDED,
    PROVING, /* GitHub is asked for the job */
    LOOKING, /* the .meta is asked for, and the bytes of the first want, which wait for it */
    STORED,  /* it is there */
    BEHIND,  /* its bytes come from the source behind */
};

struct source_log {
    struct shared *shared;
    struct list in_shared; /* lock */
    struct repo_name repo;
    uint64_t job;
    bool completed;
    const struct source_log_ops *ops;
    void *who;
    struct progress_wait *waits_for;
    atomic_int phase;
    atomic_bool is_promoted;   /* a reader waits for what was asked for as prefetch */
    struct source_log *behind; /* set before the phase is BEHIND */

    /* The store's thread. */
    struct list wants; /* of struct want, in the order in which they came */
    struct shared_get meta_get;
    char *meta_data;
    size_t meta_len, meta_cap;
    struct store_meta meta; /* once STORED */
    struct source_facts question;
    bool is_proved;
    bool is_gone; /* there is nothing behind */
    struct source_task proof_task, release_task;
    void (*released)(void *who);
};

/* A range on its way. Bytes are handed over page by page. */
struct want {
    struct list link;
    struct source_log *log;
    struct source_bytes *b;
    struct shared_get get;
    uint64_t next;    /* what was not handed over yet begins here */
    uint64_t size;    /* of the whole object; 0: not known yet */
    uint64_t at;      /* the next byte of the log that comes from the server */
    size_t ahead;     /* bytes of the piece under way that were taken though it was paused */
    bool is_page_due; /* the page is checked, and the reader had no space for it */
    int err;          /* of a reader that does not want it any more */
    struct source_bytes relay; /* what is left of it, at the source behind */
    bool is_relayed_whole;
    bool is_begun;
    char *page; /* PAGE bytes, once the object is there */
};

static const struct source_failure no_memory = {.err = -ENOMEM, .reason = SOURCE_BROKEN};
static const struct source_failure closing = {.err = -ECONNABORTED, .reason = SOURCE_CLOSING};

/* -- Work for the store's thread --------------------------------------------------------------- */

static void run_posted(struct net_task *net_task)
{
    struct shared *s = list_entry(net_task, struct shared, net_task);
    struct list *link;

    do {
        pthread_mutex_lock(&s->lock);
        link = list_take_first(&s->posted);
        s->is_posted = link != NULL;
        pthread_mutex_unlock(&s->lock);
        if (link) {
            struct source_task *t = list_entry(link, struct source_task, link);
            t->run(s, t);
        }
    } while (link);
}

static void post(struct shared *s, struct source_task *t,
                 void (*run)(void *self, struct source_task *t))
{
    bool is_first;

    pthread_mutex_lock(&s->lock);
    is_first = !s->is_posted;
    t->run = run;
    if (!list_is_linked(&t->link))
        list_push_back(&s->posted, &t->link);
    s->is_posted = true;
    pthread_mutex_unlock(&s->lock);
    if (is_first)
        net_post(s->config.net, &s->net_task);
}

/* -- Behind ------------------------------------------------------------------------------------ */

static struct source *behind_of(struct source_log *log)
{
    return &log->shared->config.behind;
}

static void free_want(struct want *w)
{
    list_remove(&w->link);
    free(w->page);
    free(w);
}

static void end_want(struct want *w, const struct source_failure *failure)
{
    struct source_bytes *b = w->b;

    shared_get_drop(&w->get);
    free_want(w);
    b->done(b, failure);
}

static void ask_behind(struct source_log *log, struct source_bytes *b)
{
    struct source *behind = behind_of(log);

    b->task = (struct source_task){.run = NULL};
    b->log = log->behind;
    if (atomic_load(&log->is_promoted))
        b->class = SOURCE_DEMAND;
    behind->ops->want_bytes(behind->self, b);
}

/* A server without ranges sends more than the rest. */
static int on_relayed(struct source_bytes *b, uint64_t offset, const void *data, size_t len)
{
    struct want *w = list_entry(b, struct want, relay);
    size_t wanted = len;

    if (offset >= w->b->to)
        return -ECANCELED;
    if (offset + len >= w->b->to) {
        wanted = (size_t)(w->b->to - offset);
        w->is_relayed_whole = true;
    }
    return w->b->bytes(w->b, offset, data, wanted);
}

static void on_relay_done(struct source_bytes *b, const struct source_failure *failure)
{
    struct want *w = list_entry(b, struct want, relay);
    struct source_bytes *wanted = w->b;
    bool is_whole = w->is_relayed_whole && failure && failure->err == -ECANCELED;

    free(w);
    wanted->done(wanted, is_whole ? NULL : failure);
}

/* The rest of a want. */
static void hand_over(struct want *w)
{
    struct source_log *log = w->log;
    struct source_bytes *b = w->b;

    shared_get_drop(&w->get);
    list_remove(&w->link);
    free(w->page);
    w->page = NULL;
    if (w->next == b->from) {
        free(w);
        ask_behind(log, b);
        return;
    }
    w->relay = (struct source_bytes){.from = w->next,
                                     .to = b->to,
                                     .class = b->class,
                                     .bytes = on_relayed,
                                     .done = on_relay_done};
    ask_behind(log, &w->relay);
}

static void fail_wants(struct source_log *log, const struct source_failure *failure)
{
    while (!list_is_empty(&log->wants))
        end_want(list_entry(log->wants.next, struct want, link), failure);
}

/* A later want tries again. */
static void give_up(struct source_log *log, const struct source_failure *failure)
{
    store_meta_finish(&log->meta);
    atomic_store(&log->phase, UNDECIDED);
    fail_wants(log, failure);
}

/* GitHub has no log any more, and the store none, or not now. */
static void end_gone(struct source_log *log)
{
    bool is_answer = shared_server_would_ask(&log->shared->server);
    const struct source_failure gone = {.err = -ENOENT,
                                        .reason = SOURCE_EXPIRED,
                                        .until_ms = is_answer ? INT64_MAX
                                                              : net_now_ms() + SHARED_REST_MS};

    give_up(log, &gone);
}

/* From now on, and for all that is under way. */
static void go_behind(struct source_log *log)
{
    struct source *behind = behind_of(log);

    shared_get_drop(&log->meta_get);
    if (atomic_load(&log->shared->closed)) {
        fail_wants(log, &closing);
        return;
    }
    if (log->is_gone) {
        end_gone(log);
        return;
    }
    log->behind = behind->ops->log_create(behind->self, &log->repo, log->job, log->completed,
                                          log->ops, log->who, log->waits_for);
    if (!log->behind) {
        give_up(log, &no_memory);
        return;
    }
    atomic_store(&log->phase, BEHIND);
    while (!list_is_empty(&log->wants))
        hand_over(list_entry(log->wants.next, struct want, link));
}

/* -- What the store lacks ---------------------------------------------------------------------- */

static size_t slot_of(uint64_t job)
{
    return (size_t)((job * UINT64_C(0x9E3779B97F4A7C15)) >> 52);
}

_Static_assert(MISSED_MAX == 1 << 12, "slot_of takes the top twelve bits");

static void note_outcome(struct source_log *log, enum shared_outcome outcome)
{
    struct shared *s = log->shared;

    if (outcome == SHARED_ABSENT || outcome == SHARED_WRONG)
        atomic_store(&s->missed[slot_of(log->job)], log->job);
    if (outcome == SHARED_ABSENT)
        atomic_fetch_add(&s->server.counters.misses, 1);
    if (outcome != SHARED_WRONG)
        return;
    atomic_fetch_add(&s->server.counters.wrong, 1);
    shared_server_note_wrong(&s->server);
    diag_log(s->config.diag, DIAG_WARNING,
             "shared store %s: what it has of job %llu of %s/%s is not its log, which comes from "
             "GitHub",
             s->config.location->host, (unsigned long long)log->job, log->repo.owner,
             log->repo.repo);
}

/* -- Bytes ------------------------------------------------------------------------------------- */

/* Where the want ends. */
static uint64_t end_of(const struct want *w)
{
    return w->b->to < w->log->meta.size ? w->b->to : w->log->meta.size;
}

/* Hands over what is wanted of the page that has come, the last byte of which is before w->at. */
static int deliver_page(struct want *w)
{
    uint64_t start = (w->at - 1) / PAGE * PAGE, end = w->at < end_of(w) ? w->at : end_of(w);
    int taken = SOURCE_TAKEN;

    if (w->next < end)
        taken = w->b->bytes(w->b, w->next, w->page + (w->next - start), (size_t)(end - w->next));
    if (taken < 0) {
        w->err = taken;
        return -ECANCELED;
    }
    w->is_page_due = taken == SOURCE_FULL;
    if (w->is_page_due)
        return NET_PAUSE;
    if (w->next < end)
        w->next = end;
    return NET_TAKEN;
}

/* Adds to the page under way; a page that is complete is checked, and handed over. */
static int add_bytes(struct want *w, const char *data, size_t len, size_t *ret_used)
{
    const struct store_meta *meta = &w->log->meta;
    size_t have = (size_t)(w->at % PAGE), length = PAGE, part;
    uint64_t page = w->at / PAGE;

    if (meta->size - page * PAGE < PAGE)
        length = (size_t)(meta->size - page * PAGE);
    part = len < length - have ? len : length - have;
    memcpy(w->page + have, data, part);
    w->at += part;
    *ret_used = part;
    if (have + part < length)
        return NET_TAKEN;
    if (store_page_checksum(w->page, length) != meta->checksums[page])
        return -EBADMSG;
    return deliver_page(w);
}

/* A paused piece is offered again from its beginning: w->ahead is what was taken of it. */
static int on_log_data(struct shared_get *g, const void *data, size_t len)
{
    struct want *w = list_entry(g, struct want, get);
    size_t done = w->ahead;
    int answer = NET_TAKEN;

    if (atomic_load(&w->log->phase) == LOOKING)
        return NET_PAUSE;
    if (w->is_page_due)
        answer = deliver_page(w);
    if (answer == NET_TAKEN && done >= len) { /* the same in smaller pieces */
        w->ahead -= len;
        return NET_TAKEN;
    }
    while (answer == NET_TAKEN && done < len) {
        size_t used = 0;
        if (w->at >= w->log->meta.size)
            return -EBADMSG;
        answer = add_bytes(w, (const char *)data + done, len - done, &used);
        done += used;
    }
    w->ahead = answer == NET_PAUSE ? done : 0;
    return answer;
}

static int on_log_size(struct shared_get *g, uint64_t size)
{
    struct want *w = list_entry(g, struct want, get);
    const struct source_log *log = w->log;

    w->size = size;
    w->page = malloc(PAGE);
    if (!w->page)
        return -ENOMEM;
    return atomic_load(&log->phase) == STORED && size != log->meta.size ? -EBADMSG : 0;
}

static void on_log_end(struct shared_get *g, enum shared_outcome outcome)
{
    struct want *w = list_entry(g, struct want, get);
    struct source_failure failure = {.err = w->err, .reason = SOURCE_BROKEN};

    if (w->err) {
        end_want(w, &failure);
        return;
    }
    /* Each page was checked: whatever comes behind them does not matter to the reader. */
    if (atomic_load(&w->log->phase) == STORED && w->next >= end_of(w)) {
        end_want(w, NULL);
        return;
    }
    if (outcome == SHARED_GOOD)
        outcome = SHARED_WRONG;
    note_outcome(w->log, outcome);
    go_behind(w->log);
}

/* False: there can be no such object. */
static bool start_get(struct want *w)
{
    struct source_log *log = w->log;
    uint64_t to = (w->b->to + PAGE - 1) / PAGE * PAGE;

    w->is_begun = true;
    if (atomic_load(&log->phase) == STORED && to > log->meta.size)
        to = log->meta.size;
    w->at = w->b->from / PAGE * PAGE;
    w->get.what = SHARED_LOG;
    w->get.from = w->at;
    w->get.to = to;
    w->get.size_max = to - w->at;
    w->get.is_pressed = atomic_load(&log->phase) == LOOKING; /* both objects have the same time */
    w->get.on_size = on_log_size;
    w->get.on_data = on_log_data;
    w->get.on_end = on_log_end;
    progress_wait_note(log->waits_for, PROGRESS_SHARED, 0);
    return shared_get_begin(&w->get, &log->shared->server, &log->repo, log->job) == 0;
}

/* A want of a log that is there. */
static void start_want(struct want *w)
{
    if (w->b->from >= w->log->meta.size)
        end_want(w, NULL);
    else if (!shared_server_would_ask(&w->log->shared->server) || !start_get(w))
        go_behind(w->log);
}

/* -- The .meta --------------------------------------------------------------------------------- */

static int on_meta_size(struct shared_get *g, uint64_t size)
{
    struct source_log *log = list_entry(g, struct source_log, meta_get);

    free(log->meta_data);
    log->meta_len = 0;
    log->meta_cap = (size_t)size;
    log->meta_data = malloc(log->meta_cap + 1);
    return log->meta_data ? 0 : -ENOMEM;
}

static int on_meta_data(struct shared_get *g, const void *data, size_t len)
{
    struct source_log *log = list_entry(g, struct source_log, meta_get);

    if (len > log->meta_cap - log->meta_len)
        return -EBADMSG;
    memcpy(log->meta_data + log->meta_len, data, len);
    log->meta_len += len;
    return NET_TAKEN;
}

/* Whether it is the .meta of this job, and of a log that may be served. */
static bool take_meta(struct source_log *log)
{
    struct store_meta m;
    int rc = meta_decode(log->meta_data, log->meta_len, log->shared->config.host, log->job, &m);

    if (rc)
        return false;
    if (m.final && m.checksums && m.size > 0 && m.size <= PUT_BYTES_MAX) {
        log->meta = m;
        return true;
    }
    store_meta_finish(&m);
    return false;
}

/* Reports what is known, and lets the bytes flow. False: it contradicts what others said. */
static bool report(struct source_log *log)
{
    const struct source_metadata metadata = {
        .size = log->meta.size,
        .final = true,
        .is_copy = true,
        .last_modified_ms = log->meta.mtime_ms,
        .completed_ms = log->meta.mtime_ms,
    };

    atomic_store(&log->phase, STORED);
    if (log->ops->on_metadata(log->who, &metadata))
        return false;
    atomic_fetch_add(&log->shared->server.counters.hits, 1);
    log->shared->server.wrong = 0;
    atomic_store(&log->shared->given[slot_of(log->job)], log->job);
    if (log->shared->verify)
        verify_draw(log->shared->verify, &log->repo, log->job, &log->meta);
    list_each_safe(link, &log->wants) {
        struct want *w = list_entry(link, struct want, link);
        w->get.is_pressed = false;
        if (!w->is_begun)
            start_want(w);
        if (list_is_empty(&log->wants)) /* it may have taken all of them elsewhere */
            return true;
    }
    net_resume(log->shared->config.net);
    return true;
}

static void on_meta_end(struct shared_get *g, enum shared_outcome outcome)
{
    struct source_log *log = list_entry(g, struct source_log, meta_get);
    const struct want *first = list_entry(log->wants.next, struct want, link);

    if (outcome == SHARED_GOOD &&
        (!take_meta(log) || (first->size && first->size != log->meta.size)))
        outcome = SHARED_WRONG;
    free(log->meta_data);
    log->meta_data = NULL;
    if (outcome != SHARED_GOOD) {
        note_outcome(log, outcome);
        go_behind(log);
    } else if (!report(log)) {
        go_behind(log);
    }
}

/* -- Looking ----------------------------------------------------------------------------------- */

/* GitHub has answered for the job, or need not: asks for both objects. */
static void look(struct source_log *log)
{
    struct shared_server *server = &log->shared->server;
    struct want *first = list_entry(log->wants.next, struct want, link);

    if (!shared_server_may_ask(server)) {
        go_behind(log);
        return;
    }
    atomic_store(&log->phase, LOOKING);
    log->meta_get.what = SHARED_META;
    log->meta_get.size_max = PUT_META_MAX;
    log->meta_get.on_size = on_meta_size;
    log->meta_get.on_data = on_meta_data;
    log->meta_get.on_end = on_meta_end;
    if (shared_get_begin(&log->meta_get, server, &log->repo, log->job) || !start_get(first))
        go_behind(log);
}

static void run_proof(void *self, struct source_task *t)
{
    struct source_log *log = list_entry(t, struct source_log, proof_task);

    (void)self;
    if ((log->is_proved || log->shared->config.trust) && !atomic_load(&log->shared->closed))
        look(log);
    else
        go_behind(log);
}

/* On the thread of the source behind. */
static void on_question_done(struct source_facts *f, const struct source_answer *answer)
{
    struct source_log *log = list_entry(f, struct source_log, question);
    const struct shared_config *config = &log->shared->config;

    log->is_proved = !answer->failure;
    if (log->is_proved && answer->len)
        config->job_learnt(config->who, &log->repo, log->job, answer->body, answer->len);
    behind_of(log)->ops->facts_release(behind_of(log)->self, f);
    post(log->shared, &log->proof_task, run_proof);
}

/* The first want of a log. Without a token GitHub lists the jobs of a public repository, and yet
 * gives no logs: such a list proves nothing. */
static void decide(struct source_log *log, enum source_class class)
{
    const struct shared_config *config = &log->shared->config;
    struct source *behind = behind_of(log);
    enum shared_proof proof = config->get_proof(config->who, &log->repo, log->job);

    if (!shared_server_would_ask(&log->shared->server) || proof == SHARED_RUNNING ||
        (!config->has_token && !config->trust) || atomic_load(&log->shared->closed)) {
        go_behind(log);
    } else if (proof == SHARED_PROVEN || !config->has_token) {
        look(log);
    } else {
        atomic_store(&log->phase, PROVING);
        log->question = (struct source_facts){.question = SOURCE_JOB,
                                              .repo = log->repo,
                                              .id = log->job,
                                              .class = class,
                                              .waits_for = log->waits_for,
                                              .done = on_question_done};
        behind->ops->want_facts(behind->self, &log->question);
    }
}

/* -- The source -------------------------------------------------------------------------------- */

static void run_want(void *self, struct source_task *t)
{
    struct source_bytes *b = list_entry(t, struct source_bytes, task);
    struct source_log *log = b->log;
    struct want *w;

    if (atomic_load(&log->phase) == BEHIND) {
        ask_behind(log, b);
        return;
    }
    if (atomic_load(&((struct shared *)self)->closed)) {
        b->done(b, &closing);
        return;
    }
    w = calloc(1, sizeof(*w));
    if (!w) {
        b->done(b, &no_memory);
        return;
    }
    w->log = log;
    w->b = b;
    w->next = b->from;
    list_push_back(&log->wants, &w->link);
    log->is_gone |= b->is_gone;
    if (atomic_load(&log->phase) == UNDECIDED)
        decide(log, b->class);
    else if (atomic_load(&log->phase) == STORED)
        start_want(w);
}

static void want_bytes(void *self, struct source_bytes *b)
{
    struct shared *s = self;

    if (atomic_load(&b->log->phase) == BEHIND)
        ask_behind(b->log, b);
    else if (atomic_load(&s->closed))
        b->done(b, &closing);
    else
        post(s, &b->task, run_want);
}

static struct source_log *log_create(void *self, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who,
                                     struct progress_wait *waits_for)
{
    struct source_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->shared = self;
    log->repo = *repo;
    log->job = job;
    log->completed = completed;
    log->ops = ops;
    log->who = who;
    log->waits_for = waits_for;
    list_init(&log->wants);
    pthread_mutex_lock(&log->shared->lock);
    list_push_back(&log->shared->logs, &log->in_shared);
    pthread_mutex_unlock(&log->shared->lock);
    return log;
}

static void free_log(struct source_log *log)
{
    store_meta_finish(&log->meta);
    free(log->meta_data);
    free(log);
}

static void run_release(void *self, struct source_task *t)
{
    struct shared *s = self;
    struct source_log *log = list_entry(t, struct source_log, release_task), *behind = log->behind;
    const struct source_ops *ops = behind_of(log)->ops;
    void (*released)(void *who) = log->released;
    void *who = log->who;

    assert(list_is_empty(&log->wants));
    /* At the end a question about it may still be at the source behind, which notes what that waits
     * for where `who` has said: neither is released. shared_destroy frees the log. */
    if (atomic_load(&log->phase) == PROVING)
        return;
    pthread_mutex_lock(&s->lock);
    list_remove(&log->in_shared);
    pthread_mutex_unlock(&s->lock);
    free_log(log);
    if (behind)
        ops->log_release(behind, released);
    else if (released)
        released(who);
}

static void log_release(struct source_log *log, void (*released)(void *who))
{
    log->released = released;
    post(log->shared, &log->release_task, run_release);
}

/* Of a running job's log, which is never the store's. */
static void log_check(struct source_log *log, bool completed,
                      void (*checked)(void *who, const struct source_failure *failure))
{
    if (atomic_load(&log->phase) == BEHIND)
        behind_of(log)->ops->log_check(log->behind, completed, checked);
    else
        checked(log->who, NULL);
}

static struct source *behind(void *self)
{
    return &((struct shared *)self)->config.behind;
}

static void log_promote(void *self, uint64_t job)
{
    struct shared *s = self;

    pthread_mutex_lock(&s->lock);
    list_each(link, &s->logs) {
        struct source_log *log = list_entry(link, struct source_log, in_shared);
        if (log->job == job)
            atomic_store(&log->is_promoted, true);
    }
    pthread_mutex_unlock(&s->lock);
    behind(self)->ops->log_promote(behind(self)->self, job);
}

static void want_facts(void *self, struct source_facts *f)
{
    behind(self)->ops->want_facts(behind(self)->self, f);
}

static void facts_release(void *self, struct source_facts *f)
{
    behind(self)->ops->facts_release(behind(self)->self, f);
}

static void want_archive(void *self, struct source_archive *a)
{
    behind(self)->ops->want_archive(behind(self)->self, a);
}

static void archive_promote(void *self, struct source_archive *a)
{
    behind(self)->ops->archive_promote(behind(self)->self, a);
}

static void archive_drop(void *self, struct source_archive *a)
{
    behind(self)->ops->archive_drop(behind(self)->self, a);
}

static void resume(void *self)
{
    struct shared *s = self;

    behind(self)->ops->resume(behind(self)->self);
    net_resume(s->config.net);
}

struct source shared_source(struct shared *s)
{
    static const struct source_ops ops = {.log_create = log_create,
                                          .log_release = log_release,
                                          .want_bytes = want_bytes,
                                          .log_check = log_check,
                                          .log_promote = log_promote,
                                          .want_facts = want_facts,
                                          .facts_release = facts_release,
                                          .want_archive = want_archive,
                                          .archive_promote = archive_promote,
                                          .archive_drop = archive_drop,
                                          .resume = resume};

    return (struct source){.self = s, .ops = &ops};
}

/* -- First and last ---------------------------------------------------------------------------- */

int shared_create(const struct shared_config *config, const struct shared_credentials *credentials,
                  struct shared **ret_shared)
{
    struct shared *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return -ENOMEM;
    s->config = *config;
    s->server.net = config->net;
    s->server.connections = config->connections;
    s->server.diag = config->diag;
    s->server.location = config->location;
    s->server.host = config->host;
    s->server.reread_key = config->reread_key;
    s->server.who = config->who;
    list_init(&s->logs);
    list_init(&s->posted);
    s->net_task.run = run_posted;
    rc = shared_server_init(&s->server);
    if (!rc)
        rc = -pthread_mutex_init(&s->lock, NULL);
    if (rc) {
        free(s);
        return rc;
    }
    shared_server_set_credentials(&s->server, credentials);
    if (config->store)
        rc = put_create(&s->server, config->store, &s->put);
    if (!rc && config->verify && config->has_token)
        rc = verify_create(&config->behind, &s->server, config->verify, &s->verify);
    if (rc) {
        shared_destroy(s);
        return rc;
    }
    *ret_shared = s;
    return 0;
}

/* Logs are added and released while this runs, but not removed from the list: run_release comes on
 * this thread. */
static void run_close(void *self, struct source_task *t)
{
    struct shared *s = self;

    (void)t;
    pthread_mutex_lock(&s->lock);
    for (struct list *link = s->logs.next; link != &s->logs; link = link->next) {
        struct source_log *log = list_entry(link, struct source_log, in_shared);
        pthread_mutex_unlock(&s->lock);
        shared_get_drop(&log->meta_get);
        fail_wants(log, &closing);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void shared_stop(struct shared *s)
{
    if (!s)
        return;
    if (s->put)
        put_close(s->put);
    atomic_store(&s->closed, true);
    post(s, &s->close_task, run_close);
    net_stop(s->config.net);
}

void shared_destroy(struct shared *s)
{
    struct list *link;

    if (!s)
        return;
    put_destroy(s->put);
    verify_destroy(s->verify);
    while ((link = list_take_first(&s->logs)))
        free_log(list_entry(link, struct source_log, in_shared));
    shared_credentials_finish(&s->new_credentials);
    shared_server_finish(&s->server);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void run_credentials(void *self, struct source_task *t)
{
    struct shared *s = self;
    struct shared_credentials c;

    (void)t;
    pthread_mutex_lock(&s->lock);
    c = s->new_credentials;
    shared_credentials_finish(&s->new_credentials);
    pthread_mutex_unlock(&s->lock);
    if (!shared_credentials_is_same(&s->server.credentials, &c))
        shared_server_renew_credentials(&s->server, &c);
    shared_credentials_finish(&c);
}

void shared_set_credentials(struct shared *s, const struct shared_credentials *credentials)
{
    pthread_mutex_lock(&s->lock);
    s->new_credentials = *credentials;
    pthread_mutex_unlock(&s->lock);
    post(s, &s->credentials_task, run_credentials);
}

void shared_note_published(struct shared *s, const struct repo_name *repo, uint64_t job)
{
    if (s->put && atomic_load(&s->given[slot_of(job)]) != job)
        put_want(s->put, repo, job);
}

enum shared_find shared_find(struct shared *s, uint64_t job)
{
    size_t slot = slot_of(job);

    if (atomic_load(&s->missed[slot]) == job || !shared_server_would_ask(&s->server))
        return SHARED_LACKS;
    return atomic_load(&s->given[slot]) == job ? SHARED_HAS : SHARED_MAY_HAVE;
}

unsigned shared_list_uploads(struct shared *s, struct put_status *ret_status, unsigned max)
{
    return s->put ? put_list_status(s->put, ret_status, max) : 0;
}

void shared_get_stats(struct shared *s, struct shared_stats *ret_stats)
{
    struct shared_counters *c = &s->server.counters;
    struct put_stats put = {0};

    if (s->put)
        put_get_stats(s->put, &put);
    *ret_stats = (struct shared_stats){.hits = atomic_load(&c->hits),
                                       .misses = atomic_load(&c->misses),
                                       .wrong = atomic_load(&c->wrong),
                                       .errors = atomic_load(&c->errors),
                                       .timeouts = atomic_load(&c->timeouts),
                                       .bytes_in = atomic_load(&c->bytes_in),
                                       .verified = s->verify ? verify_count(s->verify) : 0,
                                       .queued = put.queued,
                                       .sent = put.done,
                                       .dropped = put.dropped,
                                       .bytes_out = put.bytes_out};
    pthread_mutex_lock(&s->server.lock);
    ret_stats->state = shared_state_name(&s->server.state);
    pthread_mutex_unlock(&s->server.lock);
}
