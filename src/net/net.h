/*
 * net.h - HTTP over the network: the only module that knows libcurl.
 *
 * One thread owns one curl multi handle, the transfers, the timers and an inbox. It knows HTTP, not
 * GitHub: the callers decide what a status means. It never touches the disk, never follows a
 * redirect, never retries (but for curl's own retry where a kept connection turns out dead).
 * Besides Host, User-Agent, Accept and `Accept-Encoding: identity` it sends a header only because
 * the request carries it. HTTP/1.1 only.
 *
 * Threads: net_post, net_resume, net_now_ms, net_wall_s and net_stop may be called on any thread;
 * everything else, and every callback, belongs to the network thread. A callback may call anything
 * here but net_stop and net_destroy, also net_send and net_cancel on its own request.
 *
 * Errors (negative errno) given to on_done:
 *   -EHOSTUNREACH  name not found or no route      -ECONNREFUSED  refused
 *   -ETIMEDOUT     not connected, or less than 1 KiB/s moved, for `timeout`
 *   -EPROTO        a URL that is not allowed, TLS failure, not HTTP, headers that contradict each
 *                  other or exceed a bound, a body that is encoded though identity was requested
 *   -EIO           cut, reset, or a length other than promised, also where curl reports a success;
 *                  a PUT that was accepted before all of it was sent
 *   -EFBIG         body over body_max              -ECONNABORTED  net_stop was called
 *   -ENOMEM        no memory
 *   or whatever negative value on_head or on_body returned, or net_cancel was given.
 */
#ifndef GHLOGFS_NET_NET_H
#define GHLOGFS_NET_NET_H

#include "list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct net;
struct net_transfer;

/* Copied by net_create; the strings stay the caller's and must outlive the object. */
struct net_config {
    unsigned connections; /* transfers at once, 1..101 */
    unsigned timeout_s;   /* for connecting, and for moving less than 1 KiB/s; at least 1 */
    unsigned connect_ms;  /* for connecting, where that is another; 0: it is not */
    const char *user_agent;
    const char *ca_file;  /* the only authorities that are trusted; NULL: curl's own */
    const char *proxy;    /* NULL: none. This module never reads the environment */
    const char *no_proxy; /* NULL: none. Names (with all below them), addresses, networks, or "*" */
    bool allow_http;      /* plain http besides https */
    const char *thread;   /* the thread's name, 15 bytes at most; NULL: ghlogfs-net */
    struct diag *diag;
};

/*
 * Who asks, for a server that is not GitHub. libcurl signs the request, or sends user and password
 * as HTTP Basic. What identifies one request is never sent with another.
 */
struct net_identity {
    /* "aws:amz:REGION:s3", AWS Signature Version 4 without the body (UNSIGNED-PAYLOAD); NULL:
     * Basic. libcurl before 8.14 signs rightly only if the URL's path has no bytes but letters,
     * digits and "-._~/" and no part that is "." or "..", there is no query, no header is empty
     * and no header's name begins another's. */
    const char *sigv4;
    const char *user, *password; /* with sigv4 the id of the key and its secret */
};

/* on_body's answers besides negative errno. */
#define NET_TAKEN 0
#define NET_PAUSE 1 /* nothing was taken; the same bytes are offered again after net_resume */

/*
 * One GET or PUT, zeroed before its first use. The caller owns the struct and all it points at,
 * until on_done, which may free it or send it again. Nothing may be changed between net_send and
 * on_done.
 */
struct net_request {
    /* the caller's */
    const char *url;
    const char *const *headers; /* "Name: value" lines, NULL-terminated, or NULL */
    bool express;      /* starts before all that are not, when requests queue: the second hop */
    uint64_t body_max; /* a longer body, promised or sent, is -EFBIG */
    const struct net_identity *identity; /* NULL: nobody's */
    bool is_open; /* no part of the URL is a secret: debug output may show its path */
    bool is_put;
    uint64_t upload_size; /* bytes to be sent with a PUT */

    /*
     * the caller's callbacks. on_head is called once, with the final answer's headers complete,
     * before any on_body; 0 continues, a negative errno ends the request with it. on_done comes
     * last, once.
     */
    int (*on_head)(struct net_request *r, int status);
    int (*on_body)(struct net_request *r, const void *data, size_t len);
    /* Of a PUT: up to `size` of the bytes to be sent, from `offset` on, which is what has been
     * given so far, or less where a kept connection turns out dead. Their number; 0: none yet,
     * asked for again after net_resume; negative errno: the request ends with it. Once the server
     * refuses no more are asked for. */
    ptrdiff_t (*on_upload)(struct net_request *r, uint64_t offset, void *data, size_t size);
    void (*on_done)(struct net_request *r, int err);

    /* this module's own */
    struct list link;              /* in a queue, while it has no transfer */
    struct net *net;               /* NULL unless queued or under way */
    struct net_transfer *transfer; /* from its start until on_done returns */
};

struct net_task {
    struct list link;
    void (*run)(struct net_task *t);
};

/* Zeroed before its first use. Unlinked when it fires. */
struct net_timer {
    struct list link;
    int64_t at_ms;
    void (*fire)(struct net_timer *t);
};

/* Starts the thread. Create after forking: curl and threads do not survive it. */
int net_create(const struct net_config *config, struct net **ret_net);

/*
 * Ends every request with -ECONNABORTED, runs the posted tasks, drops the timers, joins the thread:
 * all within a second, whatever hangs. A request that is sent meanwhile ends likewise; a task that
 * is posted after the return never runs. A second call does nothing. Not on the network thread.
 */
void net_stop(struct net *net);

/* Calls net_stop, and frees. NULL is allowed. No thread may post any more. */
void net_destroy(struct net *net);

/*
 * Runs the task on the network thread, in the order of posting. The task is the caller's again when
 * run is called.
 */
void net_post(struct net *net, struct net_task *task);

/* Offers paused bodies again, and asks again for what is to be sent. */
void net_resume(struct net *net);

/* Monotonic milliseconds, never 0. */
int64_t net_now_ms(void);
/* UTC seconds. */
int64_t net_wall_s(void);

/* Queues the request. No callback comes from within this call. */
void net_send(struct net *net, struct net_request *r);

/* Ends the request with on_done(err), from within this call; does nothing if it is idle. */
void net_cancel(struct net_request *r, int err);

/*
 * A header of the answer; from on_head until on_done returns. Case does not matter. NULL where it
 * is absent, and where it was given several times with different values: no value can be trusted
 * then.
 */
const char *net_header(const struct net_request *r, const char *name);

/*
 * Whether the server is known to have a loopback or private address; false through a proxy, whose
 * address that would be. From on_head until on_done returns.
 */
bool net_peer_is_private(const struct net_request *r);

/*
 * Whether any byte was received in this exchange, even if the answer's headers did not end: of a
 * handshake, of a proxy, of a header. In on_done.
 */
bool net_was_heard(const struct net_request *r);

/* Why it failed, in curl's words; "" where it has none. In on_done. */
const char *net_error_text(const struct net_request *r);

/*
 * The same where the errno cannot tell it: how a proxy refused, what is wrong with a certificate.
 * "": nothing. In on_done. Who calls this logs it; otherwise this module does.
 */
const char *net_failure_text(const struct net_request *r);

/* Whether the last exchange was sent through the proxy, and the status with which that refused to
 * open a tunnel, 0: it did not. In on_done. */
bool net_is_proxied(const struct net_request *r);
int net_refused_tunnel(const struct net_request *r);

/* Sets or resets a timer; one in the past fires at the next pass of the loop. */
void net_timer_set(struct net *net, struct net_timer *t, int64_t at_ms);
void net_timer_cancel(struct net_timer *t);

/* "libcurl/7.88.1 OpenSSL/3.0.11", of the library in use. No network. */
void net_describe_library(char *text, size_t size);

/* What the library in use can do. Before there are threads. */
struct net_features {
    bool has_tls;
    bool has_sigv4;
    bool has_async_dns;            /* without it a name server that is silent stops all transfers */
    const char *ca_file, *ca_path; /* where it looks for authorities by itself; NULL: nowhere */
};

void net_get_features(struct net_features *ret_features);

#endif
