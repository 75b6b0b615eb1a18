#include "cache/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert((RING_PIECES & (RING_PIECES - 1)) == 0, "counts of entries wrap");

int ring_init(struct ring *r)
{
    void *memory = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);

    if (memory == MAP_FAILED)
        return -errno;
    *r = (struct ring){.memory = memory, .entries = calloc(RING_PIECES, sizeof(*r->entries))};
    if (r->entries)
        return 0;
    ring_finish(r);
    return -ENOMEM;
}

void ring_finish(struct ring *r)
{
    if (r->memory)
        munmap(r->memory, RING_SIZE);
    r->memory = NULL;
    free(r->entries);
    r->entries = NULL;
}

/* A piece that lies over the edge takes two entries. */
static bool has_space(struct ring *r, size_t len)
{
    return atomic_load(&r->head) + len - atomic_load(&r->tail) <= RING_SIZE &&
           atomic_load(&r->put) + 2 - atomic_load(&r->taken) <= RING_PIECES;
}

/* One unbroken piece. */
static void put_unbroken(struct ring *r, void *owner, uint64_t offset, const void *data, size_t len)
{
    uint64_t head = atomic_load(&r->head), put = atomic_load(&r->put);

    memcpy(r->memory + head % RING_SIZE, data, len);
    r->entries[put % RING_PIECES] = (struct ring_entry){
        .owner = owner, .offset = offset, .len = len};
    atomic_store(&r->head, head + len);
    atomic_store(&r->put, put + 1);
}

bool ring_put(struct ring *r, void *owner, uint64_t offset, const void *data, size_t len)
{
    uint64_t to_edge;
    size_t first;

    if (atomic_load(&r->put) == atomic_load(&r->taken)) {
        /* Empty: continues at the start of the memory, so that no more of it is touched than was
         * needed at once. The tail is the consumer's only while there is something to release. */
        uint64_t start = (atomic_load(&r->head) + RING_SIZE - 1) / RING_SIZE * RING_SIZE;
        atomic_store(&r->tail, start);
        atomic_store(&r->head, start);
    }
    to_edge = RING_SIZE - atomic_load(&r->head) % RING_SIZE;
    first = len < to_edge ? len : to_edge;
    if (!has_space(r, len)) {
        /* Stays set if there is space by now: another producer may have been refused, too. */
        atomic_store(&r->refused, true);
        if (!has_space(r, len))
            return false;
    }
    if (first)
        put_unbroken(r, owner, offset, data, first);
    if (first < len)
        put_unbroken(r, owner, offset + first, (const char *)data + first, len - first);
    return true;
}

uint64_t ring_position(const struct ring *r)
{
    return atomic_load(&r->head);
}

uint64_t ring_consumed(const struct ring *r)
{
    return atomic_load(&r->tail);
}

bool ring_peek(struct ring *r, struct ring_piece *ret_piece)
{
    uint64_t at = atomic_load(&r->taken), put = atomic_load(&r->put);
    const struct ring_entry *e = &r->entries[at % RING_PIECES];
    struct ring_piece piece;

    if (at == put)
        return false;
    piece = (struct ring_piece){.owner = e->owner,
                                .offset = e->offset,
                                .data = r->memory + atomic_load(&r->tail) % RING_SIZE,
                                .len = e->len};
    for (r->peeked = 1; at + r->peeked < put; r->peeked++) {
        e = &r->entries[(at + r->peeked) % RING_PIECES];
        /* Whether it continues the piece, in the log and in memory. */
        if (e->owner != piece.owner || e->offset != piece.offset + piece.len ||
            piece.len + e->len > RING_PIECE_MAX || piece.data + piece.len >= r->memory + RING_SIZE)
            break;
        piece.len += e->len;
    }
    r->peeked_len = piece.len;
    *ret_piece = piece;
    return true;
}

bool ring_release(struct ring *r)
{
    uint64_t tail = atomic_load(&r->tail) + r->peeked_len;
    uint64_t taken = atomic_load(&r->taken) + r->peeked;

    atomic_store(&r->tail, tail);
    atomic_store(&r->taken, taken);
    if (atomic_load(&r->head) - atomic_load(&r->tail) > RING_SIZE / 2 ||
        atomic_load(&r->put) - taken > RING_PIECES / 2)
        return false;
    return atomic_exchange(&r->refused, false);
}
