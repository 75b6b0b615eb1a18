/*
 * net_call.h - a net and its requests as a test sees them: posted from the test's thread, recorded
 * on the network thread, waited for.
 */
#ifndef GHLOGFS_UNIT_NET_NET_CALL_H
#define GHLOGFS_UNIT_NET_NET_CALL_H

#include "net/http_server.h"
#include "net/net.h"

#include <pthread.h>

struct net_fixture {
    struct http_server *server;
    struct net *net;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned finished; /* lock; calls */
};

struct net_call {
    struct net_request request;
    struct net_task task;
    struct net_fixture *fixture;
    char url[10000];

    /* What the test asks of the callbacks; called on the network thread. */
    int (*on_head)(struct net_call *call, int status);
    int (*on_body)(struct net_call *call, const void *data, size_t len);
    void (*on_done)(struct net_call *call, int err);
    struct net_call *other; /* for the test's callbacks */

    /* fixture->lock */
    unsigned heads, dones, bodies, bodies_before_head;
    int status, err;
    char body[1 << 16]; /* the first part of it */
    uint64_t received;
    unsigned order; /* the how manyth it was to finish */
    bool is_private, was_heard;
    char location[256], etag[256];
};

/* `connections` at once, timeout_s: that of net_config. */
void net_fixture_open(struct net_fixture *b, http_answer answer, unsigned connections,
                      unsigned timeout_s);
void net_fixture_close(struct net_fixture *b);

/* A call of http://127.0.0.1:PORT`path`, not sent yet. Freed with net_call_free. */
struct net_call *net_call_new(struct net_fixture *b, const char *path);
void net_call_free(struct net_call *call);

void net_call_send(struct net_call *call);
/* Waits for its end and returns how it ended; -ETIME: it did not. */
int net_call_wait(struct net_call *call);
/* Sends, waits, frees nothing. */
int net_call_run(struct net_call *call);

/* Runs `run` on the network thread and waits for it. */
void net_fixture_do(struct net_fixture *b, void (*run)(void *arg), void *arg);

/* Waits for *value (under the fixture's lock, announced by net_fixture_add) to reach `count`. */
bool net_fixture_wait(struct net_fixture *b, const unsigned *value, unsigned count);
void net_fixture_add(struct net_fixture *b, unsigned *value);

#endif
