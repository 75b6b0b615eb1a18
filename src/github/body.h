/*
 * body.h - how much memory answers take between the wire and their reader, over the whole mount.
 *
 * An answer reserves before it grows. Where there is no space its transfer pauses, and goes on when
 * another answer has been read. One answer at a time may go beyond the bound, so of many that have
 * come half there is always one that comes to its end.
 *
 * body_reserve on the network thread, body_release on any.
 */
#ifndef GHLOGFS_GITHUB_BODY_H
#define GHLOGFS_GITHUB_BODY_H

#include "net/net.h"
#include "source.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define BODY_BYTES_MAX (32u << 20) /* and one answer of PARSE_BODY_MAX */

struct body_pool {
    struct net *net;
    atomic_size_t used;
    atomic_bool has_beyond; /* one answer is */
    atomic_bool is_wanted;  /* a transfer has paused */
};

/* `bytes` more. False: pause; net_resume comes when there may be space. */
bool body_reserve(struct body_pool *pool, struct source_body *body, size_t bytes);

/* The data takes no more than so many bytes from now on. Network thread, as long as it is nobody else's. */
void body_trim(struct body_pool *pool, struct source_body *body, size_t bytes);

/* Frees the data and gives back what was reserved. */
void body_release(struct body_pool *pool, struct source_body *body);

#endif
