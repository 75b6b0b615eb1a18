/* Slots, order, pausing, cancelling, closing: whose turn it is on the network thread. */
#include "net/net_call.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BIG (1 << 20)
#define MANY 24
#define SLOTS 4

static bool answer(struct http_conn *c)
{
    static const char block[4096];

    if (strncmp(c->path, "/held", 5) == 0)
        http_hold(c);
    if (strcmp(c->path, "/fresh") == 0 && c->asked > 1)
        return false;
    if (strcmp(c->path, "/big") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
        for (int i = 0; i < BIG; i += (int)sizeof(block))
            http_send(c, block, sizeof(block));
    } else if (strcmp(c->path, "/stalls") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        http_wait_hangup(c);
        return false;
    } else {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    return true;
}

static struct net_bench bench;

static int open_bench(void **state)
{
    (void)state;
    net_bench_open(&bench, answer, SLOTS, 30);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    net_bench_close(&bench);
    return 0;
}

static struct net_call *send_new(const char *path)
{
    struct net_call *call = net_call_new(&bench, path);

    net_call_send(call);
    return call;
}

static void end(struct net_call *call, int err)
{
    assert_int_equal(net_call_wait(call), err);
    assert_int_equal(call->dones, 1);
    net_call_free(call);
}

static void test_transfers_at_once_are_bounded(void **state)
{
    struct net_call *calls[MANY];

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        calls[i] = send_new("/held");
    assert_true(http_server_wait_held(bench.server, SLOTS));
    assert_int_equal(http_server_requests(bench.server), SLOTS);
    http_server_let_pass(bench.server, MANY);
    for (size_t i = 0; i < MANY; i++)
        end(calls[i], 0);
    assert_int_equal(http_server_most_held(bench.server), SLOTS);
    assert_int_equal(http_server_connections(bench.server), SLOTS);
}

/* With one slot left to pass through, the order of ending is the order of going. */
static void test_express_goes_before_and_else_first_come_first_served(void **state)
{
    struct net_call *blockers[SLOTS], *ordinary[3], *express[3];

    (void)state;
    for (size_t i = 0; i < SLOTS; i++)
        blockers[i] = send_new("/held");
    assert_true(http_server_wait_held(bench.server, SLOTS));
    for (size_t i = 0; i < 3; i++)
        ordinary[i] = send_new("/");
    for (size_t i = 0; i < 3; i++) {
        express[i] = net_call_new(&bench, "/");
        express[i]->request.express = true;
        net_call_send(express[i]);
    }
    http_server_let_pass(bench.server, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(net_call_wait(ordinary[i]), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(express[i]->order, 2 + i);
        assert_int_equal(ordinary[i]->order, 5 + i);
        end(express[i], 0);
        end(ordinary[i], 0);
    }
    http_server_let_pass(bench.server, SLOTS - 1);
    for (size_t i = 0; i < SLOTS; i++)
        end(blockers[i], 0);
}

static void cancel(void *arg)
{
    net_cancel(arg, -EINTR);
}

static void send_other(struct net_call *call, int err)
{
    (void)err;
    net_send(call->bench->net, &call->other->request);
}

/* R5: a log keeps its place through both hops, though another has been waiting for longer. */
static void test_r5_second_hop_takes_the_slot_of_the_first(void **state)
{
    struct net_call *stalled[SLOTS - 1], *first = net_call_new(&bench, "/held");
    struct net_call *waiting, *second = net_call_new(&bench, "/");

    (void)state;
    for (size_t i = 0; i < SLOTS - 1; i++)
        stalled[i] = send_new("/stalls");
    second->request.express = true;
    first->on_done = send_other;
    first->other = second;
    net_call_send(first);
    assert_true(http_server_wait_held(bench.server, 1));
    waiting = send_new("/");
    http_server_let_pass(bench.server, 1);
    assert_int_equal(net_call_wait(waiting), 0);
    assert_int_equal(first->order, 1);
    assert_int_equal(second->order, 2);
    assert_int_equal(waiting->order, 3);
    end(first, 0);
    end(second, 0);
    end(waiting, 0);
    for (size_t i = 0; i < SLOTS - 1; i++) {
        net_bench_do(&bench, cancel, &stalled[i]->request);
        end(stalled[i], -EINTR);
    }
}

static void send_self_again(struct net_call *call, int err)
{
    (void)err;
    call->on_done = NULL;
    net_send(call->bench->net, &call->request);
}

static void test_request_may_be_sent_again_from_on_done(void **state)
{
    struct net_call *call = net_call_new(&bench, "/");

    (void)state;
    call->on_done = send_self_again;
    net_call_send(call);
    assert_true(net_bench_wait(&bench, &call->dones, 2));
    assert_int_equal(call->heads, 2);
    assert_int_equal(call->received, 4);
    net_call_free(call);
}

/* R1: each time but the first the connection that was kept is dead: curl asks once more on another.
 * Of one handle it does so five times. */
static void test_r1_dead_kept_connections_are_never_noticed(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct net_call *call = net_call_new(&bench, "/fresh");
        assert_int_equal(net_call_run(call), 0);
        net_call_free(call);
    }
    assert_int_equal(http_server_connections(bench.server), 20);
    assert_int_equal(http_server_requests(bench.server), 39);
}

/* -- Cancelling ------------------------------------------------------------------------------- */

static void test_cancel_queued_and_running(void **state)
{
    struct net_call *blockers[SLOTS], *queued;

    (void)state;
    for (size_t i = 0; i < SLOTS; i++)
        blockers[i] = send_new("/held");
    assert_true(http_server_wait_held(bench.server, SLOTS));
    queued = send_new("/");
    net_bench_do(&bench, cancel, &queued->request);
    assert_int_equal(queued->dones, 1);
    assert_int_equal(queued->heads, 0);
    net_bench_do(&bench, cancel, &blockers[0]->request);
    assert_int_equal(blockers[0]->dones, 1);
    net_bench_do(&bench, cancel, &blockers[0]->request);
    end(queued, -EINTR);
    end(blockers[0], -EINTR);
    http_server_let_pass(bench.server, SLOTS);
    for (size_t i = 1; i < SLOTS; i++)
        end(blockers[i], 0);
    end(send_new("/"), 0);
}

/* Cancelled, a call is answered and may be gone: it comes last. */
static int cancel_in_head(struct net_call *call, int status)
{
    (void)status;
    net_cancel(&call->request, -EINTR);
    return 0;
}

static int cancel_in_body(struct net_call *call, const void *data, size_t len)
{
    (void)data, (void)len;
    if (call->other)
        net_cancel(&call->other->request, -EINTR);
    net_cancel(&call->request, -EINTR);
    return -EIO;
}

static void test_cancel_itself_and_another_from_a_callback(void **state)
{
    struct net_call *head = net_call_new(&bench, "/big"), *body = net_call_new(&bench, "/big");
    struct net_call *pair = net_call_new(&bench, "/big"), *other = net_call_new(&bench, "/stalls");

    (void)state;
    head->on_head = cancel_in_head;
    body->on_body = cancel_in_body;
    pair->on_body = cancel_in_body;
    pair->other = other;
    net_call_send(other);
    assert_true(net_bench_wait(&bench, &other->heads, 1));
    net_call_send(head);
    net_call_send(body);
    net_call_send(pair);
    end(head, -EINTR);
    end(body, -EINTR);
    end(pair, -EINTR);
    end(other, -EINTR);
    end(send_new("/"), 0);
}

static void cancel_in_done(struct net_call *call, int err)
{
    (void)err;
    net_cancel(&call->request, -EINTR);
}

static void test_cancel_in_on_done_is_harmless(void **state)
{
    struct net_call *call = net_call_new(&bench, "/");

    (void)state;
    call->on_done = cancel_in_done;
    net_call_send(call);
    end(call, 0);
}

/* -- Pausing ---------------------------------------------------------------------------------- */

struct reader {
    unsigned offered; /* bench's lock */
    bool is_open;     /* network thread */
    int verdict;
};

static struct reader reader;

/* Takes nothing until it is opened, and then pauses before each second piece. */
static int read_slowly(struct net_call *call, const void *data, size_t len)
{
    (void)data, (void)len;
    net_bench_add(call->bench, &reader.offered);
    if (!reader.is_open)
        return NET_PAUSE;
    if (reader.verdict < 0)
        return reader.verdict;
    if (reader.offered % 2 == 0)
        net_resume(call->bench->net);
    return reader.offered % 2 ? NET_TAKEN : NET_PAUSE;
}

static void open_reader(void *arg)
{
    (void)arg;
    reader.is_open = true;
}

static void test_paused_body_arrives_whole(void **state)
{
    struct net_call *call = net_call_new(&bench, "/big");

    (void)state;
    memset(&reader, 0, sizeof(reader));
    call->on_body = read_slowly;
    net_call_send(call);
    assert_true(net_bench_wait(&bench, &reader.offered, 1));
    net_resume(bench.net);
    assert_true(net_bench_wait(&bench, &reader.offered, 2));
    assert_int_equal(call->received, 0);
    net_bench_do(&bench, open_reader, NULL);
    net_resume(bench.net);
    assert_int_equal(net_call_wait(call), 0);
    assert_int_equal(call->received, BIG);
    net_call_free(call);
}

/* An error given to a body that was offered again ends the request as any other. */
static void test_paused_body_refused_when_offered_again(void **state)
{
    struct net_call *call = net_call_new(&bench, "/big");

    (void)state;
    memset(&reader, 0, sizeof(reader));
    reader.verdict = -ENOSPC;
    call->on_body = read_slowly;
    net_call_send(call);
    assert_true(net_bench_wait(&bench, &reader.offered, 1));
    net_bench_do(&bench, open_reader, NULL);
    net_resume(bench.net);
    assert_int_equal(net_call_wait(call), -ENOSPC);
    end(send_new("/"), 0);
    assert_int_equal(reader.offered, 2);
    end(call, -ENOSPC);
}

static int cancel_when_open(struct net_call *call, const void *data, size_t len)
{
    (void)data, (void)len;
    net_bench_add(call->bench, &reader.offered);
    if (!reader.is_open)
        return NET_PAUSE;
    net_cancel(&call->other->request, -EINTR);
    net_cancel(&call->request, -EINTR);
    return -EIO;
}

/* Two that are paused end each other while both are offered again. */
static void test_paused_body_cancelled_when_offered_again(void **state)
{
    struct net_call *one = net_call_new(&bench, "/big"), *two = net_call_new(&bench, "/big");

    (void)state;
    memset(&reader, 0, sizeof(reader));
    one->on_body = two->on_body = cancel_when_open;
    one->other = two;
    two->other = one;
    net_call_send(one);
    net_call_send(two);
    assert_true(net_bench_wait(&bench, &reader.offered, 2));
    net_bench_do(&bench, open_reader, NULL);
    net_resume(bench.net);
    end(one, -EINTR);
    end(two, -EINTR);
    end(send_new("/"), 0);
}

static void test_cancel_while_paused(void **state)
{
    struct net_call *call = net_call_new(&bench, "/big");

    (void)state;
    memset(&reader, 0, sizeof(reader));
    call->on_body = read_slowly;
    net_call_send(call);
    assert_true(net_bench_wait(&bench, &reader.offered, 1));
    net_bench_do(&bench, cancel, &call->request);
    end(call, -EINTR);
}

/* -- Timers ----------------------------------------------------------------------------------- */

struct clock_test {
    struct net_timer timers[4];
    char fired[16];
    unsigned count; /* bench's lock */
};

static struct clock_test clock_test;

static void fire(struct net_timer *t)
{
    clock_test.fired[clock_test.count] = (char)('0' + (t - clock_test.timers));
    net_bench_add(&bench, &clock_test.count);
}

/* The last one takes out number 1, which is due as well, and arms itself once more, in the past. */
static void fire_and_rearm(struct net_timer *t)
{
    net_timer_cancel(&clock_test.timers[1]);
    t->fire = fire;
    net_timer_set(bench.net, t, 1);
    fire(t);
}

static void arm(void *arg)
{
    struct net_timer *t = clock_test.timers;
    int64_t now_ms = net_now_ms();

    (void)arg;
    for (size_t i = 0; i < 4; i++)
        t[i].fire = fire;
    t[3].fire = fire_and_rearm;
    net_timer_set(bench.net, &t[2], now_ms + 30);
    net_timer_set(bench.net, &t[0], now_ms + 3600 * 1000);
    net_timer_set(bench.net, &t[0], now_ms + 20);
    net_timer_set(bench.net, &t[1], now_ms - 1000);
    net_timer_set(bench.net, &t[3], now_ms - 2000);
}

static void test_timers_fire_in_order_and_can_be_cancelled(void **state)
{
    (void)state;
    memset(&clock_test, 0, sizeof(clock_test));
    net_bench_do(&bench, arm, NULL);
    assert_true(net_bench_wait(&bench, &clock_test.count, 4));
    assert_string_equal(clock_test.fired, "3302");
}

static void arm_far(void *arg)
{
    struct net_timer *t = arg;

    t->fire = fire;
    net_timer_set(bench.net, t, net_now_ms() + 3600 * 1000);
}

static void test_stop_drops_timers(void **state)
{
    (void)state;
    memset(&clock_test, 0, sizeof(clock_test));
    net_bench_do(&bench, arm_far, &clock_test.timers[0]);
    assert_true(list_is_linked(&clock_test.timers[0].link));
    net_stop(bench.net);
    assert_false(list_is_linked(&clock_test.timers[0].link));
    assert_int_equal(clock_test.count, 0);
}

/* -- Inbox ------------------------------------------------------------------------------------ */

#define POSTS 2000
#define POSTERS 3

struct parcel {
    struct net_task task;
    unsigned poster, number;
};

static struct {
    unsigned next[POSTERS], arrived, disorder; /* bench's lock for arrived */
} post_office;

static void receive(struct net_task *t)
{
    struct parcel *p = list_entry(t, struct parcel, task);

    if (post_office.next[p->poster]++ != p->number)
        post_office.disorder++;
    free(p);
    net_bench_add(&bench, &post_office.arrived);
}

static void *post_many(void *arg)
{
    unsigned poster = *(unsigned *)arg;

    for (unsigned i = 0; i < POSTS; i++) {
        struct parcel *p = calloc(1, sizeof(*p));
        p->task.run = receive;
        p->poster = poster;
        p->number = i;
        net_post(bench.net, &p->task);
    }
    return NULL;
}

static void test_tasks_of_many_threads_arrive_in_order(void **state)
{
    pthread_t threads[POSTERS];
    unsigned numbers[POSTERS];

    (void)state;
    memset(&post_office, 0, sizeof(post_office));
    for (unsigned i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, post_many, &numbers[i]);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(net_bench_wait(&bench, &post_office.arrived, POSTERS * POSTS));
    assert_int_equal(post_office.disorder, 0);
}

/* -- Closing ---------------------------------------------------------------------------------- */

static void send_other_when_closing(struct net_call *call, int err)
{
    if (err == -ECONNABORTED)
        net_send(call->bench->net, &call->other->request);
}

/* R6: within a second, whatever hangs; everybody is answered, also who is sent meanwhile. */
static void test_r6_stop_ends_everything_within_a_second(void **state)
{
    struct net_call *calls[MANY], *late = net_call_new(&bench, "/");
    int64_t before_ms;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        calls[i] = net_call_new(&bench, i % 2 ? "/held" : "/stalls");
        calls[i]->on_done = i == 0 ? send_other_when_closing : NULL;
        calls[i]->other = late;
        net_call_send(calls[i]);
    }
    assert_true(http_server_wait_held(bench.server, SLOTS / 2));
    before_ms = net_now_ms();
    net_stop(bench.net);
    assert_true(net_now_ms() - before_ms < 1000);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(calls[i]->dones, 1);
        end(calls[i], -ECONNABORTED);
    }
    end(late, -ECONNABORTED);
    net_stop(bench.net);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_transfers_at_once_are_bounded),
        CASE(test_express_goes_before_and_else_first_come_first_served),
        CASE(test_r5_second_hop_takes_the_slot_of_the_first),
        CASE(test_request_may_be_sent_again_from_on_done),
        CASE(test_r1_dead_kept_connections_are_never_noticed),
        CASE(test_cancel_queued_and_running),
        CASE(test_cancel_itself_and_another_from_a_callback),
        CASE(test_cancel_in_on_done_is_harmless),
        CASE(test_paused_body_arrives_whole),
        CASE(test_paused_body_refused_when_offered_again),
        CASE(test_paused_body_cancelled_when_offered_again),
        CASE(test_cancel_while_paused),
        CASE(test_timers_fire_in_order_and_can_be_cancelled),
        CASE(test_stop_drops_timers),
        CASE(test_tasks_of_many_threads_arrive_in_order),
        CASE(test_r6_stop_ends_everything_within_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
