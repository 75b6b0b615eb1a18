/*
 * fake_reader.h - those who want logs and facts, for the tests of github over fake_net.h.
 */
#ifndef TESTS_UNIT_GITHUB_FAKE_READER_H
#define TESTS_UNIT_GITHUB_FAKE_READER_H

#include "fake_net.h"

#include "github/api.h"

#include <inttypes.h>
#include <stdlib.h>

#define BASE "https://api.example.com"
#define JOB_URL BASE "/repos/octo/hello/actions/jobs/42"
#define STORE "https://store1.example.net/log.txt?sig=secret"
#define WAIT_MS 60000
#define DEADLINE_MS 120000

static const struct repo_name octo_hello = {"octo", "hello"};

/* One api, and how often it has called back. */
struct world {
    struct api *api;
    struct source source;
    unsigned rereads, learnt;
};

static inline void world_learn(void *who, const struct repo_name *repo, uint64_t job,
                               const char *body, size_t len)
{
    struct world *w = who;

    assert_string_equal(repo->repo, "hello");
    assert_int_equal(job, 42);
    assert_true(len > 0 && body[0] == '{');
    w->learnt++;
}

static inline void world_reread(void *who)
{
    ((struct world *)who)->rereads++;
}

static inline struct api_config world_config(struct world *w)
{
    return (struct api_config){
        .base = BASE,
        .token = "token-1",
        .listener = {w, world_learn},
        .reread_token = world_reread,
        .who = w,
        .deadline_ms = DEADLINE_MS,
        .wait_ms = WAIT_MS,
        .reserve = 500,
        .connections = 32,
    };
}

static inline void world_open(struct world *w, const struct api_config *config)
{
    fake_reset();
    assert_int_equal(api_create(config, &w->api), 0);
    w->source = api_source(w->api);
}

static inline void world_begin(struct world *w)
{
    struct api_config config = world_config(w);

    *w = (struct world){.rereads = 0};
    world_open(w, &config);
}

/* Nothing may be left over. */
static inline void world_end(struct world *w)
{
    api_close(w->api);
    fake_settle();
    assert_true(list_is_empty(&fake.sent));
    api_destroy(w->api);
}

/* Somebody who reads one log. */
struct reader {
    struct world *world;
    struct source_log *log;
    struct source_bytes want;
    struct source_metadata metadata;
    unsigned reports, ends, checks;
    int refuse; /* what on_metadata() answers */
    struct source_failure failure, check_failure;
    char data[256];
    uint64_t at; /* where the next byte must be */
    size_t len;
    bool is_full, is_released;
    struct progress_wait waits_for;
};

static inline int reader_on_metadata(void *who, const struct source_metadata *metadata)
{
    struct reader *r = who;

    assert_int_equal(r->ends, 0);
    if (r->metadata.final) /* called again only where there is news */
        assert_true(metadata->final &&
                    (metadata->size != r->metadata.size || metadata->proven != r->metadata.proven));
    r->metadata = *metadata;
    r->reports++;
    return r->refuse;
}

static inline int reader_take(struct source_bytes *b, uint64_t offset, const void *data, size_t len)
{
    struct reader *r = list_entry(b, struct reader, want);

    if (r->is_full)
        return SOURCE_FULL;
    assert_int_equal(offset, r->at);
    assert_true(r->len + len <= sizeof(r->data));
    memcpy(r->data + r->len, data, len);
    r->len += len;
    r->at += len;
    return SOURCE_TAKEN;
}

static inline void reader_done(struct source_bytes *b, const struct source_failure *failure)
{
    struct reader *r = list_entry(b, struct reader, want);

    assert_true(failure || r->reports > 0);
    r->failure = failure ? *failure : (struct source_failure){0};
    r->ends++;
}

static inline void reader_checked(void *who, const struct source_failure *failure)
{
    struct reader *r = who;

    r->check_failure = failure ? *failure : (struct source_failure){0};
    r->checks++;
}

static inline void reader_released(void *who)
{
    ((struct reader *)who)->is_released = true;
}

/* Opens the log of job 42. */
static inline void reader_open(struct reader *r, struct world *w, bool completed)
{
    static const struct source_log_ops ops = {.on_metadata = reader_on_metadata};

    *r = (struct reader){.world = w};
    r->log = w->source.ops->log_create(w->source.self, &octo_hello, 42, completed, &ops, r,
                                       &r->waits_for);
    assert_non_null(r->log);
}

static inline void reader_want(struct reader *r, uint64_t from, uint64_t to,
                               enum source_class class)
{
    r->want = (struct source_bytes){
        .log = r->log,
        .from = from,
        .to = to,
        .class = class,
        .bytes = reader_take,
        .done = reader_done,
    };
    r->at = from;
    r->len = 0;
    r->ends = 0;
    r->world->source.ops->want_bytes(r->world->source.self, &r->want);
    fake_settle();
}

static inline void reader_check(struct reader *r)
{
    r->checks = 0;
    r->ends = 0;
    r->world->source.ops->log_check(r->log, false, reader_checked);
    fake_settle();
}

static inline void reader_close(struct reader *r)
{
    r->world->source.ops->log_release(r->log, reader_released);
    fake_settle();
    assert_true(r->is_released);
}

static inline void assert_read(const struct reader *r, const char *text)
{
    assert_int_equal(r->ends, 1);
    assert_int_equal(r->failure.err, 0);
    assert_int_equal(r->len, strlen(text));
    assert_memory_equal(r->data, text, r->len);
}

static inline void assert_failed(const struct reader *r, int err, enum source_reason reason,
                                 int64_t lasts_ms)
{
    assert_int_equal(r->ends, 1);
    assert_int_equal(r->failure.err, err);
    assert_int_equal(r->failure.reason, reason);
    if (lasts_ms >= 0)
        assert_int_equal(r->failure.until_ms - fake.now_ms, lasts_ms);
}

/* The API's answer to the question for the log. */
static inline void give_url(struct net_request *r)
{
    assert_non_null(r);
    assert_string_equal(r->url, JOB_URL "/logs");
    fake_answer(r, 302, "Location: " STORE "\n", "");
}

static inline void give_job(struct net_request *r, const char *status, const char *completed_at)
{
    char body[256];

    assert_non_null(r);
    assert_string_equal(r->url, JOB_URL);
    snprintf(body, sizeof(body), "{\"id\":42,\"status\":\"%s\",\"completed_at\":%s}", status,
             completed_at);
    fake_answer(r, 200, "ETag: W/\"job\"\n", body);
}

/* Asserts the hop and the range, too. */
static inline struct net_request *at_storage(struct net_request *r, const char *range)
{
    assert_non_null(r);
    assert_string_equal(r->url, STORE);
    assert_string_equal(fake_asked(r, "Range"), range);
    return r;
}

#define BLOCK "x-ms-blob-type: BlockBlob\nETag: \"e1\"\n"
#define APPEND "x-ms-blob-type: AppendBlob\nETag: \"e1\"\n"
#define SEALED APPEND "x-ms-blob-sealed: true\n"
#define FIRST "bytes=0-1048575"

#endif
