/*
 * Complete logs: published whole or not at all, found again, kept by whom was first (S2, R2, R4).
 */
#include "store/scratch.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (3 * STORE_PAGE_SIZE + 1234)
#define CACHE_SIZE (64u << 20)

static void published_log_is_there_for_the_next_mount(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_meta m;

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    store_destroy(s);
    s = scratch_store(*state, CACHE_SIZE);
    assert_true(scratch_is_whole(s, 4711));
    assert_int_equal(store_load_meta(s, 4711, &m), 0);
    assert_true(m.size == SIZE && m.mtime_ms == 1700000000123 && m.final);
    assert_string_equal(m.etag, "\"0x1267\"");
    assert_true(store_meta_has_name(&m, "OCTO/Repo"));
    assert_false(store_meta_has_name(&m, "octo/other"));
    store_meta_finish(&m);
    store_destroy(s);
}

static void empty_log_is_a_log(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);

    assert_int_equal(scratch_publish(s, 5, 0), 0);
    assert_true(scratch_is_whole(s, 5));
    store_destroy(s);
}

static void backing_without_publish_leaves_nothing(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_backing b;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_false(b.in_memory);
    assert_int_equal(scratch_fill(s, &b, 1, SIZE), 0);
    store_backing_close(s, &b);
    assert_int_equal(b.fd, -1);
    assert_int_equal(rmdir(scratch_path(*state, "cache/v1/tmp")), 0);
    assert_false(scratch_is_whole(s, 1));
    store_destroy(s);
}

static void log_of_another_size_is_no_log(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);

    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(truncate(scratch_log(*state, 1, ""), SIZE - 1), 0);
    assert_false(scratch_is_whole(s, 1));
    assert_int_equal(truncate(scratch_log(*state, 1, ""), SIZE + 1), 0);
    assert_false(scratch_is_whole(s, 1));
    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_true(scratch_is_whole(s, 1));
    store_destroy(s);
}

static void log_without_its_meta_is_no_log(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);

    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(unlink(scratch_log(*state, 1, ".meta")), 0);
    assert_false(scratch_is_whole(s, 1));
    store_destroy(s);
}

static void meta_of_another_job_is_none(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct scratch *x = *state;
    char from[SCRATCH_PATH];

    assert_int_equal(scratch_publish(s, 0x101, SIZE), 0);
    assert_int_equal(scratch_publish(s, 0x201, SIZE), 0);
    snprintf(from, sizeof(from), "%s", scratch_log(x, 0x101, ".meta"));
    assert_int_equal(rename(from, scratch_log(x, 0x201, ".meta")), 0);
    assert_false(scratch_is_whole(s, 0x201));
    store_destroy(s);
}

static void meta_without_checksums_opens_no_log_but_tells_the_size(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_meta m = {.size = SIZE, .mtime_ms = 1}, loaded;
    int fd = -1;

    assert_int_equal(store_save_meta(s, 2, &m), 0);
    assert_int_equal(store_load_meta(s, 2, &loaded), 0);
    assert_true(loaded.size == SIZE);
    assert_null(loaded.checksums);
    fd = creat(scratch_log(*state, 2, ""), 0600);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    close(fd);
    fd = -1;
    assert_int_equal(store_open_log(s, 2, &loaded, &fd), -ENOENT);
    assert_int_equal(fd, -1);
    store_meta_finish(&loaded);
    store_destroy(s);
}

/* R4: another mount, which only knows the size, does not undo a complete log. */
static void meta_without_checksums_leaves_a_complete_log_whole(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_meta m = {.size = SIZE, .mtime_ms = 1}, loaded;

    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(store_save_meta(s, 1, &m), 0);
    assert_true(scratch_is_whole(s, 1));
    assert_int_equal(store_load_meta(s, 1, &loaded), 0);
    assert_true(loaded.mtime_ms == 1 && loaded.final);
    store_meta_finish(&loaded);
    m.size++;
    assert_int_equal(store_save_meta(s, 1, &m), 0);
    assert_false(scratch_is_whole(s, 1));
    store_destroy(s);
}

static void first_to_publish_stays_and_learns_names(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_backing b;
    struct store_meta m;
    struct stat before, after;

    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(stat(scratch_log(*state, 1, ""), &before), 0);
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(scratch_fill(s, &b, 1, SIZE), 0);
    scratch_meta(1, SIZE, &m);
    assert_true(store_meta_add_name(&m, "octo/renamed"));
    assert_int_equal(store_publish(s, 1, &b, &m), 0);
    assert_false(b.published);
    store_backing_close(s, &b);
    store_meta_finish(&m);
    assert_int_equal(stat(scratch_log(*state, 1, ""), &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(store_load_meta(s, 1, &m), 0);
    assert_true(store_meta_has_name(&m, "octo/repo") && store_meta_has_name(&m, "octo/renamed"));
    store_meta_finish(&m);
    assert_true(scratch_is_whole(s, 1));
    store_destroy(s);
}

static void other_bytes_replace_what_is_there(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_backing b;
    struct store_meta m;

    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(scratch_fill(s, &b, 2, SIZE), 0);
    scratch_meta(2, SIZE, &m);
    assert_int_equal(store_publish(s, 1, &b, &m), 0);
    assert_true(b.published);
    store_backing_close(s, &b);
    store_meta_finish(&m);
    assert_true(scratch_is_whole(s, 1));
    assert_int_equal(rmdir(scratch_path(*state, "cache/v1/tmp")), 0);
    store_destroy(s);
}

static void incomplete_file_is_not_published(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    struct store_backing b;
    struct store_meta m;
    uint64_t *checksums;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(scratch_fill(s, &b, 1, SIZE - 1), 0);
    scratch_meta(1, SIZE, &m);
    assert_int_equal(store_publish(s, 1, &b, &m), -EINVAL);
    m.size--;
    checksums = m.checksums;
    m.checksums = NULL;
    assert_int_equal(store_publish(s, 1, &b, &m), -EINVAL);
    m.checksums = checksums;
    store_meta_finish(&m);
    store_backing_close(s, &b);
    assert_int_equal(store_load_meta(s, 1, &m), -ENOENT);
    store_destroy(s);
}

static void two_hosts_share_a_directory_and_no_log(void **state)
{
    struct scratch *x = *state;
    struct store_config config = {.dir = x->dir, .cache_size = CACHE_SIZE};
    const char *hosts[] = {"api.test:8080", "api.test", "../tmp", "tmp", "a/b", "a_b", ""};
    struct store *stores[7];

    for (unsigned i = 0; i < 7; i++) {
        config.host = hosts[i];
        assert_int_equal(store_create(&config, &stores[i]), 0);
        assert_false(scratch_is_whole(stores[i], 7));
        assert_int_equal(scratch_publish(stores[i], 7, SIZE), 0);
    }
    for (unsigned i = 0; i < 7; i++) {
        assert_true(scratch_is_whole(stores[i], 7));
        store_destroy(stores[i]);
    }
}

/* -- Time of use ------------------------------------------------------------------------------- */

static int64_t test_now; /* milliseconds */

static int64_t read_test_now(void)
{
    return test_now;
}

static int64_t age_of(struct scratch *x, uint64_t job)
{
    struct stat st;

    assert_int_equal(stat(scratch_log(x, job, ""), &st), 0);
    return st.st_mtime;
}

static void use_is_marked_once_a_minute(void **state)
{
    struct scratch *x = *state;
    struct store_config config = {
        .dir = x->dir, .host = "api.test", .cache_size = CACHE_SIZE, .now_ms = read_test_now};
    struct store *s;
    int fd;

    test_now = 1000;
    assert_int_equal(store_create(&config, &s), 0);
    assert_int_equal(scratch_publish(s, 3, SIZE), 0);
    fd = open(scratch_log(x, 3, ""), O_RDONLY | O_CLOEXEC);
    store_mark_used(s, 3, fd);
    scratch_set_age(x, 3, 1000000000);
    test_now += 59999;
    store_mark_used(s, 3, fd);
    assert_int_equal(age_of(x, 3), 1000000000);
    test_now += 1;
    store_mark_used(s, 3, fd);
    assert_true(age_of(x, 3) > 1000000000);
    close(fd);
    store_destroy(s);
}

/* -- Sudden ends ------------------------------------------------------------------------------- */

/* In a child: publishes, and stops before each system call once it is traced. */
static void publish_traced(struct store *s, struct store_backing *b, uint64_t job,
                           const struct store_meta *m)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(2);
    raise(SIGSTOP);
    _exit(store_publish(s, job, b, m) ? 1 : 0);
}

/* Lets a child make so many steps in and out of the kernel. Then it is killed. False: it ended. */
static bool killed_after(pid_t pid, unsigned steps)
{
    int status;

    assert_true(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status)) /* not allowed to trace */
        return false;
    for (unsigned i = 0; i < steps; i++) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid ||
            !WIFSTOPPED(status)) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            return false;
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return true;
}

/* R2. torn_before: over a log that does not fit, so that a temporary name is needed. */
static void kill_at_every_step(struct scratch *x, bool torn_before)
{
    unsigned steps = 0, whole = 0;
    bool killed = true;

    for (; killed; steps++) {
        struct store *s = scratch_store(x, CACHE_SIZE);
        struct store_backing b;
        struct store_meta m;
        pid_t pid;

        scratch_remove(scratch_path(x, "cache/v1/api.test/logs"));
        if (torn_before) {
            assert_int_equal(scratch_publish(s, 9, SIZE), 0);
            assert_int_equal(truncate(scratch_log(x, 9, ""), 10), 0);
        }
        assert_int_equal(store_backing_open(s, &b), 0);
        assert_int_equal(scratch_fill(s, &b, 9, SIZE), 0);
        scratch_meta(9, SIZE, &m);
        pid = fork();
        if (!pid)
            publish_traced(s, &b, 9, &m);
        killed = killed_after(pid, steps);
        store_meta_finish(&m);
        store_backing_close(s, &b);
        store_destroy(s);
        s = scratch_store(x, CACHE_SIZE);
        whole += scratch_is_whole(s, 9);
        if (!killed)
            assert_true(scratch_is_whole(s, 9));
        store_destroy(s);
    }
    if (steps == 1)
        scratch_skip("ptrace is not allowed here");
    assert_in_range(whole, 2, steps - 10);
    assert_int_equal(rmdir(scratch_path(x, "cache/v1/tmp")), 0);
}

static void kill_at_any_step_of_publish_leaves_no_torn_log(void **state)
{
    kill_at_every_step(*state, false);
}

static void kill_at_any_step_of_replacing_leaves_no_torn_log(void **state)
{
    kill_at_every_step(*state, true);
}

/* -- Less able systems ------------------------------------------------------------------------- */

/* From now on openat with O_TMPFILE and fallocate fail as on file systems that do not know them. */
static bool become_less_able(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fallocate, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Runs a part of a test in a process of its own. 77: it cannot be done here. */
static void in_child(int (*part)(struct scratch *x), struct scratch *x)
{
    pid_t pid = fork();
    int status;

    if (!pid)
        _exit(part(x));
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        scratch_skip("it cannot be done here");
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int publish_with_names_only(struct scratch *x)
{
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct store_backing b;
    struct store_meta m;
    int rc;

    if (!become_less_able())
        return 77;
    if (store_backing_open(s, &b) || b.in_memory || strncmp(b.temp, "tmp/", 4))
        return 1;
    /* Another mount begins: what we hold is not cleared. */
    store_destroy(scratch_store(x, CACHE_SIZE));
    scratch_meta(1, SIZE, &m);
    rc = scratch_fill(s, &b, 1, SIZE) || store_publish(s, 1, &b, &m) || !b.published;
    store_backing_close(s, &b);
    rc = rc || !scratch_is_whole(s, 1) || scratch_publish(s, 1, SIZE) || scratch_publish(s, 2, 1);
    rc = rc || store_backing_open(s, &b) || scratch_fill(s, &b, 3, SIZE);
    store_backing_close(s, &b);
    store_meta_finish(&m);
    store_destroy(s);
    return rc ? 1 : 0;
}

static void without_unnamed_files_it_works_with_names(void **state)
{
    in_child(publish_with_names_only, *state);
    assert_int_equal(rmdir(scratch_path(*state, "cache/v1/tmp")), 0);
}

static int publish_without_proc(struct scratch *x)
{
    struct store *s = scratch_store(x, CACHE_SIZE);
    int rc;

    if (geteuid() || !scratch_may_mount() || mount("none", "/proc", "tmpfs", 0, ""))
        return 77;
    rc = scratch_publish(s, 1, SIZE) || !scratch_is_whole(s, 1);
    store_destroy(s);
    return rc ? 1 : 0;
}

static void without_proc_root_can_publish(void **state)
{
    in_child(publish_without_proc, *state);
}

static int publish_as_nobody(struct scratch *x)
{
    struct store_config config = {.dir = x->dir, .host = "api.test", .cache_size = CACHE_SIZE};
    struct store *s = NULL;
    int rc = setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 0);

    rc = rc || store_create(&config, &s) || scratch_publish(s, 8, SIZE);
    rc = rc || !scratch_is_whole(s, 8);
    store_destroy(s);
    return rc ? 1 : 0;
}

static void undumpable_plain_user_can_publish(void **state)
{
    struct scratch *x = *state;

    if (geteuid())
        scratch_skip("only root can become another user");
    assert_int_equal(chmod(x->top, 0755), 0);
    assert_int_equal(mkdir(x->dir, 0700), 0);
    assert_int_equal(chown(x->dir, 65534, 65534), 0);
    in_child(publish_as_nobody, x);
}

/* R4 */
static void processes_publish_the_same_logs_and_none_is_torn(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    pid_t pids[4];
    int status;

    for (unsigned i = 0; i < 4; i++) {
        pids[i] = fork();
        if (!pids[i]) {
            int rc = 0;
            for (uint64_t job = 1; job <= 20 && !rc; job++)
                rc = scratch_publish(s, job, SIZE);
            _exit(rc ? 1 : 0);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_true(waitpid(pids[i], &status, 0) == pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (uint64_t job = 1; job <= 20; job++)
        assert_true(scratch_is_whole(s, job));
    store_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(published_log_is_there_for_the_next_mount),
        TEST(empty_log_is_a_log),
        TEST(backing_without_publish_leaves_nothing),
        TEST(log_of_another_size_is_no_log),
        TEST(log_without_its_meta_is_no_log),
        TEST(meta_of_another_job_is_none),
        TEST(meta_without_checksums_opens_no_log_but_tells_the_size),
        TEST(meta_without_checksums_leaves_a_complete_log_whole),
        TEST(first_to_publish_stays_and_learns_names),
        TEST(other_bytes_replace_what_is_there),
        TEST(incomplete_file_is_not_published),
        TEST(two_hosts_share_a_directory_and_no_log),
        TEST(use_is_marked_once_a_minute),
        TEST(kill_at_any_step_of_publish_leaves_no_torn_log),
        TEST(kill_at_any_step_of_replacing_leaves_no_torn_log),
        TEST(without_unnamed_files_it_works_with_names),
        TEST(without_proc_root_can_publish),
        TEST(undumpable_plain_user_can_publish),
        TEST(processes_publish_the_same_logs_and_none_is_torn),
    };

    return cmocka_run_group_tests_name("store/log", tests, NULL, NULL);
}
