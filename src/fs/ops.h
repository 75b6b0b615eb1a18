/*
 * ops.h - the operations: what the kernel asks, in its words, answered in its words.
 *
 * Each is one straight function: check, ask views, answer once or park (request.h). Those that
 * never wait answer in the callback. Nothing is decided here: what a path means is for views.
 *
 * RELEASE ends a handle (handles.h). The kernel sends it after the last READ of the handle was
 * answered, so a parked READ never loses its file.
 * Where an answer that carries a handle or a lookup does not reach the kernel (the caller was
 * killed), it is taken back here, since nobody else would.
 *
 * Any thread; no lock.
 */
#ifndef GHLOGFS_FS_OPS_H
#define GHLOGFS_FS_OPS_H

#include "fs/handles.h"
#include "fs/reply.h"
#include "fs/request.h"
#include "fs/tree.h"
#include "views/views.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The largest READ. libfuse splices a reply through a pipe, which holds a little less than 1 MiB
 * unless root enlarges it, and copies (ten times as slow) what does not fit. To be given as mount
 * option as well. */
#define OPS_READ_MAX (512 * 1024)

/* The userdata of the FUSE session. Constant but for `greeted`. */
struct ops {
    struct views *views;
    struct tree *tree;
    struct requests *requests;
    struct handles *handles;
    struct reply_owner owner;
    struct fuse_session *fuse;
    atomic_bool greeted; /* INIT came; its answer is out when the worker that read it goes on */
};

const struct fuse_lowlevel_ops *ops_get_table(void);

#endif
