#include "diag.h"
#include "net/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- The gate --------------------------------------------------------------------------------- */

/* More than can be led at once, so that there is always one to drop. */
#define HOSTS_MAX 256

struct net_dns_name {
    struct list link;
    struct list waiting; /* empty unless led */
    int64_t known_until_ms;
    bool is_led;
    char name[];
};

void net_dns_init(struct net_dns *dns)
{
    list_init(&dns->hosts);
    dns->count = 0;
    list_init(&dns->released);
}

static void drop(struct net_dns *dns, struct net_dns_name *host)
{
    assert(!host->is_led && list_is_empty(&host->waiting));
    list_remove(&host->link);
    dns->count--;
    free(host);
}

void net_dns_finish(struct net_dns *dns)
{
    list_each_safe(link, &dns->hosts)
        drop(dns, list_entry(link, struct net_dns_name, link));
}

static struct net_dns_name *find(struct net_dns *dns, const char *name)
{
    list_each(link, &dns->hosts) {
        struct net_dns_name *host = list_entry(link, struct net_dns_name, link);
        if (strcmp(host->name, name) == 0)
            return host;
    }
    return NULL;
}

/* The one not used for longest goes; its name is looked up again should it come back. */
static void make_room(struct net_dns *dns)
{
    struct list *link = dns->hosts.prev;

    while (dns->count >= HOSTS_MAX && link != &dns->hosts) {
        struct net_dns_name *host = list_entry(link, struct net_dns_name, link);
        link = link->prev;
        if (!host->is_led)
            drop(dns, host);
    }
}

static struct net_dns_name *add(struct net_dns *dns, const char *name)
{
    size_t len = strlen(name);
    struct net_dns_name *host;

    make_room(dns);
    host = calloc(1, sizeof(*host) + len + 1);
    if (!host)
        return NULL;
    list_init(&host->waiting);
    memcpy(host->name, name, len + 1);
    list_push_front(&dns->hosts, &host->link);
    dns->count++;
    return host;
}

enum net_dns_answer net_dns_enter(struct net_dns *dns, const char *name, struct list *link,
                                    int64_t now_ms, struct net_dns_name **ret_led)
{
    struct net_dns_name *host = find(dns, name);

    if (!host)
        host = add(dns, name);
    if (!host)
        return NET_DNS_OPEN;
    list_remove(&host->link);
    list_push_front(&dns->hosts, &host->link);
    if (host->is_led) {
        list_push_back(&host->waiting, link);
        return NET_DNS_WAIT;
    }
    if (now_ms < host->known_until_ms)
        return NET_DNS_OPEN;
    host->is_led = true;
    *ret_led = host;
    return NET_DNS_LEAD;
}

void net_dns_settle(struct net_dns *dns, struct net_dns_name *led, int64_t known_until_ms)
{
    assert(led->is_led);
    led->is_led = false;
    led->known_until_ms = known_until_ms;
    list_splice(&dns->released, &led->waiting);
}

void net_dns_fail(struct net_dns_name *led, struct list *waited)
{
    assert(led->is_led);
    led->is_led = false;
    led->known_until_ms = 0;
    list_splice(waited, &led->waiting);
}

void net_dns_forget(struct net_dns *dns, const char *name)
{
    struct net_dns_name *host = find(dns, name);

    if (host)
        host->known_until_ms = 0;
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

/* Who waited at the gate is older than who waits in the queue: back to its front, in order. */
static void requeue_released(struct net *net)
{
    while (!list_is_empty(&net->dns.released)) {
        struct list *last = net->dns.released.prev;
        struct net_request *r = list_entry(last, struct net_request, link);
        list_remove(last);
        list_push_front(queue_of(net, r), last);
    }
}

bool net_exchange_can_start(struct net *net)
{
    bool is_waiting = !list_is_empty(&net->express) || !list_is_empty(&net->ordinary) ||
                      !list_is_empty(&net->dns.released);

    return is_waiting && net->in_multi < net->config.connections;
}

/* -- Transfers: start, end -------------------------------------------------------------------- */

/* A kept connection outlives the transfer that opened it: so the room is told, and finds whose it is. */
static int on_close(void *arg, curl_socket_t socket)
{
    struct net *net = arg;

    list_each(link, &net->running)
        if (net_transfer_note_close(list_entry(link, struct net_transfer, link), socket))
            break;
    return close(socket);
}

static struct net_transfer *take_idle(struct net *net)
{
    struct list *link = list_take_first(&net->idle);

    if (!link)
        return net_transfer_create(&net->config, on_close, net);
    net->idle_count--;
    return list_entry(link, struct net_transfer, link);
}

/*
 * A handle is kept for the next exchange: it remembers TLS sessions, and how it was set up. Only after
 * one that went well: where a lookup failed it keeps its buffer. Not one with which curl asked twice,
 * because a kept connection was dead: curl counts that for as long as the handle lives, and gives up
 * at the sixth.
 */
static void recycle(struct net *net, struct net_transfer *t)
{
    if (t->asked > 1 || net->idle_count >= net->config.connections) {
        net_transfer_destroy(t);
        return;
    }
    net_transfer_clear(t);
    list_push_front(&net->idle, &t->link);
    net->idle_count++;
}

/* Takes the transfer from curl; what it has learnt stays readable until it is recycled. */
static void detach(struct net *net, struct net_transfer *t)
{
    assert(!net->is_inside);
    list_remove(&t->link);
    curl_multi_remove_handle(net->multi, t->easy);
    net->in_multi--;
}

/* The request is the caller's again; it may be gone afterwards. */
static void answer(struct net_request *r, int err)
{
    r->net = NULL;
    r->on_done(r, err);
}

static void leave_lookup(struct net *net, struct net_transfer *t)
{
    if (t->leads)
        net_dns_settle(&net->dns, t->leads, 0);
    t->leads = NULL;
}

static int launch(struct net *net, struct net_request *r, const struct net_route *route,
                  struct net_dns_name *leads)
{
    struct net_transfer *t = take_idle(net);
    int err;

    if (!t) {
        if (leads)
            net_dns_settle(&net->dns, leads, 0);
        return -ENOMEM;
    }
    t->dns = &net->dns;
    t->leads = leads;
    err = net_transfer_prepare(t, &net->config, route, r);
    if (err == 0 && curl_multi_add_handle(net->multi, t->easy) != CURLM_OK)
        err = -ENOMEM;
    if (err < 0) {
        leave_lookup(net, t);
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

static void fill_slots(struct net *net)
{
    struct net_request *r;

    requeue_released(net);
    while (net->in_multi < net->config.connections && (r = next_request(net)))
        start(net, r);
}

/* What an errno cannot say. The host only: the rest of a URL may be a secret. */
static void explain(struct net *net, struct net_transfer *t, CURLcode result, int err)
{
    const char *words = t->error[0] ? t->error : curl_easy_strerror(result);
    long refused = net_transfer_refused_tunnel(t);
    struct net_url url;

    if (result == CURLE_OK || t->verdict < 0 || net_url_parse(t->request->url, &url) < 0)
        return;
    if (refused)
        diag_say(net->config.diag, DIAG_WARNING, "%s: the proxy refused a tunnel to it: status %ld",
                 url.host, refused);
    else
        diag_say(net->config.diag, err == -EPROTO ? DIAG_WARNING : DIAG_DEBUG, "%s: %s", url.host,
                 words);
}

/* Whether the name's lookup is what failed, for all who wait for it as well. */
static bool is_lookup_failure(const struct net_transfer *t, CURLcode result)
{
    return t->leads &&
           (result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY ||
            result == CURLE_OPERATION_TIMEDOUT);
}

/* The addresses may have moved: the next one looks the name up again. */
static void distrust_addresses(struct net *net, struct net_transfer *t)
{
    struct net_route route;

    if (net_route_find(&net->config, t->request->url, &route) == 0)
        net_dns_forget(&net->dns, route.lookup);
}

/* The request's end as curl or a callback of ours has decided it. */
static void conclude(struct net *net, struct net_transfer *t, CURLcode result)
{
    struct net_request *r = t->request;
    int err = net_transfer_outcome(t, result);
    struct list waited, *link;

    list_init(&waited);
    explain(net, t, result, err);
    detach(net, t);
    if (is_lookup_failure(t, result)) {
        net_dns_fail(t->leads, &waited);
        t->leads = NULL;
    }
    leave_lookup(net, t);
    if (result == CURLE_COULDNT_CONNECT)
        distrust_addresses(net, t);
    t->request = NULL;
    answer(r, err);
    if (result == CURLE_OK)
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
    leave_lookup(net, t);
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

/* -- One turn -------------------------------------------------------------------------------- */

static void reap_doomed(struct net *net)
{
    while (!list_is_empty(&net->doomed)) {
        struct net_transfer *t = list_entry(net->doomed.next, struct net_transfer, link);
        detach(net, t);
        net_transfer_destroy(t);
    }
}

/*
 * curl delivers what it had kept from within curl_easy_pause, and forgets an error of that delivery:
 * the transfer would go on with a hole in it.
 */
static void resume_one(struct net *net, struct net_transfer *t)
{
    CURLcode result;

    t->paused = false;
    net->is_inside = true;
    result = curl_easy_pause(t->easy, CURLPAUSE_CONT);
    net->is_inside = false;
    if (t->request && (result != CURLE_OK || t->verdict < 0))
        conclude(net, t, result);
}

/* Each once, in a list of their own: one that pauses again waits for the next net_resume. */
void net_exchange_resume(struct net *net)
{
    struct list paused, *link;

    list_init(&paused);
    list_each_safe(each, &net->running) {
        if (!list_entry(each, struct net_transfer, link)->paused)
            continue;
        list_remove(each);
        list_push_back(&paused, each);
    }
    while ((link = list_take_first(&paused))) {
        list_push_back(&net->running, link);
        resume_one(net, list_entry(link, struct net_transfer, link));
    }
    reap_doomed(net);
}

static void perform(struct net *net)
{
    int ignored;

    net->is_inside = true;
    curl_multi_perform(net->multi, &ignored);
    net->is_inside = false;
    reap_doomed(net);
}

/* Every message of this turn: one left behind would wait for the next event. */
static void collect(struct net *net)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(net->multi, &left))) {
        CURLcode result = message->data.result;
        struct net_transfer *t = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        conclude(net, t, result);
    }
}

void net_exchange_turn(struct net *net)
{
    fill_slots(net);
    perform(net);
    collect(net);
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

void net_exchange_end_all(struct net *net, int err)
{
    struct net_request *r;

    while (!list_is_empty(&net->running))
        net_cancel(list_entry(net->running.next, struct net_transfer, link)->request, err);
    /* With no leader left nobody waits at the dns. */
    requeue_released(net);
    while ((r = next_request(net)))
        net_cancel(r, err);
}

bool net_exchange_is_idle(struct net *net)
{
    return list_is_empty(&net->running) && list_is_empty(&net->express) &&
           list_is_empty(&net->ordinary) && list_is_empty(&net->dns.released);
}
