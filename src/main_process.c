#include "main_process.h"

#include "diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The default is the soft limit of main's own stack, which may be too small, or larger than the
 * memory that is allowed. The largest frame is that of cache/read.c, 256 KiB; the thread-local
 * data of a sanitizer, which lies in the stack as well, may take more than that. */
#define THREAD_STACK (2 * 1024 * 1024)

static const int ending[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU};

/* The first file that is opened would get a descriptor 0, 1 or 2 that is closed: messages would be
 * written into it, and process_detach would close it. */
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

/* Signals that a preloaded library handles itself are left alone. SIGTTOU is ignored so that a
 * message to a terminal does not stop a mount in the background of a shell. While SIGCHLD is
 * ignored, waitpid fails. */
static void set_signals(void)
{
    /* Faults of the program itself, and what does not end a process or cannot be changed. */
    static const int untouched[] = {SIGILL,  SIGTRAP, SIGABRT, SIGBUS,  SIGFPE, SIGSEGV, SIGSYS,
                                    SIGKILL, SIGSTOP, SIGTSTP, SIGCONT, SIGURG, SIGWINCH};
    sigset_t kept;

    sigemptyset(&kept);
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
        sigaddset(&kept, ending[i]);
    for (size_t i = 0; i < sizeof(untouched) / sizeof(untouched[0]); i++)
        sigaddset(&kept, untouched[i]);
    for (int sig = 1; sig <= SIGRTMAX; sig++) {
        struct sigaction old;

        if (sig == SIGCHLD || sig == SIGTERM)
            signal(sig, SIG_DFL);
        else if (!sigismember(&kept, sig) && !sigaction(sig, NULL, &old) &&
                 old.sa_handler == SIG_DFL)
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

/* At the soft limit of CPU time the kernel sends SIGXCPU, at the hard one SIGKILL: the soft limit
 * is set below the hard one, so that the mount can end in good order. */
static void make_time_to_end(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CPU, &limit) || limit.rlim_max == RLIM_INFINITY || limit.rlim_max < 2 ||
        limit.rlim_cur < limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max - 1;
    setrlimit(RLIMIT_CPU, &limit);
}

int process_init(void)
{
    const struct rlimit none = {0, 0};
    pthread_attr_t attributes;
    int rc = fill_standard_descriptors();

    if (rc)
        return rc;
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    set_signals();
    raise_limit(RLIMIT_NOFILE);
    raise_limit(RLIMIT_FSIZE);
    make_time_to_end();
    if (!pthread_attr_init(&attributes)) {
        if (!pthread_attr_setstacksize(&attributes, THREAD_STACK))
            pthread_setattr_default_np(&attributes);
        pthread_attr_destroy(&attributes);
    }
    return 0;
}

void process_close_inherited(int keep, int also)
{
    int low = keep < also ? keep : also, high = keep < also ? also : keep;

    if (low < STDERR_FILENO)
        low = STDERR_FILENO;
    if (low > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
    if (high > low + 1)
        close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0U, 0);
}

void process_detach(int parent_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    if (write(parent_fd, "", 1) < 0)
        return; /* the parent was killed; the mount stays */
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

uint64_t process_get_limit(int which)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

void process_drop_privileges(struct diag *diag)
{
    const __u32 kept = 1u << CAP_SYS_ADMIN | 1u << CAP_DAC_READ_SEARCH;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = {0};

    if (geteuid() != 0)
        return;
    if (syscall(SYS_capget, &head, have))
        goto out;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        __u32 keep = i == 0 ? kept : 0;
        have[i].effective &= keep;
        have[i].permitted &= keep;
        have[i].inheritable = 0;
    }
    if (!syscall(SYS_capset, &head, have) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return;
out:
    diag_log(diag, DIAG_WARNING, "cannot drop capabilities, root keeps all of them: %s",
             strerror(errno));
}
