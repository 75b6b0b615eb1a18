#include "net/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define PATIENCE_S 20

struct http_server {
    int listener;
    unsigned port;
    http_answer answer;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    unsigned requests, connections;
    unsigned held, most_held, passes;
    int fds[CONNECTIONS_MAX]; /* -1 once closed */
    pthread_t threads[CONNECTIONS_MAX];
};

struct start {
    struct http_server *server;
    unsigned slot;
};

void http_send(struct http_conn *c, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

void http_say(struct http_conn *c, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < sizeof(text));
    http_send(c, text, (size_t)len);
}

/* Reads up to the empty line; these clients do not pipeline. */
static bool read_request(struct http_conn *c)
{
    size_t len = 0;

    while (len + 1 < sizeof(c->request)) {
        ssize_t n = recv(c->fd, c->request + len, sizeof(c->request) - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        c->request[len] = '\0';
        c->len = len;
        if (strstr(c->request, "\r\n\r\n"))
            return sscanf(c->request, "%7s %1023s ", c->method, c->path) == 2;
    }
    return false;
}

char *http_read_body(struct http_conn *c, size_t *ret_len)
{
    const char *begin = strstr(c->request, "\r\n\r\n") + 4;
    const char *length = strcasestr(c->request, "\r\nContent-Length: ");
    size_t have = c->len - (size_t)(begin - c->request), len;
    char *body;

    if (!length)
        return NULL;
    len = strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    body = calloc(len + 1, 1);
    assert(body && have <= len);
    memcpy(body, begin, have);
    while (have < len) {
        ssize_t n = recv(c->fd, body + have, len - have, 0);
        if (n <= 0) {
            free(body);
            return NULL;
        }
        have += (size_t)n;
    }
    *ret_len = len;
    return body;
}

static void *serve_connection(void *arg)
{
    struct start start = *(struct start *)arg;
    struct http_server *s = start.server;
    struct http_conn *c = calloc(1, sizeof(*c));
    bool more = true;

    free(arg);
    assert(c);
    c->server = s;
    c->fd = s->fds[start.slot];
    while (more && read_request(c)) {
        pthread_mutex_lock(&s->lock);
        s->requests++;
        pthread_mutex_unlock(&s->lock);
        c->asked++;
        more = s->answer(c);
    }
    pthread_mutex_lock(&s->lock);
    close(c->fd);
    s->fds[start.slot] = -1;
    pthread_mutex_unlock(&s->lock);
    free(c);
    return NULL;
}

static void *serve(void *arg)
{
    struct http_server *s = arg;

    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        struct start *start;
        if (fd < 0)
            return NULL;
        start = malloc(sizeof(*start));
        pthread_mutex_lock(&s->lock);
        assert(start && s->connections < CONNECTIONS_MAX);
        *start = (struct start){s, s->connections};
        s->fds[s->connections] = fd;
        if (s->stopping)
            shutdown(fd, SHUT_RDWR);
        pthread_create(&s->threads[s->connections], NULL, serve_connection, start);
        s->connections++;
        pthread_mutex_unlock(&s->lock);
    }
}

struct http_server *http_server_start(http_answer answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t len = sizeof(address);
    struct http_server *s = calloc(1, sizeof(*s));

    assert(s);
    s->answer = answer;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(s->listener, 256) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &len) < 0)
        abort();
    s->port = ntohs(address.sin_port);
    pthread_create(&s->thread, NULL, serve, s);
    return s;
}

void http_server_stop_listening(struct http_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
}

void http_server_stop(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (unsigned i = 0; i < s->connections; i++) {
        if (s->fds[i] >= 0)
            shutdown(s->fds[i], SHUT_RDWR);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->connections; i++)
        pthread_join(s->threads[i], NULL);
    close(s->listener);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

unsigned http_server_port(const struct http_server *s)
{
    return s->port;
}

static unsigned read_counter(struct http_server *s, const unsigned *counter)
{
    unsigned value;

    pthread_mutex_lock(&s->lock);
    value = *counter;
    pthread_mutex_unlock(&s->lock);
    return value;
}

unsigned http_server_requests(struct http_server *s)
{
    return read_counter(s, &s->requests);
}

unsigned http_server_connections(struct http_server *s)
{
    return read_counter(s, &s->connections);
}

unsigned http_server_most_held(struct http_server *s)
{
    return read_counter(s, &s->most_held);
}

void http_hold(struct http_conn *c)
{
    struct http_server *s = c->server;

    pthread_mutex_lock(&s->lock);
    s->held++;
    if (s->held > s->most_held)
        s->most_held = s->held;
    pthread_cond_broadcast(&s->changed);
    while (s->passes == 0 && !s->stopping)
        pthread_cond_wait(&s->changed, &s->lock);
    if (s->passes > 0)
        s->passes--;
    s->held--;
    pthread_mutex_unlock(&s->lock);
}

bool http_server_wait_held(struct http_server *s, unsigned count)
{
    struct timespec until;
    bool ok;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&s->lock);
    while ((s->passes > 0 || s->held != count) &&
           pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
        ;
    ok = s->passes == 0 && s->held == count;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void http_server_let_pass(struct http_server *s, unsigned count)
{
    pthread_mutex_lock(&s->lock);
    s->passes += count;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

bool http_wait_hangup(struct http_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN | POLLRDHUP};
    char byte;

    return poll(&p, 1, PATIENCE_S * 1000) == 1 && recv(c->fd, &byte, 1, MSG_PEEK) <= 0;
}
