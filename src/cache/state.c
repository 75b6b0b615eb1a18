/*
 * What is known of a log: loading it from disk, asking for it, proving names, judging failures.
 */
#include "cache/internal.h"

#include "diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A completed job's log that is empty may be one that GitHub has lost for a moment: the one final log
 * that is asked for again. */
#define EMPTY_MS (10 * 60 * 1000)

/* A log that is gone for good is remembered on disk under the name that was told so (410). */
struct gone_record {
    char magic[8];
    uint64_t job;
};

#define GONE_MAGIC "ghgone1"
#define GONE_KEY_LEN (NAME_FULL_LEN + 40)

static void gone_key(char key[GONE_KEY_LEN], const struct repo_name *name, uint64_t job)
{
    char folded[NAME_FULL_LEN];

    name_fold(name, folded);
    snprintf(key, GONE_KEY_LEN, "gone/%s/%llu", folded, (unsigned long long)job);
}

/* Lock held. */
static bool is_proven(const struct log *log, const struct repo_name *name)
{
    char folded[NAME_FULL_LEN];

    name_fold(name, folded);
    for (unsigned i = 0; i < log->meta.name_count; i++)
        if (!strcmp(log->meta.names[i], folded))
            return true;
    return false;
}

/* Lock held. */
static void add_name(struct log *log, const struct repo_name *name)
{
    struct store_meta *m = &log->meta;
    char folded[NAME_FULL_LEN];

    if (is_proven(log, name))
        return;
    name_fold(name, folded);
    if (m->name_count == STORE_NAMES_MAX) {
        memmove(m->names[0], m->names[1], (STORE_NAMES_MAX - 1) * sizeof(m->names[0]));
        m->name_count--;
    }
    snprintf(m->names[m->name_count++], sizeof(m->names[0]), "%s", folded);
}

/* --- from disk --- */

/* Whether the disk remembers that GitHub has no log of this job any more, under this name. */
static bool is_gone_on_disk(struct log *log, const struct repo_name *name)
{
    char key[GONE_KEY_LEN];
    void *data;
    size_t len;
    bool gone;

    gone_key(key, name, log->job);
    if (store_get_record(log->cache->config.store, key, &data, &len))
        return false;
    gone = len == sizeof(struct gone_record) && !memcmp(data, GONE_MAGIC, sizeof(GONE_MAGIC)) &&
           !memcmp((char *)data + offsetof(struct gone_record, job), &log->job, sizeof(log->job));
    free(data);
    return gone;
}

/* Lock held. What the disk knows becomes what the log knows. */
static int adopt_meta(struct log *log, struct store_meta *meta)
{
    if (meta->checksums) {
        int rc = pages_adopt(&log->pages, meta->checksums, pages_for(meta->size));
        if (rc)
            return rc;
        log->on_disk = log->proven = true;
    } else if (pages_grow(&log->pages, pages_for(meta->size))) {
        return -ENOMEM;
    }
    log->meta = *meta;
    log->meta.checksums = NULL;
    log->has_time = true;
    log->facts_kept = true;
    return 0;
}

/* The lock is not held, the phase is LOADING: nobody else does this. */
static void load_log(struct log *log, const struct repo_name *name)
{
    struct cache *c = log->cache;
    struct store_meta meta = {0};
    int rc = store_load_meta(c->config.store, log->job, &meta);
    bool gone = rc && is_gone_on_disk(log, name);

    pthread_mutex_lock(&c->lock);
    log->phase = LOG_UNKNOWN;
    if (!rc && meta.final && meta.size <= LOG_SIZE_MAX && !adopt_meta(log, &meta))
        log->phase = LOG_KNOWN;
    if (gone) {
        struct source_failure expired = {
            .err = -ENOENT, .reason = SOURCE_EXPIRED, .until_ms = INT64_MAX};
        absent_note(&c->absent, name, log->job, &expired, c->config.now_ms());
    }
    pthread_mutex_unlock(&c->lock);
    store_meta_finish(&meta);
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, 0);
}

/* --- names --- */

void log_save_meta(struct log *log)
{
    struct cache *c = log->cache;
    struct store_meta on_disk = {0};
    struct store_meta now;

    pthread_mutex_lock(&c->lock);
    now = log->meta;
    pthread_mutex_unlock(&c->lock);
    /* The checksums are the file's, not what happens to be in memory; another mount may have published
     * it, and proven names of its own. */
    if (!store_load_meta(c->config.store, log->job, &on_disk) && on_disk.final &&
        on_disk.size == now.size) {
        for (unsigned i = 0; i < now.name_count; i++)
            store_meta_add_name(&on_disk, now.names[i]);
        now.name_count = on_disk.name_count;
        memcpy(now.names, on_disk.names, sizeof(now.names));
        now.checksums = on_disk.checksums;
    }
    store_save_meta(c->config.store, log->job, &now);
    store_meta_finish(&on_disk);
}

void log_abandon(struct log *log)
{
    struct cache *c = log->cache;
    struct store_meta none;
    bool was_kept;

    pthread_mutex_lock(&c->lock);
    was_kept = log->facts_kept && !log->on_disk;
    if (!log->on_disk) {
        log->abandoned = log->provisional = true;
        log->facts_kept = false;
    }
    none = log->meta;
    pthread_mutex_unlock(&c->lock);
    none.final = false; /* nothing is read back from a meta that says so */
    if (was_kept)
        store_save_meta(c->config.store, log->job, &none);
}

/* Whether waiters can find the failure when they ask again; else it must be handed to them. */
static bool note_failure(struct log *log, const struct repo_name *name,
                         const struct source_failure *failure)
{
    struct cache *c = log->cache;
    int64_t now = c->config.now_ms();

    absent_note(&c->absent, name, log->job, failure, now);
    return absent_find(&c->absent, name, log->job, now) != NULL;
}

static void on_proof_done(struct source_facts *facts, const struct source_answer *answer)
{
    struct proof *p = list_entry(facts, struct proof, facts);
    struct log *log = p->log;
    struct cache *c = log->cache;
    bool keep;
    int err = 0;

    pthread_mutex_lock(&c->lock);
    list_remove(&p->in_log);
    if (!answer->failure)
        add_name(log, &facts->repo);
    else if (!note_failure(log, &facts->repo, answer->failure))
        err = answer->failure->err;
    keep = !answer->failure && (log->on_disk || log->facts_kept);
    pthread_mutex_unlock(&c->lock);
    if (keep)
        writer_post_log(log, log_save_meta); /* what was learnt is kept on disk, too */
    c->config.source.ops->facts_release(c->config.source.self, facts);
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, err);
    log_unuse(log);
    free(p);
}

/* Lock held. The proof under way for this name, a new one (then *ret_new), or NULL: no memory. */
static struct proof *find_proof(struct log *log, const struct repo_name *name, bool *ret_new)
{
    struct proof *p;

    *ret_new = false;
    list_each(link, &log->proofs) {
        p = list_entry(link, struct proof, in_log);
        if (name_is_same(&p->facts.repo, name))
            return p;
    }
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->log = log;
    p->facts.question = SOURCE_JOB;
    p->facts.repo = *name;
    p->facts.id = log->job & NAME_ID_MAX;
    p->facts.done = on_proof_done;
    list_push_back(&log->proofs, &p->in_log);
    log_use(log);
    *ret_new = true;
    return p;
}

/* --- the source's word --- */

/* Lock held. */
static void learn_time(struct log *log, const struct source_metadata *metadata)
{
    if (log->has_time && log->meta.final)
        return;
    if (log->hint_ms > 0)
        log->meta.mtime_ms = log->hint_ms;
    else if (metadata->completed_ms > 0)
        log->meta.mtime_ms = metadata->completed_ms;
    else
        log->meta.mtime_ms = metadata->last_modified_ms > 0 ? metadata->last_modified_ms : 0;
    log->has_time = true;
}

/* Lock held. What covers more than there is covers what there is; the first range, all that comes
 * of a whole log. */
static void cut_fetches(struct log *log, const struct source_metadata *metadata)
{
    list_each(link, &log->fetches) {
        struct fetch *f = list_entry(link, struct fetch, in_log);
        if ((f->is_first && metadata->whole) || f->to > metadata->size)
            f->to = metadata->size > f->b.from ? metadata->size : f->b.from;
    }
}

/* Lock held. Where the bytes end that have come. */
static uint64_t bytes_end(const struct log *log)
{
    uint64_t size = log->phase == LOG_KNOWN ? log->meta.size : UINT64_MAX, end = log->tail_to;
    uint64_t page = log->pages.here ? log->pages.count : 0;

    while (page > 0 && pages_get(&log->pages, page - 1) != PAGE_HERE)
        page--;
    page <<= PAGE_SHIFT;
    page = page < size ? page : size;
    end = page > end ? page : end;
    list_each(link, &log->fetches) {
        const struct fetch *f = list_entry(link, struct fetch, in_log);
        if (f->written_to > f->b.from && f->written_to > end)
            end = f->written_to;
    }
    return end;
}

/* Lock held. A final log turns out to be of another size: where it is longer, its last page is not
 * whole. What was kept of it is to be kept anew. */
static void change_size(struct log *log, uint64_t size)
{
    if (size < log->meta.size)
        log->shrinks++;
    if (size > log->meta.size && (log->meta.size & (PAGE_SIZE - 1)) != 0)
        pages_set_absent(&log->pages, log->meta.size >> PAGE_SHIFT);
    log->facts_kept = false;
    log->fault.err = 0;
}

/* Lock held. Whether this may be true, by what is known and what has come. */
static int check_metadata(const struct log *log, const struct source_metadata *metadata)
{
    bool is_known = log->phase == LOG_KNOWN;

    if (is_known && metadata->size != log->meta.size && log_is_proven(log))
        return -ESTALE;
    if (metadata->size > LOG_SIZE_MAX)
        return -EFBIG;
    if ((!is_known || metadata->size < log->meta.size) && metadata->size < bytes_end(log))
        return -ESTALE;
    return 0;
}

/* Lock held. */
static int learn_metadata(struct log *log, const struct source_metadata *metadata)
{
    bool was_final = log->phase == LOG_KNOWN && log->meta.final;
    int rc = check_metadata(log, metadata);

    if (rc)
        return rc;
    if (pages_grow(&log->pages, pages_for(metadata->size)))
        return -ENOMEM;
    if (was_final && metadata->size != log->meta.size)
        change_size(log, metadata->size);
    learn_time(log, metadata);
    log->meta.size = metadata->size;
    log->meta.final = metadata->final || was_final;
    snprintf(log->meta.etag, sizeof(log->meta.etag), "%s", metadata->etag);
    if (!was_final)
        log->whole = metadata->whole;
    log->proven |= metadata->final && metadata->proven;
    log->provisional = metadata->provisional;
    log->phase = LOG_KNOWN;
    add_name(log, &log->asked_name);
    cut_fetches(log, metadata);
    log->empty_until_ms = log->cache->config.now_ms() + EMPTY_MS;
    return 0;
}

struct settle_task {
    struct writer_task task;
    struct log *log;
};

static void run_settle(struct writer_task *task)
{
    struct settle_task *t = list_entry(task, struct settle_task, task);

    fill_settle(t->log);
    log_unuse(t->log);
    free(t);
}

int log_on_metadata(void *who, const struct source_metadata *metadata)
{
    struct log *log = who;
    struct cache *c = log->cache;
    struct settle_task *t = calloc(1, sizeof(*t));
    uint64_t size;
    int rc;

    if (!t)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    size = log->phase == LOG_KNOWN ? log->meta.size : metadata->size;
    rc = learn_metadata(log, metadata);
    if (!rc)
        log_use(log);
    pthread_mutex_unlock(&c->lock);
    if (rc) {
        free(t);
        return rc;
    }
    t->task.run = run_settle;
    t->log = log;
    writer_post(c->writer, &t->task);
    pending_touch(&log->wait, c->config.now_ms());
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, 0);
    if (metadata->size < size) /* nobody will bring these pages */
        pending_wake(&log->wait, metadata->size >> PAGE_SHIFT, size >> PAGE_SHIFT, 0);
    return 0;
}

/* --- failures of the first range --- */

struct gone_task {
    struct writer_task task;
    struct log *log;
    struct repo_name name;
};

static void run_save_gone(struct writer_task *task)
{
    struct gone_task *t = list_entry(task, struct gone_task, task);
    struct gone_record record = {.magic = GONE_MAGIC, .job = t->log->job};
    char key[GONE_KEY_LEN];

    gone_key(key, &t->name, t->log->job);
    store_put_record(t->log->cache->config.store, key, &record, sizeof(record));
    log_unuse(t->log);
    free(t);
}

static void save_gone_later(struct log *log, const struct repo_name *name)
{
    struct gone_task *t = calloc(1, sizeof(*t));

    if (!t)
        return;
    t->task.run = run_save_gone;
    t->log = log;
    t->name = *name;
    pthread_mutex_lock(&log->cache->lock);
    log_use(log);
    pthread_mutex_unlock(&log->cache->lock);
    writer_post(log->cache->writer, &t->task);
}

/* Lock held. An empty log that was asked for again stays what it was if GitHub cannot say (S8). */
static bool keep_empty(struct log *log, const struct source_failure *failure)
{
    if (log->phase != LOG_UNKNOWN || !log->meta.final || log->meta.size || !log->meta.name_count ||
        failure->reason == SOURCE_NOT_FOUND || failure->reason == SOURCE_EXPIRED)
        return false;
    log->phase = LOG_KNOWN;
    log->has_time = true;
    log->empty_until_ms = log->cache->config.now_ms() + EMPTY_MS;
    return true;
}

int log_first_failed(struct log *log, enum source_class class, const struct source_failure *failure)
{
    struct cache *c = log->cache;
    struct repo_name name;
    int err = 0;

    pthread_mutex_lock(&c->lock);
    name = log->asked_name;
    if (log->phase == LOG_ASKING)
        log->phase = LOG_UNKNOWN;
    if (keep_empty(log, failure)) {
        pthread_mutex_unlock(&c->lock);
        return 0;
    }
    /* Looking ahead has less quota than a reader has: its refusal is no word for the reader. */
    if (class == SOURCE_PREFETCH && failure->reason == SOURCE_LIMITED)
        err = 0;
    else if (!note_failure(log, &name, failure))
        err = failure->err;
    pthread_mutex_unlock(&c->lock);
    if (failure->reason == SOURCE_EXPIRED)
        save_gone_later(log, &name);
    return err;
}

/* --- asking --- */

/* Lock held. */
static struct log_stat stat_of(const struct log *log)
{
    return (struct log_stat){.size = log->meta.size,
                             .mtime_ms = log->meta.mtime_ms,
                             .final = log->meta.final,
                             .proven = log_is_proven(log),
                             .shrunk = log->shrinks > 0};
}

/* What the caller must do once the lock is released. */
struct next_step {
    bool load, check, promote, prove_new;
    struct proof *proof;
    struct source_log *release; /* asked under another name */
    struct list planned;
};

/* Lock held. Plans the first range; the phase is ASKING from now on. */
static int start_asking(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                        enum source_class class, struct next_step *step)
{
    struct fetch *f = fetch_plan(log, 0, SOURCE_FIRST_RANGE, class);

    if (!f)
        return -ENOMEM;
    /* Who asks under another name must not be answered by way of this one (S14). */
    if (log->source && !name_is_same(&log->asked_name, name)) {
        step->release = log->source;
        log->source = NULL;
    }
    f->is_first = true;
    log->phase = LOG_ASKING;
    log->asked_name = *name;
    log->hint_ms = hint->completed_ms;
    list_push_back(&step->planned, &f->task.link);
    return 0;
}

/* Lock held. */
static void doubt_empty(struct log *log)
{
    if (log->phase == LOG_KNOWN && log->meta.final && !log->meta.size && !log->readers &&
        !log->source && log->cache->config.now_ms() >= log->empty_until_ms) {
        log->phase = LOG_UNKNOWN;
        log->has_time = log->proven = false;
    }
}

/* Lock held. One look without requests: 0, PENDING_PARKED (load the log if step->load, then park), or
 * -EAGAIN. */
static int look_here(struct log *log, const struct repo_name *name, enum effort effort,
                     struct next_step *step, struct log_stat *ret_stat)
{
    if (log->phase == LOG_KNOWN && is_proven(log, name)) {
        *ret_stat = stat_of(log);
        return 0;
    }
    if (effort == EFFORT_MEMORY)
        return -EAGAIN;
    if (log->phase == LOG_NEW) {
        log->phase = LOG_LOADING;
        step->load = true;
        return PENDING_PARKED;
    }
    return log->phase == LOG_LOADING ? PENDING_PARKED : -EAGAIN;
}

/* Lock held. The same with requests, which are planned in `step`. */
static int look(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                enum source_class class, struct next_step *step, struct log_stat *ret_stat)
{
    struct cache *c = log->cache;
    const struct source_failure *failure;
    int rc;

    doubt_empty(log);
    rc = look_here(log, name, EFFORT_NETWORK, step, ret_stat);
    if (!rc) {
        if (!log->meta.final && hint->completed_ms > 0)
            log->hint_ms = hint->completed_ms; /* its end was seen in a listing */
        step->check = live_take_check(log, hint->completed);
    }
    if (rc != -EAGAIN)
        return rc;
    failure = absent_find(&c->absent, name, log->job, c->config.now_ms());
    if (failure)
        return failure->err;
    if (log->phase == LOG_ASKING) {
        if (class == SOURCE_DEMAND)
            step->promote = fetch_join(log);
        return PENDING_PARKED;
    }
    if (log->phase == LOG_UNKNOWN) {
        rc = start_asking(log, name, hint, class, step);
        return rc ? rc : PENDING_PARKED;
    }
    if (class == SOURCE_PREFETCH)
        return -EAGAIN; /* there is nothing to be fetched ahead */
    step->proof = find_proof(log, name, &step->prove_new);
    return step->proof ? PENDING_PARKED : -ENOMEM;
}

/* Lock not held. */
static void take_step(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                      struct next_step *step)
{
    struct source *source = &log->cache->config.source;

    if (step->load)
        load_log(log, name);
    if (step->release)
        log_get_source(log)->ops->log_release(step->release, log_source_released);
    if (step->check)
        live_check(log, hint->completed);
    if (step->promote)
        source->ops->log_promote(source->self, log->job);
    if (step->prove_new)
        source->ops->want_facts(source->self, &step->proof->facts);
    if (!list_is_empty(&step->planned))
        fetch_send(log, name, hint->completed, &step->planned);
}

int log_get_stat(struct log *log, const struct repo_name *name, enum effort effort,
                 const struct log_hint *hint, struct waiter *w, struct log_stat *ret_stat)
{
    enum source_class class = w ? SOURCE_DEMAND : SOURCE_PREFETCH;
    struct cache *c = log->cache;
    int rc;

    for (;;) {
        uint64_t generation = pending_generation(&log->wait);
        struct next_step step = {0};

        list_init(&step.planned);
        pthread_mutex_lock(&c->lock);
        if (effort == EFFORT_NETWORK)
            rc = look(log, name, hint, class, &step, ret_stat);
        else
            rc = look_here(log, name, effort, &step, ret_stat);
        pthread_mutex_unlock(&c->lock);
        take_step(log, name, hint, &step);
        if (step.load)
            continue;
        if (rc != PENDING_PARKED || !w ||
            pending_park(&log->wait, w, generation, LOG_PART_FACTS, LOG_PART_FACTS))
            return rc;
    }
}

struct source_failure log_get_failure(struct log *log, const struct repo_name *name)
{
    struct cache *c = log->cache;
    const struct source_failure *known;
    struct source_failure failure = {0};

    pthread_mutex_lock(&c->lock);
    known = absent_find(&c->absent, name, log->job, c->config.now_ms());
    if (known)
        failure = *known;
    pthread_mutex_unlock(&c->lock);
    return failure;
}
