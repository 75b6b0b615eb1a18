/*
 * sight.h - what one answer of storage says about a log. Pure.
 *
 * GitHub's runner writes a log of one block (2 MiB) as a block blob when the job ends, and a longer
 * one as an append blob that grows while the job runs and is sealed at its end. So a block blob and
 * a sealed append blob are final by themselves. GHES and the former service say neither, and may
 * know no ranges and no length.
 *
 * A proxy on the way may answer in storage's place, with a page that blocks or a form to log in. So
 * an answer is a log's only if its type says so; and a whole body that nothing shows to be a blob,
 * which anybody could have sent, only if it begins like a runner's log.
 */
#ifndef GHLOGFS_GITHUB_SIGHT_H
#define GHLOGFS_GITHUB_SIGHT_H

#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

#define SIGHT_START 32 /* bytes that show how a body begins */
#define SIGHT_TYPE 64  /* a type of content, cut */

struct sight {
    bool is_sized;
    uint64_t size;       /* of the whole log */
    uint64_t first, end; /* the bytes that this body holds; end UINT64_MAX: to where it ends */
    bool is_final;
    bool is_weak;             /* the size is not to be believed by itself (belief.h) */
    bool is_unframed;         /* only the end of the connection told it */
    bool is_blob;             /* storage sent it: its headers tell the kind of blob */
    int64_t last_modified_ms; /* UTC, -1 unknown */
    char etag[SOURCE_ETAG_LEN];
};

/* status: 200, 206 or 416. -EIO: the headers contradict each other or miss what they must say;
 * -ENOMSG: the type of the content is not a log's (sight_read_type). */
int sight_read(const struct net_request *r, int status, struct sight *ret_sight);

/* The type of the content without its parameters, fit to be shown; "" where there is none. */
void sight_read_type(const struct net_request *r, char ret_type[SIGHT_TYPE]);

/* Whether a body that begins so, or is no longer than that, may be a runner's log: byte order marks,
 * a timestamp. */
bool sight_begins_log(const char *start, size_t len);

#endif
