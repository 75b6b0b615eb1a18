/*
 * main_notify.h - tells the service manager that the mount answers, how it does, and that it ends:
 * sd_notify(3) without libsystemd, one datagram to $NOTIFY_SOCKET each time.
 *
 * Decides nothing about when. Main's thread only. Where nobody asked for it nothing is sent.
 */
#ifndef GHLOGFS_MAIN_NOTIFY_H
#define GHLOGFS_MAIN_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NOTIFY_TEXT_CAP 192

/* Who is told. */
struct notify {
    struct sockaddr_un address;
    socklen_t length; /* 0: nobody */
};

/* Takes the variable out of the environment: what this process starts is not the service. */
void notify_init(struct notify *n);

/* Lines of sd_notify(3), such as "READY=1\nSTATUS=...". -errno: it did not arrive; it waits half a
 * second at most. */
int notify_send(const struct notify *n, const char *lines);

/* For the line that `systemctl status` shows. */
struct notify_status {
    bool offline;
    uint64_t requests;        /* to the API */
    int64_t limit, remaining; /* the hour's quota; -1: none is known */
    int64_t reset_s, now_s;   /* UTC */
    uint64_t used, size;      /* of the cache, in bytes */
};

/* "STATUS=4987 of 5000 API requests left until 14:05 UTC, cache 2.9 MiB of 4.0 GiB". */
void notify_print_status(const struct notify_status *s, char text[NOTIFY_TEXT_CAP]);

#endif
