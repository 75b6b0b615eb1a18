/*
 * fake_source.h - a source as the tests of cache and catalog need it: nothing comes but what the
 * test gives, when it gives it, and everything that was asked is counted.
 *
 * It has no thread. Whoever gives, tells, answers and turns plays the network thread: the test
 * itself, or one thread of its own. What was asked is looked up with fake_take_want and
 * fake_take_facts, which wait for it (half a minute, then the test fails).
 *
 * The bytes of a log are a function of its job and their place, so every byte can be checked.
 * A breach of source.h by who asks is noted and fails the test in fake_source_finish.
 */
#ifndef GHLOGFS_UNIT_FAKE_SOURCE_H
#define GHLOGFS_UNIT_FAKE_SOURCE_H

#include "list.h"
#include "source.h"

#include <pthread.h>
#include <stdatomic.h>

#define FAKE_JOBS 64

/* A job's log as GitHub has it. */
struct fake_job {
    uint64_t job; /* 0: none */
    uint64_t size;
    bool is_live;      /* its job runs: reported as not final */
    bool has_no_range; /* the stream brings all of it */
    bool is_unproven, is_provisional, is_copy;
    int64_t modified_ms, completed_ms;
    char etag[32];
};

/* One range that was wanted and is not done. */
struct fake_want {
    struct list link;
    struct source_bytes *b;
    struct source_log *log;
    uint64_t at;   /* the next byte to be given */
    bool is_taken; /* by fake_take_want */
};

struct source_log {
    struct list link;
    struct fake_source *fake;
    struct repo_name repo;
    uint64_t job;
    bool completed; /* the arguments of log_create */
    const struct source_log_ops *ops;
    void *who;
    struct progress_wait *waits_for;
    unsigned wants;
    bool is_told, is_told_final;
    bool is_released, is_checked;
    void (*released)(void *who);
    void (*checked)(void *who, const struct source_failure *failure);
};

struct fake_facts {
    struct list link;
    struct source_facts *f;
    bool is_taken;
};

/* The archive of a run's attempt; kept until fake_source_finish, so that a test can look at it. */
struct fake_archive {
    struct list link;
    struct source_archive *a; /* NULL: it is done */
    const void *was;          /* its address, also then */
    uint64_t run;
    unsigned attempt;
    enum source_class class;
    unsigned promotes;
    bool is_taken, is_dropped;
    bool was_answered; /* as it is reported when it is done; bytes make it true */
    uint64_t given;    /* bytes that were taken */
    int refused;       /* what bytes() said that did not take them; 0: nothing */
};

struct fake_source {
    struct source source;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fake_job jobs[FAKE_JOBS];
    /* lock */
    struct list logs, wants, facts, archives;
    unsigned facts_done; /* and not released */
    unsigned logs_created, bytes_wanted, facts_wanted, checks, promotes, resumes, archives_wanted;
    uint64_t bytes_given;
    const char *breach; /* what was done against the contract; NULL: nothing */

    pthread_mutex_t giving; /* one thread at a time gives bytes of archives and ends them */
};

void fake_source_init(struct fake_source *f);
/* Nothing may be under way, and each log must have been released. */
void fake_source_finish(struct fake_source *f);

/* The job, made if there is none; to be filled in before it is asked for. */
struct fake_job *fake_job(struct fake_source *f, uint64_t job);
/* A final log of this size, last modified at 1700000000000. */
struct fake_job *fake_add(struct fake_source *f, uint64_t job, uint64_t size);

/* Byte `offset` of a job's log, and many of them. */
unsigned char fake_byte(uint64_t job, uint64_t offset);
void fake_fill(uint64_t job, uint64_t offset, void *data, size_t len);
bool fake_holds(uint64_t job, uint64_t offset, const void *data, size_t len);

/* --- the network thread's part --- */

/* The oldest want that was not taken yet; waits for it. */
struct fake_want *fake_take_want(struct fake_source *f);
/* The same; NULL at once where there is none. */
struct fake_want *fake_try_want(struct fake_source *f);
/* A want under way, not taken from those that wait; NULL: fewer than that. */
struct fake_want *fake_nth_want(struct fake_source *f, unsigned n);
unsigned fake_count_wants(struct fake_source *f);

/* Says what is known, by the fake_job. What on_metadata() answers. */
int fake_tell(struct fake_want *w);
int fake_tell_log(struct source_log *log);
/* Gives bytes up to `to`, or to the end of the range; waits where there is no space. */
void fake_give(struct fake_want *w, uint64_t to);
/* Gives at most `len` bytes. False: no space, none were taken. */
bool fake_try_give(struct fake_want *w, size_t len);
/* Where the want ends: its end or the log's. */
uint64_t fake_end_of(const struct fake_want *w);
void fake_done(struct fake_want *w);
void fake_fail(struct fake_want *w, int err, enum source_reason reason, int64_t until_ms);
/* Tells if that was not done, gives all, is done. */
void fake_serve(struct fake_want *w);
/* Takes and serves what comes until `count` wants were served. */
void fake_serve_next(struct fake_source *f, unsigned count);

struct fake_facts *fake_take_facts(struct fake_source *f);
struct fake_facts *fake_try_facts(struct fake_source *f);
unsigned fake_count_facts(struct fake_source *f);
/* next_page 0: the last; body NULL: 304. */
void fake_answer(struct fake_source *f, struct fake_facts *q, const char *body, const char *etag,
                 unsigned next_page);
void fake_refuse(struct fake_source *f, struct fake_facts *q, int err, enum source_reason reason,
                 int64_t until_ms);

/* The oldest archive that was wanted and not taken yet; waits for it. */
struct fake_archive *fake_take_archive(struct fake_source *f);
/* Gives bytes; waits where there is no space. False: it is dropped, or nothing more of it is taken,
 * as `refused` says. */
bool fake_give_archive(struct fake_source *f, struct fake_archive *a, const void *data, size_t len);
/* The same; where there is no space at once (`refused` is SOURCE_FULL) it gives no more. */
bool fake_try_give_archive(struct fake_source *f, struct fake_archive *a, const void *data,
                           size_t len);
/* Ends it; err 0: in good order. No effect if it is done. */
void fake_end_archive(struct fake_source *f, struct fake_archive *a, int err);
/* Ends those that were dropped. Returns how many. */
unsigned fake_end_dropped(struct fake_source *f);

/* The handle of a job that is not released; NULL: none. */
struct source_log *fake_find_log(struct fake_source *f, uint64_t job);
/* Ends a check that was asked for. False: none was. */
bool fake_end_check(struct source_log *log, const struct source_failure *failure);

/* Ends what was released. How many there were. */
unsigned fake_turn(struct fake_source *f);
/* Ends all that is under way, as at unmounting. */
void fake_close(struct fake_source *f);

/* Waits on `changed` for something to happen, a tenth of a second at the most. Lock held. */
void fake_wait_a_while(struct fake_source *f);

#endif
