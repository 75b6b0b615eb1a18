#include "guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_S 30

/* Hours ahead of the true clock: who waits for a time of ours does not get there by waiting. */
static atomic_int_fast64_t now_ms = INT64_C(1) << 41;

int64_t guest_now_ms(void)
{
    return atomic_load(&now_ms);
}

void guest_pass(int64_t ms)
{
    atomic_fetch_add(&now_ms, ms);
}

static void answer(struct waiter *w, int err)
{
    struct guest *g = list_entry(w, struct guest, waiter);

    pthread_mutex_lock(&g->lock);
    g->answers++;
    g->err = err;
    pthread_cond_signal(&g->answered);
    pthread_mutex_unlock(&g->lock);
}

void guest_init(struct guest *g)
{
    pthread_condattr_t attr;

    memset(g, 0, sizeof(*g));
    g->waiter.wake = answer;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->answered, &attr);
    pthread_condattr_destroy(&attr);
}

void guest_finish(struct guest *g)
{
    assert_null(g->waiter.on);
    pthread_cond_destroy(&g->answered);
    pthread_mutex_destroy(&g->lock);
}

int guest_wait(struct guest *g)
{
    struct timespec at;
    unsigned answers;
    int rc = 0, err;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&g->lock);
    while (!g->answers && !rc)
        rc = pthread_cond_timedwait(&g->answered, &g->lock, &at);
    answers = g->answers;
    err = g->err;
    g->answers = 0;
    pthread_mutex_unlock(&g->lock);
    assert_int_equal(answers, 1);
    return err;
}

bool guest_is_answered(struct guest *g)
{
    bool is;

    pthread_mutex_lock(&g->lock);
    is = g->answers > 0;
    pthread_mutex_unlock(&g->lock);
    return is;
}
