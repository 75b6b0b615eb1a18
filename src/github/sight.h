/*
 * sight.h - what one answer of storage says about a log. Pure.
 *
 * GitHub's runner writes a log of one block (2 MiB) as a block blob when the job ends, and a longer
 * one as an append blob that grows while the job runs and is sealed at its end. So a block blob and
 * a sealed append blob are final by themselves. GHES and the former service say neither, and may
 * know no ranges and no length.
 */
#ifndef GHLOGFS_GITHUB_SIGHT_H
#define GHLOGFS_GITHUB_SIGHT_H

#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct sight {
    bool is_sized;
    uint64_t size;       /* of the whole log */
    uint64_t first, end; /* the bytes that this body holds; end UINT64_MAX: to where it ends */
    bool is_final;
    int64_t last_modified_ms; /* UTC, -1 unknown */
    char etag[SOURCE_ETAG_LEN];
};

/* status: 200, 206 or 416. -EIO: the headers contradict each other or miss what they must say. */
int sight_read(const struct net_request *r, int status, struct sight *ret_sight);

#endif
