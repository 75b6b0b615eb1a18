/*
 * hosts.h - who could not be reached a moment ago, so that a hundred questions do not each find it
 * out. Pure; the network thread owns it. Keyed by scheme, host and port; bounded.
 */
#ifndef GHLOGFS_GITHUB_HOSTS_H
#define GHLOGFS_GITHUB_HOSTS_H

#include "net/url.h"

#include <stdbool.h>
#include <stdint.h>

#define HOSTS_DOWN_MS 5000
#define HOSTS_PROBE_MS 1000
#define HOSTS_MAX 16 /* hosts known; the one whose turn to be forgotten has come goes */

struct hosts_entry {
    struct net_url at; /* scheme "": the entry is free */
    int64_t heard_ms;  /* when something came from it last; 0: never */
    int64_t until_ms;  /* it is down until then; 0: it is not */
    int64_t probe_ms;  /* when one may look whether it is back */
    int err;
};

struct hosts {
    struct hosts_entry entries[HOSTS_MAX];
};

/* 0: ask it. Else the errno it failed with, and until when it is not worth asking. While a host
 * is down one asker a second is let through, to see it come back; not to one that timed out, for
 * that would take the asker as long as it took the first. */
int hosts_ask(struct hosts *h, const struct net_url *at, int64_t now_ms, int64_t *ret_until_ms);

/* Whether it is known to be down: who was let through gives up at the first failure. */
bool hosts_is_down(const struct hosts *h, const struct net_url *at, int64_t now_ms);

/*
 * Somebody who has tried since `since_ms` has given up. -ETIMEDOUT counts only if nobody else heard
 * from the host meanwhile: one question that is not answered says nothing of all others.
 */
void hosts_note_failure(struct hosts *h, const struct net_url *at, int err, int64_t since_ms,
                        int64_t now_ms);

/* Whether something came from it since then. */
bool hosts_was_heard(const struct hosts *h, const struct net_url *at, int64_t since_ms);

/* Something came from it. */
void hosts_note_answer(struct hosts *h, const struct net_url *at, int64_t now_ms);

#endif
