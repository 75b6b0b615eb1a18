/*
 * http_server.h - a loopback HTTP server inside a test, one thread a connection. What it answers is
 * the test's own function, so that it can also answer what no server should.
 */
#ifndef GHLOGFS_UNIT_NET_HTTP_SERVER_H
#define GHLOGFS_UNIT_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct http_server;

struct http_conn {
    struct http_server *server;
    int fd;
    unsigned asked;     /* requests on this connection, this one counted */
    char request[8192]; /* line and headers, and what came with them of a body */
    size_t len;         /* of that */
    char method[8], path[1024];
};

/* Answers one request, on the connection's thread. False: the connection is closed. */
typedef bool (*http_answer)(struct http_conn *c);

struct http_server *http_server_start(http_answer answer);
/* New connections are refused; those there are stay. */
void http_server_stop_listening(struct http_server *s);
/* Hangs up on everybody. */
void http_server_stop(struct http_server *s);

unsigned http_server_port(const struct http_server *s);
unsigned http_server_requests(struct http_server *s);
unsigned http_server_connections(struct http_server *s);

void http_send(struct http_conn *c, const void *data, size_t len);
void http_say(struct http_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Reads what a PUT sends, as long as its Content-Length: NULL where it ends before. malloc'd. */
char *http_read_body(struct http_conn *c, size_t *ret_len);

/* Waits until the test lets it pass, or the server stops. The names of those held are kept. */
void http_hold(struct http_conn *c);
/* Waits until `count` are held. False: it took too long. */
bool http_server_wait_held(struct http_server *s, unsigned count);
void http_server_let_pass(struct http_server *s, unsigned count);
/* The most that were held at once. */
unsigned http_server_most_held(struct http_server *s);
/* Waits until the client has hung up on the connection. False: it took too long. */
bool http_wait_hangup(struct http_conn *c);

#endif
