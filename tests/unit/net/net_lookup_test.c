/*
 * Lookups of names, with a resolver of the test's own: the program's getaddrinfo comes before the C
 * library's, also for libcurl.
 *   one.test    found           none.test    does not exist
 *   hang.test   never answered, until the test says so
 */
#include "net/net_call.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 64

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned lookups, hanging, released;
    bool is_open; /* nothing hangs any more */
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void hang(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.hanging++;
    pthread_cond_broadcast(&resolver.changed);
    while (!resolver.is_open)
        pthread_cond_wait(&resolver.changed, &resolver.lock);
    resolver.hanging--;
    pthread_cond_broadcast(&resolver.changed);
    pthread_mutex_unlock(&resolver.lock);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    struct addrinfo numeric = *hints;

    memcpy(&real, &found, sizeof(real));
    if (strstr(name, ".test")) {
        pthread_mutex_lock(&resolver.lock);
        resolver.lookups++;
        pthread_mutex_unlock(&resolver.lock);
    }
    if (strcmp(name, "hang.test") == 0)
        hang();
    if (strcmp(name, "none.test") == 0)
        return EAI_NONAME;
    if (strstr(name, ".test"))
        name = "127.0.0.1";
    numeric.ai_flags |= AI_NUMERICHOST;
    return real(name, service, &numeric, ret);
}

static unsigned count_lookups(void)
{
    unsigned n;

    pthread_mutex_lock(&resolver.lock);
    n = resolver.lookups;
    pthread_mutex_unlock(&resolver.lock);
    return n;
}

static void let_hanging_go(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.is_open = true;
    pthread_cond_broadcast(&resolver.changed);
    while (resolver.hanging > 0)
        pthread_cond_wait(&resolver.changed, &resolver.lock);
    pthread_mutex_unlock(&resolver.lock);
}

static void wait_hanging(unsigned count)
{
    pthread_mutex_lock(&resolver.lock);
    while (resolver.hanging < count)
        pthread_cond_wait(&resolver.changed, &resolver.lock);
    pthread_mutex_unlock(&resolver.lock);
}

/* Everybody is held, so that no connection is free for the next one. */
static bool answer(struct http_conn *c)
{
    if (strcmp(c->path, "/held") == 0)
        http_hold(c);
    http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    return true;
}

static struct net_fixture fixture;

static int open_fixture(void **state)
{
    (void)state;
    resolver.lookups = 0;
    resolver.is_open = false;
    net_fixture_open(&fixture, answer, 32, 1);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    let_hanging_go();
    net_fixture_close(&fixture);
    return 0;
}

static struct net_call *new_call(const char *host, const char *path)
{
    struct net_call *call = net_call_new(&fixture, path);

    snprintf(call->url, sizeof(call->url), "http://%s:%u%s", host, http_server_port(fixture.server),
             path);
    return call;
}

static void send_all(void *arg)
{
    struct net_call **calls = arg;

    for (size_t i = 0; i < MANY; i++)
        net_send(fixture.net, &calls[i]->request);
}

/* In one turn of the network thread. */
static void send_many(struct net_call *calls[MANY], const char *host, const char *path)
{
    for (size_t i = 0; i < MANY; i++)
        calls[i] = new_call(host, path);
    net_fixture_do(&fixture, send_all, calls);
}

static void end_many(struct net_call *calls[MANY], int err)
{
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(net_call_wait(calls[i]), err);
        assert_int_equal(calls[i]->dones, 1);
        net_call_free(calls[i]);
    }
}

static void test_p10_many_transfers_make_one_lookup(void **state)
{
    struct net_call *calls[MANY];

    (void)state;
    send_many(calls, "one.test", "/held");
    assert_true(http_server_wait_held(fixture.server, 32));
    assert_int_equal(count_lookups(), 1);
    http_server_let_pass(fixture.server, MANY);
    end_many(calls, 0);
    assert_int_equal(count_lookups(), 1);
}

static void test_kept_connections_need_no_lookup(void **state)
{
    struct net_call *calls[MANY], *first = new_call("one.test", "/");

    (void)state;
    assert_int_equal(net_call_run(first), 0);
    send_many(calls, "one.test", "/");
    end_many(calls, 0);
    assert_int_equal(count_lookups(), 1);
    net_call_free(first);
}

static struct net_call *send_new(const char *host, const char *path)
{
    struct net_call *call = new_call(host, path);

    net_call_send(call);
    return call;
}

/*
 * Nobody listens any more, so the name is looked up afresh; who leads on the connection that was
 * kept makes no lookup, and must not hold the next one back.
 */
static void test_leader_on_a_kept_connection_lets_the_next_lead(void **state)
{
    struct net_call *held, *refused;

    (void)state;
    held = send_new("one.test", "/held");
    assert_true(http_server_wait_held(fixture.server, 1));
    http_server_stop_listening(fixture.server);
    refused = send_new("one.test", "/");
    assert_int_equal(net_call_wait(refused), -ECONNREFUSED);
    net_call_free(refused);
    http_server_let_pass(fixture.server, 1);
    assert_int_equal(net_call_wait(held), 0);
    net_call_free(held);

    held = send_new("one.test", "/held");
    assert_true(http_server_wait_held(fixture.server, 1));
    assert_int_equal(count_lookups(), 1);
    refused = send_new("one.test", "/");
    assert_int_equal(net_call_wait(refused), -ECONNREFUSED);
    assert_int_equal(count_lookups(), 2);
    assert_int_equal(held->dones, 0);
    net_call_free(refused);
    http_server_let_pass(fixture.server, 1);
    assert_int_equal(net_call_wait(held), 0);
    net_call_free(held);
}

static void test_failed_lookup_fails_all_at_once(void **state)
{
    struct net_call *calls[MANY], *next = new_call("one.test", "/");

    (void)state;
    send_many(calls, "none.test", "/");
    end_many(calls, -EHOSTUNREACH);
    assert_int_equal(count_lookups(), 1);
    assert_int_equal(http_server_requests(fixture.server), 0);
    next->request.express = true;
    assert_int_equal(net_call_run(next), 0);
    net_call_free(next);
}

/* R1: others are not held up, and those who wait get the leader's answer, not each a wait of its
 * own. */
static void test_r1_silent_name_server_blocks_no_other_request(void **state)
{
    struct net_call *calls[MANY], *other = net_call_new(&fixture, "/");
    int64_t before_ms = net_now_ms();

    (void)state;
    send_many(calls, "hang.test", "/");
    wait_hanging(1);
    assert_int_equal(net_call_run(other), 0);
    end_many(calls, -ETIMEDOUT);
    assert_true(net_now_ms() - before_ms < 10 * 1000);
    assert_int_equal(count_lookups(), 1);
    net_call_free(other);
}

static void cancel(void *arg)
{
    net_cancel(arg, -EINTR);
}

static void test_cancelled_leader_is_followed_by_the_next(void **state)
{
    struct net_call *leader = new_call("hang.test", "/"), *next = new_call("hang.test", "/");

    (void)state;
    net_call_send(leader);
    net_call_send(next);
    wait_hanging(1);
    net_fixture_do(&fixture, cancel, &leader->request);
    assert_int_equal(net_call_wait(leader), -EINTR);
    wait_hanging(2);
    assert_int_equal(next->dones, 0);
    let_hanging_go();
    assert_int_equal(net_call_wait(next), 0);
    net_call_free(leader);
    net_call_free(next);
}

static void test_cancelled_while_it_waits_for_a_lookup(void **state)
{
    struct net_call *leader = new_call("hang.test", "/"), *next = new_call("hang.test", "/");

    (void)state;
    net_call_send(leader);
    net_call_send(next);
    wait_hanging(1);
    net_fixture_do(&fixture, cancel, &next->request);
    assert_int_equal(net_call_wait(next), -EINTR);
    let_hanging_go();
    assert_int_equal(net_call_wait(leader), 0);
    net_call_free(leader);
    net_call_free(next);
}

/* R6: an unmount does not wait for a name server. */
static void test_r6_stop_does_not_wait_for_lookups(void **state)
{
    struct net_call *calls[MANY];
    int64_t before_ms;

    (void)state;
    send_many(calls, "hang.test", "/");
    wait_hanging(1);
    before_ms = net_now_ms();
    net_stop(fixture.net);
    assert_true(net_now_ms() - before_ms < 1000);
    end_many(calls, -ECONNABORTED);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_p10_many_transfers_make_one_lookup),
        CASE(test_kept_connections_need_no_lookup),
        CASE(test_leader_on_a_kept_connection_lets_the_next_lead),
        CASE(test_failed_lookup_fails_all_at_once),
        CASE(test_r1_silent_name_server_blocks_no_other_request),
        CASE(test_cancelled_leader_is_followed_by_the_next),
        CASE(test_cancelled_while_it_waits_for_a_lookup),
        CASE(test_r6_stop_does_not_wait_for_lookups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
