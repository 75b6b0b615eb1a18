/*
 * range_room.h - one range from the inside, for the two files that make it up: range.c (its tries)
 * and range_answer.c (what an answer of storage is worth).
 */
#ifndef GHLOGFS_GITHUB_RANGE_ROOM_H
#define GHLOGFS_GITHUB_RANGE_ROOM_H

#include "github/belief.h"
#include "github/failure.h"
#include "github/refusals.h"
#include "github/remote.h"
#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

/* What the answer under way turned out to be. */
enum found {
    FOUND_NOTHING,  /* no headers yet, or a status that failure.c judges */
    FOUND_STREAM,   /* the bytes that were asked for */
    FOUND_COMPLETE, /* the headers alone were enough */
    FOUND_ABSENT,   /* storage has no log */
    FOUND_EMPTY,    /* a log without a byte: of a job that has run there is none */
    FOUND_UNPROVED, /* all of a log that may still change: ask about the job first */
    FOUND_WRONG,    /* not what was asked for; `err` says in which way */
    FOUND_UNWANTED, /* on_metadata() refused the log */
    FOUND_REFUSED,  /* the API refuses to give a URL: ask about the job first */
};

enum range_state { RANGE_IDLE, RANGE_WANTS_URL, RANGE_SENT, RANGE_RESTS, RANGE_INQUIRES };

struct range {
    struct source_log *log;
    struct core *core;
    struct source_bytes *want; /* NULL: only the end, or the start once more, is looked at */
    bool is_opinion;           /* the start */
    void (*seen)(struct source_log *log, const struct source_failure *failure);
    enum range_state state;
    bool is_dead;

    uint64_t next, to; /* not delivered yet: [next, to) */
    struct retry retry;
    unsigned renewals; /* URLs given up since bytes last came */
    struct net_timer timer;
    struct remote_waiter waiter;
    bool has_inquired; /* once is enough */
    struct source_failure refusal;
    uint64_t ended_at; /* the furthest end of a body that only its connection's end told */
    unsigned endings;  /* how many ended just there */
    unsigned again; /* bodies that came whole and were asked for again, to be sure of their end */
    struct core_errand errand;
    bool may_be_empty; /* the job ran no steps */

    /* The try under way. */
    struct net_request request;
    struct remote_url *url;
    char line[64];
    const char *headers[2];
    bool after_completion; /* the job was seen completed before it was sent */
    uint64_t asked_to;     /* where what it asks for ends */
    bool is_all;           /* its body is the whole log, though more than asked for */
    int status;
    enum found found;
    int err;
    struct refusals_print print; /* of a body that is no log */
    uint64_t at, end;            /* in the log: the body's next byte, and where it ends */
    uint64_t junk;
    bool is_doubted;         /* none of the body counts before it has begun like a log */
    struct sight sight;      /* a whole body's, which is not taken into account before that */
    char start[SIGHT_START]; /* its first bytes */
    char type[SIGHT_TYPE];   /* the type that is no log's; "": that was not it */
};

/* Where this range ends, as far as that is known. */
uint64_t range_goal(const struct range *r);

/* net's callbacks; they set `found`, and `err` for what was found wrong. */
int range_take_head(struct net_request *request, int status);
int range_take_body(struct net_request *request, const void *data, size_t len);

/* A body in doubt has ended before it could be told what it is. 0: it is a log, and all of it was
 * delivered. Negative: it is not, or not now. */
int range_take_short(struct range *r);

/* A body without a promised length has ended in good order: that is its length. Negative: not
 * good, or not wanted, as `found` says. */
int range_take_length(struct range *r);

#endif
