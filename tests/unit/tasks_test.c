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
    struct fixture *fixture;
    unsigned number;
    int64_t ran_ms;
    struct job *next; /* posted when this one runs */
};

struct fixture {
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
    struct fixture *b = j->fixture;

    j->ran_ms = true_ms();
    b->order[b->count++] = j->number;
    if (j->next)
        tasks_post(b->tasks, &j->next->task);
    sem_post(&b->ran);
}

static struct fixture fixture;

static void open_fixture(int64_t (*now_ms)(void))
{
    fixture = (struct fixture){.count = 0};
    sem_init(&fixture.ran, 0, 0);
    for (unsigned i = 0; i < MANY; i++)
        fixture.jobs[i] = (struct job){.task.run = run, .fixture = &fixture, .number = i};
    assert_int_equal(tasks_create("tasks-test", now_ms, &fixture.tasks), 0);
}

static void close_fixture(void)
{
    tasks_stop(fixture.tasks);
    tasks_stop(fixture.tasks); /* a second time does nothing */
    tasks_destroy(fixture.tasks);
    sem_destroy(&fixture.ran);
}

static void wait_for(unsigned count)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 30;
    for (unsigned i = 0; i < count; i++)
        while (sem_timedwait(&fixture.ran, &at))
            assert_int_equal(errno, EINTR);
}

static void tasks_run_in_the_order_of_posting(void **state)
{
    (void)state;
    open_fixture(guest_now_ms);
    for (unsigned i = 0; i < MANY; i++)
        tasks_post(fixture.tasks, &fixture.jobs[i].task);
    wait_for(MANY);
    close_fixture();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(fixture.order[i], i);
}

static void task_may_be_reused_when_it_runs(void **state)
{
    (void)state;
    open_fixture(guest_now_ms);
    for (unsigned i = 0; i < MANY; i++) {
        tasks_post(fixture.tasks, &fixture.jobs[0].task);
        wait_for(1);
    }
    close_fixture();
    assert_int_equal(fixture.count, MANY);
}

static void task_may_post_another_also_at_the_end(void **state)
{
    (void)state;
    open_fixture(guest_now_ms);
    for (unsigned i = 0; i + 1 < MANY; i++)
        fixture.jobs[i].next = &fixture.jobs[i + 1];
    tasks_post(fixture.tasks, &fixture.jobs[0].task);
    close_fixture();
    assert_int_equal(fixture.count, MANY);
}

static void delayed_task_waits_for_its_time(void **state)
{
    (void)state;
    open_fixture(guest_now_ms);
    tasks_post_after(fixture.tasks, &fixture.jobs[2].task, 2000);
    tasks_post_after(fixture.tasks, &fixture.jobs[1].task, 1000);
    tasks_post_after(fixture.tasks, &fixture.jobs[3].task, 2000);
    guest_pass(999);
    tasks_post(fixture.tasks, &fixture.jobs[10].task);
    wait_for(1);
    guest_pass(1);
    tasks_post(fixture.tasks, &fixture.jobs[11].task);
    wait_for(2);
    guest_pass(1000);
    tasks_post(fixture.tasks, &fixture.jobs[12].task);
    wait_for(3);
    close_fixture();
    assert_int_equal(fixture.order[0], 10);
    assert_true(fixture.order[1] + fixture.order[2] == 1 + 11);
    assert_true(fixture.order[3] + fixture.order[4] + fixture.order[5] == 2 + 3 + 12);
    assert_int_equal(fixture.count, 6);
}

static void thread_wakes_up_for_a_delayed_task(void **state)
{
    int64_t posted_ms;

    (void)state;
    open_fixture(true_ms);
    posted_ms = true_ms();
    tasks_post_after(fixture.tasks, &fixture.jobs[1].task,
                     60000); /* the later one was there first */
    tasks_post_after(fixture.tasks, &fixture.jobs[0].task, 30);
    wait_for(1);
    assert_int_equal(fixture.order[0], 0);
    assert_true(fixture.jobs[0].ran_ms - posted_ms >= 30);
    close_fixture();
}

static void stop_runs_what_is_delayed_at_once(void **state)
{
    int64_t before_ms = true_ms();

    (void)state;
    open_fixture(true_ms);
    for (unsigned i = 0; i < 5; i++)
        tasks_post_after(fixture.tasks, &fixture.jobs[i].task, 3600000);
    close_fixture();
    assert_int_equal(fixture.count, 5);
    assert_true(true_ms() - before_ms < 20000);
}

static void destroying_null_or_without_stop_is_harmless(void **state)
{
    (void)state;
    tasks_stop(NULL);
    tasks_destroy(NULL);
    open_fixture(guest_now_ms);
    tasks_destroy(fixture.tasks); /* also without a stop before */
    sem_destroy(&fixture.ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_the_order_of_posting),
        cmocka_unit_test(task_may_be_reused_when_it_runs),
        cmocka_unit_test(task_may_post_another_also_at_the_end),
        cmocka_unit_test(delayed_task_waits_for_its_time),
        cmocka_unit_test(thread_wakes_up_for_a_delayed_task),
        cmocka_unit_test(stop_runs_what_is_delayed_at_once),
        cmocka_unit_test(destroying_null_or_without_stop_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
