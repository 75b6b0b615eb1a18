/*
 * parse_bounds.h - how much of what a server sends is looked at (R8). More is refused, not cut,
 * but for texts.
 */
#ifndef GHLOGFS_GITHUB_PARSE_BOUNDS_H
#define GHLOGFS_GITHUB_PARSE_BOUNDS_H

#define PARSE_BODY_MAX (16u << 20)
#define PARSE_DEPTH_MAX 64
#define PARSE_VALUES_MAX 1000000 /* cJSON takes 64 bytes and more for each */
#define PARSE_ITEMS_MAX 1000     /* of one page; GitHub's own limit is 100 */
#define PARSE_STEPS_MAX 10000    /* of one job */
#define PARSE_TEXT_MAX 1024      /* bytes; a longer text is cut */
#define PARSE_HEADER_MAX 8192    /* bytes of one header's value */

#endif
