/* Requests to the API: token, limits, moves, retries, and what comes back as facts. */
#include "fake_reader.h"

#define QUOTA(remaining, in_s)                                                                     \
    "X-RateLimit-Limit: 5000\nX-RateLimit-Remaining: " #remaining "\nX-RateLimit-Reset: " in_s "\n"

static struct world w;

/* Somebody who asks one question. */
struct asker {
    struct source_facts facts;
    unsigned ends, next_page;
    struct source_failure failure;
    bool not_modified, keeps; /* the body, until the test releases it */
    char body[128], etag[SOURCE_ETAG_LEN];
};

static struct asker asker, other;

static void asker_done(struct source_facts *f, const struct source_answer *answer)
{
    struct asker *a = list_entry(f, struct asker, facts);

    a->ends++;
    a->failure = answer->failure ? *answer->failure : (struct source_failure){0};
    a->not_modified = answer->not_modified;
    a->next_page = answer->next_page;
    snprintf(a->body, sizeof(a->body), "%.*s", (int)answer->len, answer->body ? answer->body : "");
    snprintf(a->etag, sizeof(a->etag), "%s", answer->etag);
    if (!a->keeps)
        w.source.ops->facts_release(w.source.self, f);
}

static void ask(struct asker *a, enum source_question question, enum source_class class)
{
    a->facts.question = question;
    a->facts.repo = octo_hello;
    a->facts.class = class;
    a->facts.done = asker_done;
    a->ends = 0;
    w.source.ops->want_facts(w.source.self, &a->facts);
    fake_settle();
}

static void ask_run(struct asker *a)
{
    ask(a, SOURCE_RUN, SOURCE_DEMAND);
}

static void assert_refused(const struct asker *a, int err, enum source_reason reason,
                           int64_t lasts_ms)
{
    assert_int_equal(a->ends, 1);
    assert_int_equal(a->failure.err, err);
    assert_int_equal(a->failure.reason, reason);
    if (lasts_ms >= 0)
        assert_int_equal(a->failure.until_ms - fake.now_ms, lasts_ms);
}

static void assert_answer(const struct asker *a, const char *body)
{
    assert_int_equal(a->ends, 1);
    assert_int_equal(a->failure.err, 0);
    assert_string_equal(a->body, body);
}

static int setup(void **state)
{
    (void)state;
    memset(&asker, 0, sizeof(asker));
    memset(&other, 0, sizeof(other));
    world_begin(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_end(&w);
    return 0;
}

/* The world again, with something in the configuration changed. */
static void reopen(void (*change)(struct api_config *config))
{
    struct api_config config = world_config(&w);

    world_end(&w);
    change(&config);
    world_open(&w, &config);
}

/* -- Facts ------------------------------------------------------------------------------------- */

static void answer_comes_with_etag_and_next_page(void **state)
{
    (void)state;
    ask(&asker, SOURCE_RUNS, SOURCE_DEMAND);
    assert_string_equal(fake_next()->url,
                        BASE "/repos/octo/hello/actions/runs?per_page=100&page=1");
    fake_answer(fake_next(), 200, "ETag: W/\"7\"\nLink: <" BASE "/x?page=2>; rel=\"next\"\n",
                "{\"a\":1}");
    assert_answer(&asker, "{\"a\":1}");
    assert_string_equal(asker.etag, "W/\"7\"");
    assert_int_equal(asker.next_page, 2);
}

static void known_answer_is_asked_for_with_its_etag(void **state)
{
    struct api_stats stats;

    (void)state;
    snprintf(asker.facts.etag, sizeof(asker.facts.etag), "W/\"7\"");
    ask_run(&asker);
    assert_string_equal(fake_asked(fake_next(), "If-None-Match"), "W/\"7\"");
    fake_answer(fake_next(), 304, "", "");
    assert_answer(&asker, "");
    assert_true(asker.not_modified);
    api_read_stats(w.api, &stats);
    assert_int_equal(stats.requests, 1);
    assert_int_equal(stats.outcomes[OUTCOME_NOT_MODIFIED], 1);
    assert_int_equal(stats.limit, -1);
}

static void unasked_304_is_garbage(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 304, "", "");
    assert_refused(&asker, -EPROTO, SOURCE_PROTOCOL, 5000);
}

static void etag_that_would_end_its_line_is_not_sent(void **state)
{
    (void)state;
    snprintf(asker.facts.etag, sizeof(asker.facts.etag), "x\r\nCookie: y");
    ask_run(&asker);
    assert_null(fake_asked(fake_next(), "If-None-Match"));
}

static void filter_that_no_url_has_is_no_question(void **state)
{
    (void)state;
    snprintf(asker.facts.filter, sizeof(asker.facts.filter), "branch=a b");
    ask(&asker, SOURCE_RUNS, SOURCE_DEMAND);
    assert_refused(&asker, -EINVAL, SOURCE_BROKEN, -1);
    assert_int_equal(fake.count, 0);
}

static void owner_is_asked_for_as_an_organization_and_then_as_a_user(void **state)
{
    (void)state;
    ask(&asker, SOURCE_OWNER_REPOS, SOURCE_DEMAND);
    assert_non_null(strstr(fake_next()->url, "/orgs/octo/repos?"));
    fake_answer(fake_next(), 404, "", "{}");
    assert_non_null(strstr(fake_next()->url, "/users/octo/repos?"));
    fake_answer(fake_next(), 200, "", "[]");
    assert_answer(&asker, "[]");
    ask(&asker, SOURCE_OWNER_REPOS, SOURCE_DEMAND);
    assert_non_null(strstr(fake_next()->url, "/users/octo/repos?"));
    fake_answer(fake_next(), 404, "", "{}");
    assert_refused(&asker, -ENOENT, SOURCE_NOT_FOUND, 30000);
    assert_int_equal(fake.count, 3);
}

/* -- Token ------------------------------------------------------------------------------------- */

static void r7_token_that_would_end_its_line_is_refused(void **state)
{
    struct api_config config = world_config(&w);
    struct api *api;

    (void)state;
    config.token = "x\r\nHost: y";
    assert_int_equal(api_create(&config, &api), -EINVAL);
}

static void bad_token_has_the_token_read_again_once(void **state)
{
    (void)state;
    ask_run(&asker);
    ask_run(&other);
    fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
    fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
    assert_int_equal(w.rereads, 1);
    assert_null(fake_next());
    api_set_token(w.api, "token-2");
    assert_string_equal(fake_asked(fake_next(), "Authorization"), "Bearer token-2");
    fake_answer(fake_next(), 200, "", "{}");
    assert_answer(&asker, "{}");
    fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
    assert_refused(&other, -EACCES, SOURCE_FORBIDDEN, 30000);
    assert_int_equal(w.rereads, 1);
}

static void same_token_is_not_tried_again(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 401, "", "");
    api_set_token(w.api, "token-1");
    fake_settle();
    assert_refused(&asker, -EACCES, SOURCE_FORBIDDEN, 30000);
    assert_int_equal(fake.count, 1);
}

/* The file is being written anew: empty for a moment, or no token at all. */
static void token_that_cannot_be_read_leaves_the_old_one(void **state)
{
    static const char *const read[] = {NULL, "no token"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ask_run(&asker);
        assert_string_equal(fake_asked(fake_next(), "Authorization"), "Bearer token-1");
        fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
        assert_int_equal(w.rereads, i + 1);
        api_set_token(w.api, read[i]);
        fake_settle();
        assert_refused(&asker, -EACCES, SOURCE_FORBIDDEN, 30000);
    }
    ask_run(&asker);
    fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
    assert_int_equal(w.rereads, 3);
    api_set_token(w.api, "token-2");
    assert_string_equal(fake_asked(fake_next(), "Authorization"), "Bearer token-2");
    fake_answer(fake_next(), 200, "", "{}");
    assert_answer(&asker, "{}");
}

/* Several were read before the network thread takes any: the last that could be read counts. */
static void tokens_set_in_a_row_are_taken_as_the_last_one(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
    api_set_token(w.api, "token-2");
    api_set_token(w.api, "token-3");
    api_set_token(w.api, NULL);
    assert_string_equal(fake_asked(fake_next(), "Authorization"), "Bearer token-3");
    fake_answer(fake_next(), 200, "", "{}");
    assert_answer(&asker, "{}");
    api_set_token(w.api, "token-4"); /* never taken: freed with the rest */
}

static void wait_for_the_token_is_bounded(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 401, "", "");
    fake_advance(10000);
    assert_refused(&asker, -EACCES, SOURCE_FORBIDDEN, 30000);
}

static void drop_token(struct api_config *config)
{
    config->token = NULL;
}

static void no_token_is_no_header(void **state)
{
    (void)state;
    reopen(drop_token);
    ask_run(&asker);
    assert_null(fake_asked(fake_next(), "Authorization"));
    fake_answer(fake_next(), 403, "", "{\"message\":\"Must have admin rights\"}");
    assert_refused(&asker, -EACCES, SOURCE_FORBIDDEN, 30000);
    assert_int_equal(w.rereads, 0);
}

/* -- Limits (R5) ------------------------------------------------------------------------------- */

static void r5_quota_that_returns_within_wait_is_waited_for(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 403, "Date: Fri, 15 Jan 2027 08:00:00 GMT\n" QUOTA(0, "1800000030"),
                "{\"message\":\"API rate limit exceeded\"}");
    assert_null(fake_next());
    assert_int_equal(asker.ends, 0);
    fake_answer(fake_next_within(WAIT_MS), 200, "", "{}");
    assert_answer(&asker, "{}");
    assert_in_range(fake.now_ms - start_ms, 30000, 32000);
}

static void r5_quota_that_returns_later_is_edquot_for_all(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 429, "Date: Fri, 15 Jan 2027 08:00:00 GMT\n" QUOTA(0, "1800001800"),
                "{\"message\":\"API rate limit exceeded\"}");
    assert_refused(&asker, -EDQUOT, SOURCE_LIMITED, 1801000);
    ask_run(&other);
    assert_refused(&other, -EDQUOT, SOURCE_LIMITED, 1801000);
    assert_int_equal(fake.count, 1);
}

static void r5_retry_after_holds_everything_back(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 403, "Retry-After: 20\n",
                "{\"message\":\"You have exceeded a secondary rate limit\"}");
    ask_run(&other);
    assert_null(fake_next());
    assert_non_null(fake_next_within(WAIT_MS));
    assert_in_range(fake.now_ms - start_ms, 20000, 22000);
}

/* -- What it waits for ------------------------------------------------------------------------- */

static void assert_waits(const struct asker *a, enum progress_cause cause, int64_t until_ms)
{
    int64_t noted_ms;

    assert_int_equal(progress_wait_get(a->facts.waits_for, &noted_ms), cause);
    assert_true(noted_ms == until_ms);
}

static void assert_delay(enum source_class class, enum progress_cause cause, int64_t from_now_ms)
{
    int64_t until_ms;

    assert_int_equal(api_get_delay(w.api, class, &until_ms), cause);
    assert_int_equal(until_ms - fake.now_ms, from_now_ms);
}

static void what_a_request_waits_for_is_noted(void **state)
{
    static struct progress_wait first, second;

    (void)state;
    asker.facts.waits_for = &first;
    other.facts.waits_for = &second;
    ask_run(&asker);
    assert_waits(&asker, PROGRESS_GITHUB, 0);
    fake_fail(fake_next(), -ECONNRESET);
    assert_int_equal(progress_wait_get(&first, &(int64_t){0}), PROGRESS_RETRY);
    assert_non_null(fake_next_within(WAIT_MS));
    assert_waits(&asker, PROGRESS_GITHUB, 0);
    fake_answer(fake_next(), 401, "", "{\"message\":\"Bad credentials\"}");
    assert_waits(&asker, PROGRESS_TOKEN, 0);
    api_set_token(w.api, "token-2");
    fake_settle();
    fake_answer(fake_next(), 403, "Date: Fri, 15 Jan 2027 08:00:00 GMT\n" QUOTA(0, "1800000030"),
                "{\"message\":\"API rate limit exceeded\"}");
    ask(&other, SOURCE_RUN, SOURCE_DEMAND);
    assert_waits(&asker, PROGRESS_DEMAND, 0);
    assert_waits(&other, PROGRESS_DEMAND, 0);
    assert_delay(SOURCE_DEMAND, PROGRESS_QUOTA, 31000);
    fake_answer(fake_next_within(WAIT_MS), 403, "Retry-After: 20\n",
                "{\"message\":\"You have exceeded a secondary rate limit\"}");
    assert_delay(SOURCE_DEMAND, PROGRESS_LIMIT, 21000);
    while (fake_next_within(WAIT_MS))
        fake_answer(fake_next(), 200, "", "{}");
    assert_answer(&asker, "{}");
    assert_answer(&other, "{}");
}

static void what_finds_no_free_connection_waits_for_one(void **state)
{
    static struct asker crowd[40];
    static struct progress_wait waits[40];

    (void)state;
    memset(crowd, 0, sizeof(crowd));
    for (size_t i = 0; i < 40; i++) {
        crowd[i].facts.id = i + 1;
        crowd[i].facts.waits_for = &waits[i];
        ask(&crowd[i], SOURCE_RUN, SOURCE_PREFETCH);
        assert_waits(&crowd[i], i < 32 ? PROGRESS_GITHUB : PROGRESS_PREFETCH, 0);
    }
    assert_delay(SOURCE_PREFETCH, PROGRESS_CONNECTION, -fake.now_ms);
    while (fake_next())
        fake_answer(fake_next(), 200, "", "{}");
}

/* -- The order --------------------------------------------------------------------------------- */

static void r5_no_more_are_sent_than_connections_and_the_rest_in_order(void **state)
{
    static struct asker crowd[40];

    (void)state;
    memset(crowd, 0, sizeof(crowd));
    for (size_t i = 0; i < 40; i++) {
        crowd[i].facts.id = i + 1;
        ask(&crowd[i], SOURCE_RUN, i < 30 ? SOURCE_PREFETCH : SOURCE_DEMAND);
    }
    assert_int_equal(fake.count, 32);
    /* Demand came last, and is next. */
    fake_answer(fake_next(), 200, "", "{}");
    assert_string_equal(list_entry(fake.sent.prev, struct net_request, link)->url,
                        BASE "/repos/octo/hello/actions/runs/33");
    while (fake_next())
        fake_answer(fake_next(), 200, "", "{}");
    for (size_t i = 0; i < 40; i++)
        assert_answer(&crowd[i], "{}");
}

static void r5_at_most_900_in_a_minute(void **state)
{
    static struct asker crowd[1000];
    int64_t start_ms = fake.now_ms;

    (void)state;
    memset(crowd, 0, sizeof(crowd));
    for (size_t i = 0; i < 1000; i++)
        ask_run(&crowd[i]);
    while (fake_next())
        fake_answer(fake_next(), 200, "", "{}");
    assert_int_equal(fake.count, 900);
    assert_null(fake_next_within(59999));
    while (fake_next_within(DEADLINE_MS))
        fake_answer(fake_next(), 200, "", "{}");
    for (size_t i = 0; i < 1000; i++)
        assert_answer(&crowd[i], "{}");
    assert_in_range(fake.now_ms - start_ms, 60000, 65000);
}

static void prefetch_that_may_not_go_fails_at_once(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 200, "Date: Fri, 15 Jan 2027 08:00:00 GMT\n" QUOTA(500, "1800001800"),
                "{}");
    ask(&other, SOURCE_RUN, SOURCE_PREFETCH);
    assert_refused(&other, -EDQUOT, SOURCE_LIMITED, -1);
    ask_run(&other);
    assert_non_null(fake_next());
}

/* -- Moves (S15, R7) --------------------------------------------------------------------------- */

static void s15_moved_repository_is_followed_with_the_token(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 301, "Location: " BASE "/repositories/7\n", "{}");
    assert_string_equal(fake_next()->url, BASE "/repositories/7");
    assert_string_equal(fake_asked(fake_next(), "Authorization"), "Bearer token-1");
    fake_answer(fake_next(), 307, "Location: /repositories/8\n", "{}");
    assert_string_equal(fake_next()->url, BASE "/repositories/8");
    fake_answer(fake_next(), 200, "", "{\"id\":8}");
    assert_answer(&asker, "{\"id\":8}");
}

static void s15_moves_without_end_are_garbage(void **state)
{
    (void)state;
    ask_run(&asker);
    for (int i = 0; i < 4; i++)
        fake_answer(fake_next(), 301, "Location: " BASE "/repositories/7\n", "{}");
    assert_refused(&asker, -EPROTO, SOURCE_PROTOCOL, 5000);
    assert_int_equal(fake.count, 4);
}

static void r7_token_does_not_follow_to_another_host(void **state)
{
    static const char *const to[] = {
        "https://evil.example.com/repositories/7",
        "http://api.example.com/repositories/7",
        "https://api.example.com:8443/x",
        "https://u@api.example.com/x",
        "//evil.example.com/x",
        "https://api.example.com@evil.example.com/",
    };
    char headers[256];

    (void)state;
    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        ask_run(&asker);
        snprintf(headers, sizeof(headers), "Location: %s\n", to[i]);
        fake_answer(fake_next(), 301, headers, "{}");
        assert_refused(&asker, -EPROTO, SOURCE_PROTOCOL, 5000);
        assert_null(fake_next());
    }
}

/* -- Retries (R1) ------------------------------------------------------------------------------ */

static void r1_trouble_of_the_api_is_not_noticed(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 502, "", "<html>");
    fake_fail(fake_next_within(10000), -EIO);
    fake_cut(fake_next_within(10000), 200, "", "{\"a\"", 4, -EIO);
    fake_answer(fake_next_within(10000), 200, "", "{\"a\":1}");
    assert_answer(&asker, "{\"a\":1}");
}

/* A caller that can do without the answer limits the number of requests. */
static void few_tries_are_made_of_what_is_not_worth_more_S18(void **state)
{
    (void)state;
    for (unsigned tries = 1; tries <= 4; tries++) {
        asker.facts.tries = tries;
        ask_run(&asker);
        for (unsigned i = 1; i < tries; i++) {
            fake_answer(fake_next_within(10000), 500, "", "{\"message\":\"no\"}");
            assert_int_equal(asker.ends, 0);
        }
        fake_answer(fake_next_within(10000), 500, "", "{\"message\":\"no\"}");
        assert_refused(&asker, -EIO, SOURCE_BROKEN, 1000);
    }
    ask_run(&asker);
    for (unsigned i = 1; i < 4; i++)
        fake_answer(fake_next_within(10000), 502, "", "");
    fake_answer(fake_next_within(10000), 200, "", "{\"a\":1}");
    assert_answer(&asker, "{\"a\":1}");
}

/* The message of a refusal is not the answer: the pauses grow, the deadline holds. */
static void r1_body_of_a_refusal_is_no_progress(void **state)
{
    unsigned tries = 0;

    (void)state;
    ask_run(&asker);
    while (!asker.ends && tries++ < 100)
        fake_answer(fake_next_within(20000), 502, "",
                    tries % 2 ? "<html>Unicorn!</html>" : "<html>Another!</html>");
    assert_refused(&asker, -EIO, SOURCE_BROKEN, 1000);
    assert_true(tries < 40);
}

/* -- Refusals that do not change --------------------------------------------------------------- */

#define NO_URL "{\"message\":\"Failed to generate URL to download logs\"}"

/* Answers everything so, until nothing more is asked; how many requests that were. */
static unsigned answer_all(int status, const char *headers, const char *body, int64_t within_ms)
{
    int64_t until_ms = fake.now_ms + within_ms;
    unsigned count = 0;
    struct net_request *q;

    while ((q = fake_next_within(until_ms - fake.now_ms))) {
        fake_answer(q, status, headers, body);
        count++;
    }
    return count;
}

static void same_refusal_four_times_ends_a_question_within_ten_seconds(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    ask_run(&asker);
    assert_int_equal(answer_all(500, "", NO_URL, 10000), 4);
    assert_refused(&asker, -EIO, SOURCE_REFUSED, -1);
    assert_in_range(asker.failure.until_ms - start_ms, 60000, 70000);
    assert_int_equal(fake.count, 4);
}

static void remembered_refusal_costs_nothing_and_then_one_request(void **state)
{
    static const int64_t minutes[] = {1, 2, 4, 8, 16, 30, 30};

    (void)state;
    ask_run(&asker);
    answer_all(502, "", "<html>Unicorn!</html>", 10000);
    for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
        fake.now_ms = asker.failure.until_ms - 1;
        ask_run(&asker);
        assert_refused(&asker, -EIO, SOURCE_REFUSED, 1);
        assert_int_equal(fake.count, 4 + i);
        fake.now_ms++;
        ask_run(&asker);
        fake_answer(fake_next(), 502, "", "<html>Unicorn!</html>");
        assert_refused(&asker, -EIO, SOURCE_REFUSED,
                       i + 1 < 7 ? minutes[i + 1] * 60000 : 30 * 60000);
    }
}

static void success_clears_a_refusal(void **state)
{
    (void)state;
    ask_run(&asker);
    answer_all(500, "", "no", 10000);
    fake.now_ms = asker.failure.until_ms;
    ask_run(&asker);
    fake_answer(fake_next(), 200, "", "{}");
    assert_answer(&asker, "{}");
    /* Now it takes four again, and a minute. */
    ask_run(&asker);
    for (int i = 0; i < 3; i++)
        fake_answer(fake_next_within(10000), 500, "", "no");
    assert_int_equal(asker.ends, 0);
    fake_answer(fake_next_within(10000), 500, "", "no");
    assert_refused(&asker, -EIO, SOURCE_REFUSED, 60000);
}

static void r1_refusals_that_ask_for_patience_are_waited_out(void **state)
{
    (void)state;
    ask_run(&asker);
    for (int i = 0; i < 7; i++)
        fake_answer(fake_next_within(20000), 503, "Retry-After: 2\n", "{\"message\":\"busy\"}");
    fake_answer(fake_next_within(20000), 200, "", "{}");
    assert_answer(&asker, "{}");
    /* But not for ever. */
    ask_run(&asker);
    assert_in_range(answer_all(503, "Retry-After: 2\n", "{\"message\":\"busy\"}", 60000), 8, 10);
    assert_refused(&asker, -EIO, SOURCE_REFUSED, -1);
}

static void r5_retry_of_a_refusal_needs_quota(void **state)
{
    (void)state;
    ask_run(&asker);
    fake_answer(fake_next(), 500, "Date: Fri, 15 Jan 2027 08:00:00 GMT\n" QUOTA(0, "1800001800"),
                NO_URL);
    fake_advance(1000);
    assert_refused(&asker, -EDQUOT, SOURCE_LIMITED, -1);
    assert_int_equal(fake.count, 1);
}

static void prefetch_does_not_try_a_refusal_again(void **state)
{
    (void)state;
    ask(&asker, SOURCE_RUN, SOURCE_PREFETCH);
    fake_answer(fake_next(), 500, "", NO_URL);
    assert_refused(&asker, -EIO, SOURCE_LIMITED, 0);
    /* That does not matter to a waiting reader. */
    ask_run(&asker);
    fake_answer(fake_next(), 500, "", NO_URL);
    fake_answer(fake_next_within(10000), 200, "", "{}");
    assert_answer(&asker, "{}");
}

static struct asker crowd[800];

static void ask_crowd(size_t n)
{
    memset(crowd, 0, sizeof(crowd));
    for (size_t i = 0; i < n; i++) {
        crowd[i].facts.id = i + 1;
        ask_run(&crowd[i]);
    }
}

/* At once: sixty of the refused may ask again, in that minute. */
static void eight_hundred_refusals_at_once_cost_sixty_retries_and_ten_seconds(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    ask_crowd(800);
    assert_in_range(answer_all(500, "", NO_URL, 10000), 800, 860);
    for (size_t i = 0; i < 800; i++)
        assert_refused(&crowd[i], -EIO, SOURCE_REFUSED, -1);
    assert_true(fake.now_ms - start_ms <= 10000);
}

/* One after the other: four of them prove the answer for the others. */
static void eight_hundred_refusals_in_a_row_take_minutes_and_little_quota(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    memset(crowd, 0, sizeof(crowd));
    for (size_t i = 0; i < 800; i++) {
        crowd[i].facts.id = i + 1;
        ask_run(&crowd[i]);
        while (!crowd[i].ends) {
            struct net_request *q = fake_next_within(10000);
            fake.now_ms += 200;
            fake_answer(q, 500, "", NO_URL);
        }
        assert_refused(&crowd[i], -EIO, SOURCE_REFUSED, -1);
    }
    assert_in_range(fake.count, 800, 900);
    assert_true(fake.now_ms - start_ms < 5 * 60000);
}

/* The bound is for what does not change: a retry that helped is not counted. */
static void r1_one_refusal_for_each_of_many_is_not_noticed(void **state)
{
    struct net_request *q;
    unsigned refused = 0;

    (void)state;
    ask_crowd(400);
    while ((q = fake_next_within(10000))) {
        if (refused++ < 400)
            fake_answer(q, 502, "", "<html>Unicorn!</html>");
        else
            fake_answer(q, 200, "", "{}");
    }
    for (size_t i = 0; i < 400; i++)
        assert_answer(&crowd[i], "{}");
}

static void closing_ends_who_waits_for_a_retry(void **state)
{
    (void)state;
    ask_crowd(200);
    for (int i = 0; i < 200; i++)
        fake_answer(fake_next(), 500, "", NO_URL);
    fake_advance(300);
    api_close(w.api);
    fake_settle();
    for (size_t i = 0; i < 200; i++)
        assert_refused(&crowd[i], -ECONNABORTED, SOURCE_CLOSING, -1);
}

static void r1_name_server_that_never_answers_is_timed_out(void **state)
{
    int64_t start_ms = fake.now_ms;
    unsigned tries = 0;

    (void)state;
    ask_run(&asker);
    while (asker.ends == 0 && tries < 100) {
        struct net_request *q = fake_next_within(DEADLINE_MS);
        fake.now_ms += 30000;
        fake_fail(q, -ETIMEDOUT);
        tries++;
    }
    assert_refused(&asker, -ETIMEDOUT, SOURCE_UNREACHABLE, 5000);
    assert_in_range(fake.now_ms - start_ms, DEADLINE_MS, DEADLINE_MS + 30000);
}

/* A question that may be put in another way is given up before the deadline. */
static void question_is_tried_as_often_as_its_owner_asks(void **state)
{
    (void)state;
    asker.facts.tries = 2;
    ask(&asker, SOURCE_RUNS, SOURCE_DEMAND);
    fake_answer(fake_next(), 502, "", "<html>");
    assert_int_equal(asker.ends, 0);
    fake_fail(fake_next_within(10000), -EIO);
    assert_refused(&asker, -EIO, SOURCE_BROKEN, 1000);
    assert_null(fake_next_within(DEADLINE_MS));
    ask(&asker, SOURCE_RUNS, SOURCE_DEMAND);
    fake_answer(fake_next(), 504, "", "<html>");
    fake_answer(fake_next_within(10000), 200, "", "{}");
    assert_answer(&asker, "{}");
}

/* A request without an answer in time counts against the host only if no other got one. */
static void silence_ends_a_question_with_few_tries_and_not_the_host(void **state)
{
    (void)state;
    asker.facts.tries = 5;
    asker.facts.waits = 2;
    ask(&asker, SOURCE_RUNS, SOURCE_DEMAND);
    fake.now_ms += 30000;
    fake_fail(fake_next(), -ETIMEDOUT);
    assert_int_equal(asker.ends, 0);
    fake_next_within(1000);
    fake.now_ms += 30000;
    fake_fail(fake_next(), -ETIMEDOUT);
    assert_refused(&asker, -ETIMEDOUT, SOURCE_UNREACHABLE, 5000);
    asker.facts.waits = 1;
    ask(&asker, SOURCE_RUNS, SOURCE_DEMAND); /* the host is not down for it */
    ask_run(&other);
    fake.now_ms += 30000;
    fake_answer(fake_last(), 200, "", "{}");
    fake_fail(fake_next(), -ETIMEDOUT);
    assert_answer(&other, "{}");
    assert_refused(&asker, -ETIMEDOUT, SOURCE_BROKEN, 5000);
}

/* Law 7. Of many that have come half one always comes to its end, and each in its turn. */
static void r8_unread_answers_are_bounded_in_bytes(void **state)
{
    const size_t len = 15u << 20;
    static struct asker few[8];
    struct net_request *sent[8];
    char *body = malloc(len);
    int err;

    (void)state;
    assert_non_null(body);
    memset(body, ' ', len);
    memset(few, 0, sizeof(few));
    for (size_t i = 0; i < 8; i++) {
        few[i].keeps = true;
        ask_run(&few[i]);
        sent[i] = fake_last();
    }
    /* Two have the space there is, one more may go beyond it. */
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(fake_begin(sent[i], 200, "", body, len, &err), i > 2);
        assert_int_equal(err, 0);
    }
    for (size_t done = 0; done < 8; done++) {
        assert_int_equal(few[done].ends, 0);
        fake.is_resumed = false;
        fake_end(sent[done], 0);
        assert_int_equal(few[done].ends, 1);
        w.source.ops->facts_release(w.source.self, &few[done].facts);
        if (done + 3 >= 8)
            continue;
        assert_true(fake.is_resumed);
        assert_int_equal(sent[done + 3]->on_body(sent[done + 3], body, len), NET_TAKEN);
        if (done + 4 < 8)
            assert_int_equal(sent[done + 4]->on_body(sent[done + 4], body, len), NET_PAUSE);
    }
    free(body);
}

/* What rests before its next try, waits or has failed keeps nothing of an answer. */
static void r8_questions_that_wait_hold_no_answers(void **state)
{
    const size_t len = 15u << 20;
    char *body = malloc(len);

    (void)state;
    assert_non_null(body);
    memset(body, ' ', len);
    memset(crowd, 0, sizeof(crowd));
    for (size_t i = 0; i < 20; i++) {
        ask_run(&crowd[i]);
        fake_cut(fake_last(), i % 2 ? 200 : 502, "", body, len, -EIO);
        assert_int_equal(crowd[i].ends, 0);
    }
    free(body);
}

static void silence_of_a_host_that_was_heard_is_not_that_of_others(void **state)
{
    (void)state;
    for (int is_heard = 0; is_heard < 2; is_heard++) {
        fake.was_heard = is_heard;
        ask_run(&asker);
        while (!asker.ends) {
            struct net_request *q = fake_next_within(DEADLINE_MS);
            fake.now_ms += 30000;
            fake_fail(q, -ETIMEDOUT);
        }
        assert_refused(&asker, -ETIMEDOUT, SOURCE_UNREACHABLE, 5000);
        ask_run(&other);
        assert_int_equal(fake_next() != NULL, is_heard);
        if (is_heard)
            fake_answer(fake_next(), 200, "", "{}");
        assert_int_equal(other.failure.err, is_heard ? 0 : -ETIMEDOUT);
        fake_advance(5000);
    }
}

static void body_over_the_bound_is_reported_as_such(void **state)
{
    (void)state;
    ask_run(&asker);
    assert_int_equal(fake_next()->body_max, 16 << 20);
    fake_cut(fake_next(), 200, "", "{", 1, -EFBIG);
    assert_refused(&asker, -EPROTO, SOURCE_OVERSIZE, 5000);
}

/* -- Nothing is asked -------------------------------------------------------------------------- */

static void go_offline(struct api_config *config)
{
    config->offline = true;
}

static void offline_sends_no_request(void **state)
{
    struct reader r;

    (void)state;
    reopen(go_offline);
    ask_run(&asker);
    assert_refused(&asker, -EHOSTUNREACH, SOURCE_OFFLINE, -1);
    reader_open(&r, &w, false);
    reader_want(&r, 0, 10, SOURCE_DEMAND);
    assert_failed(&r, -EHOSTUNREACH, SOURCE_OFFLINE, -1);
    reader_close(&r);
    assert_int_equal(fake.count, 0);
}

static void closing_ends_questions_in_every_state(void **state)
{
    static struct asker waits, rests, token;

    (void)state;
    memset(&waits, 0, sizeof(waits));
    memset(&rests, 0, sizeof(rests));
    memset(&token, 0, sizeof(token));
    ask_run(&rests);
    fake_answer(fake_next(), 500, "", "");
    ask_run(&token);
    fake_answer(fake_next(), 401, "", "");
    ask_run(&asker);
    ask_run(&other);
    fake_answer(fake_last(), 403, "Retry-After: 20\n", "");
    ask_run(&waits);
    api_close(w.api);
    fake_settle();
    assert_refused(&rests, -ECONNABORTED, SOURCE_CLOSING, -1);
    assert_refused(&token, -ECONNABORTED, SOURCE_CLOSING, -1);
    assert_refused(&asker, -ECONNABORTED, SOURCE_CLOSING, -1);
    assert_refused(&other, -ECONNABORTED, SOURCE_CLOSING, -1);
    assert_refused(&waits, -ECONNABORTED, SOURCE_CLOSING, -1);
    api_set_token(w.api, "token-2");
    fake_settle();
    assert_null(fake_next());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answer_comes_with_etag_and_next_page),
        TEST(known_answer_is_asked_for_with_its_etag),
        TEST(unasked_304_is_garbage),
        TEST(etag_that_would_end_its_line_is_not_sent),
        TEST(filter_that_no_url_has_is_no_question),
        TEST(owner_is_asked_for_as_an_organization_and_then_as_a_user),
        TEST(r7_token_that_would_end_its_line_is_refused),
        TEST(bad_token_has_the_token_read_again_once),
        TEST(same_token_is_not_tried_again),
        TEST(token_that_cannot_be_read_leaves_the_old_one),
        TEST(tokens_set_in_a_row_are_taken_as_the_last_one),
        TEST(wait_for_the_token_is_bounded),
        TEST(no_token_is_no_header),
        TEST(r5_quota_that_returns_within_wait_is_waited_for),
        TEST(r5_quota_that_returns_later_is_edquot_for_all),
        TEST(r5_retry_after_holds_everything_back),
        TEST(what_a_request_waits_for_is_noted),
        TEST(what_finds_no_free_connection_waits_for_one),
        TEST(r5_no_more_are_sent_than_connections_and_the_rest_in_order),
        TEST(r5_at_most_900_in_a_minute),
        TEST(prefetch_that_may_not_go_fails_at_once),
        TEST(s15_moved_repository_is_followed_with_the_token),
        TEST(s15_moves_without_end_are_garbage),
        TEST(r7_token_does_not_follow_to_another_host),
        TEST(r1_trouble_of_the_api_is_not_noticed),
        TEST(few_tries_are_made_of_what_is_not_worth_more_S18),
        TEST(r1_body_of_a_refusal_is_no_progress),
        TEST(same_refusal_four_times_ends_a_question_within_ten_seconds),
        TEST(remembered_refusal_costs_nothing_and_then_one_request),
        TEST(success_clears_a_refusal),
        TEST(r1_refusals_that_ask_for_patience_are_waited_out),
        TEST(r5_retry_of_a_refusal_needs_quota),
        TEST(prefetch_does_not_try_a_refusal_again),
        TEST(eight_hundred_refusals_at_once_cost_sixty_retries_and_ten_seconds),
        TEST(eight_hundred_refusals_in_a_row_take_minutes_and_little_quota),
        TEST(r1_one_refusal_for_each_of_many_is_not_noticed),
        TEST(closing_ends_who_waits_for_a_retry),
        TEST(r1_name_server_that_never_answers_is_timed_out),
        TEST(question_is_tried_as_often_as_its_owner_asks),
        TEST(silence_ends_a_question_with_few_tries_and_not_the_host),
        TEST(r8_unread_answers_are_bounded_in_bytes),
        TEST(r8_questions_that_wait_hold_no_answers),
        TEST(body_over_the_bound_is_reported_as_such),
        TEST(silence_of_a_host_that_was_heard_is_not_that_of_others),
        TEST(offline_sends_no_request),
        TEST(closing_ends_questions_in_every_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
