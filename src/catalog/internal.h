/*
 * internal.h - inside the catalog: one question and what is known of its answer.
 *
 * "lock" is catalog->lock. An entry is counted: by the table, by each thread that looks at it
 * without the lock, by requests under way.
 */
#ifndef GHLOGFS_CATALOG_INTERNAL_H
#define GHLOGFS_CATALOG_INTERNAL_H

#include "catalog/catalog.h"
#include "catalog/page.h"
#include "catalog/seen.h"
#include "list.h"
#include "tasks.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENTRY_KEY_LEN (SOURCE_FILTER_LEN + 320)
#define ENTRY_BUCKETS 1024
#define ENTRIES_MAX 20000 /* questions remembered in memory; the least recently asked go */
#define CATALOG_BYTES_MAX (128u << 20) /* of all answers in memory; the same */
#define ENTRY_BYTES_MAX (256u << 20)   /* of one listing, whatever the server sends */
#define ADOPTED_BYTES_MAX (16u << 20)  /* of facts learnt beside the way that wait to be parsed */

/* One round of asking; the catalog's own thread's. */
struct round {
    unsigned page_size;
    unsigned page_count; /* as far as is known */
    unsigned asked, outstanding;
    unsigned tries_spent, waits_spent; /* of pages that failed */
    size_t bytes;                      /* of all answers so far */
    struct page *pages[SAVED_PAGES_MAX];
    struct source_failure failure; /* the first; reason FINE: none */
    struct answer *doubtful;       /* what was got first and did not add up: asked once more */
    bool is_probe;  /* it has failed before for good: one question, in the smallest pages tried */
    bool was_heard; /* GitHub answered others while this one failed */
    bool changed;   /* a page is new */
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
    int64_t failed_ms;  /* when it was told so */
    unsigned page_size; /* what is known to work; 0: as large as wanted */
    bool is_failing;    /* no page size worked */
    bool refused; /* GitHub's last word was that there is nothing for us: the answer is not shown */
    struct task slow; /* wakes who waited a second */
    bool slow_posted;
    bool is_extra; /* who had the round begun can do without its answer; stays while ASKING */
    bool
        round_may_settle; /* what was known when the round began: an earlier answer settles nothing */
    struct task begin;    /* the round's start, or its next in smaller pages */

    struct round *round; /* the catalog's thread; NULL: none under way */
};

struct catalog {
    struct catalog_config config;
    struct tasks *clerk;   /* parses and writes */
    atomic_size_t bytes;   /* of all pages in memory */
    atomic_size_t adopted; /* bytes of what was learnt beside the way and is not parsed */
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    /* lock */
    struct list buckets[ENTRY_BUCKETS];
    struct list order;
    unsigned entry_count;
    struct seen seen;
};

/* --- entry.c --- */

/* The key of a question, and of its records: name folded, for GitHub tells no difference. */
void entry_make_key(const struct catalog_question *q, char key[ENTRY_KEY_LEN]);
/* The entry of a question, counted. NULL: no memory, or there is none and it is not to be made. */
struct entry *entry_get(struct catalog *c, const struct catalog_question *q, bool make);
void entry_put(struct entry *e);
/* Lock held. */
const struct catalog_answer *entry_hold_answer(struct entry *e);
void entry_adopt_answer(struct entry *e, struct answer *a);
unsigned entry_full_size(const struct entry *e);
void entry_save_list(struct entry *e, const struct answer *a);
/* Forgets answers until the rest is within CATALOG_BYTES_MAX; not those somebody is busy with. */
void catalog_trim(struct catalog *c);
/* Reads the entry's records. Lock not held, phase LOADING. */
void entry_load(struct entry *e);
/* Adopts what was learnt beside the way: the body of a single object, asked just now. */
void entry_adopt(struct entry *e, const char *body, size_t len);

/* --- round.c --- */

/* Lock not held; the phase is ASKING and the entry counted for the round. */
void round_start(struct entry *e);

#endif
