/* The thread that runs posted work in order, also after a delay. */
#include "tasks.h"

#include "guest.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#define MANY 100

struct job {
    struct task task;
    struct bench *bench;
    unsigned number;
    int64_t ran_ms;
    struct job *next; /* posted when this one runs */
};

struct bench {
    struct tasks *tasks;
    sem_t ran;
    unsigned order[MANY]; /* written by the thread; read once it is known to be done */
    unsigned count;
    struct job jobs[MANY];
};

static int64_t true_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run(struct task *task)
{
    struct job *j = list_entry(task, struct job, task);
    struct bench *b = j->bench;

    j->ran_ms = true_ms();
    b->order[b->count++] = j->number;
    if (j->next)
        tasks_post(b->tasks, &j->next->task);
    sem_post(&b->ran);
}

static struct bench bench;

static void open_bench(int64_t (*now_ms)(void))
{
    bench = (struct bench){.count = 0};
    sem_init(&bench.ran, 0, 0);
    for (unsigned i = 0; i < MANY; i++)
        bench.jobs[i] = (struct job){.task.run = run, .bench = &bench, .number = i};
    assert_int_equal(tasks_create("tasks-test", now_ms, &bench.tasks), 0);
}

static void close_bench(void)
{
    tasks_stop(bench.tasks);
    tasks_stop(bench.tasks); /* a second time does nothing */
    tasks_destroy(bench.tasks);
    sem_destroy(&bench.ran);
}

static void wait_for(unsigned count)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 30;
    for (unsigned i = 0; i < count; i++)
        while (sem_timedwait(&bench.ran, &at))
            assert_int_equal(errno, EINTR);
}

static void tasks_run_in_the_order_of_posting(void **state)
{
    (void)state;
    open_bench(guest_now_ms);
    for (unsigned i = 0; i < MANY; i++)
        tasks_post(bench.tasks, &bench.jobs[i].task);
    wait_for(MANY);
    close_bench();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(bench.order[i], i);
}

static void task_is_its_posters_again_when_it_runs(void **state)
{
    (void)state;
    open_bench(guest_now_ms);
    for (unsigned i = 0; i < MANY; i++) {
        tasks_post(bench.tasks, &bench.jobs[0].task);
        wait_for(1);
    }
    close_bench();
    assert_int_equal(bench.count, MANY);
}

static void task_may_post_another_also_at_the_end(void **state)
{
    (void)state;
    open_bench(guest_now_ms);
    for (unsigned i = 0; i + 1 < MANY; i++)
        bench.jobs[i].next = &bench.jobs[i + 1];
    tasks_post(bench.tasks, &bench.jobs[0].task);
    close_bench();
    assert_int_equal(bench.count, MANY);
}

static void delayed_task_waits_for_its_time(void **state)
{
    (void)state;
    open_bench(guest_now_ms);
    tasks_post_after(bench.tasks, &bench.jobs[2].task, 2000);
    tasks_post_after(bench.tasks, &bench.jobs[1].task, 1000);
    tasks_post_after(bench.tasks, &bench.jobs[3].task, 2000);
    guest_pass(999);
    tasks_post(bench.tasks, &bench.jobs[10].task);
    wait_for(1);
    guest_pass(1);
    tasks_post(bench.tasks, &bench.jobs[11].task);
    wait_for(2);
    guest_pass(1000);
    tasks_post(bench.tasks, &bench.jobs[12].task);
    wait_for(3);
    close_bench();
    assert_int_equal(bench.order[0], 10);
    assert_true(bench.order[1] + bench.order[2] == 1 + 11);
    assert_true(bench.order[3] + bench.order[4] + bench.order[5] == 2 + 3 + 12);
    assert_int_equal(bench.count, 6);
}

static void delayed_task_is_woken_for_by_the_clock(void **state)
{
    int64_t posted_ms;

    (void)state;
    open_bench(true_ms);
    posted_ms = true_ms();
    tasks_post_after(bench.tasks, &bench.jobs[1].task, 60000); /* the later one was there first */
    tasks_post_after(bench.tasks, &bench.jobs[0].task, 30);
    wait_for(1);
    assert_int_equal(bench.order[0], 0);
    assert_true(bench.jobs[0].ran_ms - posted_ms >= 30);
    close_bench();
}

static void stop_runs_what_is_delayed_at_once(void **state)
{
    int64_t before_ms = true_ms();

    (void)state;
    open_bench(true_ms);
    for (unsigned i = 0; i < 5; i++)
        tasks_post_after(bench.tasks, &bench.jobs[i].task, 3600000);
    close_bench();
    assert_int_equal(bench.count, 5);
    assert_true(true_ms() - before_ms < 20000);
}

static void nothing_is_destroyed_without_harm(void **state)
{
    (void)state;
    tasks_stop(NULL);
    tasks_destroy(NULL);
    open_bench(guest_now_ms);
    tasks_destroy(bench.tasks); /* also without a stop before */
    sem_destroy(&bench.ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_the_order_of_posting),
        cmocka_unit_test(task_is_its_posters_again_when_it_runs),
        cmocka_unit_test(task_may_post_another_also_at_the_end),
        cmocka_unit_test(delayed_task_waits_for_its_time),
        cmocka_unit_test(delayed_task_is_woken_for_by_the_clock),
        cmocka_unit_test(stop_runs_what_is_delayed_at_once),
        cmocka_unit_test(nothing_is_destroyed_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
