#include "main_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The default is the soft limit of main's own stack, which may be too small, or larger than the
 * memory that is allowed. The largest frame is that of cache/read.c, 256 KiB; the thread-local
 * data of a sanitizer, which lies in the stack as well, may take more than that. */
#define THREAD_STACK (2 * 1024 * 1024)

static const int ending[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU};

/* A descriptor 0, 1 or 2 that is closed would be given to the first file that is opened: messages
 * would go into it, and going to the background would close it. */
static int fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR); /* not O_CLOEXEC: fusermount3 and gh need them, too */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static bool is_ending(int sig)
{
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
        if (ending[i] == sig)
            return true;
    return false;
}

/* Faults of the program itself, and what does not end a process or cannot be changed. */
static bool is_left_alone(int sig)
{
    switch (sig) {
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGSYS:
    case SIGKILL:
    case SIGSTOP:
    case SIGTSTP:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH: return true;
    default: return false;
    }
}

/* What a preloaded library handles itself is let be. SIGTTOU is ignored so that a message to a
 * terminal does not stop a mount in the background of a shell. Where SIGCHLD is ignored, no child
 * can be waited for. */
static void set_signals(void)
{
    struct sigaction old;

    for (int sig = 1; sig <= SIGRTMAX; sig++) {
        if (is_left_alone(sig) || sigaction(sig, NULL, &old))
            continue;
        if (sig == SIGCHLD || sig == SIGTERM)
            signal(sig, SIG_DFL);
        else if (old.sa_handler == SIG_DFL && !is_ending(sig))
            signal(sig, SIG_IGN);
    }
}

static void raise_limit(int which)
{
    struct rlimit limit;

    if (getrlimit(which, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(which, &limit);
}

/* At the hard limit of CPU time comes SIGKILL, at the soft one SIGXCPU: that has to come first. */
static void make_time_to_end(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CPU, &limit) || limit.rlim_max == RLIM_INFINITY || limit.rlim_max < 2 ||
        limit.rlim_cur < limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max - 1;
    setrlimit(RLIMIT_CPU, &limit);
}

static void set_stacks(void)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes))
        return;
    if (!pthread_attr_setstacksize(&attributes, THREAD_STACK))
        pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

int process_init(void)
{
    int rc = fill_standard_descriptors();

    if (rc)
        return rc;
    set_signals();
    raise_limit(RLIMIT_NOFILE);
    raise_limit(RLIMIT_FSIZE);
    make_time_to_end();
    set_stacks();
    return 0;
}

int process_close_inherited(int keep)
{
    const int kept = STDERR_FILENO + 1;

    if (keep != kept && dup3(keep, kept, O_CLOEXEC) < 0)
        return keep;
    close_range(kept + 1, ~0U, 0);
    return kept;
}

int process_open_signals(void)
{
    struct sigaction old;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
        if (!sigaction(ending[i], NULL, &old) && old.sa_handler == SIG_DFL)
            sigaddset(&set, ending[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static uint64_t soft_limit(int which)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

void process_get_limits(struct process_limits *ret_limits)
{
    ret_limits->files = soft_limit(RLIMIT_NOFILE);
    ret_limits->file_size = soft_limit(RLIMIT_FSIZE);
}
