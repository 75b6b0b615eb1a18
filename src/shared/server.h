/*
 * server.h - the shared store's server: who asks it, how it fares, and requests for objects.
 *
 * A get is one object or a range of it. It ends within bounds whatever the server does (T2): not
 * connected after 1 s, the first 64 KiB not there 2 s later, or less than 64 KiB in 2.5 s from then
 * on. Any of these, and any status but success and "not there", is a failure of the server, which
 * is then left alone (state.h); the change is told in one line.
 *
 * Threads: all of it belongs to the network thread of `net`, which is the store's own, but for
 * shared_server_may_ask, _would_ask, _is_off and _turn_off and the counters.
 */
#ifndef GHLOGFS_SHARED_SERVER_H
#define GHLOGFS_SHARED_SERVER_H

#include "net/net.h"
#include "shared/credentials.h"
#include "shared/location.h"
#include "shared/shared.h"
#include "shared/state.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHARED_FIRST_MS (SHARED_CONNECT_MS + 2000) /* for the first SHARED_PACE bytes */
#define SHARED_STALL_MS 2500                       /* for each of the next */
#define SHARED_PACE 65536u
#define SHARED_REFUSAL_MAX 1024 /* what is kept of an error's body, for its code */
#define SHARED_CODE_MAX 48      /* bytes of that, with its NUL */

struct diag;

struct shared_counters {
    atomic_uint_fast64_t hits;   /* logs that it gave, or began to */
    atomic_uint_fast64_t misses; /* that it does not have */
    atomic_uint_fast64_t wrong;  /* whose objects do not fit */
    atomic_uint_fast64_t errors; /* requests that failed, timeouts among them */
    atomic_uint_fast64_t timeouts;
    atomic_uint_fast64_t bytes_in; /* of objects */
};

struct shared_server {
    struct net *net;
    unsigned
        connections; /* net's: what is under way at once, so that no deadline runs in a queue */
    struct diag *diag;
    const struct shared_location *location;
    const char *host; /* of the API: part of each key */
    /* Once a request was refused for its identity: read the key file again. NULL: there is none. */
    void (*reread_key)(void *who);
    void *who;

    pthread_mutex_t lock;
    struct shared_state state; /* lock */
    struct shared_counters counters;

    unsigned wrong;        /* answers in a row that were no objects of ours */
    struct list queue;     /* shared_get: not sent yet */
    unsigned sent;         /* those under way */
    struct net_timer next; /* one of those has ended: the next may be sent */
    struct shared_credentials credentials;
    struct net_identity identity;
    char sigv4[sizeof(((struct shared_location *)NULL)->region) + 16];
    char header[CREDENTIALS_SESSION_MAX + 32]; /* of a session or a bearer; "": none */
};

/* The members up to `who` are set, the rest is zeroed. */
int shared_server_init(struct shared_server *s);
void shared_server_finish(struct shared_server *s);

/* For requests that begin from now on. */
void shared_server_set_credentials(struct shared_server *s, const struct shared_credentials *c);
/* The same, and they are others than before: if it is left alone, it is asked again. */
void shared_server_renew_credentials(struct shared_server *s, const struct shared_credentials *c);

/* What came was no object of ours. Several in a row are a failure of the server: a proxy's page in
 * place of each object, perhaps. */
void shared_server_note_wrong(struct shared_server *s);

/* S3's <Code>...</Code> out of an error's body; "" where there is none. */
void shared_find_code(const char *body, size_t len, char ret_code[SHARED_CODE_MAX]);

/* As shared_state_may_ask and shared_state_would_ask. */
bool shared_server_may_ask(struct shared_server *s);
bool shared_server_would_ask(struct shared_server *s);

/* Nothing is asked of it any more: its log of this job is not GitHub's. */
void shared_server_turn_off(struct shared_server *s, const struct repo_name *repo, uint64_t job);
bool shared_server_is_off(struct shared_server *s);

enum shared_outcome {
    SHARED_GOOD,    /* all that was asked for was handed over */
    SHARED_ABSENT,  /* there is no such object, or it may not be seen */
    SHARED_WRONG,   /* what came cannot be it */
    SHARED_FAILED,  /* the server's failure */
    SHARED_DROPPED, /* on_data did not want it, or net_stop was called */
};

struct shared_get {
    /* The caller's; nothing may be changed until on_end. */
    enum shared_object what;
    uint64_t from, to; /* [from, to); to 0: all of it */
    uint64_t size_max; /* of what is asked for */
    unsigned alone_ms; /* nobody waits for it: so long for the first 64 KiB, on a connection that is
                        * kept for it; 0: somebody does */
    bool is_pressed;   /* its deadline stands while it is paused; may be changed at any time */
    /* The object is there, and has so many bytes in all. -EBADMSG: it is the wrong one; -ENOMEM. */
    int (*on_size)(struct shared_get *g, uint64_t size);
    /* As net's on_body; must not drop this get. -EBADMSG: it is wrong; -ECANCELED: not wanted. */
    int (*on_data)(struct shared_get *g, const void *data, size_t len);
    /* Last and once, unless it is dropped. It may be freed, or begun again. */
    void (*on_end)(struct shared_get *g, enum shared_outcome outcome);

    /* server.c's; zeroed before the first use */
    struct shared_server *server;
    struct net_request request;
    struct net_timer timer;
    char url[LOCATION_OBJECT_MAX], range[64];
    const char *headers[3];
    int status;
    uint64_t since_pace; /* bytes */
    char refusal[SHARED_REFUSAL_MAX];
    size_t refusal_len;
    struct list link; /* in the server's queue */
    bool is_active;
};

/* No callback comes from within the call. -EINVAL: there can be no such object. */
int shared_get_begin(struct shared_get *g, struct shared_server *s, const struct repo_name *repo,
                     uint64_t job);

/* Ends it without on_end. Does nothing if it is not under way. */
void shared_get_drop(struct shared_get *g);

#endif
