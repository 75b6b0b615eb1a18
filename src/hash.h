/*
 * hash.h - FNV-1a, the one hash for tables in memory and for telling texts apart. It is fast on
 * short keys and withstands no attack: a key that a stranger chose is compared in full as well.
 * Values are kept on disk (text/mark), so they must stay as they are. Pure; any thread.
 */
#ifndef GHLOGFS_HASH_H
#define GHLOGFS_HASH_H

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(14695981039346656037)

/* Continues `hash`, which begins as HASH_START. */
static inline uint64_t hash_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(1099511628211);
}

static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
    for (const unsigned char *p = data; len > 0; p++, len--)
        hash = hash_byte(hash, *p);
    return hash;
}

static inline uint64_t hash_string(uint64_t hash, const char *s)
{
    for (; *s; s++)
        hash = hash_byte(hash, (unsigned char)*s);
    return hash;
}

/* The same for texts that are equal case-insensitively. */
static inline uint64_t hash_string_nocase(uint64_t hash, const char *s)
{
    for (; *s; s++)
        hash = hash_byte(hash, (unsigned char)tolower((unsigned char)*s));
    return hash;
}

#endif
