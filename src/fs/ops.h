/*
 * ops.h - the request handlers, one for each kind of FUSE request.
 *
 * Each is one straight function: check, ask views, answer once or park (request.h). Those that
 * never wait answer in the callback. They decide nothing: views knows what a path means.
 *
 * RELEASE ends a handle. The kernel sends it after the last READ of the handle was answered, so a
 * parked READ never loses its file. An unmount of what is in use sends none; ops_finish ends the
 * handles that are left, before views is taken down.
 * Where an answer that carries a handle or a lookup does not reach the kernel (the caller was
 * killed), the operation takes it back, since nothing else would.
 *
 * Any thread. One mutex, not held while calling out.
 */
#ifndef GHLOGFS_FS_OPS_H
#define GHLOGFS_FS_OPS_H

#include "fs/reply.h"
#include "fs/request.h"
#include "list.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The largest READ. libfuse splices a reply through a pipe, which holds a little less than 1 MiB
 * unless root enlarges it, and copies (ten times as slow) what does not fit. To be given as mount
 * option as well. */
#define OPS_READ_MAX (512 * 1024)

/* The userdata of the FUSE session. The members without a comment are constant. */
struct ops {
    struct views *views;
    struct tree *tree;
    struct requests *requests;
    struct reply_owner owner;
    struct fuse_session *fuse;
    atomic_uint_fast64_t opened, bytes_read; /* logs; bytes of them given to the kernel */
    atomic_bool greeted; /* INIT came; its answer is sent when the worker that read it continues */
    pthread_mutex_t lock;
    struct list open; /* lock; handles */
};

/* ops_init prepares the lock and the list only; the other members are the caller's to fill in. */
int ops_init(struct ops *o);

/* Closes the handles that are still open. */
void ops_finish(struct ops *o);

const struct fuse_lowlevel_ops *ops_get_table(void);

/* For debug output: a line for each request. Not for a READDIR, which copies from what an OPENDIR
 * has listed, unless it fails. */
char *ops_describe(const struct request *r);
void ops_log_end(const struct request *r, const char *what, int err, int64_t took_ms);

#endif
