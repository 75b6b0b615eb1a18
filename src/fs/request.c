#include "fs/request.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_CAP 8192 /* the text is about 1.5 KiB, plus one word for each group */

static void wake(struct waiter *w, int err);

/* --- whether a thread that waits is about to die --- */

/* The bit of a signal in the masks of /proc. */
static uint64_t bit(int sig)
{
    return UINT64_C(1) << (sig - 1);
}

/* The mask in the line that starts with "\nKEY:"; 0 where there is none. */
static uint64_t mask(const char *status, const char *key)
{
    const char *line = strstr(status, key);

    return line ? strtoull(line + strlen(key), NULL, 16) : 0;
}

bool request_status_is_dying(const char *status)
{
    uint64_t pending = mask(status, "\nSigPnd:") | mask(status, "\nShdPnd:");
    uint64_t handled = mask(status, "\nSigBlk:") | mask(status, "\nSigIgn:") |
                       mask(status, "\nSigCgt:");
    /* Signals whose default is to do nothing, to stop or to continue. */
    uint64_t harmless = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGSTOP) |
                        bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);

    return (pending & bit(SIGKILL)) || (pending & ~handled & ~harmless) ||
           strstr(status, "\nState:\tZ") != NULL;
}

bool request_thread_is_dying(pid_t tid)
{
    char path[64], status[STATUS_CAP];
    size_t len = 0;
    ssize_t n = 0;
    int fd;

    if (tid <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) /* it has ended, or /proc hides it */
        return kill(tid, 0) < 0 && errno == ESRCH;
    while (len < sizeof(status) - 1 && (n = read(fd, status + len, sizeof(status) - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    status[len] = '\0';
    return request_status_is_dying(status);
}

/* --- one request ---------------------------------------------------------------------------- */

struct request *request_create(struct requests *all, fuse_req_t req, request_step *step,
                               const char *name)
{
    size_t len = name ? strlen(name) + 1 : 1;
    struct request *r = calloc(1, sizeof(*r) + len);

    if (!r) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    r->all = all;
    r->req = req;
    r->step = step;
    r->tid = fuse_req_ctx(req)->pid;
    r->waiter.wake = wake;
    r->waiter.reader = r->tid;
    atomic_init(&r->count, 1);
    atomic_init(&r->interrupted, false);
    if (name)
        memcpy(r->name, name, len);
    return r;
}

static void hold(struct request *r)
{
    atomic_fetch_add(&r->count, 1);
}

static void release(struct request *r)
{
    if (atomic_fetch_sub(&r->count, 1) != 1)
        return;
    free(r->what);
    free(r);
}

/* Runs under libfuse's lock on the request, perhaps from inside the registering call. */
static void on_interrupt(fuse_req_t req, void *data)
{
    struct request *r = data;

    (void)req;
    atomic_store(&r->interrupted, true);
    atomic_store(&r->all->interrupted, true);
}

fuse_req_t request_take(struct request *r)
{
    fuse_req_t req = r->req;

    assert(req);
    /* Before the answer: the caller's next request comes behind it. */
    if (r->what)
        r->all->log_end(r, r->what, r->err, r->all->now_ms() - r->began_ms);
    r->req = NULL;
    fuse_req_interrupt_func(req, NULL, NULL);
    return req;
}

void *request_get_userdata(const struct request *r)
{
    return fuse_req_userdata(r->req);
}

/* The caller owns the request; is_busy: and has run its step. Answers it with `err` if the step has
 * not answered, and gives up the owner's count. What the request holds is released before it leaves
 * `live`: views may be taken down as soon as `live` is empty. */
static void finish(struct request *r, int err, bool is_busy)
{
    struct requests *all = r->all;

    if (r->req) {
        if (err < 0 && err >= -REQUEST_ERRNO_MAX)
            atomic_fetch_add_explicit(&all->failures[-err], 1, memory_order_relaxed);
        r->err = err;
        fuse_reply_err(request_take(r), -err);
    }
    if (r->has_vnode)
        views_vnode_finish(&r->vnode);
    pthread_mutex_lock(&all->lock);
    list_remove(&r->in_live);
    all->n_live--;
    all->n_busy -= is_busy;
    if (list_is_empty(&all->live) && atomic_load(&all->stopping))
        pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    release(r);
}

/* The caller holds a count, but does not own the request: takes it if it is parked, and answers. */
static void refuse_parked(struct request *r, int err)
{
    if (pending_cancel(r->all->waits, &r->waiter))
        finish(r, err, false);
}

/*
 * The caller owns the request. Interrupt and stop may come before the step has parked: the thread
 * that sets a mark looks for a parked request afterwards, and this function looks for a mark after
 * parking, so that one of them sees the other.
 */
static void run(struct request *r)
{
    struct requests *all = r->all;
    int rc;

    hold(r);
    rc = atomic_load(&all->stopping) ? -ECONNABORTED : r->step(r);
    if (rc == PENDING_PARKED)
        all->n_busy--;
    if (rc != PENDING_PARKED)
        finish(r, rc, true);
    else if (atomic_load(&all->stopping))
        refuse_parked(r, -ECONNABORTED);
    else if (atomic_load(&r->interrupted) && request_thread_is_dying(r->tid))
        refuse_parked(r, -EINTR);
    release(r);
}

void request_start(struct request *r)
{
    struct requests *all = r->all;

    pthread_mutex_lock(&all->lock);
    r->scanned = all->scans; /* a scan under way passes it by, so that each scan ends */
    list_push_back(&all->live, &r->in_live);
    all->n_live++;
    all->n_busy++;
    pthread_mutex_unlock(&all->lock);
    if (all->describe) {
        r->what = all->describe(r);
        r->began_ms = all->now_ms();
    }
    fuse_req_interrupt_func(r->req, on_interrupt, r);
    run(r);
}

/* --- resuming ------------------------------------------------------------------------------- */

/* Runs on the thread that unlinked the waiter, which owns the request until the resumer gets it. */
static void wake(struct waiter *w, int err)
{
    struct request *r = list_entry(w, struct request, waiter);
    struct requests *all = r->all;
    bool queued = false, first = false;

    if (err == 0) {
        pthread_mutex_lock(&all->lock);
        queued = !atomic_load(&all->stopping);
        first = queued && list_is_empty(&all->woken);
        if (queued)
            list_push_back(&all->woken, &r->in_woken);
        if (first)
            atomic_fetch_add(&all->calling, 1);
        pthread_mutex_unlock(&all->lock);
    }
    /* After unlocking, since the resumer takes the lock first. It may have answered `r` by now. */
    if (first) {
        pthread_cond_broadcast(&all->changed);
        atomic_fetch_sub(&all->calling, 1);
    }
    if (!queued)
        finish(r, err ? err : -ECONNABORTED, false);
}

static void *resume_all(void *arg)
{
    struct requests *all = arg;

    for (;;) {
        struct list *link;

        pthread_mutex_lock(&all->lock);
        while (!(link = list_take_first(&all->woken)) && !atomic_load(&all->stopping))
            pthread_cond_wait(&all->changed, &all->lock);
        pthread_mutex_unlock(&all->lock);
        if (!link)
            return NULL;
        all->n_busy++;
        run(list_entry(link, struct request, in_woken));
    }
}

/* --- all requests --------------------------------------------------------------------------- */

int requests_init(struct requests *all, struct waits *waits)
{
    all->waits = waits;
    all->has_resumer = false;
    atomic_init(&all->stopping, false);
    atomic_init(&all->interrupted, false);
    atomic_init(&all->calling, 0);
    list_init(&all->live);
    list_init(&all->woken);
    all->scans = 0;
    all->n_live = 0;
    atomic_init(&all->n_busy, 0);
    for (int i = 0; i <= REQUEST_ERRNO_MAX; i++)
        atomic_init(&all->failures[i], 0);
    pthread_cond_init(&all->changed, NULL);
    return -pthread_mutex_init(&all->lock, NULL);
}

int requests_start(struct requests *all)
{
    sigset_t every, old;
    int err;

    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &old);
    err = pthread_create(&all->resumer, NULL, resume_all, all);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    all->has_resumer = err == 0;
    return -err;
}

/* Which requests a scan is for. */
enum whom { EVERY_REQUEST, INTERRUPTED, INTERRUPTED_OR_READ };

/* The next request that this scan has not met, with a count; NULL: there is none. */
static struct request *next_unscanned(struct requests *all, uint64_t scan, enum whom whom)
{
    struct request *found = NULL;

    pthread_mutex_lock(&all->lock);
    list_each(link, &all->live) {
        struct request *r = list_entry(link, struct request, in_live);

        if (r->scanned < scan && (whom == EVERY_REQUEST || atomic_load(&r->interrupted) ||
                                  (whom == INTERRUPTED_OR_READ && r->file))) {
            found = r;
            break;
        }
    }
    if (found) {
        /* Moved to the end, so that the next call does not pass it. */
        list_remove(&found->in_live);
        list_push_back(&all->live, &found->in_live);
        found->scanned = scan;
        hold(found);
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

/* Answers the parked requests that have to end. One that was met before requests_refuse began may
 * be passed by there, so each scan checks `stopping`. */
static void scan(struct requests *all, enum whom whom)
{
    struct request *r;
    uint64_t number;

    pthread_mutex_lock(&all->lock);
    number = ++all->scans;
    pthread_mutex_unlock(&all->lock);
    while ((r = next_unscanned(all, number, whom))) {
        if (atomic_load(&all->stopping))
            refuse_parked(r, -ECONNABORTED);
        else if (request_thread_is_dying(r->tid))
            refuse_parked(r, -EINTR);
        release(r);
    }
}

unsigned requests_count_waiting(struct requests *all)
{
    unsigned live, busy;

    pthread_mutex_lock(&all->lock);
    live = all->n_live;
    busy = atomic_load(&all->n_busy); /* one may park just now, and counts as busy still */
    pthread_mutex_unlock(&all->lock);
    return live > busy ? live - busy : 0;
}

void requests_check(struct requests *all)
{
    scan(all, INTERRUPTED_OR_READ);
}

void requests_check_interrupted(struct requests *all)
{
    if (atomic_load_explicit(&all->interrupted, memory_order_relaxed) &&
        atomic_exchange(&all->interrupted, false))
        scan(all, INTERRUPTED);
}

void requests_refuse(struct requests *all)
{
    pthread_mutex_lock(&all->lock);
    atomic_store(&all->stopping, true);
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    scan(all, EVERY_REQUEST);
}

void requests_stop(struct requests *all)
{
    pthread_mutex_lock(&all->lock);
    while (!list_is_empty(&all->live))
        pthread_cond_wait(&all->changed, &all->lock);
    pthread_mutex_unlock(&all->lock);
    while (atomic_load(&all->calling)) /* for as long as one pthread_cond_broadcast takes */
        sched_yield();
    if (all->has_resumer)
        pthread_join(all->resumer, NULL);
    all->has_resumer = false;
}

void requests_finish(struct requests *all)
{
    pthread_mutex_destroy(&all->lock);
    pthread_cond_destroy(&all->changed);
}
