/* Only a fatal signal ends a wait (R6): masks as in /proc/<tid>/status, and a real process. */
#include "fs/request.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t bit(int sig)
{
    return UINT64_C(1) << (sig - 1);
}

static bool is_dying(uint64_t own, uint64_t shared, uint64_t blocked, uint64_t ignored,
                     uint64_t caught)
{
    char text[512];

    snprintf(
        text, sizeof(text),
        "Name:\tcat\nState:\tD (disk sleep)\nSigQ:\t1/96365\nSigPnd:\t%016lx\nShdPnd:\t%016lx\n"
        "SigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\nCapInh:\tffffffffffffffff\n",
        own, shared, blocked, ignored, caught);
    return request_status_is_dying(text);
}

static void test_pending_signal_with_deadly_default_is_fatal(void **state)
{
    (void)state;
    assert_true(is_dying(0, bit(SIGTERM), 0, 0, 0));
    assert_true(is_dying(0, bit(SIGINT), 0, 0, 0));
    assert_true(is_dying(bit(SIGQUIT), 0, 0, 0, 0));
    assert_true(is_dying(0, bit(SIGALRM), 0, 0, 0));
    assert_true(is_dying(0, bit(64), 0, 0, 0));
    assert_true(is_dying(0, bit(SIGTERM) | bit(SIGURG), 0, 0, bit(SIGURG)));
}

static void test_kill_is_fatal_whatever_the_masks(void **state)
{
    (void)state;
    assert_true(is_dying(bit(SIGKILL), 0, ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0)));
    assert_true(is_dying(0, bit(SIGKILL), 0, 0, 0));
}

/* git's SIGALRM, Go's SIGURG: to answer EINTR would break them. */
static void test_caught_ignored_or_blocked_signal_is_not_fatal(void **state)
{
    (void)state;
    assert_false(is_dying(0, bit(SIGALRM), 0, 0, bit(SIGALRM)));
    assert_false(is_dying(0, bit(SIGINT), 0, bit(SIGINT), 0));
    assert_false(is_dying(bit(SIGTERM), 0, bit(SIGTERM), 0, 0));
    assert_false(is_dying(0, 0, 0, 0, 0));
}

static void test_stop_and_child_signals_are_not_fatal(void **state)
{
    const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};

    (void)state;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        assert_false(is_dying(0, bit(harmless[i]), 0, 0, 0));
}

static void test_text_that_is_no_status_is_not_fatal(void **state)
{
    (void)state;
    assert_false(request_status_is_dying(""));
    assert_false(request_status_is_dying("Name:\tSigPnd:\tffff\n"));
    assert_false(request_status_is_dying("\nSigPnd:"));
}

/* A stopped process keeps its SIGTERM pending. */
static void test_real_process_is_seen_dying_then_gone(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_false(request_thread_is_dying(pid));
    kill(pid, SIGTERM);
    assert_true(request_thread_is_dying(pid));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(request_thread_is_dying(pid));
}

static void test_living_and_invisible_threads_are_not_dying(void **state)
{
    (void)state;
    assert_false(request_thread_is_dying(getpid()));
    assert_false(request_thread_is_dying(1));
    assert_false(request_thread_is_dying(0));
    assert_false(request_thread_is_dying(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending_signal_with_deadly_default_is_fatal),
        cmocka_unit_test(test_kill_is_fatal_whatever_the_masks),
        cmocka_unit_test(test_caught_ignored_or_blocked_signal_is_not_fatal),
        cmocka_unit_test(test_stop_and_child_signals_are_not_fatal),
        cmocka_unit_test(test_text_that_is_no_status_is_not_fatal),
        cmocka_unit_test(test_real_process_is_seen_dying_then_gone),
        cmocka_unit_test(test_living_and_invisible_threads_are_not_dying),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
