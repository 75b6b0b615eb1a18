/*
 * text/stamp: the runner's timestamp at the start of a line. Pure; any thread; nothing fails.
 */
#ifndef GHLOGFS_TEXT_STAMP_H
#define GHLOGFS_TEXT_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_STAMP_LEN = 28, /* without the space behind it */
    TEXT_TIME_UNKNOWN = -1,
};

/* Could `byte` stand at place `at` (below TEXT_STAMP_LEN) of a timestamp? */
bool text_stamp_fits(size_t at, unsigned char byte);

/* Are the TEXT_STAMP_LEN bytes at `s` a timestamp? */
bool text_stamp_is(const unsigned char *s);

/* The time of a timestamp in milliseconds since 1970, UTC; TEXT_TIME_UNKNOWN where its numbers
 * are none that a clock shows. */
int64_t text_stamp_time_ms(const unsigned char *s);

#endif
