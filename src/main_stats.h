/*
 * main_stats.h - the counters of a mount as texts: the one table of their names.
 *
 * `.ghlogfs/stats` is for people and scripts: "name value" lines. `.ghlogfs/metrics` is OpenMetrics
 * 1.0; `.ghlogfs/metrics.prom` is the older text format of Prometheus, the only one that promtool
 * and node_exporter's textfile collector read: it names a counter's family otherwise, and has
 * neither units nor an end mark. Labels are bounded: none is an owner, a repository, a path in the
 * mount or a host. Each metric carries the mountpoint, so that two mounts of a machine can be read
 * by one node_exporter. Pure: the caller has collected the numbers.
 */
#ifndef GHLOGFS_MAIN_STATS_H
#define GHLOGFS_MAIN_STATS_H

#include "archive/archive.h"
#include "cache/cache.h"
#include "fs/session.h"
#include "github/api.h"
#include "shared/shared.h"

#include <stdbool.h>
#include <stdint.h>

struct stats {
    struct api_stats api;
    struct cache_stats cache;
    struct session_stats session;
    struct archives_stats archives;
    struct shared_stats shared; /* has_shared */
    bool has_shared;
    uint64_t reports;
    uint64_t used, limit; /* bytes of the cache */
    uint64_t evicted, evicted_bytes;
    int64_t started_s; /* UTC */
    const char *mountpoint, *libfuse;
    char libcurl[128];
};

enum stats_format { STATS_PLAIN, STATS_OPENMETRICS, STATS_PROMETHEUS };

/* malloc'd; NULL: no memory. */
char *stats_print(const struct stats *s, enum stats_format format);

#endif
