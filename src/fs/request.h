/*
 * request.h - a kernel request that may outlive its callback: park, resume, interrupt.
 *
 * An operation that may have to wait is a step: it checks, asks views with the request's waiter,
 * and answers. If views has parked the waiter, the step returns PENDING_PARKED; once the waiter is
 * woken, the step runs again from its start. All arguments are copied into the request, which also
 * owns the vnode that a lookup has found until the tree takes it.
 *
 * Only this file registers interrupt functions, and a step answers through request_take() only:
 *  - The function is registered before the step first runs. It runs under libfuse's lock on the
 *    request, perhaps before parking, so it only sets marks. The worker that read the interrupt
 *    checks the marks when no lock is held (requests_check_interrupted).
 *  - The thread that unlinked the waiter, or that runs the step, owns the request and answers it
 *    once (law 1).
 *  - The function is unregistered before the answer; libfuse waits there for one that is running.
 *  - A request is counted: a thread that only looks at it (after parking, after an interrupt) holds
 *    a count.
 *
 * Woken requests run on a thread of their own, the resumer: the thread that woke them (the network,
 * the writer) neither reads the disk nor copies bytes for them. A failure is answered by the thread
 * that brings it. Once stopping, everything is answered -ECONNABORTED.
 *
 * Any thread. The caller may hold no lock, and none is held while calling out.
 */
#ifndef GHLOGFS_FS_REQUEST_H
#define GHLOGFS_FS_REQUEST_H

#include "list.h"
#include "pending.h"
#include "views/views.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct diag;
struct handle;
struct node;
struct request;

/* 0: answered; PENDING_PARKED: not to be touched any more; negative errno: the answer. */
typedef int request_step(struct request *r);

#define REQUEST_ERRNO_MAX 133 /* the largest of Linux */

/* All requests of a mount that are not answered yet. */
struct requests {
    struct waits *waits;
    /* For debug output; NULL without. describe: in words, while the node is certainly there;
     * malloc'd, NULL: not worth a line. log_end: how it was answered. Any thread, no lock held. */
    char *(*describe)(const struct request *r);
    void (*log_end)(const struct request *r, const char *what, int err, int64_t took_ms);
    int64_t (*now_ms)(void);
    struct diag *diag;
    pthread_t resumer;
    bool has_resumer;
    atomic_bool stopping;
    atomic_bool interrupted; /* some request was, since the last scan */
    atomic_uint calling;     /* threads that are about to wake the resumer */
    pthread_mutex_t lock;    /* protects what follows */
    pthread_cond_t changed;  /* woken is filled, live is empty, or stopping */
    struct list live;
    struct list woken;
    uint64_t scans;     /* begun so far */
    unsigned n_live;    /* in `live` */
    atomic_uint n_busy; /* of these, whose step runs or is about to */

    atomic_uint_fast64_t failures[REQUEST_ERRNO_MAX + 1]; /* answers, by errno */
};

struct request {
    struct waiter waiter;

    /* Arguments, constant from request_start. */
    struct node *node;
    struct view_file *file; /* of a READ */
    struct handle *handle;  /* of a READDIR */
    uint64_t offset;
    size_t size;

    /* The step's own. */
    struct vnode vnode;
    bool has_vnode;
    /* For debug output: a file's size, or what was read of it. */
    bool has_bytes;
    uint64_t bytes;

    struct requests *all;
    request_step *step;
    pid_t tid; /* the thread that waits */

    /* Private to request.c. */
    fuse_req_t req;
    char *what; /* for debug output; NULL: it is not logged */
    int64_t began_ms;
    int err; /* what it is answered with, if that is an error */
    atomic_uint count;
    atomic_bool interrupted;
    struct list in_live;  /* lock of `all` */
    struct list in_woken; /* lock of `all` */
    uint64_t scanned;     /* lock of `all`; the last scan that met it */
    char name[];          /* an argument as well; "" where there is none */
};

int requests_init(struct requests *all, struct waits *waits);

/* Starts the resumer; after daemonising. */
int requests_start(struct requests *all);

/* Answers -ECONNABORTED: all that waits, and from now on all that comes. Twice is fine. */
void requests_refuse(struct requests *all);

/* After requests_refuse, when no more requests come: waits until the last one is answered, and ends
 * the resumer. The FUSE session must still exist. */
void requests_stop(struct requests *all);
void requests_finish(struct requests *all);

/* How many wait for something. */
unsigned requests_count_waiting(struct requests *all);

/* Answers the requests whose thread is dying. To be called once a second: the kernel reports only
 * the first signal of a request, and none while a thread waits for a page in its cache, so that
 * some fatal signals (after one that was caught, or those that dump core) would wait for the
 * deadline. */
void requests_check(struct requests *all);

/* The same for interrupted requests only, and only if an interrupt came since the last call. */
void requests_check_interrupted(struct requests *all);

/* NULL: no memory, and it was answered so. `name` may be NULL. */
struct request *request_create(struct requests *all, fuse_req_t req, request_step *step,
                               const char *name);

/* Runs the step for the first time. The request may be gone afterwards. */
void request_start(struct request *r);

/* For a step: the handle to answer with. Called once, right before fuse_reply_*. */
fuse_req_t request_take(struct request *r);

/* For a step: what fuse_session_new was given. */
void *request_get_userdata(const struct request *r);

/*
 * Whether a thread that waits for an answer is about to die: a fatal signal is pending, that is,
 * one that is not blocked, ignored or caught, and whose default action ends the process. A FUSE
 * interrupt does not tell which signal came, and EINTR for a mere SIGALRM or SIGURG breaks programs
 * that never expected one from a file.
 *
 * True also for a thread that no longer exists: it left a page that it had asked for ahead, and any
 * other reader of that page sends a request of its own. False for a thread that this process cannot
 * see (0: another pid namespace; hidepid): it waits on, at the latest until the deadline.
 *
 * Reads /proc; no lock may be held.
 */
bool request_thread_is_dying(pid_t tid);

/* The same from the text of /proc/<tid>/status. Pure; exported for tests. */
bool request_status_is_dying(const char *status);

#endif
