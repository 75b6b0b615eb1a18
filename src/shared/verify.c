#include "shared/verify.h"

#include "hash.h"
#include "shared/server.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE STORE_PAGE_SIZE
#define PAGES (VERIFY_BYTES / PAGE)

struct verify {
    struct source behind;
    struct shared_server *server;
    unsigned percent;
    atomic_uint_fast64_t compared;
    atomic_bool is_busy; /* all below is the sample's while it is set */

    pthread_mutex_t lock;
    uint64_t chance; /* lock */

    struct repo_name repo;
    uint64_t job, size;
    uint64_t sums[PAGES];
    struct source_log *log;
    struct source_bytes range;
    uint64_t next;
    struct store_hasher hasher; /* of the page that `next` is in */
    bool is_different, is_unknown;
};

/* -- Comparing; on the thread of the source behind --------------------------------------------- */

static int on_metadata(void *who, const struct source_metadata *metadata)
{
    struct verify *v = who;

    if (!metadata->final || metadata->provisional)
        v->is_unknown = true; /* it cannot be a job's that has ended, as the store's was */
    else if (metadata->size != v->size)
        v->is_different = true;
    return 0;
}

/* Of a page that is complete. */
static void compare(struct verify *v)
{
    uint64_t page = (v->next - 1 - v->range.from) / PAGE;

    v->is_different |= store_hasher_digest(&v->hasher) != v->sums[page];
    store_hasher_init(&v->hasher);
}

static int on_bytes(struct source_bytes *b, uint64_t offset, const void *data, size_t len)
{
    struct verify *v = list_entry(b, struct verify, range);
    const char *at = data;

    (void)offset; /* they come in order */
    while (len > 0 && v->next < b->to && !v->is_different) {
        size_t part = (size_t)(PAGE - v->next % PAGE);
        if (part > b->to - v->next)
            part = (size_t)(b->to - v->next);
        part = part < len ? part : len;
        store_hasher_update(&v->hasher, at, part);
        v->next += part;
        at += part;
        len -= part;
        if (v->next % PAGE == 0 || v->next == b->to)
            compare(v);
    }
    return v->is_different || v->next >= b->to ? -ECANCELED : SOURCE_TAKEN;
}

static void on_released(void *who)
{
    struct verify *v = who;

    atomic_store(&v->is_busy, false);
}

static void on_done(struct source_bytes *b, const struct source_failure *failure)
{
    struct verify *v = list_entry(b, struct verify, range);
    bool is_whole = v->next >= b->to;

    (void)failure; /* also where on_bytes has had enough */
    if (!v->is_unknown && v->is_different)
        shared_server_turn_off(v->server, &v->repo, v->job);
    else if (!v->is_unknown && is_whole)
        atomic_fetch_add(&v->compared, 1);
    v->behind.ops->log_release(v->log, on_released);
}

/* -- Drawing ----------------------------------------------------------------------------------- */

static uint64_t draw(struct verify *v)
{
    uint64_t chance;

    pthread_mutex_lock(&v->lock);
    v->chance = hash_bytes(v->chance, &v->chance, sizeof(v->chance));
    chance = v->chance;
    pthread_mutex_unlock(&v->lock);
    return chance >> 16; /* its low bits are the worse ones */
}

void verify_draw(struct verify *v, const struct repo_name *repo, uint64_t job,
                 const struct store_meta *meta)
{
    static const struct source_log_ops ops = {.on_metadata = on_metadata};
    uint64_t stretches = (meta->size + VERIFY_BYTES - 1) / VERIFY_BYTES, from, to;

    if (draw(v) % 100 >= v->percent || atomic_exchange(&v->is_busy, true))
        return;
    from = draw(v) % stretches * VERIFY_BYTES;
    to = meta->size - from < VERIFY_BYTES ? meta->size : from + VERIFY_BYTES;
    v->repo = *repo;
    v->job = job;
    v->size = meta->size;
    v->next = from;
    v->is_different = v->is_unknown = false;
    memcpy(v->sums, meta->checksums + from / PAGE, store_page_count(to - from) * sizeof(*v->sums));
    store_hasher_init(&v->hasher);
    v->log = v->behind.ops->log_create(v->behind.self, repo, job, true, &ops, v, NULL);
    if (!v->log) {
        atomic_store(&v->is_busy, false);
        return;
    }
    v->range = (struct source_bytes){.log = v->log,
                                     .from = from,
                                     .to = to,
                                     .class = SOURCE_PREFETCH,
                                     .bytes = on_bytes,
                                     .done = on_done};
    v->behind.ops->want_bytes(v->behind.self, &v->range);
}

/* -- First and last ---------------------------------------------------------------------------- */

int verify_create(const struct source *behind, struct shared_server *server, unsigned percent,
                  struct verify **ret_verify)
{
    struct verify *v = calloc(1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    v->behind = *behind;
    v->server = server;
    v->percent = percent;
    v->chance = (uint64_t)net_now_ms() ^ (uint64_t)(uintptr_t)v;
    pthread_mutex_init(&v->lock, NULL);
    *ret_verify = v;
    return 0;
}

void verify_destroy(struct verify *v)
{
    if (!v)
        return;
    pthread_mutex_destroy(&v->lock);
    free(v);
}

uint64_t verify_count(struct verify *v)
{
    return atomic_load(&v->compared);
}
