/* Waiting and single flight: the thread that unlinks a waiter answers it, exactly once (laws 1 and
 * 2). */
#include "pending.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct guest {
    struct waiter waiter;
    unsigned answers;
    int err;
    struct guest *other; /* for the test's callbacks */
};

static struct waits waits;
static struct pending thing, another;

static struct guest *guest_of(struct waiter *w)
{
    return list_entry(w, struct guest, waiter);
}

static void note(struct waiter *w, int err)
{
    struct guest *g = guest_of(w);

    g->answers++;
    g->err = err;
}

static struct guest new_guest(void)
{
    return (struct guest){.waiter.wake = note, .err = 1};
}

static void park(struct pending *p, struct guest *g, uint64_t first, uint64_t last)
{
    assert_true(pending_park(p, &g->waiter, pending_generation(p), first, last));
}

static void assert_answered(const struct guest *g, unsigned answers, int err)
{
    assert_int_equal(g->answers, answers);
    assert_int_equal(g->err, err);
}

static int open_waits(void **state)
{
    (void)state;
    assert_int_equal(waits_init(&waits), 0);
    pending_init(&thing, &waits);
    pending_init(&another, &waits);
    return 0;
}

static int close_waits(void **state)
{
    (void)state;
    assert_true(list_is_empty(&waits.busy));
    pending_finish(&thing);
    pending_finish(&another);
    waits_finish(&waits);
    return 0;
}

static void test_wake_answers_waiters_of_overlapping_parts(void **state)
{
    struct guest below = new_guest(), touching = new_guest(), inside = new_guest();
    struct guest above = new_guest(), all = new_guest(), elsewhere = new_guest();

    (void)state;
    park(&thing, &below, 0, 9);
    park(&thing, &touching, 5, 10);
    park(&thing, &inside, 12, 12);
    park(&thing, &above, 21, 30);
    park(&thing, &all, PENDING_ALL_FIRST, PENDING_ALL_LAST);
    park(&another, &elsewhere, 10, 20);
    pending_wake(&thing, 10, 20, -EIO);
    assert_answered(&below, 0, 1);
    assert_answered(&touching, 1, -EIO);
    assert_answered(&inside, 1, -EIO);
    assert_answered(&above, 0, 1);
    assert_answered(&all, 1, -EIO);
    assert_answered(&elsewhere, 0, 1);
    pending_wake(&thing, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
    assert_answered(&below, 1, 0);
    assert_answered(&above, 1, 0);
    assert_answered(&inside, 1, -EIO);
    pending_wake(&another, 20, 20, 0);
    assert_answered(&elsewhere, 1, 0);
}

static void test_park_is_refused_after_an_announcement(void **state)
{
    struct guest g = new_guest();
    uint64_t generation = pending_generation(&thing);

    (void)state;
    pending_wake(&thing, 5, 5, 0);
    assert_false(pending_park(&thing, &g.waiter, generation, 0, 0));
    assert_true(pending_park(&thing, &g.waiter, pending_generation(&thing), 0, 0));
    assert_answered(&g, 0, 1);
    assert_true(pending_cancel(&waits, &g.waiter));
    assert_answered(&g, 0, 1);
}

static void test_announcement_in_another_queue_does_not_matter(void **state)
{
    struct guest g = new_guest();
    uint64_t generation = pending_generation(&thing);

    (void)state;
    pending_wake(&another, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
    assert_true(pending_park(&thing, &g.waiter, generation, 0, 0));
    pending_wake(&thing, 0, 0, 0);
    assert_answered(&g, 1, 0);
}

static void test_cancel_unlinks_parked_waiters_only(void **state)
{
    struct guest g = new_guest();

    (void)state;
    assert_false(pending_cancel(&waits, &g.waiter));
    park(&thing, &g, 0, 0);
    assert_true(pending_cancel(&waits, &g.waiter));
    assert_false(pending_cancel(&waits, &g.waiter));
    pending_wake(&thing, 0, 0, 0);
    assert_answered(&g, 0, 1);
    park(&thing, &g, 0, 0);
    pending_wake(&thing, 0, 0, 0);
    assert_false(pending_cancel(&waits, &g.waiter));
    assert_answered(&g, 1, 0);
}

/* A waiter that parks again, or takes out the one behind it, from within its wake. */
static void park_again(struct waiter *w, int err)
{
    note(w, err);
    w->wake = note;
    assert_true(pending_park(&thing, w, pending_generation(&thing), 0, 0));
}

static void cancel_other(struct waiter *w, int err)
{
    struct guest *g = guest_of(w);

    note(w, err);
    assert_false(pending_cancel(&waits, &g->other->waiter));
}

static void test_callbacks_hold_no_lock_and_may_park_again(void **state)
{
    struct guest again = new_guest(), first = new_guest(), second = new_guest();

    (void)state;
    again.waiter.wake = park_again;
    first.waiter.wake = cancel_other;
    first.other = &second;
    park(&thing, &again, 0, 0);
    park(&thing, &first, 0, 0);
    park(&thing, &second, 0, 0);
    pending_wake(&thing, 0, 0, 0);
    assert_answered(&again, 1, 0);
    assert_answered(&first, 1, 0);
    /* Woken together: it was no longer parked, so it was not the other's to answer. */
    assert_answered(&second, 1, 0);
    pending_wake(&thing, 0, 0, -EIO);
    assert_answered(&again, 2, -EIO);
}

static void test_deadline_counts_from_the_first_look_and_from_progress(void **state)
{
    struct guest early = new_guest(), late = new_guest();

    (void)state;
    park(&thing, &early, 0, 0);
    waits_expire(&waits, 1000, 100);
    waits_expire(&waits, 1099, 100);
    assert_answered(&early, 0, 1);
    park(&another, &late, 0, 0);
    waits_expire(&waits, 1100, 100);
    assert_answered(&early, 1, -ETIMEDOUT);
    assert_answered(&late, 0, 1);
    pending_touch(&another, 1150);
    waits_expire(&waits, 1249, 100);
    assert_answered(&late, 0, 1);
    waits_expire(&waits, 1250, 100);
    assert_answered(&late, 1, -ETIMEDOUT);
}

static void test_progress_before_parking_does_not_extend_the_deadline(void **state)
{
    struct guest g = new_guest();

    (void)state;
    pending_touch(&thing, 1000);
    park(&thing, &g, 0, 0);
    waits_expire(&waits, 5000, 100);
    assert_answered(&g, 0, 1);
    waits_expire(&waits, 5100, 100);
    assert_answered(&g, 1, -ETIMEDOUT);
}

static void test_deadline_starts_anew_with_each_parking(void **state)
{
    struct guest g = new_guest();

    (void)state;
    park(&thing, &g, 0, 0);
    waits_expire(&waits, 1000, 100);
    assert_true(pending_cancel(&waits, &g.waiter));
    park(&thing, &g, 0, 0);
    waits_expire(&waits, 5000, 100);
    assert_answered(&g, 0, 1);
    assert_true(pending_cancel(&waits, &g.waiter));
}

static void test_deadline_counts_from_the_last_progress(void **state)
{
    struct guest g = new_guest();

    (void)state;
    park(&thing, &g, 0, 0);
    waits_expire(&waits, 1000, 100);
    pending_touch(&thing, 1050);
    waits_expire(&waits, 1149, 100);
    assert_answered(&g, 0, 1);
    waits_expire(&waits, 1150, 100);
    assert_answered(&g, 1, -ETIMEDOUT);
}

static void test_fail_all_answers_every_waiter(void **state)
{
    struct guest guests[8];

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        guests[i] = new_guest();
        park(i % 2 ? &thing : &another, &guests[i], i, i);
    }
    waits_fail_all(&waits, -ECONNABORTED);
    for (size_t i = 0; i < 8; i++)
        assert_answered(&guests[i], 1, -ECONNABORTED);
    waits_fail_all(&waits, -EIO);
    assert_answered(&guests[0], 1, -ECONNABORTED);
}

/* R6: who looked before everybody was sent away, and parks after, does not wait for a deadline. */
static void test_parking_fails_after_fail_all(void **state)
{
    struct guest late = new_guest();
    uint64_t generation = pending_generation(&thing);

    (void)state;
    waits_fail_all(&waits, -ECONNABORTED);
    assert_true(pending_park(&thing, &late.waiter, generation, 0, 0));
    assert_answered(&late, 1, -ECONNABORTED);
    assert_false(pending_cancel(&waits, &late.waiter));
}

/* -- All at once ------------------------------------------------------------------------------ */

#define PARKERS 3
#define ROUNDS 4000
#define PARTS 4

/* One who parks, waits for the answer, and parks again. */
struct parker {
    struct waiter waiter;
    pthread_t thread;
    sem_t answered;
    atomic_uint answers;
    unsigned number, rounds, twice;
};

static struct parker parkers[PARKERS];
static atomic_uint parking; /* parkers that have rounds to go */

static void answer_parker(struct waiter *w, int err)
{
    struct parker *p = list_entry(w, struct parker, waiter);

    (void)err;
    atomic_fetch_add(&p->answers, 1);
    sem_post(&p->answered);
}

static void *park_often(void *arg)
{
    struct parker *p = arg;

    for (p->rounds = 0; p->rounds < ROUNDS; p->rounds++) {
        uint64_t part = p->rounds % PARTS;
        while (!pending_park(&thing, &p->waiter, pending_generation(&thing), part, part))
            ;
        while (sem_wait(&p->answered) < 0)
            ;
        p->twice += atomic_exchange(&p->answers, 0) != 1;
    }
    atomic_fetch_sub(&parking, 1);
    return NULL;
}

static void *wake_often(void *arg)
{
    (void)arg;
    for (unsigned i = 0; atomic_load(&parking) > 0; i++) {
        pending_wake(&thing, i % PARTS, i % PARTS, 0);
        sched_yield();
    }
    return NULL;
}

static void *cancel_often(void *arg)
{
    (void)arg;
    for (unsigned i = 0; atomic_load(&parking) > 0; i++) {
        struct waiter *w = &parkers[i % PARKERS].waiter;
        if (pending_cancel(&waits, w))
            w->wake(w, -EINTR);
        sched_yield();
    }
    return NULL;
}

static void *expire_often(void *arg)
{
    (void)arg;
    for (int64_t now_ms = 1; atomic_load(&parking) > 0; now_ms++) {
        waits_expire(&waits, now_ms, 2);
        if (now_ms % 16 == 0)
            pending_touch(&thing, now_ms);
        sched_yield();
    }
    return NULL;
}

static void test_each_waiter_is_answered_exactly_once(void **state)
{
    void *(*const others[])(void *) = {wake_often, cancel_often, expire_often};
    pthread_t threads[3];

    (void)state;
    atomic_store(&parking, PARKERS);
    for (unsigned i = 0; i < PARKERS; i++) {
        memset(&parkers[i], 0, sizeof(parkers[i]));
        parkers[i].waiter.wake = answer_parker;
        sem_init(&parkers[i].answered, 0, 0);
    }
    for (unsigned i = 0; i < PARKERS; i++)
        pthread_create(&parkers[i].thread, NULL, park_often, &parkers[i]);
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, others[i], NULL);
    for (unsigned i = 0; i < PARKERS; i++)
        pthread_join(parkers[i].thread, NULL);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PARKERS; i++) {
        assert_int_equal(parkers[i].rounds, ROUNDS);
        assert_int_equal(parkers[i].twice, 0);
        assert_int_equal(atomic_load(&parkers[i].answers), 0);
        sem_destroy(&parkers[i].answered);
    }
}

/* -- Nothing is missed ------------------------------------------------------------------------ */

/* A counter under a lock of its own, announced as pending.h describes; readers wait for each
 * value. */
static struct {
    pthread_mutex_t lock;
    unsigned value;
} owner = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned look(void)
{
    unsigned value;

    pthread_mutex_lock(&owner.lock);
    value = owner.value;
    pthread_mutex_unlock(&owner.lock);
    return value;
}

/* Ends only if no announcement is ever missed: nothing else wakes it. */
static void *follow(void *arg)
{
    struct parker *p = arg;

    for (unsigned seen = 0; seen < ROUNDS;) {
        uint64_t generation = pending_generation(&thing);
        unsigned value = look();
        if (value > seen)
            seen = value;
        else if (pending_park(&thing, &p->waiter, generation, 0, 0))
            while (sem_wait(&p->answered) < 0)
                ;
    }
    return NULL;
}

static void test_no_announcement_is_missed(void **state)
{
    (void)state;
    owner.value = 0;
    for (unsigned i = 0; i < PARKERS; i++) {
        memset(&parkers[i], 0, sizeof(parkers[i]));
        parkers[i].waiter.wake = answer_parker;
        sem_init(&parkers[i].answered, 0, 0);
        pthread_create(&parkers[i].thread, NULL, follow, &parkers[i]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&owner.lock);
        owner.value++;
        pthread_mutex_unlock(&owner.lock);
        pending_wake(&thing, 0, 0, 0);
        sched_yield();
    }
    for (unsigned i = 0; i < PARKERS; i++) {
        pthread_join(parkers[i].thread, NULL);
        sem_destroy(&parkers[i].answered);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_waits, close_waits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_wake_answers_waiters_of_overlapping_parts),
        CASE(test_park_is_refused_after_an_announcement),
        CASE(test_announcement_in_another_queue_does_not_matter),
        CASE(test_cancel_unlinks_parked_waiters_only),
        CASE(test_callbacks_hold_no_lock_and_may_park_again),
        CASE(test_deadline_counts_from_the_first_look_and_from_progress),
        CASE(test_progress_before_parking_does_not_extend_the_deadline),
        CASE(test_deadline_starts_anew_with_each_parking),
        CASE(test_deadline_counts_from_the_last_progress),
        CASE(test_fail_all_answers_every_waiter),
        CASE(test_parking_fails_after_fail_all),
        CASE(test_each_waiter_is_answered_exactly_once),
        CASE(test_no_announcement_is_missed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
