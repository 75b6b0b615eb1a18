/*
 * The writer thread: it writes received bytes, which come through the ring, and runs posted tasks.
 * It alone writes to the cache directory, publishes and evicts; no reader of a present page waits
 * for it.
 */
#include "cache/internal.h"
#include "cache/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define PIECES_AT_ONCE 16 /* before tasks and ended streams are checked again */
/* While bytes stream in, the writer sleeps by the clock and finds many pieces together. Woken for
 * each piece it would write small ones, and use the processor that the network thread needs. */
#define NAP_NS (250 * 1000)

struct writer {
    struct cache *cache;
    struct ring ring; /* of pieces owned by a struct stream */
    pthread_t thread;
    bool joined;
    pthread_mutex_t put_lock; /* the network thread and the text generator take turns */
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* lock */
    struct list tasks; /* of struct task */
    struct list ended; /* of struct stream, in the order of ended_at */
    bool stopping;
    atomic_bool asleep; /* changed under the lock */
};

/* Unlocks before it signals: a thread that is woken under the lock would block on it at once. */
static void unlock_and_wake(struct writer *w)
{
    bool asleep = atomic_load(&w->asleep);

    pthread_mutex_unlock(&w->lock);
    if (asleep)
        pthread_cond_signal(&w->work);
}

void writer_post(struct writer *w, struct task *task)
{
    pthread_mutex_lock(&w->lock);
    list_push_back(&w->tasks, &task->link);
    unlock_and_wake(w);
}

bool writer_put(struct writer *w, struct stream *s, uint64_t offset, const void *data, size_t len)
{
    bool put;

    pthread_mutex_lock(&w->put_lock);
    put = ring_put(&w->ring, s, offset, data, len);
    pthread_mutex_unlock(&w->put_lock);
    /* The writer sets `asleep` before it checks the ring for the last time, and this reads it after
     * the piece was put: one of the two sees the other. */
    if (atomic_load(&w->asleep)) {
        pthread_mutex_lock(&w->lock);
        unlock_and_wake(w);
    }
    return put;
}

void writer_end(struct writer *w, struct stream *s)
{
    s->ended_at = ring_position(&w->ring);
    pthread_mutex_lock(&w->lock);
    list_push_back(&w->ended, &s->ended.link);
    unlock_and_wake(w);
}

/* Whether there was a piece. */
static bool write_pieces(struct writer *w)
{
    struct source *source = &w->cache->config.source, *generator = &w->cache->generator;
    struct ring_piece piece;
    unsigned n = 0;

    while (n < PIECES_AT_ONCE && ring_peek(&w->ring, &piece)) {
        struct stream *s = piece.owner;
        s->write(s, piece.offset, piece.data, piece.len);
        if (ring_release(&w->ring)) {
            source->ops->resume(source->self);
            if (generator->ops)
                generator->ops->resume(generator->self);
        }
        n++;
    }
    return n > 0;
}

/* Runs the next task, or that of the first ended stream once its bytes are written. False: none. */
static bool run_next(struct writer *w)
{
    struct task *task = NULL;

    pthread_mutex_lock(&w->lock);
    if (!list_is_empty(&w->tasks)) {
        task = list_entry(w->tasks.next, struct task, link);
    } else if (!list_is_empty(&w->ended)) {
        struct stream *s = list_entry(w->ended.next, struct stream, ended.link);
        if (s->ended_at <= ring_consumed(&w->ring))
            task = &s->ended;
    }
    if (task)
        list_remove(&task->link);
    pthread_mutex_unlock(&w->lock);
    if (task)
        task->run(task);
    return task != NULL;
}

/* Does what is at hand; whether there was anything. */
static bool do_work(struct writer *w)
{
    bool worked = write_pieces(w);

    while (run_next(w))
        worked = true;
    return worked;
}

/* Sleeps until there is work. False: the writer is to stop, and all is done. */
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

static void *run_writer(void *arg)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    struct writer *w = arg;

    while (wait_for_work(w)) {
        while (do_work(w)) {
            while (do_work(w))
                ;
            ppoll(NULL, 0, &nap, NULL);
        }
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
    pthread_mutex_init(&w->put_lock, NULL);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    rc = ring_init(&w->ring);
    if (!rc)
        rc = -pthread_create(&w->thread, NULL, run_writer, w);
    if (rc) {
        w->joined = true; /* there is no thread */
        writer_destroy(w);
        return rc;
    }
    *ret_writer = w;
    return 0;
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
