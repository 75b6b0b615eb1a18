/*
 * ring.h - the bounded buffer (4 MiB) for bytes on their way from the source to the writer thread.
 *
 * One producer at a time: the network thread and the text generator take turns, under a lock of the
 * writer's. One consumer, the writer thread. No function blocks: a piece that does not fit is
 * refused whole, and ring_release tells the consumer when a refused producer should try again.
 *
 * What comes in small pieces (curl hands over 16 KiB at most) goes out in large ones: the bytes lie
 * in the ring without anything between them, and pieces that continue each other are seen as one.
 * An empty ring continues at the start of its memory: a consumer that keeps up touches little of
 * it.
 */
#ifndef GHLOGFS_CACHE_RING_H
#define GHLOGFS_CACHE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_SIZE (UINT64_C(4) << 20)
#define RING_PIECES 1024u                    /* at once; a power of two */
#define RING_PIECE_MAX (UINT64_C(256) << 10) /* pieces are not joined beyond this */

/* What was put; a piece that lies over the ring's edge is two. */
struct ring_entry {
    void *owner;
    uint64_t offset;
    uint64_t len;
};

struct ring {
    char *memory;
    struct ring_entry *entries; /* at [count % RING_PIECES] */
    atomic_uint_fast64_t head;  /* bytes ever put, and skipped; producer's */
    atomic_uint_fast64_t tail;  /* bytes ever released; consumer's while there are any */
    atomic_uint_fast64_t put;   /* entries; producer's, the last that it changes */
    atomic_uint_fast64_t taken; /* entries; consumer's */
    atomic_bool refused;        /* a producer waits for space */
    /* consumer's own: what was peeked */
    uint64_t peeked_len;
    unsigned peeked;
};

/* A piece as the consumer gets it. */
struct ring_piece {
    void *owner;
    uint64_t offset;
    const char *data;
    size_t len;
};

int ring_init(struct ring *r);
void ring_finish(struct ring *r);

/* Producer. False: no space. The bytes are copied. */
bool ring_put(struct ring *r, void *owner, uint64_t offset, const void *data, size_t len);

/* Producer: a position, for "everything put before now". */
uint64_t ring_position(const struct ring *r);

/* Consumer: the oldest piece, if any, with what follows it; its position is that of ring_consumed.
 * Peeked again it may have grown. */
bool ring_peek(struct ring *r, struct ring_piece *ret_piece);

/* Consumer: done with the piece last peeked. True: a producer was refused, and all may now try
 * again. */
bool ring_release(struct ring *r);

/* Consumer: everything put before this position has been released. */
uint64_t ring_consumed(const struct ring *r);

#endif
