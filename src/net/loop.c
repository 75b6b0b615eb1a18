#include "diag.h"
#include "net/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Kept connections beside those in use: the API's while storage has all transfers. */
#define SPARE_CONNECTIONS 8
#define LONGEST_WAIT_MS 60000

/* Not curl_version(): it initialises each library that curl was built with, and libldap looks up
 * the name of this machine, which takes minutes where the name server is silent. */
void net_describe_library(char *text, size_t size)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    snprintf(text, size, "libcurl/%s %s", info->version,
             info->ssl_version ? info->ssl_version : "");
}

void net_get_features(struct net_features *ret_features)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    bool is_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    CURL *easy = is_ready ? curl_easy_init() : NULL;

    *ret_features = (struct net_features){
        .has_tls = info->features & CURL_VERSION_SSL,
        .has_async_dns = info->features & CURL_VERSION_ASYNCHDNS,
        .has_sigv4 = easy && curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:x:s3") == CURLE_OK,
        .ca_file = info->cainfo,
        .ca_path = info->capath};
    curl_easy_cleanup(easy);
    if (is_ready)
        curl_global_cleanup();
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

/* A timer that is set again meanwhile waits for the next call, so that a call ends. */
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

/* -- The thread ------------------------------------------------------------------------------- */

/* Runs what was posted before. False: net_stop was called. */
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

/* Waits for sockets, net_post or the next timer; curl cuts the wait short for its own timers. */
static void wait_for_events(struct net *net)
{
    int64_t wait_ms = LONGEST_WAIT_MS;

    if (!list_is_empty(&net->timers)) {
        int64_t in_ms = list_entry(net->timers.next, struct net_timer, link)->at_ms - net_now_ms();
        if (in_ms < wait_ms)
            wait_ms = in_ms > 0 ? in_ms : 0;
    }
    if (net_exchange_can_start(net))
        wait_ms = 0;
    /* Without memory for its poll there is nothing to wait on, but nothing to spin for either. */
    if (curl_multi_poll(net->multi, NULL, 0, (int)wait_ms, NULL) != CURLM_OK)
        poll(NULL, 0, 10);
}

/* Ends what is under way. Its callbacks may post more; once nothing is left, posts are refused. */
static void close_down(struct net *net)
{
    bool is_closed;

    do {
        run_inbox(net);
        net_exchange_cancel_all(net, -ECONNABORTED);
        while (list_take_first(&net->timers))
            ;
        pthread_mutex_lock(&net->lock);
        is_closed = list_is_empty(&net->inbox) && net_exchange_is_idle(net);
        net->is_closed = is_closed;
        pthread_mutex_unlock(&net->lock);
    } while (!is_closed);
}

static void *net_main(void *arg)
{
    struct net *net = arg;

    pthread_setname_np(pthread_self(), net->config.thread ? net->config.thread : "ghlogfs-net");
    while (run_inbox(net)) {
        fire_timers(net);
        net_exchange_step(net);
        wait_for_events(net);
    }
    close_down(net);
    return NULL;
}

/* -- Calls from other threads ----------------------------------------------------------------- */

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

/* -- First and last --------------------------------------------------------------------------- */

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

static void free_net(struct net *net)
{
    net_exchange_finish(net);
    curl_multi_cleanup(net->multi);
    free(net);
    curl_global_cleanup();
}

int net_create(const struct net_config *config, struct net **ret_net)
{
    const curl_version_info_data *library;
    struct net *net;
    int err;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    net = calloc(1, sizeof(*net));
    if (!net) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    net->config = *config;
    library = curl_version_info(CURLVERSION_NOW);
    /* The file that curl would take by itself, named so that it is the only one (set_trust). */
    if (!config->ca_file && library->cainfo && access(library->cainfo, R_OK) == 0)
        net->config.ca_file = library->cainfo;
    list_init(&net->inbox);
    list_init(&net->timers);
    net_exchange_init(net);
    net->multi = curl_multi_init();
    err = net->multi ? -pthread_mutex_init(&net->lock, NULL) : -ENOMEM;
    if (err < 0)
        goto no_lock;
    curl_multi_setopt(net->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(net->multi, CURLMOPT_MAXCONNECTS,
                      2 * (long)config->connections + SPARE_CONNECTIONS);
    if (!(library->features & CURL_VERSION_ASYNCHDNS))
        diag_log(config->diag, DIAG_WARNING,
                 "this libcurl has no asynchronous resolver: all transfers wait while a name is "
                 "looked up");
    err = start_thread(net);
    if (err < 0)
        goto no_thread;
    *ret_net = net;
    return 0;

no_thread:
    pthread_mutex_destroy(&net->lock);
no_lock:
    free_net(net);
    return err;
}

void net_destroy(struct net *net)
{
    if (!net)
        return;
    net_stop(net);
    pthread_mutex_destroy(&net->lock);
    free_net(net);
}
