/*
 * memory.h - a log that is filled in outside any file: for a cache that is off, full, read-only or
 * gone.
 *
 * Not a memfd: that is a file to the kernel, so a limit on the size of files (RLIMIT_FSIZE) or on
 * descriptors would hold for it as well, and reads could not go on in memory. Sparse: what lies
 * between mapped ranges takes nothing. The bound on the sum of all is backing.c's.
 *
 * Any thread; one mutex inside, held while bytes are copied.
 */
#ifndef GHLOGFS_STORE_MEMORY_H
#define GHLOGFS_STORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct store_memory;

/* NULL: no memory. */
struct store_memory *memory_create(void);
void memory_destroy(struct store_memory *m);

/* How many bytes more the log takes once [from, to) is mapped; in units of 4 KiB. */
uint64_t memory_missing(struct store_memory *m, uint64_t from, uint64_t to);

/* Makes sure that [from, to) can be written. -EFBIG: beyond 64 GiB, or the system gives no more. */
int memory_map(struct store_memory *m, uint64_t from, uint64_t to);

/* -EFBIG: not mapped, and nothing was written. */
int memory_write(struct store_memory *m, const void *data, size_t len, uint64_t offset);

/* What was never written reads as zeros. */
void memory_read(struct store_memory *m, void *data, size_t len, uint64_t offset);

#endif
