/*
 * entry.h - inside the catalog: one question and what is known of its answer.
 *
 * "lock" is catalog->lock. An entry is counted: by the table, by each thread that looks at it
 * without the lock, by requests under way.
 */
#ifndef GHLOGFS_CATALOG_ENTRY_H
#define GHLOGFS_CATALOG_ENTRY_H

#include "catalog/catalog.h"
#include "catalog/page.h"
#include "catalog/seen.h"
#include "list.h"
#include "tasks.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENTRY_KEY_LEN (SOURCE_FILTER_LEN + 320)
#define ENTRY_RECORD_LEN (ENTRY_KEY_LEN + 16)
#define ENTRY_PAGES_MAX (CATALOG_ENTRIES_MAX / CATALOG_PAGE)
#define ENTRY_BUCKETS 1024
#define ENTRIES_MAX 20000 /* questions remembered in memory; the least recently asked go */
#define CATALOG_BYTES_MAX (128u << 20) /* of all answers in memory; the same */
#define ENTRY_BYTES_MAX (256u << 20)   /* of one listing, whatever the server sends */

/* An answer as the entry keeps it; `view` is what others see. */
struct answer {
    struct catalog_answer view;
    atomic_uint refs;
    unsigned page_count;
    struct page **pages;
};

/* One round of asking; the catalog's own thread's. */
struct round {
    unsigned page_count, outstanding;
    size_t bytes; /* of all answers so far */
    struct page *pages[ENTRY_PAGES_MAX];
    char *bodies[ENTRY_PAGES_MAX]; /* of those that are new, to be saved; else NULL */
    size_t lens[ENTRY_PAGES_MAX];
    struct source_failure failure; /* the first; reason FINE: none */
};

enum entry_phase { ENTRY_NEW, ENTRY_LOADING, ENTRY_IDLE, ENTRY_ASKING };

struct entry {
    struct catalog *catalog;
    struct catalog_question q; /* may_settle: lock; is_extra: not used */
    char key[ENTRY_KEY_LEN];
    struct pending wait;

    /* lock */
    struct list in_bucket;
    struct list in_order; /* by last use */
    unsigned users;
    enum entry_phase phase;
    struct answer *answer; /* NULL: none yet */
    int64_t answered_ms;   /* 0: of unknown age */
    int64_t started_ms;    /* of the round under way */
    struct source_failure failure;
    bool refused; /* GitHub's last word was that there is nothing for us: the answer is not shown */
    struct task slow; /* wakes who waited a second */
    bool slow_posted;
    unsigned
        tries; /* of the round's pages, as in source.h; not 0: it is extra. Stays while ASKING */
    bool
        round_may_settle; /* what was known when the round began: an earlier answer settles nothing */
    struct task begin;    /* the round's start */

    struct round *round; /* the catalog's thread; NULL: none under way */
};

struct catalog {
    struct catalog_config config;
    struct tasks *clerk; /* parses and writes */
    atomic_size_t bytes; /* of all pages in memory */
    pthread_mutex_t lock;
    /* lock */
    struct list buckets[ENTRY_BUCKETS];
    struct list order;
    unsigned entry_count;
    struct seen seen;
};

/* --- ask.c --- */

void entry_put(struct entry *e);
/* Forgets answers until the rest is within CATALOG_BYTES_MAX; not those somebody is busy with. */
void catalog_trim(struct catalog *c);

/* --- answer.c --- */

/* Takes the pages over. NULL: no memory (the pages are released). */
struct answer *answer_create(struct page **pages, unsigned page_count, unsigned limit,
                             bool settled);
void answer_unref(struct answer *a);
/* Whether all that is in it has ended and is settled at this time (UTC). */
bool answer_has_ended(enum source_question what, const struct catalog_answer *view, int64_t now_ms);

/* --- round.c: asking (any thread starts it, the catalog's own goes on) --- */

/* Lock not held; the phase is ASKING and the entry counted for the round. */
void round_start(struct entry *e);
void entry_page_key(const struct entry *e, unsigned page, char key[ENTRY_RECORD_LEN]);
/* Reads the entry's records. Lock not held, phase LOADING. */
void entry_load(struct entry *e);
/* Adopts what was learnt beside the way: the body of a single object, asked just now. */
void entry_adopt(struct entry *e, const char *body, size_t len);

#endif
