/*
 * checksum.c - the only file that knows xxhash.
 *
 * The library as such is built for any x86-64; of its dispatching functions each takes the widest
 * vectors of the processor at hand. The sums are the same.
 */
#include "store/store.h"

#define XXH_STATIC_LINKING_ONLY /* the size of the state */
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

#define STATE_ALIGN 64u

_Static_assert(sizeof(struct store_hasher) >= sizeof(XXH3_state_t) + STATE_ALIGN,
               "the state fits wherever the hasher lies");

/* The library wants its state aligned to 64 bytes, which malloc does not give. */
static XXH3_state_t *state_of(struct store_hasher *h)
{
    uintptr_t at = (uintptr_t)h->state;

    return (XXH3_state_t *)((at + STATE_ALIGN - 1) & ~(uintptr_t)(STATE_ALIGN - 1));
}

uint64_t store_page_checksum(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

void store_hasher_init(struct store_hasher *h)
{
    XXH3_state_t *state = state_of(h);

    XXH3_INITSTATE(state);
    XXH3_64bits_reset(state);
}

void store_hasher_update(struct store_hasher *h, const void *data, size_t len)
{
    if (len)
        XXH3_64bits_update(state_of(h), data, len);
}

uint64_t store_hasher_digest(struct store_hasher *h)
{
    return XXH3_64bits_digest(state_of(h));
}
