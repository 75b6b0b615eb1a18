/*
 * The budget against a GitHub that counts, over random schedules: requests and answers overtake
 * each other, clocks differ, listings answer 304, readers come in bursts, prefetch never tires.
 */
#include "github/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FLIGHTS 100     /* what net lets run at once */
#define SENT_MAX 200000 /* of one schedule */
#define MINUTE INT64_C(60000)

struct flight {
    bool is_used, is_served;
    enum source_class class;
    int64_t serve_ms, answer_ms;
    struct budget_answer answer;
};

/* A server with a quota an hour, from the first request of the hour on. */
struct server {
    int64_t limit, remaining, reset_s; /* UTC */
    unsigned refused;
};

struct schedule {
    uint64_t random;
    struct budget budget;
    struct server server;
    struct flight flights[FLIGHTS];
    int64_t now_ms, clock_ahead_s;
    uint32_t reserve;
    unsigned not_modified_percent, in_flight;
    uint64_t sent, prefetch_sent;
    int64_t sent_ms[SENT_MAX], prefetch_ms[SENT_MAX];
};

static uint64_t draw(struct schedule *s, uint64_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random % below;
}

static int64_t server_now_s(const struct schedule *s)
{
    return 1767225600 + s->now_ms / 1000;
}

/* The server takes a request. */
static void serve(struct schedule *s, struct flight *f)
{
    struct server *server = &s->server;
    int64_t now_s = server_now_s(s);
    bool is_charged = draw(s, 100) >= s->not_modified_percent;

    if (now_s >= server->reset_s) {
        server->reset_s = now_s + 3600;
        server->remaining = server->limit;
    }
    f->is_served = true;
    f->answer.status = is_charged ? 200 : 304;
    if (is_charged && server->remaining == 0) {
        server->refused++;
        f->answer.status = 403;
        f->answer.message = "API rate limit exceeded";
    } else if (is_charged) {
        server->remaining--;
    }
    f->answer.limit = server->limit;
    f->answer.remaining = server->remaining;
    f->answer.reset_s = server->reset_s;
    f->answer.date_s = now_s;
    f->answer.retry_after_s = -1;
}

static void turn_flights(struct schedule *s)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        struct flight *f = &s->flights[i];
        if (f->is_used && !f->is_served && s->now_ms >= f->serve_ms)
            serve(s, f);
        if (f->is_used && f->is_served && s->now_ms >= f->answer_ms) {
            budget_learn(&s->budget, &f->answer, s->now_ms, server_now_s(s) + s->clock_ahead_s);
            f->is_used = false;
            s->in_flight--;
        }
    }
}

/* What the server will have left once all that is on its way has arrived, at the least. */
static int64_t left_at_server(const struct schedule *s)
{
    bool is_over = server_now_s(s) >= s->server.reset_s;
    int64_t left = is_over ? s->server.limit : s->server.remaining;

    for (size_t i = 0; i < FLIGHTS; i++)
        left -= s->flights[i].is_used && !s->flights[i].is_served;
    return left;
}

/* Asks, and sends where it may. Returns what the budget said. */
static int64_t ask(struct schedule *s, enum source_class class)
{
    int64_t at = budget_ask(&s->budget, class, s->now_ms);
    struct flight *f = s->flights;

    assert_true(at == 0 || at > s->now_ms);
    if (at)
        return at;
    if (class == SOURCE_PREFETCH)
        assert_true(left_at_server(s) > s->reserve); /* R5: left to demand */
    while (f->is_used)
        f++;
    memset(f, 0, sizeof(*f));
    f->is_used = true;
    f->class = class;
    f->serve_ms = s->now_ms + (int64_t)draw(s, 400);
    f->answer_ms = f->serve_ms + (int64_t)draw(s, 2000);
    s->in_flight++;
    assert_true(s->sent < SENT_MAX);
    s->sent_ms[s->sent++] = s->now_ms;
    if (class == SOURCE_PREFETCH)
        s->prefetch_ms[s->prefetch_sent++] = s->now_ms;
    return 0;
}

static void start(struct schedule *s, uint64_t seed, int64_t limit, uint32_t reserve)
{
    memset(s, 0, sizeof(*s));
    s->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    s->now_ms = 1000000 + (int64_t)draw(s, 100000);
    s->clock_ahead_s = (int64_t)draw(s, 20000) - 10000;
    s->server.limit = limit;
    s->reserve = reserve;
    s->not_modified_percent = (unsigned)draw(s, 3) * 40;
    budget_init(&s->budget, reserve);
}

/* The first answer tells what there is: until then nobody can keep to it. */
static void ask_once(struct schedule *s)
{
    assert_int_equal(ask(s, SOURCE_DEMAND), 0);
    while (s->in_flight) {
        s->now_ms += 100;
        turn_flights(s);
    }
}

static void assert_paced(const int64_t *times, uint64_t count, uint64_t most)
{
    for (uint64_t i = most; i < count; i++)
        assert_true(times[i] - times[i - most] >= MINUTE);
}

/* Random bursts of both classes for some hours, one seed after another. */
static void run(struct schedule *s, int64_t hours)
{
    int64_t end = s->now_ms + hours * 3600000;

    ask_once(s);
    while (s->now_ms < end) {
        uint64_t burst = draw(s, 20) ? draw(s, 4) : draw(s, 200);
        s->now_ms += 1 + (int64_t)draw(s, draw(s, 500) ? 400 : 300000);
        turn_flights(s);
        for (uint64_t i = 0; i < burst && s->in_flight < FLIGHTS; i++)
            (void)ask(s, draw(s, 2) ? SOURCE_PREFETCH : SOURCE_DEMAND);
    }
    assert_paced(s->sent_ms, s->sent, 900);
    assert_paced(s->prefetch_ms, s->prefetch_sent, 450);
}

static struct schedule schedule; /* too large for a stack */

static void r5_no_schedule_overruns_minute_quota_or_reserve(void **state)
{
    static const int64_t limits[] = {60, 1000, 5000, 15000};

    (void)state;
    for (uint64_t seed = 0; seed < 24; seed++) {
        start(&schedule, seed, limits[seed % 4], seed % 3 ? 500 : 0);
        run(&schedule, 4);
        assert_int_equal(schedule.server.refused, 0);
        assert_true(schedule.sent > 100);
    }
}

static void r5_demand_is_not_starved_by_prefetch(void **state)
{
    struct schedule *s = &schedule;

    (void)state;
    for (uint64_t seed = 100; seed < 104; seed++) {
        uint64_t demand = 0;
        int64_t end;
        start(s, seed, 1000000, 500);
        end = s->now_ms + 10 * MINUTE;
        while (s->now_ms < end) {
            s->now_ms += 20;
            turn_flights(s);
            while (s->in_flight < FLIGHTS / 2 && ask(s, SOURCE_PREFETCH) == 0)
                ;
            while (s->in_flight < FLIGHTS && ask(s, SOURCE_DEMAND) == 0)
                demand++;
        }
        assert_paced(s->sent_ms, s->sent, 900);
        assert_true(demand >= 9 * 450);
        assert_true(s->sent >= 9 * 900); /* and nothing lies idle */
    }
}

static void r5_demand_has_the_reserve_when_prefetch_took_the_rest(void **state)
{
    struct schedule *s = &schedule;
    unsigned demand = 0;

    (void)state;
    start(s, 200, 2000, 500);
    s->not_modified_percent = 0;
    ask_once(s);
    for (int64_t end = s->now_ms + 20 * MINUTE; s->now_ms < end; s->now_ms += 50) {
        turn_flights(s);
        while (s->in_flight < FLIGHTS && ask(s, SOURCE_PREFETCH) == 0)
            ;
    }
    assert_int_equal(s->server.remaining, 500);
    for (int64_t end = s->now_ms + 5 * MINUTE; s->now_ms < end; s->now_ms += 50) {
        turn_flights(s);
        while (s->in_flight < FLIGHTS && ask(s, SOURCE_DEMAND) == 0)
            demand++;
    }
    assert_int_equal(demand, 500);
    assert_int_equal(s->server.remaining, 0);
    assert_int_equal(s->server.refused, 0);
}

/* Whoever asks again when told to gets on, with nobody else asking. */
static void request_may_go_at_the_time_that_was_returned(void **state)
{
    struct schedule *s = &schedule;

    (void)state;
    for (uint64_t seed = 300; seed < 310; seed++) {
        start(s, seed, 1200, 0);
        ask_once(s);
        for (int sent = 0; sent < 5000; sent++) {
            int64_t at = 0;
            int tries = 0;
            while (s->in_flight >= FLIGHTS || (at = ask(s, SOURCE_DEMAND)) != 0) {
                /* Waits for answers come first, then for what the clock decides. */
                assert_true(++tries < 100);
                s->now_ms = at ? at : s->now_ms + 100;
                turn_flights(s);
            }
        }
        assert_paced(s->sent_ms, s->sent, 900);
        assert_int_equal(s->server.refused, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r5_no_schedule_overruns_minute_quota_or_reserve),
        cmocka_unit_test(r5_demand_is_not_starved_by_prefetch),
        cmocka_unit_test(r5_demand_has_the_reserve_when_prefetch_took_the_rest),
        cmocka_unit_test(request_may_go_at_the_time_that_was_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
