/*
 * scan.h - what lies in the directory: sums, and the files used least recently.
 *
 * For evict.c, which holds v1/lock meanwhile. Only so many of the oldest files are remembered,
 * however many there are; whoever needs more scans again.
 */
#ifndef GHLOGFS_STORE_SCAN_H
#define GHLOGFS_STORE_SCAN_H

#include <stddef.h>
#include <stdint.h>

#define SCAN_OLDEST_MAX 8192

struct scan_file {
    int64_t mtime_ns;
    uint64_t size;
    char *path; /* below v1/ */
};

/* A bounded heap, the newest of the remembered on top, until scan_sort. */
struct scan_list {
    uint64_t total; /* bytes of all that were seen */
    size_t count;
    struct scan_file *files;
};

struct scan {
    struct scan_list logs;
    struct scan_list facts;
};

/* Looks at everything below v1/. On the way logs without a meta and metas beyond those that a
 * folder may have without a log are deleted: they are of no use. -ENOMEM, or why v1/ cannot be
 * read. */
int scan_run(int root, struct scan *ret_scan);
void scan_finish(struct scan *scan);

/* Oldest first. */
void scan_sort(struct scan_list *list);

/* For scan_run, and tests: remembers a file among the oldest. */
int scan_list_add(struct scan_list *list, int64_t mtime_ns, uint64_t size, const char *path);

#endif
