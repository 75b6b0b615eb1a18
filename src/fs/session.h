/*
 * session.h - the mount: its threads, its beginning and its end.
 *
 * Order: session_create, session_mount, (daemonise), session_start, wait until session_get_ready_fd
 * is readable; session_tick once a second; at the end session_stop, session_destroy, and only then
 * the modules below. session_start creates all threads: the workers, which read requests, and the
 * resumer, which resumes requests that waited (request.h). They block every signal but the one that
 * stops them.
 *
 * Does not fork, reads no clock, logs nothing itself but debug output. Called by main's thread
 * only. Errors: negative errno.
 */
#ifndef GHLOGFS_FS_SESSION_H
#define GHLOGFS_FS_SESSION_H

#include "pending.h"
#include "views/views.h"

#include <stdbool.h>

struct diag;
struct session;

struct session_config {
    struct views *views;    /* outlives the session */
    struct waits *waits;    /* the one views parks in */
    const char *mountpoint; /* absolute; or "/dev/fd/N", a /dev/fuse that is mounted already */
    int argc;               /* for libfuse: name, "-o", words */
    char *const *argv;
    unsigned workers; /* 1 to SESSION_MOST_WORKERS; one thread more is made */
    int64_t (*now_ms)(void);
    struct diag *diag; /* of debug output, a line for each request; NULL: none */
};

#define SESSION_MOST_WORKERS 16

/* "3.14.0": the libfuse in use. */
const char *session_library_version(void);

int session_create(const struct session_config *config, struct session **ret_session);
/* On failure the cause and the next step are in `message`, in one line. Until it returns stderr is
 * not the caller's: libfuse and fusermount3 write there why a mount failed. */
int session_mount(struct session *s, char *message, size_t message_cap);
int session_start(struct session *s);

/* An eventfd that becomes readable, and stays so, when the mount answers. */
int session_get_ready_fd(const struct session *s);

/* The same for the end: unmounted from outside, aborted, or INIT refused. */
int session_get_ended_fd(const struct session *s);

/* Once it has ended: because there was no memory to read requests into. */
bool session_is_out_of_memory(const struct session *s);

/* Once a second: answers requests whose process is being killed (R6). */
void session_tick(struct session *s);

#define SESSION_ERRNO_MAX 133 /* the largest of Linux */

struct session_stats {
    /* Opened logs and parts of logs, and bytes of them given to the kernel. Not of texts in memory:
     * to read the stats does not change them. */
    uint64_t opened, bytes_read;
    uint64_t waiting; /* requests of the kernel that wait, mostly for the network */
    uint64_t failures[SESSION_ERRNO_MAX + 1]; /* requests answered with an error, by errno */
};

/* Any thread. */
void session_get_stats(struct session *s, struct session_stats *ret_stats);

/* Answers all that waits -ECONNABORTED, ends the threads, unmounts (lazily, so that no working
 * directory prevents it). Does not wait for the network; for the disk only as long as a read that
 * runs now takes. May be called twice. */
void session_stop(struct session *s);

/* Stops first if need be. Takes NULL. */
void session_destroy(struct session *s);

#endif
