#include "net/internal.h"

#include "diag.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Kept connections beside those in use: the API's while storage has all slots. */
#define SPARE_CONNECTIONS 8
#define LONGEST_WAIT_MS 60000

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

/* -- Timers ----------------------------------------------------------------------------------- */

void net_timer_set(struct net *net, struct net_timer *t, int64_t at_ms)
{
    struct list *before;

    list_remove(&t->link);
    before = net->timers.prev;
    while (before != &net->timers && list_entry(before, struct net_timer, link)->at_ms > at_ms)
        before = before->prev;
    t->at_ms = at_ms;
    list_insert_after(before, &t->link);
}

void net_timer_cancel(struct net_timer *t)
{
    list_remove(&t->link);
}

/* A timer that is set again meanwhile waits for the next turn, so that a turn ends. */
static void fire_timers(struct net *net)
{
    int64_t now_ms = net_now_ms();
    struct list due, *link;

    list_init(&due);
    while (!list_is_empty(&net->timers) &&
           list_entry(net->timers.next, struct net_timer, link)->at_ms <= now_ms)
        list_push_back(&due, list_take_first(&net->timers));
    while ((link = list_take_first(&due))) {
        struct net_timer *t = list_entry(link, struct net_timer, link);
        t->fire(t);
    }
}

/* -- One turn of the thread ------------------------------------------------------------------- */

/* Runs what was posted before. False: the room is to be closed. */
static bool run_inbox(struct net *net)
{
    struct list tasks, *link;
    bool is_resumed, is_closing;

    list_init(&tasks);
    pthread_mutex_lock(&net->lock);
    list_splice(&tasks, &net->inbox);
    is_resumed = net->is_resumed;
    is_closing = net->is_closing;
    net->is_resumed = false;
    pthread_mutex_unlock(&net->lock);
    while ((link = list_take_first(&tasks))) {
        struct net_task *task = list_entry(link, struct net_task, link);
        task->run(task);
    }
    if (is_resumed)
        net_exchange_resume(net);
    return !is_closing;
}

/* curl cuts the wait short for its own timers. */
static int longest_wait_ms(struct net *net)
{
    int64_t wait_ms = LONGEST_WAIT_MS;

    if (net_exchange_can_start(net))
        return 0;
    if (!list_is_empty(&net->timers)) {
        int64_t in_ms = list_entry(net->timers.next, struct net_timer, link)->at_ms - net_now_ms();
        if (in_ms < wait_ms)
            wait_ms = in_ms > 0 ? in_ms : 0;
    }
    return (int)wait_ms;
}

static void wait_for_news(struct net *net)
{
    /* Without memory for its poll there is nothing to wait on, but nothing to spin for either. */
    if (curl_multi_poll(net->multi, NULL, 0, longest_wait_ms(net), NULL) != CURLM_OK)
        poll(NULL, 0, 10);
}

/* -- Closing ---------------------------------------------------------------------------------- */

/* Whether nothing is left; from then on nothing posted is run. */
static bool try_close(struct net *net)
{
    bool is_closed;

    pthread_mutex_lock(&net->lock);
    is_closed = list_is_empty(&net->inbox) && net_exchange_is_idle(net);
    net->is_closed = is_closed;
    pthread_mutex_unlock(&net->lock);
    return is_closed;
}

static void close_down(struct net *net)
{
    do {
        run_inbox(net);
        net_exchange_end_all(net, -ECONNABORTED);
        while (list_take_first(&net->timers))
            ;
    } while (!try_close(net));
}

static void *net_main(void *arg)
{
    struct net *net = arg;

    pthread_setname_np(pthread_self(), "ghlogfs-net");
    while (run_inbox(net)) {
        fire_timers(net);
        net_exchange_turn(net);
        wait_for_news(net);
    }
    close_down(net);
    return NULL;
}

/* -- The doors -------------------------------------------------------------------------------- */

void net_post(struct net *net, struct net_task *task)
{
    bool was_empty, is_closed;

    pthread_mutex_lock(&net->lock);
    is_closed = net->is_closed;
    was_empty = list_is_empty(&net->inbox);
    if (!is_closed)
        list_push_back(&net->inbox, &task->link);
    pthread_mutex_unlock(&net->lock);
    if (was_empty && !is_closed)
        curl_multi_wakeup(net->multi);
}

void net_resume(struct net *net)
{
    bool is_news;

    pthread_mutex_lock(&net->lock);
    is_news = !net->is_resumed;
    net->is_resumed = true;
    pthread_mutex_unlock(&net->lock);
    if (is_news)
        curl_multi_wakeup(net->multi);
}

void net_stop(struct net *net)
{
    if (net->is_joined)
        return;
    pthread_mutex_lock(&net->lock);
    net->is_closing = true;
    pthread_mutex_unlock(&net->lock);
    curl_multi_wakeup(net->multi);
    pthread_join(net->thread, NULL);
    net->is_joined = true;
}

/* The file that curl would take unasked, named so that it is the only one (see transfer.c). */
static const char *find_authorities(const char *ca_file)
{
    const char *usual = curl_version_info(CURLVERSION_NOW)->cainfo;

    return ca_file || !usual || access(usual, R_OK) < 0 ? ca_file : usual;
}

static struct net *alloc_room(const struct net_config *config)
{
    struct net *net = calloc(1, sizeof(*net));

    if (!net)
        return NULL;
    net->config = *config;
    net->config.ca_file = find_authorities(config->ca_file);
    list_init(&net->inbox);
    list_init(&net->timers);
    net_exchange_init(net);
    return net;
}

static void free_room(struct net *net)
{
    net_exchange_finish(net);
    curl_multi_cleanup(net->multi);
    free(net);
    curl_global_cleanup();
}

/* Signals are for the threads that expect them; curl's lookups inherit this mask. */
static int start_thread(struct net *net)
{
    sigset_t all, before;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = -pthread_create(&net->thread, NULL, net_main, net);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

int net_create(const struct net_config *config, struct net **ret_net)
{
    struct net *net;
    int err;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    net = alloc_room(config);
    if (!net) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    net->multi = curl_multi_init();
    err = net->multi ? -pthread_mutex_init(&net->lock, NULL) : -ENOMEM;
    if (err < 0)
        goto no_lock;
    curl_multi_setopt(net->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(net->multi, CURLMOPT_MAXCONNECTS,
                      2 * (long)config->connections + SPARE_CONNECTIONS);
    if (!(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS))
        diag_say(config->diag, DIAG_WARNING, "this libcurl blocks while it looks names up");
    err = start_thread(net);
    if (err < 0)
        goto no_thread;
    *ret_net = net;
    return 0;

no_thread:
    pthread_mutex_destroy(&net->lock);
no_lock:
    free_room(net);
    return err;
}

void net_destroy(struct net *net)
{
    if (!net)
        return;
    net_stop(net);
    pthread_mutex_destroy(&net->lock);
    free_room(net);
}

/* Not curl_version(): it initialises each library that curl was built with, and libldap looks up the
 * name of this machine, which takes minutes where the name server is silent. */
void net_describe_library(char *text, size_t size)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    snprintf(text, size, "libcurl/%s %s", info->version,
             info->ssl_version ? info->ssl_version : "");
}
