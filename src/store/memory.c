/*
 * memory.c - a log that is filled in outside any file: for a cache that is off, full, read-only or
 * gone.
 *
 * Not a memfd: that is a file to the kernel, so a limit on the size of files (RLIMIT_FSIZE) or on
 * descriptors would hold for it as well, and reads could not go on in memory. Sparse: what lies
 * between mapped ranges takes nothing. The bound on the sum of all is backing.c's.
 *
 * Any thread; one mutex inside, held while bytes are copied.
 */
#include "store/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_SIZE (UINT64_C(4) << 10)  /* what is counted */
#define CHUNK_SIZE (UINT64_C(64) << 10) /* what is requested from the system at once */
#define CHUNK_BLOCKS (CHUNK_SIZE / BLOCK_SIZE)
#define TABLE_CHUNKS 1024u
#define TABLES 1024u
#define SIZE_MAX_BYTES (CHUNK_SIZE * TABLE_CHUNKS * TABLES) /* 64 GiB, as LOG_SIZE_MAX */

struct chunk {
    char *bytes;     /* NULL: not there */
    uint16_t blocks; /* a bit for each that is mapped */
};

_Static_assert(CHUNK_BLOCKS == 16, "the bits of `blocks`");

/* A table of tables of chunks, so that nothing moves while the log grows. */
struct store_memory {
    pthread_mutex_t lock; /* protects all of it, bytes included */
    struct chunk *tables[TABLES];
};

struct store_memory *memory_create(void)
{
    struct store_memory *m = calloc(1, sizeof(*m));

    if (m)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

void memory_destroy(struct store_memory *m)
{
    if (!m)
        return;
    for (unsigned t = 0; t < TABLES; t++) {
        for (unsigned i = 0; m->tables[t] && i < TABLE_CHUNKS; i++)
            if (m->tables[t][i].bytes)
                munmap(m->tables[t][i].bytes, CHUNK_SIZE);
        free(m->tables[t]);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* How much of [offset, offset + len) lies in its first chunk. */
static size_t in_chunk(uint64_t offset, uint64_t len)
{
    uint64_t rest = CHUNK_SIZE - offset % CHUNK_SIZE;

    return (size_t)(len < rest ? len : rest);
}

/* The bits of `len` bytes, at least 1, that lie in one chunk. */
static uint16_t blocks_of(uint64_t offset, size_t len)
{
    uint64_t first = offset % CHUNK_SIZE / BLOCK_SIZE;
    uint64_t last = (offset % CHUNK_SIZE + len - 1) / BLOCK_SIZE;

    return (uint16_t)((UINT32_C(2) << last) - (UINT32_C(1) << first));
}

/* Lock held. NULL: not there. */
static struct chunk *find_chunk(const struct store_memory *m, uint64_t offset)
{
    uint64_t chunk = offset / CHUNK_SIZE;
    struct chunk *table = chunk / TABLE_CHUNKS < TABLES ? m->tables[chunk / TABLE_CHUNKS] : NULL;

    return table && table[chunk % TABLE_CHUNKS].bytes ? &table[chunk % TABLE_CHUNKS] : NULL;
}

/* Lock held. Not malloc'd: what is freed returns to the system at once. NULL: no memory. */
static struct chunk *add_chunk(struct store_memory *m, uint64_t offset)
{
    uint64_t chunk = offset / CHUNK_SIZE;
    struct chunk **table = &m->tables[chunk / TABLE_CHUNKS];
    void *bytes;

    if (!*table)
        *table = calloc(TABLE_CHUNKS, sizeof(**table));
    if (!*table)
        return NULL;
    bytes = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    (*table)[chunk % TABLE_CHUNKS].bytes = bytes;
    return &(*table)[chunk % TABLE_CHUNKS];
}

/* Lock held. */
static uint64_t count_missing(const struct store_memory *m, uint64_t from, uint64_t to)
{
    uint64_t missing = 0;

    for (size_t part; from < to; from += part) {
        const struct chunk *chunk = find_chunk(m, from);
        unsigned blocks = blocks_of(from, part = in_chunk(from, to - from));
        blocks &= ~(chunk ? (unsigned)chunk->blocks : 0);
        missing += (uint64_t)__builtin_popcount(blocks) * BLOCK_SIZE;
    }
    return missing;
}

uint64_t memory_missing(struct store_memory *m, uint64_t from, uint64_t to)
{
    uint64_t missing;

    pthread_mutex_lock(&m->lock);
    missing = count_missing(m, from, to);
    pthread_mutex_unlock(&m->lock);
    return missing;
}

int memory_map(struct store_memory *m, uint64_t from, uint64_t to)
{
    int rc = to > SIZE_MAX_BYTES ? -EFBIG : 0;

    pthread_mutex_lock(&m->lock);
    for (size_t part; !rc && from < to; from += part) {
        struct chunk *chunk = find_chunk(m, from);
        part = in_chunk(from, to - from);
        if (!chunk)
            chunk = add_chunk(m, from);
        if (chunk)
            chunk->blocks |= blocks_of(from, part);
        else
            rc = -EFBIG;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int memory_write(struct store_memory *m, const void *data, size_t len, uint64_t offset)
{
    const char *from = data;
    int rc;

    pthread_mutex_lock(&m->lock);
    rc = count_missing(m, offset, offset + len) ? -EFBIG : 0;
    for (size_t part; !rc && len > 0; len -= part) {
        part = in_chunk(offset, len);
        memcpy(find_chunk(m, offset)->bytes + offset % CHUNK_SIZE, from, part);
        from += part;
        offset += part;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void memory_read(struct store_memory *m, void *data, size_t len, uint64_t offset)
{
    char *to = data;

    pthread_mutex_lock(&m->lock);
    for (size_t part; len > 0; len -= part) {
        const struct chunk *chunk = find_chunk(m, offset);
        part = in_chunk(offset, len);
        if (chunk)
            memcpy(to, chunk->bytes + offset % CHUNK_SIZE, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
    }
    pthread_mutex_unlock(&m->lock);
}
