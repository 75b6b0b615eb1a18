#include "net/net_call.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 30

void net_fixture_open(struct net_fixture *b, http_answer answer, unsigned connections,
                      unsigned timeout_s)
{
    struct net_config config = {
        .connections = connections,
        .timeout_s = timeout_s,
        .user_agent = "ghlogfs-test",
        .allow_http = true,
    };

    memset(b, 0, sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->server = http_server_start(answer);
    if (net_create(&config, &b->net) < 0)
        abort();
}

void net_fixture_close(struct net_fixture *b)
{
    net_destroy(b->net);
    http_server_stop(b->server);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}

void net_fixture_add(struct net_fixture *b, unsigned *value)
{
    pthread_mutex_lock(&b->lock);
    (*value)++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

bool net_fixture_wait(struct net_fixture *b, const unsigned *value, unsigned count)
{
    struct timespec until;
    bool reached;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&b->lock);
    while (*value < count && pthread_cond_timedwait(&b->changed, &b->lock, &until) == 0)
        ;
    reached = *value >= count;
    pthread_mutex_unlock(&b->lock);
    return reached;
}

static struct net_call *call_of(struct net_request *r)
{
    return list_entry(r, struct net_call, request);
}

static void keep_header(char *into, size_t size, const struct net_request *r, const char *name)
{
    const char *value = net_header(r, name);

    snprintf(into, size, "%s", value ? value : "(none)");
}

static int record_head(struct net_request *r, int status)
{
    struct net_call *call = call_of(r);
    struct net_fixture *b = call->fixture;

    pthread_mutex_lock(&b->lock);
    call->heads++;
    call->status = status;
    call->is_private = net_peer_is_private(r);
    keep_header(call->location, sizeof(call->location), r, "location");
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return call->on_head ? call->on_head(call, status) : 0;
}

static int record_body(struct net_request *r, const void *data, size_t len)
{
    struct net_call *call = call_of(r);
    struct net_fixture *b = call->fixture;
    int answer = call->on_body ? call->on_body(call, data, len) : NET_TAKEN;

    if (answer != NET_TAKEN)
        return answer;
    pthread_mutex_lock(&b->lock);
    call->bodies++;
    if (call->heads != 1)
        call->bodies_before_head++;
    if (call->received + len < sizeof(call->body))
        memcpy(call->body + call->received, data, len);
    call->received += len;
    pthread_mutex_unlock(&b->lock);
    return NET_TAKEN;
}

static void record_done(struct net_request *r, int err)
{
    struct net_call *call = call_of(r);
    struct net_fixture *b = call->fixture;

    pthread_mutex_lock(&b->lock);
    keep_header(call->etag, sizeof(call->etag), r, "ETag");
    call->was_heard = net_was_heard(r);
    pthread_mutex_unlock(&b->lock);
    if (call->on_done)
        call->on_done(call, err);
    pthread_mutex_lock(&b->lock);
    call->err = err;
    call->dones++;
    call->order = ++b->finished;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

struct net_call *net_call_new(struct net_fixture *b, const char *path)
{
    struct net_call *call = calloc(1, sizeof(*call));

    assert(call);
    call->fixture = b;
    snprintf(call->url, sizeof(call->url), "http://127.0.0.1:%u%s", http_server_port(b->server),
             path);
    call->request.url = call->url;
    call->request.body_max = UINT64_MAX;
    call->request.on_head = record_head;
    call->request.on_body = record_body;
    call->request.on_done = record_done;
    return call;
}

void net_call_free(struct net_call *call)
{
    free(call);
}

static void send_task(struct net_task *t)
{
    struct net_call *call = list_entry(t, struct net_call, task);

    net_send(call->fixture->net, &call->request);
}

void net_call_send(struct net_call *call)
{
    call->task.run = send_task;
    net_post(call->fixture->net, &call->task);
}

int net_call_wait(struct net_call *call)
{
    return net_fixture_wait(call->fixture, &call->dones, 1) ? call->err : -ETIME;
}

int net_call_run(struct net_call *call)
{
    net_call_send(call);
    return net_call_wait(call);
}

struct errand {
    struct net_task task;
    struct net_fixture *fixture;
    void (*run)(void *arg);
    void *arg;
    unsigned done;
};

static void run_errand(struct net_task *t)
{
    struct errand *e = list_entry(t, struct errand, task);

    e->run(e->arg);
    net_fixture_add(e->fixture, &e->done);
}

void net_fixture_do(struct net_fixture *b, void (*run)(void *arg), void *arg)
{
    struct errand e = {.task.run = run_errand, .fixture = b, .run = run, .arg = arg};

    net_post(b->net, &e.task);
    if (!net_fixture_wait(b, &e.done, 1))
        abort();
}
