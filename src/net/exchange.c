#include "diag.h"
#include "net/internal.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* -- Clocks ----------------------------------------------------------------------------------- */

int64_t net_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

int64_t net_wall_s(void)
{
    return time(NULL);
}

/* -- DNS single flight ------------------------------------------------------------------------ */

/* More than there are transfers, so that there is always one without a leader to drop. */
#define NAMES_MAX 256

struct net_dns_name {
    struct list link;
    struct list waiting; /* empty unless a leader is under way */
    int64_t fresh_until_ms;
    bool is_led;
    char name[];
};

void net_dns_init(struct net_dns *dns)
{
    list_init(&dns->names);
    dns->count = 0;
}

static void drop_name(struct net_dns *dns, struct net_dns_name *n)
{
    assert(!n->is_led && list_is_empty(&n->waiting));
    list_remove(&n->link);
    dns->count--;
    free(n);
}

void net_dns_finish(struct net_dns *dns)
{
    list_each_safe(link, &dns->names)
        drop_name(dns, list_entry(link, struct net_dns_name, link));
}

static struct net_dns_name *find_name(struct net_dns *dns, const char *name)
{
    list_each(link, &dns->names) {
        struct net_dns_name *n = list_entry(link, struct net_dns_name, link);
        if (strcmp(n->name, name) == 0)
            return n;
    }
    return NULL;
}

/* In place of the one that was not used for longest. */
static struct net_dns_name *add_name(struct net_dns *dns, const char *name)
{
    size_t size = strlen(name) + 1;
    struct net_dns_name *n = calloc(1, sizeof(*n) + size);

    if (!n)
        return NULL;
    for (struct list *link = dns->names.prev; dns->count >= NAMES_MAX && link != &dns->names;) {
        struct net_dns_name *oldest = list_entry(link, struct net_dns_name, link);
        link = link->prev;
        if (!oldest->is_led)
            drop_name(dns, oldest);
    }
    list_init(&n->waiting);
    memcpy(n->name, name, size);
    dns->count++;
    return n;
}

enum net_dns_answer net_dns_enter(struct net_dns *dns, const char *name, struct list *link,
                                  int64_t now_ms, struct net_dns_name **ret_led)
{
    struct net_dns_name *n = find_name(dns, name);

    if (!n)
        n = add_name(dns, name);
    if (!n)
        return NET_DNS_OPEN;
    list_remove(&n->link);
    list_push_front(&dns->names, &n->link);
    if (n->is_led) {
        list_push_back(&n->waiting, link);
        return NET_DNS_WAIT;
    }
    if (now_ms < n->fresh_until_ms)
        return NET_DNS_OPEN;
    n->is_led = true;
    *ret_led = n;
    return NET_DNS_LEAD;
}

void net_dns_settle(struct net_dns_name *led, int64_t fresh_until_ms, struct list *waited)
{
    assert(led->is_led);
    led->is_led = false;
    led->fresh_until_ms = fresh_until_ms;
    list_splice(waited, &led->waiting);
}

void net_dns_forget(struct net_dns *dns, const char *name)
{
    struct net_dns_name *n = find_name(dns, name);

    if (n)
        n->fresh_until_ms = 0;
}

/* -- Requests that wait ----------------------------------------------------------------------- */

static struct list *queue_of(struct net *net, const struct net_request *r)
{
    return r->express ? &net->express : &net->ordinary;
}

static struct net_request *next_request(struct net *net)
{
    struct list *link = list_take_first(&net->express);

    if (!link)
        link = list_take_first(&net->ordinary);
    return link ? list_entry(link, struct net_request, link) : NULL;
}

/* Requests that waited for the lookup are older than those in the queue: to its front, in order. */
static void settle_lookup(struct net *net, struct net_dns_name *led, int64_t fresh_until_ms)
{
    struct list waited;

    if (!led)
        return;
    list_init(&waited);
    net_dns_settle(led, fresh_until_ms, &waited);
    while (!list_is_empty(&waited)) {
        struct list *last = waited.prev;
        list_remove(last);
        list_push_front(queue_of(net, list_entry(last, struct net_request, link)), last);
    }
}

static void end_lead(struct net_transfer *t, int64_t fresh_until_ms)
{
    settle_lookup(t->net, t->leads, fresh_until_ms);
    t->leads = NULL;
}

static bool has_queued(const struct net *net)
{
    return !list_is_empty(&net->express) || !list_is_empty(&net->ordinary);
}

bool net_exchange_can_start(const struct net *net)
{
    return has_queued(net) && net->in_multi < net->config.connections;
}

bool net_exchange_is_idle(const struct net *net)
{
    return list_is_empty(&net->running) && !has_queued(net);
}

/* -- Sockets ---------------------------------------------------------------------------------- */

/* The name has been looked up, so all that wait for it find it in curl's cache. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct net_transfer *t = arg;

    (void)purpose;
    end_lead(t, net_now_ms() + NET_DNS_FRESH_MS);
    t->socket = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    return t->socket;
}

/* The request is about to be sent. If no socket was opened, the connection was kept and no lookup
 * was made: the next transfer may have to make one. */
static int on_connected(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct net_transfer *t = arg;

    (void)peer, (void)local, (void)peer_port, (void)local_port;
    t->sent++;
    end_lead(t, 0);
    return CURL_PREREQFUNC_OK;
}

/*
 * A kept connection outlives the transfer that opened it, so curl calls this with the module's
 * object. Handshakes and a proxy's answers are bytes too, which curl does not report.
 */
static int on_close(void *arg, curl_socket_t socket)
{
    struct net *net = arg;

    list_each(link, &net->running) {
        struct net_transfer *t = list_entry(link, struct net_transfer, link);
        struct tcp_info info = {0};
        socklen_t len = sizeof(info);
        if (t->socket != socket)
            continue;
        t->socket = -1;
        if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
            info.tcpi_bytes_received > 0)
            t->has_heard = true;
        break;
    }
    return close(socket);
}

/* -- Transfers: start, end -------------------------------------------------------------------- */

static struct net_transfer *take_transfer(struct net *net)
{
    struct list *link = list_take_first(&net->idle);
    struct net_transfer *t;
    int bad = 0;

    if (link) {
        net->idle_count--;
        return list_entry(link, struct net_transfer, link);
    }
    t = net_transfer_create(&net->config);
    if (!t)
        return NULL;
    t->net = net;
    bad |= curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    bad |= curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
    bad |= curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
    bad |= curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
    bad |= curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    bad |= curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, net);
    bad |= curl_easy_setopt(t->easy, CURLOPT_DNS_CACHE_TIMEOUT, NET_DNS_CURL_S);
    if (!bad)
        return t;
    net_transfer_destroy(t);
    return NULL;
}

/*
 * Keeps the handle for the next exchange: it has TLS sessions and its options set. Only after
 * success: after a failed lookup it would keep its buffer. Not one with which curl sent a request
 * twice because a kept connection was dead: curl counts that for as long as the handle lives, and
 * gives up at the sixth.
 */
static void recycle(struct net *net, struct net_transfer *t)
{
    if (t->sent > 1 || net->idle_count >= net->config.connections) {
        net_transfer_destroy(t);
        return;
    }
    net_transfer_clear(t);
    list_push_front(&net->idle, &t->link);
    net->idle_count++;
}

/* Takes the transfer from curl; its results stay readable until it is recycled. */
static void detach(struct net *net, struct net_transfer *t)
{
    assert(!net->is_inside);
    list_remove(&t->link);
    curl_multi_remove_handle(net->multi, t->easy);
    net->in_multi--;
}

/* The request is the caller's again; it may be freed when this returns. */
static void answer(struct net_request *r, int err)
{
    r->net = NULL;
    r->on_done(r, err);
}

static int launch(struct net *net, struct net_request *r, const struct net_route *route,
                  struct net_dns_name *leads)
{
    struct net_transfer *t = take_transfer(net);
    int err;

    if (!t) {
        settle_lookup(net, leads, 0);
        return -ENOMEM;
    }
    t->leads = leads;
    err = net_transfer_prepare(t, &net->config, route, r);
    if (err == 0 && curl_multi_add_handle(net->multi, t->easy) != CURLM_OK)
        err = -ENOMEM;
    if (err < 0) {
        end_lead(t, 0);
        net_transfer_destroy(t);
        return err;
    }
    r->transfer = t;
    list_push_back(&net->running, &t->link);
    net->in_multi++;
    return 0;
}

static void start(struct net *net, struct net_request *r)
{
    struct net_dns_name *leads = NULL;
    struct net_route route;
    int err = net_route_find(&net->config, r->url, &route);

    if (err == 0 && route.lookup[0] &&
        net_dns_enter(&net->dns, route.lookup, &r->link, net_now_ms(), &leads) == NET_DNS_WAIT)
        return;
    if (err == 0)
        err = launch(net, r, &route, leads);
    if (err < 0)
        answer(r, err);
}

/* For debug output: what was asked, and how that ended. Without the path where that may be a
 * secret. */
static void log_exchange(struct net *net, struct net_transfer *t, const char *host,
                         const char *failure)
{
    const struct net_request *r = t->request;
    const char *path = strstr(r->url, "://"), *range = "";
    curl_off_t took_us = 0;
    char result[16];
    long status = 0;

    path = path ? strchr(path + 3, '/') : NULL;
    for (size_t i = 0; r->headers && r->headers[i]; i++)
        if (!strncmp(r->headers[i], "Range:", 6))
            range = r->headers[i] + 6;
    curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &took_us);
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    snprintf(result, sizeof(result), "%ld", status);
    diag_log(net->config.diag, DIAG_DEBUG, "%s %s%s%s: %s, %llu bytes, %lld ms",
             r->is_put ? "PUT" : "GET", host,
             !r->is_open ? " (signed URL)"
             : path      ? path
                         : "/",
             range, failure ? failure : result,
             (unsigned long long)(r->is_put ? t->uploaded : t->received),
             (long long)(took_us / 1000));
}

/* Leaves curl's words in t->error, without what may be secret, and whether they say what an errno
 * cannot. */
static void describe_failure(struct net_transfer *t, CURLcode code, int err)
{
    long refused = net_transfer_refused_tunnel(t);

    if (code == CURLE_OK || t->verdict < 0) {
        t->error[0] = '\0';
        return;
    }
    if (!t->error[0])
        snprintf(t->error, sizeof(t->error), "%s", curl_easy_strerror(code));
    /* It repeats the URL, and with it a password. */
    if (strstr(t->error, "nsupported proxy"))
        snprintf(t->error, sizeof(t->error), "unsupported proxy syntax or scheme");
    if (refused)
        snprintf(t->error, sizeof(t->error), "the proxy refused a tunnel to this host: status %ld",
                 refused);
    /* Some of the others have a time in them: no line would be like another. */
    t->is_worth_telling = refused || err == -EPROTO;
}

/* Answers the request whose end curl or a callback of ours has decided. */
static void conclude(struct net *net, struct net_transfer *t, CURLcode code)
{
    bool is_lookup_failure = code == CURLE_COULDNT_RESOLVE_HOST ||
                             code == CURLE_COULDNT_RESOLVE_PROXY ||
                             code == CURLE_OPERATION_TIMEDOUT;
    struct net_request *r = t->request;
    int err = net_transfer_result(t, code);
    struct list waited, *link;
    struct net_route route;
    struct net_url url;

    list_init(&waited);
    if (net_url_parse(r->url, &url) < 0)
        url.host[0] = '\0';
    describe_failure(t, code, err);
    log_exchange(net, t, url.host, !err ? NULL : t->error[0] ? t->error : strerror(-err));
    detach(net, t);
    if (t->leads && is_lookup_failure) {
        net_dns_settle(t->leads, 0, &waited);
        t->leads = NULL;
    }
    end_lead(t, 0);
    /* The addresses may have moved. */
    if (code == CURLE_COULDNT_CONNECT && net_route_find(&net->config, r->url, &route) == 0)
        net_dns_forget(&net->dns, route.lookup);
    t->request = NULL;
    answer(r, err);
    if (t->is_worth_telling && !t->is_told)
        diag_log(net->config.diag, DIAG_WARNING, "%s: %s", url.host, t->error);
    if (code == CURLE_OK)
        recycle(net, t);
    else
        net_transfer_destroy(t);
    while ((link = list_take_first(&waited)))
        answer(list_entry(link, struct net_request, link), err);
}

void net_send(struct net *net, struct net_request *r)
{
    assert(!r->net);
    r->net = net;
    r->transfer = NULL;
    list_push_back(queue_of(net, r), &r->link);
}

void net_cancel(struct net_request *r, int err)
{
    struct net_transfer *t = r->transfer;
    struct net *net = r->net;

    if (!net)
        return;
    list_remove(&r->link);
    if (!t) {
        answer(r, err);
        return;
    }
    t->request = NULL;
    end_lead(t, 0);
    if (net->is_inside) {
        list_remove(&t->link);
        list_push_back(&net->doomed, &t->link);
        answer(r, err);
        return;
    }
    detach(net, t);
    answer(r, err);
    net_transfer_destroy(t);
}

/* -- One step --------------------------------------------------------------------------------- */

static void reap_doomed(struct net *net)
{
    while (!list_is_empty(&net->doomed)) {
        struct net_transfer *t = list_entry(net->doomed.next, struct net_transfer, link);
        detach(net, t);
        net_transfer_destroy(t);
    }
}

/*
 * Each once, in a list of their own: one that pauses again waits for the next net_resume. curl
 * delivers what it has kept from within curl_easy_pause, and forgets an error of that delivery: the
 * transfer would go on with a hole in it.
 */
void net_exchange_resume(struct net *net)
{
    struct list paused, *link;

    list_init(&paused);
    list_each_safe(each, &net->running) {
        if (!list_entry(each, struct net_transfer, link)->is_paused)
            continue;
        list_remove(each);
        list_push_back(&paused, each);
    }
    while ((link = list_take_first(&paused))) {
        struct net_transfer *t = list_entry(link, struct net_transfer, link);
        CURLcode code;
        list_push_back(&net->running, link);
        t->is_paused = false;
        net->is_inside = true;
        code = curl_easy_pause(t->easy, CURLPAUSE_CONT);
        net->is_inside = false;
        if (t->request && (code != CURLE_OK || t->verdict < 0))
            conclude(net, t, code);
    }
    reap_doomed(net);
}

void net_exchange_step(struct net *net)
{
    struct net_request *r;
    CURLMsg *message;
    int ignored;

    while (net->in_multi < net->config.connections && (r = next_request(net)))
        start(net, r);

    net->is_inside = true;
    curl_multi_perform(net->multi, &ignored);
    net->is_inside = false;
    reap_doomed(net);

    /* All of them: one that is left would wait for the next event. */
    while ((message = curl_multi_info_read(net->multi, &ignored))) {
        CURLcode code = message->data.result;
        struct net_transfer *t = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        conclude(net, t, code);
    }
}

/* -- First and last --------------------------------------------------------------------------- */

void net_exchange_init(struct net *net)
{
    list_init(&net->express);
    list_init(&net->ordinary);
    list_init(&net->running);
    list_init(&net->doomed);
    list_init(&net->idle);
    net_dns_init(&net->dns);
}

void net_exchange_finish(struct net *net)
{
    struct list *link;

    while ((link = list_take_first(&net->idle)))
        net_transfer_destroy(list_entry(link, struct net_transfer, link));
    net_dns_finish(&net->dns);
}

void net_exchange_cancel_all(struct net *net, int err)
{
    struct net_request *r;

    while (!list_is_empty(&net->running))
        net_cancel(list_entry(net->running.next, struct net_transfer, link)->request, err);
    /* Without a leader no request waits for a lookup any more. */
    while ((r = next_request(net)))
        net_cancel(r, err);
}
