/*
 * internal.h - inside the catalog: the table of questions and the round that asks one of them.
 *
 * Calls go down only: query.c (what callers ask) - round.c (requests) - entry.c (the table) -
 * page.c, seen.c.
 *
 * "lock" is catalog->lock. "parser" is the parser thread, which parses bodies and writes records;
 * what only it touches needs no lock.
 */
#ifndef GHLOGFS_CATALOG_INTERNAL_H
#define GHLOGFS_CATALOG_INTERNAL_H

#include "catalog/catalog.h"
#include "catalog/page.h"
#include "list.h"
#include "tasks.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENTRY_KEY_LEN (SOURCE_FILTER_LEN + 320)
#define ENTRY_BUCKETS 1024
#define ENTRIES_MAX 20000 /* questions in memory; the least recently asked are forgotten */
#define CATALOG_BYTES_MAX (128u << 20) /* of all answers in memory; the same */
#define ENTRY_BYTES_MAX (256u << 20)   /* of one listing, whatever the server sends */
#define LEARNT_BYTES_MAX (16u << 20)   /* of facts learnt beside other questions, not yet parsed */

/* Jobs by name and id in whatever answer they came, and what this mount has used. */
#define SEEN_MAX 65536 /* jobs under each of their names; the least recently used are forgotten */
#define SEEN_BUCKETS 65536
#define USED_REPOS_MAX 1024 /* the least recently used are forgotten */
#define USED_JOBS_MAX 4096  /* of one repository */

struct seen_job;

struct seen {
    struct seen_job **buckets; /* SEEN_BUCKETS chains */
    struct list order;         /* of struct seen_job, latest use last */
    unsigned job_count;
    struct list repos; /* of struct used_repo, latest use last */
    unsigned repo_count;
};

/* One result page of the round under way: its request, then what came. The source's from want_facts
 * until done, then the parser's. */
struct page_query {
    struct source_facts facts;
    struct task task;
    struct entry *entry;
    struct source_failure failure; /* reason FINE: none */
    bool not_modified;
    const char *body; /* until facts_release */
    size_t len;
    char etag[SOURCE_ETAG_LEN];
    unsigned next_page;
    struct page *page; /* NULL: not received yet */
};

/* The requests for one answer: the first page, then the rest in parallel. The parser's while
 * ASKING; the first three are set when the round begins and then stay. */
struct round {
    int64_t started_ms;
    bool is_extra;   /* the caller that began it can do without the answer */
    bool may_settle; /* what was known when it began: an earlier answer settles nothing */
    bool is_probe;   /* it has failed before for good: one request, in the smallest pages tried */
    bool was_heard;  /* GitHub answered others while this one failed */
    bool changed;    /* a page is new */
    unsigned page_size;
    unsigned page_count; /* as far as is known: elements of `queries` */
    unsigned requested, outstanding;
    unsigned tries_spent, waits_spent; /* of pages that failed */
    size_t bytes;                      /* of all bodies so far */
    struct page_query *queries;        /* grows only while none is outstanding */
    struct source_failure failure;     /* the first; reason FINE: none */
    struct answer *doubtful;           /* came first and did not add up: requested once more */
    struct task begin;                 /* the start, or the next in smaller pages */
};

enum entry_phase { ENTRY_NEW, ENTRY_LOADING, ENTRY_IDLE, ENTRY_ASKING };

/*
 * One question and what is known of its answer. Counted by each thread that uses it without the
 * lock, by its round and by its timer; one that is not in use may be forgotten.
 */
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
    struct answer *answer; /* NULL: none yet. Replaced by the parser, or while it is loaded */
    uint64_t answer_number, failure_number; /* of the last ones, counted over the catalog */
    int64_t answered_ms;                    /* 0: of unknown age */
    struct source_failure failure;
    unsigned page_size; /* what is known to work; 0: as large as wanted */
    bool is_failing;    /* no page size worked */
    bool refused; /* GitHub's last answer was that there is nothing for us: the old one is hidden */
    struct list in_asking; /* linked: the phase is ASKING */
    struct task slow;      /* a timer: wakes those who have waited a second */
    bool slow_posted;

    struct round round;

    /* Any thread: of the round under way. */
    struct progress_wait waits_for;
    atomic_uint_fast64_t received; /* bytes of answers */
};

struct catalog {
    struct catalog_config config;
    struct tasks *parser;
    atomic_size_t bytes;  /* of all pages in memory */
    atomic_size_t learnt; /* bytes of what was learnt beside other questions and is not parsed */
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    /* lock */
    struct list buckets[ENTRY_BUCKETS];
    struct list order;
    unsigned entry_count;
    struct list asking; /* entries whose rounds are under way, in the order in which they began */
    unsigned asking_count;
    uint64_t outcomes; /* answers and failures so far */
    struct seen seen;
};

/* --- seen.c --- */

int seen_init(struct seen *s);
void seen_finish(struct seen *s);

/* Forgets up to so many jobs, the least recently used first. Whether there was one. */
bool seen_forget(struct seen *s, unsigned count);

/* All jobs of a page; `is_proof`: GitHub has given or confirmed it in this mount. */
void seen_add_page(struct seen *s, const struct repo_name *repo, struct page *p, bool is_proof);

/* GitHub refuses what the page was an answer to. */
void seen_withdraw_proof(struct seen *s, const struct repo_name *repo, const struct page *p);

/* NULL: never seen, or so long ago that it is forgotten. ret_page is counted for the caller. */
const struct facts_job *seen_find(struct seen *s, const struct repo_name *repo, uint64_t job,
                                  struct page **ret_page);

/* --- entry.c --- */

/* A question's key, and that of its records: folded, since GitHub ignores the case of names. */
void entry_make_key(const struct catalog_question *q, char ret_key[ENTRY_KEY_LEN]);
/* The entry of a question, counted. NULL: no memory, or there is none and it is not to be made. */
struct entry *entry_get(struct catalog *c, const struct catalog_question *q, bool make);
void entry_put(struct entry *e);
/* Reads the entry's records. Lock not held, phase LOADING. */
void entry_load(struct entry *e);
/* Lock held; the answer's reference becomes the entry's. The one before is returned, to be released
 * without the lock. */
struct answer *entry_adopt_answer(struct entry *e, struct answer *a, bool is_proof);
/* Wakes all who wait for the entry. Lock not held. */
void entry_wake(struct entry *e);
/* Forgets answers until the rest is within CATALOG_BYTES_MAX; not those in use. Lock not held. */
void catalog_trim(struct catalog *c);

/* Entries of a page that is as large as wanted. */
static inline unsigned entry_full_size(const struct entry *e)
{
    return e->q.limit && e->q.limit < CATALOG_PAGE ? e->q.limit : CATALOG_PAGE;
}

/* --- round.c --- */

/* Begins a round, which counts the entry. Lock held, phase IDLE; then, without the lock, the caller
 * posts e->round.begin to the parser. */
void round_prepare(struct entry *e, bool is_extra, int64_t now_ms);

#endif
