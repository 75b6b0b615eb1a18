/*
 * Requests that wait: each is answered exactly once, whatever wakes, interrupts, expires or stops
 * it.
 *
 * libfuse's functions that request.c calls are replaced here, with libfuse's own locking: the
 * interrupt function runs under the request's lock, and from inside the registering call if the
 * interrupt came first. Run under ThreadSanitizer as well.
 */
#include "fs/request.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* --- libfuse, replaced ----------------------------------------------------------------------- */

struct fuse_req {
    pthread_mutex_t lock;
    fuse_interrupt_func_t func;
    void *data;
    bool interrupted;
    struct fuse_ctx ctx;
    void *userdata;
    atomic_int answers;
    atomic_int misuses; /* calls that libfuse would have taken for freed memory */
    int err;
    sem_t answered;
};

int fuse_reply_err(fuse_req_t req, int err)
{
    req->err = err;
    if (req->func)
        atomic_fetch_add(&req->misuses, 1);
    atomic_fetch_add(&req->answers, 1);
    sem_post(&req->answered);
    return 0;
}

const struct fuse_ctx *fuse_req_ctx(fuse_req_t req)
{
    return &req->ctx;
}

void *fuse_req_userdata(fuse_req_t req)
{
    return req->userdata;
}

void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
    if (atomic_load(&req->answers))
        atomic_fetch_add(&req->misuses, 1);
    pthread_mutex_lock(&req->lock);
    req->func = func;
    req->data = data;
    if (req->interrupted && func)
        func(req, data);
    pthread_mutex_unlock(&req->lock);
}

static void interrupt(fuse_req_t req)
{
    pthread_mutex_lock(&req->lock);
    req->interrupted = true;
    if (req->func)
        req->func(req, req->data);
    pthread_mutex_unlock(&req->lock);
}

/* --- views, replaced ------------------------------------------------------------------------- */

void views_vnode_finish(struct vnode *p)
{
    (*(int *)(void *)p->text)++;
}

/* --- the fixture of one test ------------------------------------------------------------------ */

#define QUEUES 3

/* A process that was killed but cannot die: stopped, with SIGTERM pending. */
struct victim {
    pid_t pid;
};

static struct victim victim_create(void)
{
    struct victim v = {fork()};
    int status;

    if (v.pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    waitpid(v.pid, &status, WUNTRACED);
    return v;
}

static void victim_kill(struct victim v)
{
    kill(v.pid, SIGTERM);
}

static void victim_finish(struct victim v)
{
    kill(v.pid, SIGKILL);
    waitpid(v.pid, NULL, 0);
}

struct fixture {
    struct waits waits;
    struct pending queues[QUEUES];
    struct requests requests;
    atomic_bool open; /* what the steps wait for */
};

static struct fixture *fixture_create(void)
{
    struct fixture *h = calloc(1, sizeof(*h));

    assert_non_null(h);
    waits_init(&h->waits);
    for (int i = 0; i < QUEUES; i++)
        pending_init(&h->queues[i], &h->waits);
    assert_int_equal(requests_init(&h->requests, &h->waits), 0);
    assert_int_equal(requests_start(&h->requests), 0);
    return h;
}

static void fixture_destroy(struct fixture *h)
{
    requests_refuse(&h->requests);
    requests_stop(&h->requests);
    requests_finish(&h->requests);
    waits_finish(&h->waits);
    free(h);
}

static void req_init(struct fixture *h, struct fuse_req *req, pid_t tid)
{
    *req = (struct fuse_req){.ctx = {.pid = tid}, .userdata = h};
    pthread_mutex_init(&req->lock, NULL);
    sem_init(&req->answered, 0, 0);
}

static void req_finish(struct fuse_req *req)
{
    pthread_mutex_destroy(&req->lock);
    sem_destroy(&req->answered);
}

static int wait_for_answer(struct fuse_req *req)
{
    while (sem_wait(&req->answered) < 0)
        ;
    assert_int_equal(atomic_load(&req->answers), 1);
    assert_int_equal(atomic_load(&req->misuses), 0);
    return req->err;
}

static bool is_waiting(struct fuse_req *req)
{
    return atomic_load(&req->answers) == 0 && req->func != NULL;
}

/* Waits in the first queue until the fixture is open. */
static int step_enter(struct request *r)
{
    struct fixture *h = request_get_userdata(r);
    struct pending *queue = &h->queues[0];
    uint64_t generation;

    do {
        generation = pending_generation(queue);
        if (atomic_load(&h->open)) {
            fuse_reply_err(request_take(r), 0);
            return 0;
        }
    } while (!pending_park(queue, &r->waiter, generation, 0, 0));
    return PENDING_PARKED;
}

static int step_fail(struct request *r)
{
    (void)r;
    return -ENOENT;
}

static void start(struct fixture *h, struct fuse_req *req, request_step *step)
{
    struct request *r = request_create(&h->requests, req, step, "name");

    assert_non_null(r);
    request_start(r);
}

/* --- one at a time ---------------------------------------------------------------------------- */

static void test_step_that_need_not_wait_answers_once(void **state)
{
    struct fixture *h = fixture_create();
    struct fuse_req good, bad;

    (void)state;
    req_init(h, &good, getpid());
    req_init(h, &bad, getpid());
    atomic_store(&h->open, true);
    start(h, &good, step_enter);
    start(h, &bad, step_fail);
    assert_int_equal(wait_for_answer(&good), 0);
    assert_int_equal(wait_for_answer(&bad), ENOENT);
    assert_null(good.func);
    req_finish(&good);
    req_finish(&bad);
    fixture_destroy(h);
}

static void test_woken_request_asks_again(void **state)
{
    struct fixture *h = fixture_create();
    struct fuse_req req;

    (void)state;
    req_init(h, &req, getpid());
    start(h, &req, step_enter);
    assert_true(is_waiting(&req));
    pending_wake(&h->queues[0], 0, 0, 0); /* for nothing: it waits again */
    atomic_store(&h->open, true);
    pending_wake(&h->queues[0], 0, 0, 0);
    assert_int_equal(wait_for_answer(&req), 0);
    req_finish(&req);
    fixture_destroy(h);
}

static void test_failure_and_deadline_are_the_answer(void **state)
{
    struct fixture *h = fixture_create();
    struct fuse_req failed, late;

    (void)state;
    req_init(h, &failed, getpid());
    req_init(h, &late, getpid());
    start(h, &failed, step_enter);
    pending_wake(&h->queues[0], 0, 0, -EDQUOT);
    assert_int_equal(wait_for_answer(&failed), EDQUOT);
    start(h, &late, step_enter);
    waits_expire(&h->waits, 1000, 500);
    assert_true(is_waiting(&late));
    waits_expire(&h->waits, 1500, 500);
    assert_int_equal(wait_for_answer(&late), ETIMEDOUT);
    req_finish(&failed);
    req_finish(&late);
    fixture_destroy(h);
}

/* R6: the kernel reports the first signal only; later ones are found by checking. */
static void test_interrupt_counts_only_if_the_process_dies(void **state)
{
    struct fixture *h = fixture_create();
    struct victim victim = victim_create();
    struct fuse_req req;

    (void)state;
    req_init(h, &req, victim.pid);
    start(h, &req, step_enter);
    interrupt(&req);
    requests_check_interrupted(&h->requests);
    assert_true(is_waiting(&req));
    victim_kill(victim);
    requests_check_interrupted(&h->requests);
    assert_true(is_waiting(&req)); /* no further interrupt came */
    requests_check(&h->requests);
    assert_int_equal(wait_for_answer(&req), EINTR);
    req_finish(&req);
    victim_finish(victim);
    fixture_destroy(h);
}

static void test_interrupt_before_parking_is_seen_when_parking(void **state)
{
    struct fixture *h = fixture_create();
    struct victim victim = victim_create();
    struct fuse_req dying, living;

    (void)state;
    victim_kill(victim);
    req_init(h, &dying, victim.pid);
    req_init(h, &living, getpid());
    dying.interrupted = living.interrupted = true;
    start(h, &dying, step_enter);
    start(h, &living, step_enter);
    assert_int_equal(wait_for_answer(&dying), EINTR);
    assert_true(is_waiting(&living));
    fixture_destroy(h);
    assert_int_equal(wait_for_answer(&living), ECONNABORTED);
    req_finish(&dying);
    req_finish(&living);
    victim_finish(victim);
}

/* A thread that waits for a page in the kernel's cache: no interrupt is ever sent. */
static void test_read_of_a_dying_thread_is_found_without_interrupt(void **state)
{
    struct fixture *h = fixture_create();
    struct victim victim = victim_create();
    struct fuse_req read_req, other_req;
    struct request *r;

    (void)state;
    victim_kill(victim);
    req_init(h, &read_req, victim.pid);
    req_init(h, &other_req, victim.pid);
    start(h, &other_req, step_enter);
    r = request_create(&h->requests, &read_req, step_enter, NULL);
    r->file = (struct view_file *)(void *)h; /* only whether there is one counts */
    request_start(r);
    requests_check(&h->requests);
    assert_int_equal(wait_for_answer(&read_req), EINTR);
    assert_true(is_waiting(&other_req));
    fixture_destroy(h);
    req_finish(&read_req);
    req_finish(&other_req);
    victim_finish(victim);
}

static void test_all_are_refused_when_stopping(void **state)
{
    struct fixture *h = fixture_create();
    struct fuse_req parked[100], later;

    (void)state;
    for (int i = 0; i < 100; i++) {
        req_init(h, &parked[i], getpid());
        start(h, &parked[i], step_enter);
    }
    req_init(h, &later, getpid());
    requests_refuse(&h->requests);
    start(h, &later, step_enter);
    requests_stop(&h->requests);
    assert_int_equal(wait_for_answer(&later), ECONNABORTED);
    for (int i = 0; i < 100; i++)
        assert_int_equal(wait_for_answer(&parked[i]), ECONNABORTED);
    fixture_destroy(h);
}

static void test_vnode_of_a_request_ends_with_it(void **state)
{
    struct fixture *h = fixture_create();
    struct fuse_req req;
    struct request *r;
    int ended = 0;

    (void)state;
    req_init(h, &req, getpid());
    r = request_create(&h->requests, &req, step_enter, "log");
    assert_string_equal(r->name, "log");
    r->vnode.text = (char *)(void *)&ended;
    r->has_vnode = true;
    request_start(r);
    assert_int_equal(ended, 0);
    waits_fail_all(&h->waits, -EIO);
    assert_int_equal(wait_for_answer(&req), EIO);
    assert_int_equal(ended, 1);
    req_finish(&req);
    fixture_destroy(h);
}

/* --- all at once ------------------------------------------------------------------------------ */

#define STARTERS 3
#define PER_STARTER 1500

struct crowd {
    struct fixture *fixture;
    struct fuse_req *reqs;
    struct fuse_req *end;
    pid_t dying;
    atomic_int starters; /* still at work */
};

struct starter {
    struct crowd *crowd;
    struct fuse_req *first;
};

/* Waits at up to six queues, then answers. */
static int step_wander(struct request *r)
{
    struct fixture *h = request_get_userdata(r);
    struct pending *queue = &h->queues[(r->offset + r->size) % QUEUES];
    uint64_t generation = pending_generation(queue);
    uint64_t part = r->size % 8;

    while (r->offset < r->size % 7) {
        r->offset++;
        if (pending_park(queue, &r->waiter, generation, part, part))
            return PENDING_PARKED;
        generation = pending_generation(queue);
    }
    if (r->size % 5 == 0)
        return -ENOENT;
    fuse_reply_err(request_take(r), 0);
    return 0;
}

static void *run_starter(void *arg)
{
    struct starter *s = arg;
    struct crowd *c = s->crowd;

    for (int i = 0; i < PER_STARTER; i++) {
        struct request *r = request_create(&c->fixture->requests, &s->first[i], step_wander, NULL);
        r->size = (size_t)i;
        request_start(r);
        requests_check_interrupted(&c->fixture->requests);
    }
    atomic_fetch_sub(&c->starters, 1);
    return NULL;
}

static void *run_waker(void *arg)
{
    struct crowd *c = arg;

    for (unsigned i = 0; atomic_load(&c->starters); i++) {
        pending_wake(&c->fixture->queues[i % QUEUES], i % 8, i % 8 + 1, i % 50 ? 0 : -ETIMEDOUT);
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

/* Also those that were not started yet, and those that were answered. */
static void *run_interrupter(void *arg)
{
    struct crowd *c = arg;
    struct fuse_req *req = c->reqs;

    for (unsigned i = 0; atomic_load(&c->starters); i++) {
        interrupt(req);
        req = req + 7 < c->end ? req + 7 : c->reqs + i % 7;
        if (i % 16 == 0)
            requests_check(&c->fixture->requests);
        requests_check_interrupted(&c->fixture->requests);
    }
    return NULL;
}

static void *run_clock(void *arg)
{
    struct crowd *c = arg;

    for (int64_t now_ms = 1; atomic_load(&c->starters); now_ms += 10) {
        waits_expire(&c->fixture->waits, now_ms, 2000);
        if (now_ms % 1000 == 1)
            waits_fail_all(&c->fixture->waits, -EIO);
        sched_yield();
    }
    return NULL;
}

static void run_crowd(struct crowd *c)
{
    void *(*const others[])(void *) = {run_waker, run_interrupter, run_clock};
    struct starter starters[STARTERS];
    pthread_t threads[STARTERS + 3];

    atomic_store(&c->starters, STARTERS);
    for (int i = 0; i < STARTERS; i++) {
        starters[i] = (struct starter){c, c->reqs + (ptrdiff_t)i * PER_STARTER};
        pthread_create(&threads[i], NULL, run_starter, &starters[i]);
    }
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[STARTERS + i], NULL, others[i], c);
    /* Stopping comes in the middle of it all. */
    while (atomic_load(&c->starters) && !atomic_load(&c->reqs[PER_STARTER / 2].answers))
        sched_yield();
    requests_refuse(&c->fixture->requests);
    for (int i = 0; i < STARTERS + 3; i++)
        pthread_join(threads[i], NULL);
    requests_stop(&c->fixture->requests);
}

static void test_each_is_answered_exactly_once(void **state)
{
    struct crowd c = {.fixture = fixture_create()};
    struct victim victim = victim_create();
    size_t n = (size_t)STARTERS * PER_STARTER;

    (void)state;
    victim_kill(victim);
    c.reqs = calloc(n, sizeof(*c.reqs));
    c.end = c.reqs + n;
    for (size_t i = 0; i < n; i++)
        req_init(c.fixture, &c.reqs[i], i % 2 ? getpid() : victim.pid);
    run_crowd(&c);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(atomic_load(&c.reqs[i].answers), 1);
        assert_int_equal(atomic_load(&c.reqs[i].misuses), 0);
        if (i % 2)
            assert_int_not_equal(c.reqs[i].err, EINTR);
        req_finish(&c.reqs[i]);
    }
    fixture_destroy(c.fixture);
    free(c.reqs);
    victim_finish(victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_that_need_not_wait_answers_once),
        cmocka_unit_test(test_woken_request_asks_again),
        cmocka_unit_test(test_failure_and_deadline_are_the_answer),
        cmocka_unit_test(test_interrupt_counts_only_if_the_process_dies),
        cmocka_unit_test(test_interrupt_before_parking_is_seen_when_parking),
        cmocka_unit_test(test_read_of_a_dying_thread_is_found_without_interrupt),
        cmocka_unit_test(test_all_are_refused_when_stopping),
        cmocka_unit_test(test_vnode_of_a_request_ends_with_it),
        cmocka_unit_test(test_each_is_answered_exactly_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
