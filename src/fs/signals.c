#include "fs/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_CAP 8192 /* the text is about 1.5 KiB, plus one word for each group */

/* Bit of a signal in the masks of /proc. */
static uint64_t bit(int sig)
{
    return UINT64_C(1) << (sig - 1);
}

/* Signals whose default is to do nothing, to stop or to go on. */
static uint64_t harmless(void)
{
    return bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGSTOP) | bit(SIGTSTP) |
           bit(SIGTTIN) | bit(SIGTTOU);
}

/* The mask in the line that starts with "\nKEY:"; 0 where there is none. */
static uint64_t mask(const char *status, const char *key)
{
    const char *line = strstr(status, key);

    return line ? strtoull(line + strlen(key), NULL, 16) : 0;
}

bool signals_status_is_dying(const char *status)
{
    uint64_t pending = mask(status, "\nSigPnd:") | mask(status, "\nShdPnd:");
    uint64_t handled = mask(status, "\nSigBlk:") | mask(status, "\nSigIgn:") |
                       mask(status, "\nSigCgt:");

    return (pending & bit(SIGKILL)) || (pending & ~handled & ~harmless()) ||
           strstr(status, "\nState:\tZ") != NULL;
}

/* Not merely hidden from us in /proc. */
static bool is_gone(pid_t tid)
{
    return kill(tid, 0) < 0 && errno == ESRCH;
}

bool signals_is_dying(pid_t tid)
{
    char path[64], status[STATUS_CAP];
    size_t len = 0;
    ssize_t n = 0;
    int fd;

    if (tid <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return is_gone(tid);
    while (len < sizeof(status) - 1 && (n = read(fd, status + len, sizeof(status) - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    status[len] = '\0';
    return signals_status_is_dying(status);
}
