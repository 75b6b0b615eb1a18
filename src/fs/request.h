/*
 * request.h - a kernel request that may outlive its callback: park, resume, interrupt.
 *
 * An operation that may have to wait is a step: it checks, asks views with the request's waiter,
 * and answers; where views parked the waiter, it returns PENDING_PARKED and is called again from its
 * start once woken. All arguments are copied into the request, which also owns the vnode that a
 * lookup found until the tree takes it.
 *
 * Only this file registers interrupt functions, and a step answers through request_take() alone:
 *  - The function is registered before the first step. It runs under libfuse's lock on the request,
 *    maybe before parking, so it only sets marks; libfuse's loop is ours, and the worker that read
 *    the interrupt looks at the marks when no lock is held (requests_look_if_interrupted).
 *  - Whoever unlinked the waiter, or runs the step, has the request and answers it once (law 1).
 *  - Before the answer the function is unregistered; libfuse waits there for one that is running.
 *  - A request is counted: who only looks at it (after parking, after an interrupt) holds a count.
 *
 * Woken requests run on a thread of their own, the resumer: whoever woke them (the network, the
 * writer) neither reads the disk nor copies bytes for them. Failures are answered by whoever brings
 * them. Once stopping, everything is answered -ECONNABORTED.
 *
 * Any thread. No lock may be held by callers, none is held while calling out.
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

struct handle;
struct node;
struct request;

/* 0: answered; PENDING_PARKED: not to be touched any more; negative errno: to be answered so. */
typedef int request_step(struct request *r);

/* All requests of a mount that are not answered yet. */
struct requests {
    struct waits *waits;
    pthread_t resumer;
    bool has_resumer;
    atomic_bool stopping;
    atomic_bool interrupted; /* some request was, since the last look */
    atomic_uint calling;     /* threads that are about to wake the resumer */
    pthread_mutex_t lock;    /* protects what follows */
    pthread_cond_t changed;  /* woken is filled, live is empty, or stopping */
    struct list live;
    struct list woken;
    uint64_t looks;
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

    /* Private to request.c. */
    struct requests *all;
    fuse_req_t req;
    request_step *step;
    pid_t tid; /* the thread that waits */
    atomic_uint count;
    atomic_bool interrupted;
    struct list in_live;  /* lock of `all` */
    struct list in_woken; /* lock of `all` */
    uint64_t looked;      /* lock of `all`; the last look that met it */
    char name[];          /* an argument as well; "" where there is none */
};

int requests_init(struct requests *all, struct waits *waits);

/* Starts the resumer; after daemonising. */
int requests_start(struct requests *all);

/* Answers -ECONNABORTED: all that waits, and from now on all that comes. Twice is fine. */
void requests_refuse(struct requests *all);

/* After requests_refuse, when no more requests come: waits until the last one is answered, by whom
 * it was handed to, and ends the resumer. The FUSE session must still be there. */
void requests_stop(struct requests *all);
void requests_finish(struct requests *all);

/* Refuses the requests whose thread is dying. Once a second, since the kernel tells of a request's
 * first signal only, and of none while a thread waits for a page in its cache: there some fatal
 * signals (after one that was caught, or those that dump core) would wait for the deadline. */
void requests_look(struct requests *all);

/* Only those that were interrupted, and only if an interrupt came since the last such look. */
void requests_look_if_interrupted(struct requests *all);

/* NULL: no memory, and answered so. `name` may be NULL. */
struct request *request_create(struct requests *all, fuse_req_t req, request_step *step,
                               const char *name);

/* Runs the step for the first time. The request may be gone afterwards. */
void request_start(struct request *r);

/* For a step: what the answer goes to. To be called once, right before fuse_reply_*. */
fuse_req_t request_take(struct request *r);

/* For a step: the views and the tree it works on, as given to fuse_session_new. */
void *request_get_userdata(const struct request *r);

/*
 * Whether a thread that waits for an answer is about to die: a fatal signal is pending, that is, one
 * that is not blocked, ignored or caught, and whose default action ends the process. A FUSE interrupt
 * does not tell which signal came, and EINTR for a mere SIGALRM or SIGURG breaks programs that never
 * expected one from a file.
 *
 * True also for a thread that no longer exists: it left a page that it had asked for ahead, and
 * whoever waits for that page too asks for it itself. False for a thread that this process cannot see
 * (0: another pid namespace; hidepid): it waits on, at the latest until the deadline.
 *
 * Reads /proc; no lock may be held.
 */
bool request_thread_is_dying(pid_t tid);

/* The same from the text of /proc/<tid>/status. Pure; exported for tests. */
bool request_status_is_dying(const char *status);

#endif
