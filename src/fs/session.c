#include "fs/session.h"

#include "fs/mountpoint.h"
#include "fs/ops.h"
#include "fs/request.h"
#include "fs/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* Interrupts a worker's read. libfuse and curl do not use this signal, and one that a user sends
 * does no harm. A real-time signal could be refused where too many are queued (RLIMIT_SIGPENDING).
 */
#define WAKE_SIGNAL SIGUSR1
/* A signal may come just before the read begins, so it is sent again until the worker has ended. */
#define WAKE_AGAIN_MS 5
/* The kernel asks once more for a page whose READ failed, for one reader after the other; they
 * shall get ECONNABORTED, not ENOTCONN. So the workers continue until they had nothing to do for
 * LINGER_MS, but no longer than LINGER_TIMES times that. */
#define LINGER_MS 20
#define LINGER_TIMES 15
#define PRINTED_MAX 1024 /* of what fusermount3 and libfuse print */

_Static_assert(SESSION_ERRNO_MAX == REQUEST_ERRNO_MAX, "all that is counted is shown");

struct worker {
    struct session *session;
    pthread_t thread;
    bool is_running; /* main's thread only */
    atomic_bool has_left;
};

struct session {
    struct ops ops;
    struct requests requests;
    struct fuse_session *fuse;
    char *mountpoint;
    char device[MOUNTPOINT_DEVICE_LEN]; /* of our mount */
    bool is_mounted;                    /* main's thread only */
    atomic_bool stopping;
    atomic_uint served;    /* requests taken from the kernel */
    atomic_bool announced; /* ready_fd was written */
    int ready_fd, ended_fd, left_fd;
    struct sigaction old_action;
    bool has_action;
    unsigned n_workers;
    atomic_uint n_able; /* workers that found memory to read requests into */
    struct worker workers[SESSION_MOST_WORKERS];
};

/* --- workers -------------------------------------------------------------------------------- */

/* The first worker that calls this after INIT has sent the answer to it: the kernel has its
 * settings, and the mount answers. */
static void announce(struct session *s)
{
    if (atomic_load_explicit(&s->announced, memory_order_relaxed) ||
        !atomic_load(&s->ops.greeted) || atomic_exchange(&s->announced, true))
        return;
    mountpoint_raise_readahead(s->device);
    eventfd_write(s->ready_fd, 1);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct session *s = w->session;
    struct fuse_buf buf = {0};
    int n = 0;

    while (!atomic_load(&s->stopping) && !fuse_session_exited(s->fuse)) {
        n = fuse_session_receive_buf(s->fuse, &buf);
        if (n == -EINTR || n == -EAGAIN)
            continue;
        if (n <= 0)
            break;
        fuse_session_process_buf(s->fuse, &buf);
        atomic_fetch_add_explicit(&s->served, 1, memory_order_relaxed);
        announce(s);
        requests_check_interrupted(&s->requests);
    }
    free(buf.mem);
    if (n != -ENOMEM || atomic_fetch_sub(&s->n_able, 1) == 1) /* else the others go on */
        eventfd_write(s->ended_fd, 1);
    atomic_store(&w->has_left, true);
    eventfd_write(s->left_fd, 1);
    return NULL;
}

static void on_wake_signal(int sig)
{
    (void)sig; /* sent to interrupt read() */
}

static int start_workers(struct session *s)
{
    sigset_t most, old;
    int err = 0;

    sigfillset(&most);
    sigdelset(&most, WAKE_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &most, &old);
    atomic_store(&s->n_able, s->n_workers);
    for (unsigned i = 0; i < s->n_workers && !err; i++) {
        struct worker *w = &s->workers[i];
        w->session = s;
        err = pthread_create(&w->thread, NULL, work, w);
        w->is_running = err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -err;
}

static void join_workers(struct session *s)
{
    struct pollfd left = {.fd = s->left_fd, .events = POLLIN};
    unsigned running;
    eventfd_t count;

    do {
        running = 0;
        for (unsigned i = 0; i < s->n_workers; i++) {
            struct worker *w = &s->workers[i];

            if (!w->is_running || atomic_load(&w->has_left))
                continue;
            pthread_kill(w->thread, WAKE_SIGNAL);
            running++;
        }
        if (running > 0 && poll(&left, 1, WAKE_AGAIN_MS) > 0)
            eventfd_read(s->left_fd, &count);
    } while (running > 0);
    for (unsigned i = 0; i < s->n_workers; i++) {
        if (s->workers[i].is_running)
            pthread_join(s->workers[i].thread, NULL);
        s->workers[i].is_running = false;
    }
}

/* --- session -------------------------------------------------------------------------------- */

static int create_fuse(struct session *s, const struct session_config *config)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    const struct fuse_lowlevel_ops *table = ops_get_table();
    char max_read[32];
    int err = 0;

    snprintf(max_read, sizeof(max_read), "-omax_read=%d", OPS_READ_MAX);
    for (int i = 0; i < config->argc && !err; i++)
        err = fuse_opt_add_arg(&args, config->argv[i]);
    if (!err)
        err = fuse_opt_add_arg(&args, max_read);
    if (!err)
        s->ops.fuse = s->fuse = fuse_session_new(&args, table, sizeof(*table), &s->ops);
    fuse_opt_free_args(&args);
    if (err)
        return -ENOMEM;
    return s->fuse ? 0 : -EINVAL;
}

int session_create(const struct session_config *config, struct session **ret_session)
{
    struct session *s;
    int rc;

    if (config->workers < 1 || config->workers > SESSION_MOST_WORKERS)
        return -EINVAL;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->n_workers = config->workers;
    s->ops.views = config->views;
    s->ops.requests = &s->requests;
    s->ops.owner = (struct reply_owner){geteuid(), getegid()};
    rc = requests_init(&s->requests, config->waits);
    if (config->diag) {
        s->requests.describe = ops_describe;
        s->requests.log_end = ops_log_end;
        s->requests.now_ms = config->now_ms;
        s->requests.diag = config->diag;
    }
    if (!rc)
        rc = ops_init(&s->ops);
    if (rc) {
        free(s);
        return rc;
    }
    s->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->left_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->mountpoint = strdup(config->mountpoint);
    if (s->ready_fd < 0 || s->ended_fd < 0 || s->left_fd < 0 || !s->mountpoint)
        rc = -errno;
    if (!rc)
        rc = tree_create(&s->ops.tree);
    if (!rc)
        rc = create_fuse(s, config);
    if (rc)
        session_destroy(s);
    else
        *ret_session = s;
    return rc;
}

/* From now on stderr is a file in memory: its descriptor, and in `ret_kept` that of the real one.
 * -1: it could not be done. */
static int divert_stderr(int *ret_kept)
{
    int file = memfd_create("ghlogfs-mount", MFD_CLOEXEC);

    *ret_kept = file < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*ret_kept >= 0 && dup2(file, STDERR_FILENO) >= 0) /* fusermount3 inherits it */
        return file;
    if (*ret_kept >= 0)
        close(*ret_kept);
    if (file >= 0)
        close(file);
    return -1;
}

/* Ends that; what was printed, as far as it fits. */
static void restore_stderr(int file, int kept, char *text, size_t cap)
{
    ssize_t n = 0;

    if (file >= 0) {
        dup2(kept, STDERR_FILENO);
        n = pread(file, text, cap - 1, 0);
        close(kept);
        close(file);
    }
    text[n > 0 ? n : 0] = '\0';
}

int session_mount(struct session *s, char *message, size_t message_cap)
{
    char printed[PRINTED_MAX];
    int kept, file = divert_stderr(&kept), rc, err;

    errno = 0;
    rc = fuse_session_mount(s->fuse, s->mountpoint);
    err = errno;
    restore_stderr(file, kept, printed, sizeof(printed));
    if (rc != 0) {
        mountpoint_explain(s->mountpoint, printed, message, message_cap);
        return err ? -err : -EIO;
    }
    fputs(printed, stderr); /* such as a word that fusermount3 has ignored */
    s->is_mounted = true;
    if (mountpoint_get_fd(s->mountpoint) < 0)
        mountpoint_get_device(s->mountpoint, s->device);
    else /* the workers wait in read */
        fcntl(fuse_session_fd(s->fuse), F_SETFL, O_RDWR);
    return 0;
}

int session_start(struct session *s)
{
    struct sigaction action = {.sa_handler = on_wake_signal}; /* no SA_RESTART */
    int rc;

    if (sigaction(WAKE_SIGNAL, &action, &s->old_action) < 0)
        return -errno;
    s->has_action = true;
    rc = requests_start(&s->requests);
    return rc ? rc : start_workers(s);
}

const char *session_library_version(void)
{
    return fuse_pkgversion();
}

int session_get_ready_fd(const struct session *s)
{
    return s->ready_fd;
}

int session_get_ended_fd(const struct session *s)
{
    return s->ended_fd;
}

bool session_is_out_of_memory(const struct session *s)
{
    return atomic_load(&s->n_able) == 0;
}

void session_get_stats(struct session *s, struct session_stats *ret_stats)
{
    *ret_stats = (struct session_stats){.opened = atomic_load(&s->ops.opened),
                                        .bytes_read = atomic_load(&s->ops.bytes_read),
                                        .waiting = requests_count_waiting(&s->requests)};
    for (int i = 0; i <= SESSION_ERRNO_MAX; i++)
        ret_stats->failures[i] = atomic_load(&s->requests.failures[i]);
}

void session_tick(struct session *s)
{
    requests_check(&s->requests);
}

/* After a lazy unmount another mount may have taken our place, and must stay. Also true where
 * nothing is mounted any more. */
static bool is_another_mounted(const struct session *s)
{
    char device[MOUNTPOINT_DEVICE_LEN];

    mountpoint_get_device(s->mountpoint, device);
    return device[0] && s->device[0] && strcmp(device, s->device) != 0;
}

/*
 * libfuse unmounts by name, unless an error on its descriptor shows that the connection has ended.
 * So this ends the connection, by putting the write end of a broken pipe in the descriptor's place.
 * False: the connection continues.
 */
static bool end_connection(struct session *s)
{
    int ends[2], fd;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    close(ends[0]);
    fd = dup3(ends[1], fuse_session_fd(s->fuse), O_CLOEXEC);
    close(ends[1]);
    return fd >= 0;
}

void session_stop(struct session *s)
{
    unsigned before, times = 0;

    requests_refuse(&s->requests);
    do {
        before = atomic_load(&s->served);
        if (s->is_mounted)
            poll(NULL, 0, LINGER_MS);
    } while (atomic_load(&s->served) != before && ++times < LINGER_TIMES);
    atomic_store(&s->stopping, true);
    join_workers(s);
    /* The last answers need the session's descriptor, which unmounting closes. */
    requests_stop(&s->requests);
    /* Where the kernel has ended the connection libfuse only closes the descriptor. Then a look at
     * the mountpoint could have an automounter mount it again. */
    if (s->is_mounted &&
        (fuse_session_exited(s->fuse) || !is_another_mounted(s) || end_connection(s)))
        fuse_session_unmount(s->fuse);
    s->is_mounted = false;
}

void session_destroy(struct session *s)
{
    if (!s)
        return;
    session_stop(s);
    if (s->fuse)
        fuse_session_destroy(s->fuse);
    ops_finish(&s->ops);
    tree_destroy(s->ops.tree);
    requests_finish(&s->requests);
    if (s->has_action)
        sigaction(WAKE_SIGNAL, &s->old_action, NULL);
    if (s->ready_fd >= 0)
        close(s->ready_fd);
    if (s->ended_fd >= 0)
        close(s->ended_fd);
    if (s->left_fd >= 0)
        close(s->left_fd);
    free(s->mountpoint);
    free(s);
}
