/*
 * The shared store as a source (T1, T2, T5): what is handed over comes in order, checked, and once;
 * what the store cannot give goes on behind it.
 */
#include "shared/shared.h"

#include "fake_source.h"
#include "net/http_server.h"
#include "net/net.h"
#include "store/meta.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define HOST "api.test"
#define JOB 42
#define SIZE (UINT64_C(3) * 1024 * 1024 + 12345)
#define PATIENCE_S 30

/* What the server has of JOB; shared with its threads, and constant while it runs. */
static struct {
    uint64_t size;       /* of the log; 0: there is none */
    uint64_t damaged_at; /* a byte that is another one; UINT64_MAX: none */
    void *meta;
    size_t meta_len;
    bool is_silent;      /* it never answers */
    uint64_t fails_from; /* ranges from there on are refused; 0: none is */
} object;

struct fixture {
    struct http_server *server;
    struct net *net;
    struct fake_source behind;
    struct shared_location location;
    struct shared *shared;
    struct source source;
    enum shared_proof proof;
};

/* One range as the cache would want it. */
struct want {
    struct source_bytes b;
    struct fixture *f;
    struct source_metadata metadata;
    int metadata_answer;
    unsigned told;
    char *data;
    uint64_t next; /* the byte that must come next */
    _Atomic uint64_t
        full_at; /* no space for what lies behind it until it is resumed; 0: there is */
    bool is_released_when_done, is_released;
    uint64_t unwanted_at; /* nothing is wanted behind it; 0: all is */
    sem_t full, done;
    struct source_failure failure;
    struct progress_wait waits_for;
};

static const struct repo_name repo = {"octo", "repo"};

/* -- The server -------------------------------------------------------------------------------- */

static void send_log(struct http_conn *c)
{
    const char *range = strcasestr(c->request, "\r\nRange: bytes=");
    uint64_t from = 0, last = 0;
    char *data;

    assert_non_null(range);
    assert_int_equal(sscanf(range + 15, "%" SCNu64 "-%" SCNu64, &from, &last), 2);
    if (object.fails_from && from >= object.fails_from) {
        static const char text[20000];
        http_say(c, "HTTP/1.1 503 Busy\r\nContent-Length: %zu\r\n\r\n", sizeof(text));
        http_send(c, text, sizeof(text));
        return;
    }
    last = last < object.size ? last : object.size - 1;
    data = malloc(last + 1 - from);
    fake_fill(JOB, from, data, last + 1 - from);
    if (object.damaged_at >= from && object.damaged_at <= last)
        data[object.damaged_at - from] ^= 1;
    http_say(c,
             "HTTP/1.1 206 Partial\r\nContent-Length: %" PRIu64 "\r\nContent-Range: bytes %" PRIu64
             "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
             last + 1 - from, from, last, object.size);
    http_send(c, data, last + 1 - from);
    free(data);
}

static bool answer(struct http_conn *c)
{
    if (object.is_silent) {
        http_hold(c);
        return false;
    }
    if (!object.size) {
        http_say(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(c->path, "/logs/v1/" HOST "/octo/repo/42.meta") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", object.meta_len);
        http_send(c, object.meta, object.meta_len);
    } else {
        assert_string_equal(c->path, "/logs/v1/" HOST "/octo/repo/42");
        send_log(c);
    }
    return true;
}

static void store_object(uint64_t size)
{
    struct store_meta meta = {.size = size, .mtime_ms = 1700000000000, .final = true};
    char page[STORE_PAGE_SIZE];

    memset(&object, 0, sizeof(object));
    object.size = size;
    object.damaged_at = UINT64_MAX;
    meta.checksums = calloc(store_page_count(size) + 1, sizeof(*meta.checksums));
    for (uint64_t i = 0; i < store_page_count(size); i++) {
        uint64_t at = i * STORE_PAGE_SIZE;
        size_t len = size - at < STORE_PAGE_SIZE ? (size_t)(size - at) : STORE_PAGE_SIZE;
        fake_fill(JOB, at, page, len);
        meta.checksums[i] = store_page_checksum(page, len);
    }
    assert_int_equal(meta_encode(&meta, HOST, JOB, &object.meta, &object.meta_len), 0);
    free(meta.checksums);
}

/* -- The fixture ------------------------------------------------------------------------------- */

static enum shared_proof get_proof(void *who, const struct repo_name *name, uint64_t job)
{
    (void)name;
    assert_int_equal(job, JOB);
    return ((struct fixture *)who)->proof;
}

static void job_learnt(void *who, const struct repo_name *name, uint64_t job, const char *body,
                       size_t len)
{
    (void)who, (void)name, (void)job, (void)body, (void)len;
}

static int setup_with(void **state, unsigned connections)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct net_config net = {.connections = connections,
                             .timeout_s = SHARED_TIMEOUT_S,
                             .connect_ms = SHARED_CONNECT_MS,
                             .user_agent = "test",
                             .allow_http = true};
    const struct shared_credentials nobody = {.user = ""};
    struct shared_config config = {.connections = connections,
                                   .host = HOST,
                                   .has_token = true,
                                   .get_proof = get_proof,
                                   .job_learnt = job_learnt};
    char where[64];
    const char *reason;

    store_object(SIZE);
    f->proof = SHARED_PROVEN;
    f->server = http_server_start(answer);
    fake_source_init(&f->behind);
    snprintf(where, sizeof(where), "http://127.0.0.1:%u/logs", http_server_port(f->server));
    assert_int_equal(shared_location_parse(where, &f->location, &reason), 0);
    assert_int_equal(net_create(&net, &f->net), 0);
    config.behind = f->behind.source;
    config.net = f->net;
    config.location = &f->location;
    config.who = f;
    assert_int_equal(shared_create(&config, &nobody, &f->shared), 0);
    f->source = shared_source(f->shared);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 8);
}

static int setup_narrow(void **state)
{
    return setup_with(state, 2);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    shared_stop(f->shared);
    fake_turn(&f->behind);
    shared_destroy(f->shared);
    net_destroy(f->net);
    http_server_stop(f->server);
    fake_source_finish(&f->behind);
    free(object.meta);
    free(f);
    return 0;
}

/* -- Wants ------------------------------------------------------------------------------------- */

static int on_metadata(void *who, const struct source_metadata *metadata)
{
    struct want *w = who;

    w->told++;
    w->metadata = *metadata;
    return w->metadata_answer;
}

static const struct source_log_ops ops = {.on_metadata = on_metadata};

static int on_bytes(struct source_bytes *b, uint64_t offset, const void *data, size_t len)
{
    struct want *w = list_entry(b, struct want, b);

    assert_int_equal(offset, w->next);
    assert_true(offset + len <= b->to);
    if (w->unwanted_at && offset >= w->unwanted_at)
        return -ENOSPC;
    if (w->full_at && offset >= w->full_at) {
        sem_post(&w->full);
        return SOURCE_FULL;
    }
    memcpy(w->data + (offset - b->from), data, len);
    w->next += len;
    return SOURCE_TAKEN;
}

static void on_early_release(void *who)
{
    ((struct want *)who)->is_released = true;
}

static void on_done(struct source_bytes *b, const struct source_failure *failure)
{
    struct want *w = list_entry(b, struct want, b);

    if (failure)
        w->failure = *failure;
    if (w->is_released_when_done)
        w->f->source.ops->log_release(b->log, on_early_release);
    sem_post(&w->done);
}

/* The log is the caller's, to be released with release(). */
static struct want *want_new(struct fixture *f, struct source_log *log, uint64_t from, uint64_t to)
{
    struct want *w = calloc(1, sizeof(*w));

    sem_init(&w->full, 0, 0);
    sem_init(&w->done, 0, 0);
    w->f = f;
    w->data = malloc(to - from + 1);
    w->next = from;
    w->b = (struct source_bytes){.from = from, .to = to, .bytes = on_bytes, .done = on_done};
    w->b.log = log ? log
                   : f->source.ops->log_create(f->source.self, &repo, JOB, true, &ops, w,
                                               &w->waits_for);
    assert_non_null(w->b.log);
    return w;
}

static void send_want(struct fixture *f, struct want *w)
{
    f->source.ops->want_bytes(f->source.self, &w->b);
}

static void wait_for(sem_t *what)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    assert_int_equal(sem_timedwait(what, &until), 0);
}

/* Its bytes have come, to its end or the log's, and are right. */
static void assert_right(struct want *w)
{
    uint64_t end = w->b.to < SIZE ? w->b.to : SIZE;

    assert_int_equal(w->failure.err, 0);
    assert_int_equal(w->next, end);
    assert_true(fake_holds(JOB, w->b.from, w->data, end - w->b.from));
}

static void on_released(void *who)
{
    sem_post(&((struct want *)who)->done);
}

/* Frees the want, and the log where this is its last one. */
static void want_free(struct want *w)
{
    sem_destroy(&w->full);
    sem_destroy(&w->done);
    free(w->data);
    free(w);
}

/* Releases a log that is behind, whose `who` is this want. */
static void release(struct fixture *f, struct source_log *log, struct want *w)
{
    f->source.ops->log_release(log, on_released);
    pthread_mutex_lock(&f->behind.lock);
    while (list_is_empty(&f->behind.logs) ||
           !list_entry(f->behind.logs.next, struct source_log, link)->is_released)
        fake_wait_a_while(&f->behind);
    pthread_mutex_unlock(&f->behind.lock);
    fake_turn(&f->behind);
    wait_for(&w->done);
}

/* -- Tests ------------------------------------------------------------------------------------- */

static void a_log_comes_from_the_store_and_nothing_from_behind(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, SIZE);
    struct source_log *log = w->b.log;

    send_want(f, w);
    wait_for(&w->done);
    assert_right(w);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->metadata.size, SIZE);
    assert_true(w->metadata.final && w->metadata.is_copy);
    assert_false(w->metadata.proven || w->metadata.whole);
    assert_int_equal(w->metadata.last_modified_ms, 1700000000000);
    assert_int_equal(f->behind.logs_created, 0);
    assert_int_equal(f->behind.facts_wanted, 0);
    assert_int_equal(shared_find(f->shared, JOB), SHARED_HAS);
    assert_int_equal(progress_wait_get(&w->waits_for, &(int64_t){0}), PROGRESS_SHARED);
    f->source.ops->log_release(log, NULL);
    want_free(w);
}

/* S3: nothing is lost or comes twice, wherever there was no space. */
static void bytes_wait_where_there_is_no_space(void **state)
{
    static const uint64_t places[] = {1, 65536, 65537, 200000, 1048576, 3145728};
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, SIZE);
    struct source_log *log = w->b.log;

    w->full_at = places[0];
    send_want(f, w);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        bool is_last = i + 1 == sizeof(places) / sizeof(places[0]);
        wait_for(&w->full);
        w->full_at = is_last ? 0 : places[i + 1];
        f->source.ops->resume(f->source.self);
    }
    wait_for(&w->done);
    assert_right(w);
    f->source.ops->log_release(log, NULL);
    want_free(w);
}

static void ranges_need_not_begin_or_end_with_a_page(void **state)
{
    static const uint64_t ends[][2] = {{0, 1},          {65535, 65537},
                                       {70000, 200001}, {131072, 131073},
                                       {1, SIZE - 1},   {SIZE - 5, SIZE + 1000000}};
    struct fixture *f = *state;
    struct want *wants[6];
    struct source_log *log = NULL;

    for (size_t i = 0; i < 6; i++) {
        wants[i] = want_new(f, log, ends[i][0], ends[i][1]);
        log = wants[i]->b.log;
        send_want(f, wants[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        wait_for(&wants[i]->done);
        assert_right(wants[i]);
    }
    assert_int_equal(wants[0]->told, 1);
    f->source.ops->log_release(log, NULL);
    for (size_t i = 0; i < 6; i++)
        want_free(wants[i]);
}

/* T5: the pages before it were right; the rest comes from behind, and so does all that follows. */
static void a_damaged_page_and_all_after_it_come_from_behind(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, SIZE), *later;
    struct source_log *log = w->b.log;
    struct fake_want *given;

    object.damaged_at = 5 * STORE_PAGE_SIZE + 77;
    fake_add(&f->behind, JOB, SIZE);
    send_want(f, w);
    given = fake_take_want(&f->behind);
    assert_int_equal(given->b->from, 5 * STORE_PAGE_SIZE);
    assert_int_equal(w->next, 5 * STORE_PAGE_SIZE);
    fake_serve(given);
    wait_for(&w->done);
    assert_right(w);
    assert_int_equal(w->told, 2);

    later = want_new(f, log, 65536, 131072);
    send_want(f, later);
    fake_serve(fake_take_want(&f->behind));
    wait_for(&later->done);
    assert_right(later);
    want_free(later);
    release(f, log, w);
    want_free(w);
}

/* One of several ranges fails while others are under way and still others wait for a connection:
 * all of them go on behind, once each. */
static void ranges_that_wait_for_a_connection_fail_with_the_server(void **state)
{
    struct fixture *f = *state;
    struct want *wants[6];
    struct source_log *log = NULL;

    object.fails_from = 1048576;
    fake_add(&f->behind, JOB, SIZE);
    for (uint64_t i = 0; i < 6; i++) {
        uint64_t from = i ? 1048576 + i * 131072 : 0;
        wants[i] = want_new(f, log, from, from + 131072);
        wants[i]->full_at = i ? 0 : 65536; /* the first one keeps its connection */
        log = wants[i]->b.log;
        send_want(f, wants[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        struct fake_want *given = fake_take_want(&f->behind);
        wants[0]->full_at = 0;
        fake_serve(given);
    }
    for (size_t i = 0; i < 6; i++) {
        wait_for(&wants[i]->done);
        assert_right(wants[i]);
    }
    assert_int_equal(f->behind.logs_created, 1);
    release(f, log, wants[0]);
    for (size_t i = 0; i < 6; i++)
        want_free(wants[i]);
}

/* The error's text is longer than what was asked for. */
static void a_refusal_is_not_taken_for_a_wrong_object(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, 65536), *last;
    struct source_log *log = w->b.log;
    struct shared_stats stats;

    object.fails_from = 1048576;
    send_want(f, w);
    wait_for(&w->done);
    fake_add(&f->behind, JOB, SIZE);
    last = want_new(f, log, SIZE - 5, SIZE);
    send_want(f, last);
    fake_serve(fake_take_want(&f->behind));
    wait_for(&last->done);
    assert_right(last);
    shared_get_stats(f->shared, &stats);
    assert_string_equal(stats.state, "resting");
    assert_int_equal(stats.errors, 1);
    assert_int_equal(stats.wrong, 0);
    want_free(last);
    release(f, log, w);
    want_free(w);
}

static void the_rest_from_a_server_without_ranges_ends_where_it_was_wanted(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, 1048576);
    struct source_log *log = w->b.log;
    struct fake_want *given;

    object.damaged_at = 3 * STORE_PAGE_SIZE;
    fake_add(&f->behind, JOB, SIZE)->has_no_range = true;
    send_want(f, w);
    given = fake_take_want(&f->behind);
    assert_int_equal(fake_tell(given), 0);
    fake_give(given, SIZE);
    fake_done(given);
    wait_for(&w->done);
    assert_right(w);
    release(f, log, w);
    want_free(w);
}

static void what_the_reader_does_not_want_any_more_ends(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, SIZE);
    struct source_log *log = w->b.log;
    struct shared_stats stats;

    w->unwanted_at = 131072;
    send_want(f, w);
    wait_for(&w->done);
    assert_int_equal(w->failure.err, -ENOSPC);
    assert_int_equal(w->next, 131072);
    shared_get_stats(f->shared, &stats);
    assert_string_equal(stats.state, "up");
    assert_int_equal(stats.errors + stats.wrong, 0);
    f->source.ops->log_release(log, NULL);
    want_free(w);
}

static void a_size_that_contradicts_what_is_known_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, 1048576);
    struct source_log *log = w->b.log;
    struct fake_want *given;

    w->metadata_answer = -ESTALE;
    fake_add(&f->behind, JOB, SIZE);
    send_want(f, w);
    given = fake_take_want(&f->behind);
    assert_int_equal(given->b->from, 0);
    w->metadata_answer = 0;
    fake_serve(given);
    wait_for(&w->done);
    assert_right(w);
    release(f, log, w);
    want_free(w);
}

static void what_the_store_lacks_comes_from_behind_and_is_remembered(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, 1048576);
    struct source_log *log = w->b.log;

    object.size = 0;
    fake_add(&f->behind, JOB, SIZE);
    assert_int_equal(shared_find(f->shared, JOB), SHARED_MAY_HAVE);
    send_want(f, w);
    fake_serve(fake_take_want(&f->behind));
    wait_for(&w->done);
    assert_right(w);
    assert_int_equal(shared_find(f->shared, JOB), SHARED_LACKS);
    assert_int_equal(shared_find(f->shared, JOB + 1), SHARED_MAY_HAVE);
    release(f, log, w);
    want_free(w);
}

/* T3: GitHub has answered 410 before, so the store is the only one that is asked for bytes. */
static void a_log_that_github_has_no_more_comes_from_the_store_or_not_at_all(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        struct want *w = want_new(f, NULL, 0, 1048576);
        struct source_log *log = w->b.log;
        object.size = i ? 0 : SIZE;
        w->b.is_gone = true;
        send_want(f, w);
        wait_for(&w->done);
        if (!i)
            assert_right(w);
        assert_int_equal(w->failure.err, i ? -ENOENT : 0);
        assert_int_equal(w->failure.reason, i ? SOURCE_EXPIRED : SOURCE_FINE);
        assert_int_equal(w->failure.until_ms, i ? INT64_MAX : 0);
        f->source.ops->log_release(log, NULL);
        want_free(w);
    }
    assert_int_equal(f->behind.logs_created, 0);
}

/* T1 */
static void nothing_is_asked_of_the_store_before_github_has_answered(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, 1048576);
    struct source_log *log = w->b.log;
    struct fake_facts *question;

    f->proof = SHARED_UNPROVEN;
    send_want(f, w);
    question = fake_take_facts(&f->behind);
    assert_int_equal(question->f->question, SOURCE_JOB);
    assert_int_equal(question->f->id, JOB);
    assert_ptr_equal(question->f->waits_for, &w->waits_for);
    assert_int_equal(http_server_requests(f->server), 0);
    fake_answer(&f->behind, question, "{\"id\":42}", "", 0);
    wait_for(&w->done);
    assert_right(w);
    assert_int_equal(http_server_requests(f->server), 2);
    f->source.ops->log_release(log, NULL);
    want_free(w);
}

static void a_refusal_and_a_running_job_leave_the_store_alone(void **state)
{
    struct fixture *f = *state;

    fake_add(&f->behind, JOB, SIZE);
    for (int i = 0; i < 2; i++) {
        struct want *w = want_new(f, NULL, 0, 1048576);
        struct source_log *log = w->b.log;
        f->proof = i ? SHARED_RUNNING : SHARED_UNPROVEN;
        send_want(f, w);
        if (!i)
            fake_refuse(&f->behind, fake_take_facts(&f->behind), -ENOENT, SOURCE_NOT_FOUND, 0);
        fake_serve(fake_take_want(&f->behind));
        wait_for(&w->done);
        assert_right(w);
        release(f, log, w);
        want_free(w);
    }
    assert_int_equal(http_server_requests(f->server), 0);
}

/* Wherever it is in its way, a want ends when the mount does, and once. */
static void a_stop_ends_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct want *silent = want_new(f, NULL, 0, 1048576), *asking, *full;
    struct fake_facts *question;

    full = want_new(f, NULL, 0, SIZE);
    full->full_at = 65536;
    send_want(f, full);
    wait_for(&full->full);
    f->proof = SHARED_UNPROVEN;
    asking = want_new(f, NULL, 0, 1048576);
    send_want(f, asking);
    question = fake_take_facts(&f->behind);
    f->proof = SHARED_PROVEN;
    object.is_silent = true;
    send_want(f, silent);
    assert_true(http_server_wait_held(f->server, 2));

    shared_stop(f->shared);
    wait_for(&silent->done);
    wait_for(&asking->done);
    wait_for(&full->done);
    assert_int_equal(silent->failure.reason, SOURCE_CLOSING);
    assert_int_equal(asking->failure.reason, SOURCE_CLOSING);
    assert_int_equal(full->failure.reason, SOURCE_CLOSING);
    assert_int_equal(f->behind.bytes_wanted, 0);
    fake_answer(&f->behind, question, "{\"id\":42}", "", 0);
    want_free(silent);
    want_free(asking);
    want_free(full);
}

/* The log is released in the moment in which its want ends. The question still notes what it waits
 * for, so whoever wanted the log must not be told that it has ended. */
static void a_question_may_outlive_its_log(void **state)
{
    struct fixture *f = *state;
    struct want *w = want_new(f, NULL, 0, 1048576);
    struct fake_facts *question;

    f->proof = SHARED_UNPROVEN;
    w->is_released_when_done = true;
    send_want(f, w);
    question = fake_take_facts(&f->behind);
    shared_stop(f->shared);
    wait_for(&w->done);
    assert_int_equal(w->failure.reason, SOURCE_CLOSING);
    assert_false(w->is_released);
    progress_wait_note(question->f->waits_for, PROGRESS_RETRY, 1);
    fake_answer(&f->behind, question, "{\"id\":42}", "", 0);
    want_free(w);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_log_comes_from_the_store_and_nothing_from_behind),
        WITH_STORE(bytes_wait_where_there_is_no_space),
        WITH_STORE(ranges_need_not_begin_or_end_with_a_page),
        WITH_STORE(a_damaged_page_and_all_after_it_come_from_behind),
        cmocka_unit_test_setup_teardown(ranges_that_wait_for_a_connection_fail_with_the_server,
                                        setup_narrow, teardown),
        WITH_STORE(a_refusal_is_not_taken_for_a_wrong_object),
        WITH_STORE(the_rest_from_a_server_without_ranges_ends_where_it_was_wanted),
        WITH_STORE(what_the_reader_does_not_want_any_more_ends),
        WITH_STORE(a_size_that_contradicts_what_is_known_is_not_believed),
        WITH_STORE(what_the_store_lacks_comes_from_behind_and_is_remembered),
        WITH_STORE(a_log_that_github_has_no_more_comes_from_the_store_or_not_at_all),
        WITH_STORE(nothing_is_asked_of_the_store_before_github_has_answered),
        WITH_STORE(a_refusal_and_a_running_job_leave_the_store_alone),
        WITH_STORE(a_stop_ends_what_is_under_way),
        WITH_STORE(a_question_may_outlive_its_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
