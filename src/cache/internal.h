/*
 * internal.h - what the files of the cache share. No other module includes it.
 *
 * Calls between the files go down this list only; what goes up goes through function pointers:
 *
 *     read       stat, open, read; checks pages of an earlier mount
 *     fetch      ranges under way; asks for the growth of a running job's log
 *     fill       what the writer thread does with bytes: write, mark pages, publish
 *     status     which logs are under way, and how far
 *     lifecycle  finds, counts and frees logs; opens and closes their files
 *     state      what is known of a log
 *     writer     the writer thread and its ring
 *     pages, plan, absent, ring    pure
 *
 * Who may touch what: "lock" is cache->lock; "writer" is the writer thread alone; "net" the network
 * thread alone (for generated logs the generator's); unmarked fields are constant after creation.
 */
#ifndef GHLOGFS_CACHE_INTERNAL_H
#define GHLOGFS_CACHE_INTERNAL_H

#include "cache/absent.h"
#include "cache/cache.h"
#include "cache/pages.h"
#include "cache/plan.h"
#include "list.h"
#include "store/store.h"
#include "tasks.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOG_BUCKETS 1024
#define LOG_FETCHES_MAX 16 /* ranges of one log ahead of its readers; who waits always gets one */
#define LOG_SIZE_MAX (UINT64_C(1) << 36) /* larger sizes are refused; bounds the page table */

/* A completed job's log that is empty may be one that GitHub has lost for a moment: it is the one
 * final log that is requested again, after this time. */
#define LOG_EMPTY_MS (10 * 60 * 1000)

#define REQUESTS_TIMED 16

/* What a waiter on a log waits for: a page by its number, or this. */
#define LOG_PART_FACTS UINT64_MAX

enum log_phase {
    LOG_NEW,       /* the disk has not been read */
    LOG_LOADING,   /* a worker reads the .meta */
    LOG_UNKNOWN,   /* nothing is on disk */
    LOG_REQUESTED, /* the first range is under way */
    LOG_KNOWN,     /* size and finality are known */
};

/* An open backing file; replies and the writer count themselves in while they use the fd. */
struct backing {
    atomic_uint refs;
    struct store *store;
    struct store_backing file;
};

/* The last range that failed, remembered for a second: the kernel repeats a failed READ at once. */
struct log_fault {
    uint64_t first, last; /* pages */
    int err;
    int64_t until_ms;
};

/* Work on a log for the writer thread. The log is held until it has run. */
struct log_task {
    struct task task;
    struct log *log; /* lock; NULL: not posted */
    void (*work)(struct log *log);
};

struct log {
    struct cache *cache;
    uint64_t job;
    struct pending wait;

    /* lock */
    struct list in_bucket;
    struct list in_idle; /* linked: the list of idle logs counts as a user */
    unsigned users; /* holders, fetches, verifications, tasks, the source, the idle list; each ends
                       with log_release */
    unsigned readers;
    enum log_phase phase;
    struct source_log *source;
    struct repo_name source_name; /* under which `source` sends requests */
    int64_t hint_ms;              /* the job's completed_at as hinted by the first caller */
    struct store_meta meta;       /* size, mtime, final, etag, names; checksums stay NULL */
    unsigned shrinks;             /* how often it turned out to be shorter than was reported */
    int64_t empty_until_ms;       /* a final log without a byte is requested again then */
    struct log_promise *promise;  /* NULL: none stands */
    int64_t requested_ms;         /* when the first range was planned */
    bool is_prefetched;           /* the first range is under way, and no reader waits for it yet */
    bool whole;                   /* the server has no ranges */
    bool proven;                  /* the source has proven the size; log_is_proven says more */
    bool provisional;             /* its end is not certain: not to be kept */
    bool abandoned;               /* the source has another log: new holders get a new one */
    bool unfit;                   /* a range did not fit into `memory` (log_update_idle) */
    bool on_disk;                 /* published: complete under its name */
    bool is_gone;                 /* GitHub has it no more, by a record; a copy may be had */
    bool facts_kept;              /* size and time are on disk, if not the bytes */
    bool checking;                /* a check for growth is under way */
    int64_t checked_ms;           /* when the last check for growth began */
    struct pages pages;
    uint64_t tail_to;  /* bytes from the last page's start to here are present, mid-page; 0: none */
    uint64_t tail_sum; /* their checksum */
    struct backing *backing;
    struct list fetches;       /* of struct fetch */
    struct list verifications; /* of struct verification */
    struct list in_under_way;  /* linked: there are fetches or verifications */
    int64_t begun_ms;          /* when the first of them was planned */
    uint64_t come;             /* bytes that have come since */
    struct progress_rate rate; /* of these */
    struct log_fault fault;
    uint64_t read_to;    /* the end of the latest read, bytes */
    uint64_t check_next; /* the first page behind it whose check ahead has not begun */
    struct log_task settle, tidy, save, mark_used, check_ahead;

    struct progress_wait waits_for; /* any thread */
};

/* Bytes on their way through the ring. Owned by the thread that puts them, until `ended` runs. */
struct stream {
    void (*write)(struct stream *s, uint64_t offset, const char *data, size_t len); /* writer */
    struct task ended; /* run once all bytes are written */
    uint64_t ended_at; /* the ring's position when the last byte had been put */
};

/* One range under way. */
struct fetch {
    struct source_bytes b;
    struct log *log;
    struct stream stream;
    struct task request; /* reserve space, then request the bytes */
    struct list in_log;  /* lock */
    uint64_t to;         /* lock; what it covers: b.to, or all that comes of a whole log */
    uint64_t written_to; /* lock; changed by the writer */
    bool is_first;
    bool is_block; /* of a backward reader: its end is worth waiting for */
    /* writer */
    struct store_hasher hasher;    /* of the page that written_to is in */
    atomic_int write_err;          /* 0; once set, the network thread refuses further bytes */
    int64_t touched_ms;            /* net; when bytes last came */
    struct source_failure failure; /* net, then writer */
};

/* The name of a log that is known under another one is being verified (S14). */
struct verification {
    struct source_facts facts;
    struct log *log;
    struct list in_log; /* lock */
};

struct writer;

struct cache {
    struct cache_config config;
    struct source generator; /* of generated logs */
    atomic_bool closing;
    struct writer *writer;
    pthread_mutex_t lock;
    /* lock */
    struct list buckets[LOG_BUCKETS];
    struct list idle; /* of unpublished logs without readers, least recently used first */
    unsigned idle_count;
    struct list under_way; /* of struct log, in the order in which they began */
    unsigned under_way_count;
    unsigned close_next; /* the bucket in which cache_close_file starts */
    struct absent absent;
    struct cache_stats stats;
    int64_t request_ms[REQUESTS_TIMED]; /* how long the last first answers took */
    unsigned requests_timed;            /* of all */
};

/* --- fetch.c --- */

/* Lock held. Plans a range; it counts as coming from now on. To be sent with fetch_send once the
 * lock is released. NULL: no memory. */
struct fetch *fetch_plan(struct log *log, uint64_t from, uint64_t to, enum source_class class);
/* Lock held. The fetch that brings this page, and soon enough for a waiting reader; NULL: none. */
struct fetch *fetch_covering(struct log *log, uint64_t page, bool soon);
/* Lock not held. Sends the planned fetches in the list (linked by request.link). */
void fetch_send(struct log *log, const struct repo_name *name, bool completed,
                struct list *planned);
/* Lock held. Whether it is time to ask the source for a live log's growth; if so, to be done by
 * live_check once the lock is released. `completed`: its job was seen completed. */
bool live_take_check(struct log *log, bool completed);
/* Lock not held. */
void live_check(struct log *log, bool completed);

/* --- fill.c; on the writer thread, lock not held --- */

/* Reserves [from, to) in the log's file, which is created if there is none. */
int fill_reserve(struct log *log, uint64_t from, uint64_t to);
/* As stream.write and stream.ended of a fetch. */
void fill_write(struct stream *s, uint64_t offset, const char *data, size_t len);
void fill_end(struct task *ended);
/* Size or finality became known: reserves space, completes a last page that had come before,
 * publishes. */
void fill_settle(struct log *log);
/* Publishes what is complete; closes or drops the file of a log that has no readers. */
void fill_tidy(struct log *log);

/* --- status.c; lock held --- */

/* A fetch or a verification of the log is about to be planned; is no longer in its list. */
void status_note_begin(struct log *log);
void status_note_end(struct log *log);

/* --- lifecycle.c --- */

/* Where this log's bytes come from. */
struct source *log_get_source(struct log *log);

/* log_release as a callback of source_ops.log_release. */
void log_source_released(void *who);
/* Lock not held; the log is held. Posts work on it to the writer thread, unless it is posted
 * already. */
void log_post(struct log *log, struct log_task *t, void (*work)(struct log *log));
/* Lock not held. Releases the handle at the source if nothing is under way. */
void log_release_source(struct log *log);

/*
 * Lock held; the log is held. Puts it on the idle list if its bytes are nowhere else and it has no
 * readers; takes it off otherwise. One that did not fit into `memory` counts as idle while it is
 * open, too: its reader got an error, and the kernel reports the close() some time later, when the
 * next log needs the memory already.
 */
void log_update_idle(struct log *log);
/* Lock held. Takes the file of a published log for which nothing is being fetched: it can be opened
 * again by its name. The caller releases it without the lock. NULL: it stays. */
struct backing *log_take_backing(struct log *log);
/* Lock held. Whether it is complete, has no readers and is too large to be kept. */
bool log_is_surplus(const struct log *log);
/* Lock not held. Opens the published file of a log that has one, if it is not open. If the file is
 * gone, the log's pages are absent afterwards. -EIO: it cannot be opened now. */
int log_reopen(struct log *log);

/* Lock not held. Closes the file of a published log, though it may have readers: descriptors are
 * short. False: there is none. */
bool cache_close_file(struct cache *c);
/* Writer thread. Drops the bytes of the least recently used idle log of this kind. False: none. */
enum idle_kind { IDLE_ANY, IDLE_ON_DISK, IDLE_IN_MEMORY };
bool cache_drop_idle(struct cache *c, enum idle_kind kind);

/* One reference, no file yet: store_backing_open is the caller's. NULL: no memory. */
struct backing *backing_new(struct store *store);
struct backing *backing_ref(struct backing *b);
void backing_unref(struct backing *b); /* NULL: nothing */

/* --- state.c --- */

/* Lock held. Whether the log is final and all of its pages are present. */
bool log_is_complete(const struct log *log);
/* Lock held. Whether its size is certain: it was proven, or the bytes end where they should. */
bool log_is_proven(const struct log *log);
/* Lock held. Whether it is known to be of this repository; notes that it is. */
bool log_has_name(const struct log *log, const struct repo_name *name);
void log_add_name(struct log *log, const struct repo_name *name);
/* Lock held. No page is present any more. */
void log_forget_bytes(struct log *log);
/* Lock not held, the phase is LOADING. Reads what the disk knows of the log. */
void log_load(struct log *log, const struct repo_name *name);
/* Lock held. Takes what the source reports; returns what on_metadata does (source.h). */
int log_learn(struct log *log, const struct source_metadata *metadata);
/* Lock held. Remembers a failure. False: too briefly for waiters to find it when they ask again, so
 * it must be handed to them. */
bool log_note_failure(struct log *log, const struct repo_name *name,
                      const struct source_failure *failure);
/* Writer thread, lock not held. Writes what is known to disk; a complete log's checksums stay. */
void log_save_meta(struct log *log);
/* Writer thread, lock not held. Records on disk that GitHub has no log any more (410). */
void log_save_gone(struct log *log, const struct repo_name *name);
/* Writer thread, lock not held. The source has another log by now: what has arrived of this one
 * stays for its readers, and nothing of it is kept. */
void log_abandon(struct log *log);

/* --- writer.c --- */

int writer_create(struct cache *c, struct writer **ret_writer);
void writer_stop(struct writer *w); /* after what it has; joins */
void writer_destroy(struct writer *w);
void writer_post(struct writer *w, struct task *task);
/* Network thread. Copies the bytes into the ring. False: no space. */
bool writer_put(struct writer *w, struct stream *s, uint64_t offset, const void *data, size_t len);
/* Any thread. No more bytes come: s->ended runs after all that were put. */
void writer_end(struct writer *w, struct stream *s);

#endif
