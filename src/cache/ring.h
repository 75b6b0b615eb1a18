/*
 * ring.h - the bounded way of received bytes from the network thread to the writer (4 MiB).
 *
 * One producer (the network thread), one consumer (the writer thread). The producer never waits: a
 * piece that does not fit is refused whole, and the producer is told by the consumer's return value
 * of ring_release when there is room again.
 */
#ifndef GHLOGFS_CACHE_RING_H
#define GHLOGFS_CACHE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_SIZE (UINT64_C(4) << 20)

struct ring {
    char *memory;
    atomic_uint_fast64_t head; /* bytes ever put; producer's */
    atomic_uint_fast64_t tail; /* bytes ever released; consumer's */
    atomic_bool refused;       /* the producer waits for room */
};

/* A piece as the consumer sees it. */
struct ring_piece {
    void *owner;
    uint64_t offset;
    const char *data;
    size_t len;
};

int ring_init(struct ring *r);
void ring_finish(struct ring *r);

/* Producer. False: no room. The bytes are copied. */
bool ring_put(struct ring *r, void *owner, uint64_t offset, const void *data, size_t len);

/* Producer: a position, for "everything put before now". */
uint64_t ring_position(const struct ring *r);

/* Consumer: the oldest piece, if any; its position is that of ring_consumed. */
bool ring_peek(struct ring *r, struct ring_piece *ret_piece);

/* Consumer: done with the piece peeked. True: the producer was refused and may now try again. */
bool ring_release(struct ring *r);

/* Consumer: everything put before this position has been released. */
uint64_t ring_consumed(const struct ring *r);

#endif
