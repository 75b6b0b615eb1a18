/*
 * internal.h - inside the cache: the structs that its files share. Nobody outside includes this.
 *
 * Who may touch what: "lock" is cache->lock; "writer" is the writer thread alone; "net" the network
 * thread alone; unmarked fields are constant after creation.
 */
#ifndef GHLOGFS_CACHE_INTERNAL_H
#define GHLOGFS_CACHE_INTERNAL_H

#include "cache/absent.h"
#include "cache/cache.h"
#include "cache/pages.h"
#include "cache/plan.h"
#include "list.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOG_BUCKETS 1024
#define LOG_FETCHES_MAX 16 /* ranges of one log ahead of its readers; who waits always gets one */
#define LOG_SIZE_MAX (UINT64_C(1) << 36) /* no log is as large; the page table is made for it */

/* What a waiter on a log waits for: a page by its number, or one of these. */
#define LOG_PART_FACTS UINT64_MAX

enum log_phase {
    LOG_NEW,     /* the disk has not been asked */
    LOG_LOADING, /* a worker reads the .meta */
    LOG_UNKNOWN, /* the disk knows nothing */
    LOG_ASKING,  /* the first range is under way */
    LOG_KNOWN,   /* size and finality are known */
};

/* An open backing file; replies and the writer hold it while they use the fd. */
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

struct log {
    struct cache *cache;
    uint64_t job;
    struct pending wait;

    /* lock */
    struct list in_bucket;
    struct list in_idle; /* linked: idle counts as a user */
    unsigned users;      /* holds, fetches, proofs, idle */
    unsigned readers;
    enum log_phase phase;
    struct source_log *source;
    struct repo_name asked_name; /* under which `source` asks */
    int64_t hint_ms;             /* the job's completed_at as hinted by who asked first */
    struct store_meta meta;      /* size, mtime, final, etag, names; checksums stay NULL */
    bool has_time;               /* meta.mtime_ms was told */
    unsigned shrinks;            /* how often it turned out to be shorter than was told */
    int64_t empty_until_ms;      /* a final log without a byte is asked for again then */
    bool whole;                  /* the server has no ranges */
    bool proven;                 /* the source has proven the size; log_is_proven is more */
    bool provisional;            /* its end is not certain: not to be kept */
    bool abandoned;              /* the source has another log: who asks anew begins anew */
    bool on_disk;                /* published: complete under its name */
    bool facts_kept;             /* the disk knows size and time, if not the bytes */
    bool checking;               /* a live log's check is under way */
    int64_t checked_ms;          /* when a live log was last asked for */
    struct pages pages;
    uint64_t tail_to;  /* bytes from the last page's start to here have come, mid-page; 0: none */
    uint64_t tail_sum; /* their checksum */
    struct backing *backing;
    struct list fetches; /* of struct fetch; what is coming */
    struct list proofs;  /* of struct proof; names being proven */
    struct log_fault fault;
    uint64_t read_to;    /* the end of the latest read, bytes */
    uint64_t check_next; /* the first page nobody has begun to check ahead of it */
    bool checking_ahead; /* the writer is at it, or will be */
};

/* Work for the writer thread, in the order of posting. */
struct writer_task {
    struct list link;
    void (*run)(struct writer_task *t);
};

/* One range under way. */
struct fetch {
    struct source_bytes b;
    struct log *log;
    struct writer_task task; /* reserve, then ask */
    struct list in_log;      /* lock */
    uint64_t to;             /* lock; what it covers: b.to, or all that comes of a whole log */
    uint64_t written_to;     /* lock; changed by the writer */
    bool is_first;
    bool is_block;    /* for one who reads backwards: its end is worth waiting for */
    bool is_promoted; /* lock */
    /* writer */
    struct store_hasher hasher; /* of the page that written_to is in */
    atomic_int write_err;       /* 0; read by whoever brings bytes, so that no more come */
    int64_t touched_ms;         /* net; when bytes last came */
    /* net, then writer */
    struct list in_ended;
    uint64_t ended_at; /* the ring's position when the last byte had been put */
    struct source_failure failure;
};

/* A name being proven for a log that is known under another (S14). */
struct proof {
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
    struct list idle; /* of logs, oldest first */
    unsigned idle_count;
    unsigned close_next; /* the bucket in which cache_close_file looks first */
    struct absent absent;
    struct cache_stats stats;
};

/* --- lifecycle.c: counting, finding, letting go --- */

/* Where this log's bytes come from. */
struct source *log_get_source(struct log *log);

/* Lock held. */
void log_use(struct log *log);
/* Lock not held; may free the log. */
void log_unuse(struct log *log);
/* The source calls its log no more. */
void log_source_released(void *who);
/* Lock not held. Lets the source go if nothing is under way and all is here or nobody needs it. */
void log_release_source(struct log *log);
/* Lock held. Whether every byte is here and the log is final. */
bool log_is_complete(const struct log *log);
/* Lock held. Whether its size stands: it was proven, or its bytes end where they should. */
bool log_is_proven(const struct log *log);
/* Lock held. Files the log among the idle ones if its bytes are nowhere else and nobody reads it; takes
 * it out once they are on disk. */
void log_file_idle(struct log *log);
/* Lock held. Its file is gone: nothing is here any more. */
void log_forget_bytes(struct log *log);
/* Lock held. The file of a log that nobody reads and whose bytes are on disk under its name: the
 * caller's to release without the lock. NULL: it stays. */
struct backing *log_shed_backing(struct log *log);
/* Lock not held. Closes the file of a log that can open it again by its name, though it is being
 * read: descriptors are short. False: there is none. */
bool cache_close_file(struct cache *c);
/* Lock held. Whether nobody reads it and it is too large to be kept. */
bool log_is_surplus(const struct log *log);
/* Writer thread. Drops the bytes of the log of this kind that has been idle longest. False: there is
 * none. */
enum idle_kind { IDLE_ANY, IDLE_ON_DISK, IDLE_IN_MEMORY };
bool cache_drop_idlest(struct cache *c, enum idle_kind kind);

struct backing *backing_ref(struct backing *b);
void backing_unref(struct backing *b);
/* Lock not held. NULL: no memory or too many open files; ret_err says. */
struct backing *backing_create(struct store *store, int *ret_err);
/* The same without a file. NULL: no memory. */
struct backing *backing_create_in_memory(struct store *store);
/* The same of a published file's fd, which it closes in the end, also on failure. */
struct backing *backing_adopt(struct store *store, int fd, int *ret_err);

/* --- read.c --- */

/* Lock not held. Opens the published file of a log that has one, if it is not open. Where it is gone,
 * the log knows that afterwards: nothing is here any more. -errno: it may be there and cannot be
 * opened now. */
int log_reopen(struct log *log);

/* Pages that were on disk before this mount: */

/* Lock not held; `b` is held. Checks those of the pages [from, to). */
void check_pages(struct log *log, const struct backing *b, uint64_t from, uint64_t to);
/* Lock held. Notes a read of [offset, end) bytes; whether what follows it had better be checked now, by
 * check_pages_ahead on the writer. */
bool check_take_ahead(struct log *log, uint64_t offset, uint64_t end);
/* Writer thread, lock not held. Never waits for the disk. */
void check_pages_ahead(struct log *log);

/* --- state.c: size, names, finality --- */

/* The source's word (source.h). Network thread, or the generator's. */
int log_on_metadata(void *who, const struct source_metadata *metadata);
/* Lock not held; may wait for the disk. What is known is kept there; a complete log's checksums stay. */
void log_save_meta(struct log *log);
/* Writer thread, lock not held. The source has another log by now: this one stays, as far as it has
 * come, for those who read it, and nothing of it is kept. */
void log_abandon(struct log *log);
/* Writer thread, lock not held. The first range failed before anything was told: 0 where whoever
 * waits finds out by asking again, else the errno to hand to them. */
int log_first_failed(struct log *log, enum source_class class,
                     const struct source_failure *failure);

/* --- fetch.c: ranges under way, and a running job's log --- */

/* Lock held. Whether it is time to ask the source; if so, to be done by live_check once the lock is
 * released. `completed`: its job was seen so. */
bool live_take_check(struct log *log, bool completed);
/* Lock not held. */
void live_check(struct log *log, bool completed);

/* Lock held. The range is part of what is coming from now on; fetch_send it once the lock is released. NULL: no memory. */
struct fetch *fetch_plan(struct log *log, uint64_t from, uint64_t to, enum source_class class);
/* Lock held. The fetch that brings this page, and soon enough for a reader who waits; NULL: none. */
struct fetch *fetch_covering(struct log *log, uint64_t page, bool soon);
/* Lock not held. Sends the planned fetches in the list (linked by task.link). */
void fetch_send(struct log *log, const struct repo_name *name, bool completed,
                struct list *planned);
/* Lock held. A reader now waits for the first range. True: it was asked for as prefetch, and the log
 * is to be promoted at its source once the lock is released. */
bool fetch_join(struct log *log);

/* --- writer.c --- */

int writer_create(struct cache *c, struct writer **ret_writer);
void writer_stop(struct writer *w); /* after what it has; joins */
void writer_destroy(struct writer *w);
void writer_post(struct writer *w, struct writer_task *task);
/* Work on a log, which is held until then. Without memory it is not done. */
void writer_post_log(struct log *log, void (*work)(struct log *log));
/* Network thread. False: no room. */
bool writer_put(struct writer *w, struct fetch *f, uint64_t offset, const void *data, size_t len);
/* Network thread. f->failure is set; handled after all of its pieces. */
void writer_end(struct writer *w, struct fetch *f);

/* --- fill.c: what the writer does with pieces (writer thread) --- */

void fill_write(struct fetch *f, uint64_t offset, const char *data, size_t len);
void fill_end(struct fetch *f);
/* Size or finality became known: reserves, finishes a last page that had come before, publishes. */
void fill_settle(struct log *log);
int fill_reserve(struct log *log, uint64_t from, uint64_t to);
/* Any thread. The bytes of a surplus log go; while it is not published its file is the writer's. */
void fill_drop_later(struct log *log);

#endif
