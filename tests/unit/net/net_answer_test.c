/* What one exchange makes of a server's answer, true or not (S6, R8). */
#include "net/net_call.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *path, *answer;
    bool keep; /* the connection stays open */
} answers[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"e\"\r\n\r\nhello", true},
    {"/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
    {"/none", "HTTP/1.1 304 Not Modified\r\nContent-Length: 700\r\nETag: \"n\"\r\n\r\n", true},
    {"/moved",
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x?sig=1\r\nContent-Length: 0\r\n\r\n",
     true},
    {"/early",
     "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     true},
    {"/chunked",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n"
     "Trailer: t\r\n\r\n",
     true},
    {"/until-close", "HTTP/1.0 200 OK\r\n\r\nall there is", false},
    {"/failed", "HTTP/1.1 502 Bad\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", true},
    {"/identity", "HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Length: 1\r\n\r\nx",
     true},
    /* lies */
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false},
    {"/cut-chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", false},
    {"/long", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", false},
    {"/gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", true},
    {"/two-encodings",
     "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n"
     "Content-Length: 1\r\n\r\nx",
     true},
    {"/gzip-transfer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     true},
    {"/two-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\nhello",
     false},
    {"/same-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
     true},
    {"/length-and-chunked",
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n0\r\n\r\n",
     true},
    {"/signed-length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", false},
    {"/negative-length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", false},
    {"/endless-length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
     false},
    {"/huge", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\nhello", false},
    {"/no-http", "SSH-2.0-OpenSSH_9.2\r\n", false},
    {"/ninth", "just text", false},
    {"/switch", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nnoise", false},
    {"/silent", "", false},
    {"/two-places",
     "HTTP/1.1 302 Found\r\nLocation: http://a/\r\nLocation: http://b/\r\nETag: \"e\"\r\n"
     "ETag: \"e\"\r\nContent-Length: 0\r\n\r\n",
     true},
};

/* A head of many small headers, or of one line without an end. */
static bool answer_headers(struct http_conn *c, bool in_one_line)
{
    char line[1024];

    memset(line, 'h', sizeof(line));
    memcpy(line, "X-H: ", 5);
    http_say(c, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 300; i++) {
        if (!in_one_line)
            memcpy(line + sizeof(line) - 2, "\r\n", 2);
        http_send(c, line, sizeof(line));
    }
    http_say(c, "\r\nContent-Length: 0\r\n\r\n");
    return false;
}

static bool answer_flood(struct http_conn *c)
{
    char block[4096];
    ssize_t n;

    memset(block, 'b', sizeof(block));
    http_say(c, "HTTP/1.1 200 OK\r\n\r\n");
    do
        n = send(c->fd, block, sizeof(block), MSG_NOSIGNAL);
    while (n > 0);
    return false;
}

static bool answer(struct http_conn *c)
{
    const struct linger reset = {.l_onoff = 1};

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (strcmp(c->path, answers[i].path) == 0) {
            http_say(c, "%s", answers[i].answer);
            return answers[i].keep;
        }
    }
    if (strcmp(c->path, "/many-headers") == 0)
        return answer_headers(c, false);
    if (strcmp(c->path, "/long-header") == 0)
        return answer_headers(c, true);
    if (strcmp(c->path, "/flood") == 0)
        return answer_flood(c);
    if (strcmp(c->path, "/stalls") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        http_wait_hangup(c);
    } else if (strcmp(c->path, "/half-a-head") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nETag: \"");
        http_wait_hangup(c);
    } else if (strcmp(c->path, "/reset") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    } else if (strcmp(c->path, "/echo") == 0) {
        http_say(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(c->request),
                 c->request);
        return true;
    } else {
        http_say(c, "HTTP/1.1 404 Not Found\r\nContent-Length: %zu\r\n\r\n%s", strlen(c->path),
                 c->path);
        return true;
    }
    return false;
}

static struct net_fixture fixture;

static int open_fixture(void **state)
{
    (void)state;
    net_fixture_open(&fixture, answer, 4, 1);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    net_fixture_close(&fixture);
    return 0;
}

static struct net_call *run(const char *path)
{
    struct net_call *call = net_call_new(&fixture, path);

    net_call_run(call);
    return call;
}

static void assert_answer(const char *path, int status, const char *body)
{
    struct net_call *call = run(path);

    assert_int_equal(call->err, 0);
    assert_int_equal(call->heads, 1);
    assert_int_equal(call->dones, 1);
    assert_int_equal(call->bodies_before_head, 0);
    assert_int_equal(call->status, status);
    assert_int_equal(call->received, strlen(body));
    assert_string_equal(call->body, body);
    net_call_free(call);
}

/* Fails with err after at most `heads` heads, and with no more of the body than `most` bytes. */
static void assert_fails(const char *path, int err, unsigned heads, size_t most)
{
    struct net_call *call = run(path);

    assert_int_equal(call->err, err);
    assert_int_equal(call->dones, 1);
    assert_int_equal(call->heads, heads);
    assert_true(call->received <= most);
    net_call_free(call);
}

static void test_answers_arrive_whole(void **state)
{
    (void)state;
    assert_answer("/hello", 200, "hello");
    assert_answer("/chunked", 200, "abcde");
    assert_answer("/until-close", 200, "all there is");
    assert_answer("/identity", 200, "x");
    assert_answer("/same-lengths", 200, "hello");
    assert_answer("/nowhere?a=%20b&c=..", 404, "/nowhere?a=%20b&c=..");
}

static void test_path_is_sent_as_written(void **state)
{
    (void)state;
    assert_answer("/a/../b/./c", 404, "/a/../b/./c");
    assert_answer("/a%2Fb#part", 404, "/a%2Fb");
}

static void test_answer_without_body_has_one_head(void **state)
{
    (void)state;
    assert_answer("/empty", 200, "");
    assert_answer("/none", 304, "");
}

static void test_interim_answer_is_not_a_head(void **state)
{
    (void)state;
    assert_answer("/early", 200, "ok");
}

static void test_redirect_is_not_followed(void **state)
{
    struct net_call *call = run("/moved");

    (void)state;
    assert_int_equal(call->err, 0);
    assert_int_equal(call->status, 302);
    assert_string_equal(call->location, "http://127.0.0.1:1/x?sig=1");
    net_call_free(call);
}

static void test_encoded_error_page_keeps_its_status(void **state)
{
    (void)state;
    assert_answer("/failed", 502, "x");
}

static void test_s6_cut_body_is_an_error(void **state)
{
    (void)state;
    assert_fails("/cut", -EIO, 1, 5);
    assert_fails("/cut-chunked", -EIO, 1, 3);
    assert_fails("/reset", -EIO, 1, 5);
    assert_fails("/silent", -EIO, 0, 0);
}

static void test_s6_more_than_promised_is_not_delivered(void **state)
{
    (void)state;
    assert_answer("/long", 200, "hello");
}

static void test_r8_contradicting_headers_are_refused(void **state)
{
    (void)state;
    assert_fails("/gzip", -EPROTO, 0, 0);
    assert_fails("/two-encodings", -EPROTO, 0, 0);
    assert_fails("/gzip-transfer", -EPROTO, 0, 0);
    assert_fails("/two-lengths", -EPROTO, 0, 0);
    assert_fails("/length-and-chunked", -EPROTO, 0, 0);
    assert_fails("/signed-length", -EPROTO, 0, 0);
    assert_fails("/negative-length", -EPROTO, 0, 0);
    assert_fails("/endless-length", -EPROTO, 0, 0);
}

static void test_r8_headers_are_bounded(void **state)
{
    (void)state;
    assert_fails("/many-headers", -EPROTO, 0, 0);
    assert_fails("/long-header", -EPROTO, 0, 0);
}

static void test_r8_what_is_not_http_is_refused(void **state)
{
    (void)state;
    assert_fails("/no-http", -EPROTO, 0, 0);
    assert_fails("/ninth", -EPROTO, 0, 0);
    assert_fails("/switch", -EPROTO, 0, 0);
}

static void test_r8_body_is_bounded_by_promise_and_by_count(void **state)
{
    struct net_call *promised = net_call_new(&fixture, "/hello");
    struct net_call *counted = net_call_new(&fixture, "/flood");
    struct net_call *exact = net_call_new(&fixture, "/hello");

    (void)state;
    promised->request.body_max = 4;
    assert_int_equal(net_call_run(promised), -EFBIG);
    assert_int_equal(promised->heads, 1); /* a large error page has its status and limits (R5) */
    assert_int_equal(promised->received, 0);
    counted->request.body_max = 100000;
    assert_int_equal(net_call_run(counted), -EFBIG);
    assert_true(counted->received <= 100000);
    exact->request.body_max = 5;
    assert_int_equal(net_call_run(exact), 0);
    assert_fails("/huge", -EIO, 1, 5);
    net_call_free(promised);
    net_call_free(counted);
    net_call_free(exact);
}

static void test_header_given_twice_with_different_values_is_none(void **state)
{
    struct net_call *call = run("/two-places");

    (void)state;
    assert_int_equal(call->err, 0);
    assert_string_equal(call->location, "(none)");
    assert_string_equal(call->etag, "\"e\"");
    net_call_free(call);
}

static void test_headers_are_readable_in_on_done(void **state)
{
    struct net_call *call = run("/hello");

    (void)state;
    assert_string_equal(call->etag, "\"e\"");
    assert_true(call->is_private);
    net_call_free(call);
}

/* R7: nothing of one request is in the next, on the same connection and handle. */
static void test_r7_request_carries_only_its_own_headers(void **state)
{
    static const char *const secret[] = {"Authorization: Bearer t0ken", NULL};
    struct net_call *first = net_call_new(&fixture, "/echo");
    struct net_call *second = net_call_new(&fixture, "/echo");

    (void)state;
    first->request.headers = secret;
    assert_int_equal(net_call_run(first), 0);
    assert_non_null(strstr(first->body, "\r\nAuthorization: Bearer t0ken\r\n"));
    assert_non_null(strstr(first->body, "\r\nAccept-Encoding: identity\r\n"));
    assert_non_null(strstr(first->body, "\r\nUser-Agent: ghlogfs-test\r\n"));
    assert_int_equal(net_call_run(second), 0);
    assert_null(strstr(second->body, "Authorization"));
    assert_null(strstr(second->body, "t0ken"));
    assert_true(second->is_private);
    net_call_free(first);
    net_call_free(second);
}

static void test_header_with_a_newline_is_not_sent(void **state)
{
    static const char *const split[] = {"X-A: b\r\nX-C: d", NULL};
    struct net_call *call = net_call_new(&fixture, "/echo");
    unsigned before = http_server_requests(fixture.server);

    (void)state;
    call->request.headers = split;
    assert_int_equal(net_call_run(call), -EPROTO);
    assert_int_equal(http_server_requests(fixture.server), before);
    net_call_free(call);
}

static void test_url_that_is_not_allowed_is_eproto(void **state)
{
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd",
                                       "http://user:pw@127.0.0.1/", "http://a b/", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct net_call *call = net_call_new(&fixture, "/");
        snprintf(call->url, sizeof(call->url), "%s", urls[i]);
        assert_int_equal(net_call_run(call), -EPROTO);
        net_call_free(call);
    }
}

/* The port of a socket that is bound and does not listen, or listens and never accepts. */
static unsigned bind_port(int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t len = sizeof(address);

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static void test_refused_connection(void **state)
{
    struct net_call *call = net_call_new(&fixture, "/");
    int fd;

    (void)state;
    snprintf(call->url, sizeof(call->url), "http://127.0.0.1:%u/", bind_port(&fd));
    assert_int_equal(net_call_run(call), -ECONNREFUSED);
    assert_int_equal(call->heads, 0);
    net_call_free(call);
    close(fd);
}

static void test_stalled_body_times_out(void **state)
{
    (void)state;
    assert_fails("/stalls", -ETIMEDOUT, 1, 5);
}

/* A peer that takes one connection, and answers the first words with these, or hangs up. */
struct no_tls {
    int fd;
    const char *words;
};

static void *greet_once(void *arg)
{
    struct no_tls *peer = arg;
    int fd = accept(peer->fd, NULL, NULL);
    char hello[4096];

    if (recv(fd, hello, sizeof(hello), 0) > 0 && peer->words)
        send(fd, peer->words, strlen(peer->words), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void assert_handshake(const char *words, int err)
{
    struct net_call *call = net_call_new(&fixture, "/");
    struct no_tls peer = {.words = words};
    pthread_t thread;

    snprintf(call->url, sizeof(call->url), "https://127.0.0.1:%u/", bind_port(&peer.fd));
    assert_int_equal(listen(peer.fd, 1), 0);
    pthread_create(&thread, NULL, greet_once, &peer);
    assert_int_equal(net_call_run(call), err);
    pthread_join(thread, NULL);
    close(peer.fd);
    net_call_free(call);
}

/* A fault of the network may be tried again, a peer that does not speak TLS need not. */
static void test_r1_handshake_cut_is_eio_and_refused_is_eproto(void **state)
{
    (void)state;
    assert_handshake(NULL, -EIO);
    assert_handshake("HTTP/1.1 400 Bad Request\r\n\r\n", -EPROTO);
}

static void *say_and_fall_silent(void *arg)
{
    struct no_tls *peer = arg;
    int fd = accept(peer->fd, NULL, NULL);
    char said[4096];

    if (recv(fd, said, sizeof(said), 0) > 0)
        send(fd, peer->words, strlen(peer->words), MSG_NOSIGNAL);
    while (recv(fd, said, sizeof(said), 0) > 0)
        ;
    close(fd);
    return NULL;
}

/* What a peer, or a proxy before it, sends before it falls silent, and whether that counts. */
struct last_words {
    const char *scheme;
    bool is_proxied;
    const char *words;
    bool is_heard;
};

struct silent_peer {
    const struct last_words *last;
    struct no_tls peer;
    char proxy[64];
    pthread_t thread;
    struct net_fixture fixture;
    struct net_call *call;
};

static void call_silent_peer(struct silent_peer *p)
{
    struct net_config config = {
        .connections = 1, .timeout_s = 1, .user_agent = "t", .allow_http = true};
    unsigned port = bind_port(&p->peer.fd);

    net_fixture_open(&p->fixture, answer, 1, 1);
    snprintf(p->proxy, sizeof(p->proxy), "http://127.0.0.1:%u", port);
    config.proxy = p->last->is_proxied ? p->proxy : NULL;
    net_destroy(p->fixture.net);
    assert_int_equal(net_create(&config, &p->fixture.net), 0);
    p->peer.words = p->last->words;
    assert_int_equal(listen(p->peer.fd, 1), 0);
    pthread_create(&p->thread, NULL, say_and_fall_silent, &p->peer);
    p->call = net_call_new(&p->fixture, "/");
    snprintf(p->call->url, sizeof(p->call->url), "%s://127.0.0.1:%u/", p->last->scheme, port);
    net_call_send(p->call);
}

static void assert_timed_out(struct silent_peer *p)
{
    assert_int_equal(net_call_wait(p->call), -ETIMEDOUT);
    assert_int_equal(p->call->heads, 0);
    assert_int_equal(p->call->was_heard, p->last->is_heard);
    net_fixture_close(&p->fixture);
    pthread_join(p->thread, NULL);
    close(p->peer.fd);
    net_call_free(p->call);
}

/* Any byte shows that the host is there, long before the answer's headers end. All of these peers
 * are called at the same time, because each call lasts until its timeout. */
static void test_first_byte_is_heard(void **state)
{
    static const struct last_words last[] = {
        {"http", false, "", false},
        {"http", false, "H", true},
        {"http", false, "HTTP/1.1 200 OK\r\nETag: \"", true},
        {"http", false, "HTTP/1.1 100 Continue\r\n\r\n", true},
        /* of a handshake, of a proxy */
        {"https", false, "", false},
        {"https", false, "\x16\x03", true},
        {"https", true, "", false},
        {"https", true, "HTTP/1.1 2", true},
    };
    struct silent_peer peers[sizeof(last) / sizeof(last[0])];

    (void)state;
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        peers[i].last = &last[i];
        call_silent_peer(&peers[i]);
    }
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
        assert_timed_out(&peers[i]);
}

static void test_first_byte_over_a_kept_connection_is_heard(void **state)
{
    struct net_call *call;
    unsigned connections;

    (void)state;
    assert_answer("/hello", 200, "hello");
    connections = http_server_connections(fixture.server);
    call = run("/half-a-head");
    assert_int_equal(call->err, -ETIMEDOUT);
    assert_int_equal(http_server_connections(fixture.server), connections);
    assert_true(call->was_heard);
    net_call_free(call);
}

static int refuse_head(struct net_call *call, int status)
{
    (void)call;
    return status == 200 ? -EACCES : 0;
}

static int refuse_body(struct net_call *call, const void *data, size_t len)
{
    (void)call, (void)data, (void)len;
    return -ENOSPC;
}

static void test_callbacks_end_the_request_with_their_own_error(void **state)
{
    struct net_call *head = net_call_new(&fixture, "/hello");
    struct net_call *body = net_call_new(&fixture, "/hello");

    (void)state;
    head->on_head = refuse_head;
    assert_int_equal(net_call_run(head), -EACCES);
    assert_int_equal(head->received, 0);
    body->on_body = refuse_body;
    assert_int_equal(net_call_run(body), -ENOSPC);
    net_call_free(head);
    net_call_free(body);
}

static void test_plain_http_needs_permission(void **state)
{
    struct net_config config = {.connections = 1, .timeout_s = 1, .user_agent = "t"};
    struct net *spare = fixture.net, *strict;
    struct net_call *call = net_call_new(&fixture, "/hello");

    (void)state;
    assert_int_equal(net_create(&config, &strict), 0);
    fixture.net = strict;
    assert_int_equal(net_call_run(call), -EPROTO);
    fixture.net = spare;
    net_destroy(strict);
    net_call_free(call);
}

/* Through a proxy the whole URL is asked of the proxy, but not for what no_proxy names. */
static void test_proxy_is_used_except_for_no_proxy(void **state)
{
    char proxy[64];
    struct net_config config = {.connections = 2,
                                .timeout_s = 1,
                                .user_agent = "t",
                                .proxy = proxy,
                                .no_proxy = "127.0.0.1",
                                .allow_http = true};
    struct net *spare = fixture.net, *proxied;
    struct net_call *through = net_call_new(&fixture, "/hello");
    struct net_call *direct = net_call_new(&fixture, "/hello");

    (void)state;
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", http_server_port(fixture.server));
    assert_int_equal(net_create(&config, &proxied), 0);
    fixture.net = proxied;
    snprintf(through->url, sizeof(through->url), "http://far.test/x");
    assert_int_equal(net_call_run(through), 0);
    assert_int_equal(through->status, 404);
    assert_string_equal(through->body, "http://far.test/x");
    assert_false(through->is_private); /* that is the proxy's address */
    assert_int_equal(net_call_run(direct), 0);
    assert_string_equal(direct->body, "hello");
    assert_true(direct->is_private);
    fixture.net = spare;
    net_destroy(proxied);
    net_call_free(through);
    net_call_free(direct);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_arrive_whole),
        cmocka_unit_test(test_path_is_sent_as_written),
        cmocka_unit_test(test_answer_without_body_has_one_head),
        cmocka_unit_test(test_interim_answer_is_not_a_head),
        cmocka_unit_test(test_redirect_is_not_followed),
        cmocka_unit_test(test_encoded_error_page_keeps_its_status),
        cmocka_unit_test(test_s6_cut_body_is_an_error),
        cmocka_unit_test(test_s6_more_than_promised_is_not_delivered),
        cmocka_unit_test(test_r8_contradicting_headers_are_refused),
        cmocka_unit_test(test_r8_headers_are_bounded),
        cmocka_unit_test(test_r8_what_is_not_http_is_refused),
        cmocka_unit_test(test_r8_body_is_bounded_by_promise_and_by_count),
        cmocka_unit_test(test_header_given_twice_with_different_values_is_none),
        cmocka_unit_test(test_headers_are_readable_in_on_done),
        cmocka_unit_test(test_r7_request_carries_only_its_own_headers),
        cmocka_unit_test(test_header_with_a_newline_is_not_sent),
        cmocka_unit_test(test_url_that_is_not_allowed_is_eproto),
        cmocka_unit_test(test_refused_connection),
        cmocka_unit_test(test_stalled_body_times_out),
        cmocka_unit_test(test_r1_handshake_cut_is_eio_and_refused_is_eproto),
        cmocka_unit_test(test_first_byte_is_heard),
        cmocka_unit_test(test_first_byte_over_a_kept_connection_is_heard),
        cmocka_unit_test(test_callbacks_end_the_request_with_their_own_error),
        cmocka_unit_test(test_plain_http_needs_permission),
        cmocka_unit_test(test_proxy_is_used_except_for_no_proxy),
    };

    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
