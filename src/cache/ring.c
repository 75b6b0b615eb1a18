#include "cache/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Lies before each piece's bytes. All positions are multiples of its size, so it never wraps. */
struct header {
    void *owner;
    uint64_t offset;
    uint64_t len;
    uint64_t unused;
};

#define ALIGN sizeof(struct header)

_Static_assert(RING_SIZE % ALIGN == 0, "a header must not wrap");

int ring_init(struct ring *r)
{
    void *memory = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);

    if (memory == MAP_FAILED)
        return -errno;
    r->memory = memory;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    atomic_init(&r->refused, false);
    return 0;
}

void ring_finish(struct ring *r)
{
    if (r->memory)
        munmap(r->memory, RING_SIZE);
    r->memory = NULL;
}

static uint64_t footprint(uint64_t len)
{
    return ALIGN + (len + ALIGN - 1) / ALIGN * ALIGN;
}

/* One unbroken piece; returns the new head. */
static uint64_t put_unbroken(struct ring *r, uint64_t head, void *owner, uint64_t offset,
                             const void *data, size_t len)
{
    char *at = r->memory + head % RING_SIZE;
    struct header h = {.owner = owner, .offset = offset, .len = len};

    memcpy(at, &h, sizeof(h));
    memcpy(at + ALIGN, data, len);
    return head + footprint(len);
}

bool ring_put(struct ring *r, void *owner, uint64_t offset, const void *data, size_t len)
{
    uint64_t head = atomic_load(&r->head);
    uint64_t to_edge = RING_SIZE - head % RING_SIZE;
    size_t first = len;

    if (head + footprint(len) + 2 * ALIGN - atomic_load(&r->tail) > RING_SIZE) {
        /* Left standing where there is room by now: another producer may have been refused, too. */
        atomic_store(&r->refused, true);
        if (head + footprint(len) + 2 * ALIGN - atomic_load(&r->tail) > RING_SIZE)
            return false;
    }
    if (footprint(len) > to_edge)
        first = to_edge - ALIGN;
    head = put_unbroken(r, head, owner, offset, data, first);
    if (first < len)
        head = put_unbroken(r, head, owner, offset + first, (const char *)data + first,
                            len - first);
    atomic_store(&r->head, head);
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
    uint64_t tail = atomic_load(&r->tail);
    const char *at = r->memory + tail % RING_SIZE;
    struct header h;

    if (tail == atomic_load(&r->head))
        return false;
    memcpy(&h, at, sizeof(h));
    *ret_piece = (struct ring_piece){
        .owner = h.owner, .offset = h.offset, .data = at + ALIGN, .len = h.len};
    return true;
}

bool ring_release(struct ring *r)
{
    uint64_t tail = atomic_load(&r->tail);
    struct header h;

    memcpy(&h, r->memory + tail % RING_SIZE, sizeof(h));
    atomic_store(&r->tail, tail + footprint(h.len));
    if (atomic_load(&r->head) - tail - footprint(h.len) > RING_SIZE / 2)
        return false;
    return atomic_exchange(&r->refused, false);
}
