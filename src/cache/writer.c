/*
 * The writer thread: takes received bytes from the ring and tasks from its list. The only thread
 * that writes to the cache directory, publishes and evicts; nobody answers a cached read behind it.
 */
#include "cache/internal.h"
#include "cache/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define PIECES_A_TURN 16 /* before tasks and ends are looked at again */
/* While bytes stream in, the writer sleeps by the clock and finds many together; woken for each piece
 * it would take them as small as they come, and the network thread's processor with them. */
#define NAP_NS (250 * 1000)

struct writer {
    struct cache *cache;
    struct ring ring;
    pthread_t thread;
    bool joined;
    pthread_mutex_t put_lock; /* the network and the generator of generated logs take turns */
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* lock */
    struct list tasks; /* of struct writer_task */
    struct list ended; /* of struct fetch, in the order of ended_at */
    bool stopping;
    atomic_bool asleep; /* changed under the lock */
};

/* Unlocks, then wakes: who is woken under the lock would wait for it at once. */
static void unlock_and_wake(struct writer *w)
{
    bool asleep = atomic_load(&w->asleep);

    pthread_mutex_unlock(&w->lock);
    if (asleep)
        pthread_cond_signal(&w->work);
}

/* Wakes the thread if it sleeps. It says so before it looks at the ring for the last time, and this
 * looks after the piece was put: one of them sees. */
static void kick(struct writer *w)
{
    if (!atomic_load(&w->asleep))
        return;
    pthread_mutex_lock(&w->lock);
    unlock_and_wake(w);
}

void writer_post(struct writer *w, struct writer_task *task)
{
    pthread_mutex_lock(&w->lock);
    list_push_back(&w->tasks, &task->link);
    unlock_and_wake(w);
}

struct log_task {
    struct writer_task task;
    struct log *log;
    void (*work)(struct log *log);
};

static void run_log_task(struct writer_task *task)
{
    struct log_task *t = list_entry(task, struct log_task, task);

    t->work(t->log);
    log_unuse(t->log);
    free(t);
}

void writer_post_log(struct log *log, void (*work)(struct log *log))
{
    struct cache *c = log->cache;
    struct log_task *t = calloc(1, sizeof(*t));

    if (!t)
        return;
    t->task.run = run_log_task;
    t->log = log;
    t->work = work;
    pthread_mutex_lock(&c->lock);
    log_use(log);
    pthread_mutex_unlock(&c->lock);
    writer_post(c->writer, &t->task);
}

bool writer_put(struct writer *w, struct fetch *f, uint64_t offset, const void *data, size_t len)
{
    bool put;

    pthread_mutex_lock(&w->put_lock);
    put = ring_put(&w->ring, f, offset, data, len);
    pthread_mutex_unlock(&w->put_lock);
    kick(w);
    return put;
}

void writer_end(struct writer *w, struct fetch *f)
{
    f->ended_at = ring_position(&w->ring);
    pthread_mutex_lock(&w->lock);
    list_push_back(&w->ended, &f->in_ended);
    unlock_and_wake(w);
}

static bool write_pieces(struct writer *w)
{
    struct source *source = &w->cache->config.source, *generator = &w->cache->generator;
    struct ring_piece piece;
    unsigned n = 0;

    while (n < PIECES_A_TURN && ring_peek(&w->ring, &piece)) {
        fill_write(piece.owner, piece.offset, piece.data, piece.len);
        if (ring_release(&w->ring)) {
            source->ops->resume(source->self);
            if (generator->ops)
                generator->ops->resume(generator->self);
        }
        n++;
    }
    return n > 0;
}

/* Takes what is to be done next: a task, or the first ended fetch whose bytes are all written. */
static bool do_one(struct writer *w)
{
    struct writer_task *task = NULL;
    struct fetch *f = NULL;

    pthread_mutex_lock(&w->lock);
    if (!list_is_empty(&w->tasks)) {
        task = list_entry(list_take_first(&w->tasks), struct writer_task, link);
    } else if (!list_is_empty(&w->ended)) {
        f = list_entry(w->ended.next, struct fetch, in_ended);
        if (f->ended_at <= ring_consumed(&w->ring))
            list_remove(&f->in_ended);
        else
            f = NULL;
    }
    pthread_mutex_unlock(&w->lock);
    if (task)
        task->run(task);
    else if (f)
        fill_end(f);
    return task || f;
}

/* Sleeps until there is work. False: the house is being taken down and all is done. */
static bool wait_for_work(struct writer *w)
{
    struct ring_piece piece;
    bool idle, stop;

    pthread_mutex_lock(&w->lock);
    atomic_store(&w->asleep, true);
    while ((idle = list_is_empty(&w->tasks) && list_is_empty(&w->ended) &&
                   !ring_peek(&w->ring, &piece)) &&
           !w->stopping)
        pthread_cond_wait(&w->work, &w->lock);
    atomic_store(&w->asleep, false);
    stop = idle && w->stopping;
    pthread_mutex_unlock(&w->lock);
    return !stop;
}

/* All that is at hand; whether there was anything. */
static bool do_all(struct writer *w)
{
    bool worked = false, busy;

    do {
        busy = write_pieces(w);
        while (do_one(w))
            busy = true;
        worked |= busy;
    } while (busy);
    return worked;
}

static void *run_writer(void *arg)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    struct writer *w = arg;

    while (wait_for_work(w)) {
        while (do_all(w))
            ppoll(NULL, 0, &nap, NULL);
    }
    return NULL;
}

int writer_create(struct cache *c, struct writer **ret_writer)
{
    struct writer *w = calloc(1, sizeof(*w));
    int rc;

    if (!w)
        return -ENOMEM;
    w->cache = c;
    list_init(&w->tasks);
    list_init(&w->ended);
    atomic_init(&w->asleep, false);
    rc = ring_init(&w->ring);
    if (rc)
        goto out_free;
    pthread_mutex_init(&w->put_lock, NULL);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    rc = -pthread_create(&w->thread, NULL, run_writer, w);
    if (rc)
        goto out_ring;
    *ret_writer = w;
    return 0;

out_ring:
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->put_lock);
    ring_finish(&w->ring);
out_free:
    free(w);
    return rc;
}

void writer_stop(struct writer *w)
{
    if (w->joined)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->joined = true;
}

void writer_destroy(struct writer *w)
{
    if (!w)
        return;
    writer_stop(w);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->put_lock);
    ring_finish(&w->ring);
    free(w);
}
