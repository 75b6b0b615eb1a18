#include "main_notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VARIABLE "NOTIFY_SOCKET"
#define SIZE_CAP 32

void notify_init(struct notify *n)
{
    const char *path = getenv(VARIABLE);
    size_t length = path ? strlen(path) : 0;

    *n = (struct notify){.length = 0};
    /* A path, or "@NAME" for one of the abstract names, which begin with a NUL and have none at
     * the end. */
    if (length > 1 && length < sizeof(n->address.sun_path) && (path[0] == '/' || path[0] == '@')) {
        n->address.sun_family = AF_UNIX;
        memcpy(n->address.sun_path, path, length + 1);
        if (path[0] == '@')
            n->address.sun_path[0] = '\0';
        n->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/'));
    }
    unsetenv(VARIABLE);
}

int notify_send(const struct notify *n, const char *lines)
{
    const struct timeval half_a_second = {.tv_usec = 500000};
    int fd, rc = 0;

    if (!n->length)
        return 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &half_a_second, sizeof(half_a_second));
    if (sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&n->address,
               n->length) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static void print_quota(const struct notify_status *s, char *text, size_t cap)
{
    time_t reset = (time_t)s->reset_s;
    struct tm tm;

    if (s->offline)
        snprintf(text, cap, "offline");
    else if (s->limit < 0)
        snprintf(text, cap, "%s", s->requests ? "no quota" : "no API request yet");
    else if (s->reset_s <= s->now_s || !gmtime_r(&reset, &tm))
        snprintf(text, cap, "all of %" PRId64 " API requests left", s->limit);
    else
        snprintf(text, cap, "%" PRId64 " of %" PRId64 " API requests left until %02d:%02d UTC",
                 s->remaining, s->limit, tm.tm_hour, tm.tm_min);
}

/* "4.0 GiB", "2.9 MiB". */
static void print_size(uint64_t bytes, char text[SIZE_CAP])
{
    bool is_large = bytes >= UINT64_C(1) << 30;

    snprintf(text, SIZE_CAP, "%.1f %s", (double)bytes / (is_large ? 1 << 30 : 1 << 20),
             is_large ? "GiB" : "MiB");
}

void notify_print_status(const struct notify_status *s, char text[NOTIFY_TEXT_CAP])
{
    char quota[NOTIFY_TEXT_CAP / 2], used[SIZE_CAP], size[SIZE_CAP];

    print_quota(s, quota, sizeof(quota));
    print_size(s->used, used);
    print_size(s->size, size);
    snprintf(text, NOTIFY_TEXT_CAP, "STATUS=%s, cache %s of %s", quota, used, size);
}
