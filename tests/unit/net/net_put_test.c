/* Requests that send a body, and those that are somebody's: Basic, or signed by libcurl. */
#include "net/net_call.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE ((size_t)3 << 20)

static unsigned char byte_at(uint64_t offset)
{
    return (unsigned char)(offset * 31 + offset / 256);
}

static bool is_right(const char *body, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)body[i] != byte_at(i))
            return false;
    return true;
}

static void say_status(struct http_conn *c, const char *status)
{
    http_say(c, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
}

/* "/count": 200 if the body is right and whole. The others by their names. */
static bool answer(struct http_conn *c)
{
    bool is_put = strcmp(c->method, "PUT") == 0, is_good;
    size_t len = 0;
    char *body;

    if (strcmp(c->path, "/echo") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(c->request));
        http_send(c, c->request, strlen(c->request));
        return true;
    }
    if (strcmp(c->path, "/refuse") == 0) {
        say_status(c, "403 Forbidden");
        return false;
    }
    if (strcmp(c->path, "/early") == 0) {
        say_status(c, "200 OK");
        http_wait_hangup(c);
        return false;
    }
    if (strcmp(c->path, "/second") == 0 && c->asked > 1)
        return false; /* a kept connection that is dead when it is used */
    if (strcasestr(c->request, "\r\nExpect: 100-continue"))
        http_say(c, "HTTP/1.1 100 Continue\r\n\r\n");
    if (strcmp(c->path, "/cut") == 0)
        return false;
    body = http_read_body(c, &len);
    is_good = is_put && body && is_right(body, len);
    free(body);
    say_status(c, is_good ? "201 Created" : "400 Bad");
    return true;
}

/* Gives what is asked for; `other`, where it is set, is refused once. */
struct upload {
    unsigned calls, pause_at;
    int fail_at;
};

static struct upload uploads[4];

static ptrdiff_t give(struct net_request *r, uint64_t offset, void *data, size_t size)
{
    struct net_call *call = list_entry(r, struct net_call, request);
    struct upload *u = &uploads[call->url[strlen(call->url) - 1] % 4];
    unsigned char *to = data;

    u->calls++;
    if (u->fail_at && u->calls == (unsigned)u->fail_at)
        return -ENODATA;
    if (u->pause_at && u->calls == u->pause_at) {
        net_fixture_add(call->fixture, &call->bodies);
        return 0;
    }
    size = size > 70001 ? 70001 : size;
    for (size_t i = 0; i < size; i++)
        to[i] = byte_at(offset + i);
    return (ptrdiff_t)size;
}

static struct net_call *put_new(struct net_fixture *b, const char *path, size_t size)
{
    struct net_call *call = net_call_new(b, path);

    call->request.is_put = true;
    call->request.upload_size = size;
    call->request.on_upload = give;
    uploads[path[strlen(path) - 1] % 4] = (struct upload){0};
    return call;
}

static struct upload *upload_of(const char *path)
{
    return &uploads[path[strlen(path) - 1] % 4];
}

static void a_body_arrives_as_it_was_given(void **state)
{
    static const size_t sizes[] = {0, 1, 65536, SIZE};
    struct net_fixture b;

    (void)state;
    net_fixture_open(&b, answer, 4, 10);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct net_call *call = put_new(&b, "/count", sizes[i]);
        assert_int_equal(net_call_run(call), 0);
        assert_int_equal(call->status, 201);
        net_call_free(call);
    }
    assert_int_equal(http_server_connections(b.server), 1);
    net_fixture_close(&b);
}

static void a_get_after_a_put_is_a_get(void **state)
{
    struct net_fixture b;
    struct net_call *call;

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    call = put_new(&b, "/count", 1000);
    assert_int_equal(net_call_run(call), 0);
    net_call_free(call);
    call = net_call_new(&b, "/echo");
    assert_int_equal(net_call_run(call), 0);
    assert_memory_equal(call->body, "GET /echo HTTP/1.1\r\n", 20);
    assert_null(strcasestr(call->body, "\r\nContent-Length:"));
    net_call_free(call);
    net_fixture_close(&b);
}

static void a_body_that_is_not_there_yet_is_asked_for_again(void **state)
{
    struct net_fixture b;
    struct net_call *call;

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    call = put_new(&b, "/count", SIZE);
    upload_of("/count")->pause_at = 3;
    net_call_send(call);
    assert_true(net_fixture_wait(&b, &call->bodies, 1));
    net_resume(b.net);
    assert_int_equal(net_call_wait(call), 0);
    assert_int_equal(call->status, 201);
    net_call_free(call);
    net_fixture_close(&b);
}

static void a_body_that_fails_ends_the_request(void **state)
{
    struct net_fixture b;
    struct net_call *call;

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    call = put_new(&b, "/count", SIZE);
    upload_of("/count")->fail_at = 3;
    assert_int_equal(net_call_run(call), -ENODATA);
    net_call_free(call);
    net_fixture_close(&b);
}

static void a_refusal_is_heard_before_the_body_is_sent(void **state)
{
    struct net_fixture b;
    struct net_call *call;

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    call = put_new(&b, "/refuse", (size_t)1 << 40);
    assert_int_equal(net_call_run(call), 0);
    assert_int_equal(call->status, 403);
    net_call_free(call);
    net_fixture_close(&b);
}

static void what_is_accepted_before_it_was_sent_is_no_success(void **state)
{
    struct net_fixture b;
    struct net_call *call;

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    call = put_new(&b, "/early", (size_t)1 << 40);
    assert_true(net_call_run(call) < 0);
    net_call_free(call);
    call = put_new(&b, "/cut", SIZE);
    assert_int_equal(net_call_run(call), -EIO);
    net_call_free(call);
    net_fixture_close(&b);
}

static void a_kept_connection_that_is_dead_costs_nothing(void **state)
{
    struct net_fixture b;

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    for (int i = 0; i < 3; i++) {
        struct net_call *call = put_new(&b, "/second", 200000);
        assert_int_equal(net_call_run(call), 0);
        assert_int_equal(call->status, 201);
        net_call_free(call);
    }
    assert_int_equal(http_server_connections(b.server), 3);
    net_fixture_close(&b);
}

/* The request as the server got it. */
static void ask_as(struct net_fixture *b, const struct net_identity *identity, char *text,
                   size_t size)
{
    struct net_call *call = net_call_new(b, "/echo");

    call->request.identity = identity;
    assert_int_equal(net_call_run(call), 0);
    assert_int_equal(call->status, 200);
    memcpy(text, call->body, size);
    text[size - 1] = '\0';
    net_call_free(call);
}

static void each_request_has_its_own_identity(void **state)
{
    const struct net_identity basic = {.user = "me", .password = "pass:word"};
    const struct net_identity s3 = {
        .sigv4 = "aws:amz:garage:s3", .user = "AKIAEXAMPLE", .password = "se/cr+et="};
    struct net_fixture b;
    char text[8192];

    (void)state;
    net_fixture_open(&b, answer, 1, 10);
    ask_as(&b, &s3, text, sizeof(text));
    assert_non_null(strstr(text, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"));
    assert_non_null(strstr(text, "/garage/s3/aws4_request, SignedHeaders="));
    assert_non_null(strstr(text, ";x-amz-content-sha256;x-amz-date, Signature="));
    assert_non_null(strcasestr(text, "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
    assert_null(strstr(text, "se/cr+et="));
    ask_as(&b, NULL, text, sizeof(text));
    assert_null(strcasestr(text, "\r\nAuthorization:"));
    assert_null(strcasestr(text, "x-amz-"));
    ask_as(&b, &basic, text, sizeof(text));
    assert_non_null(strstr(text, "\r\nAuthorization: Basic bWU6cGFzczp3b3Jk\r\n"));
    assert_null(strcasestr(text, "x-amz-"));
    ask_as(&b, NULL, text, sizeof(text));
    assert_null(strcasestr(text, "\r\nAuthorization:"));
    ask_as(&b, &s3, text, sizeof(text));
    assert_non_null(strstr(text, "\r\nAuthorization: AWS4-HMAC-SHA256 "));
    /* All of it over one connection, by one handle. */
    assert_int_equal(http_server_connections(b.server), 1);
    net_fixture_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_arrives_as_it_was_given),
        cmocka_unit_test(a_get_after_a_put_is_a_get),
        cmocka_unit_test(a_body_that_is_not_there_yet_is_asked_for_again),
        cmocka_unit_test(a_body_that_fails_ends_the_request),
        cmocka_unit_test(a_refusal_is_heard_before_the_body_is_sent),
        cmocka_unit_test(what_is_accepted_before_it_was_sent_is_no_success),
        cmocka_unit_test(a_kept_connection_that_is_dead_costs_nothing),
        cmocka_unit_test(each_request_has_its_own_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
