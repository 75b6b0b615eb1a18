/*
 * relay.c - a far network: a proxy that tunnels (CONNECT) through a link with delay and a limit.
 *
 *     relay DELAY_MS MBITS
 *
 * Prints its port, and serves until its stdin closes. What goes through takes DELAY_MS each way,
 * and all tunnels together get MBITS megabits/s in each direction. They take turns by 16 KiB, as
 * on a link with a fair queue, so that small answers do not stand behind large ones. The answer to
 * CONNECT takes both ways: it stands for TCP's handshake. There is no slow start and no loss: both
 * programs that are compared are spared them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TUNNELS_MAX 1024
#define TURN (16 << 10)
#define HELD_MAX (4 << 20) /* of one tunnel and direction; one alone has 0.5 MB under way */
#define LATE_MAX 0.05      /* what a busy link catches up when this process was not run */

/* Bytes on their way; none: the end. */
struct piece {
    struct piece *next;
    double due;
    size_t len, sent;
    char data[];
};

/* One direction of a tunnel. */
struct half {
    int from, to;
    struct piece *first, **last;
    size_t held;
    bool is_ended, is_blocked, is_done;
};

enum { UP, DOWN, WAYS };

struct tunnel {
    char head[4096];
    size_t head_len;
    bool is_open; /* the server is connected */
    int client, server;
    struct half ways[WAYS];
};

static struct tunnel *tunnels[TUNNELS_MAX];
static size_t tunnel_count;
static double delay, rate;   /* seconds; bytes/s */
static double free_at[WAYS]; /* when the link takes the next bytes */
static bool is_busy[WAYS];
static size_t turn[WAYS]; /* whose they are */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void push(struct half *h, const void *data, size_t len, double due)
{
    struct piece *p = malloc(sizeof(*p) + len);

    if (!p)
        abort();
    *p = (struct piece){.due = due, .len = len};
    if (len)
        memcpy(p->data, data, len);
    *h->last = p;
    h->last = &p->next;
    h->held += len;
}

static void pop(struct half *h)
{
    struct piece *p = h->first;

    h->first = p->next;
    if (!h->first)
        h->last = &h->first;
    h->held -= p->len;
    free(p);
}

static void no_delay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* -- A tunnel's life --------------------------------------------------------------------------- */

static void accept_all(int listener)
{
    int fd;

    while (tunnel_count < TUNNELS_MAX && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct tunnel *t = calloc(1, sizeof(*t));

        if (!t)
            abort();
        no_delay(fd);
        t->client = fd;
        t->server = -1;
        tunnels[tunnel_count++] = t;
    }
}

/* Connects to what the head names: an IPv4 address of this machine, so it does not block. */
static bool open_tunnel(struct tunnel *t, double at)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET};
    char host[64];
    unsigned port;

    if (sscanf(t->head, "CONNECT %63[0-9.]:%u ", host, &port) != 2 ||
        inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return false;
    to.sin_port = htons((uint16_t)port);
    t->server = socket(AF_INET, SOCK_STREAM, 0);
    if (t->server < 0 || connect(t->server, (struct sockaddr *)&to, sizeof(to)))
        return false;
    no_delay(t->server);
    for (int way = 0; way < WAYS; way++) {
        t->ways[way].from = way == UP ? t->client : t->server;
        t->ways[way].to = way == UP ? t->server : t->client;
        t->ways[way].last = &t->ways[way].first;
    }
    push(&t->ways[DOWN], answer, sizeof(answer) - 1, at + 2 * delay);
    t->is_open = true;
    return true;
}

/* False: it is to be closed. */
static bool read_head(struct tunnel *t, double at)
{
    ssize_t n = recv(t->client, t->head + t->head_len, sizeof(t->head) - 1 - t->head_len,
                     MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    t->head_len += (size_t)n;
    t->head[t->head_len] = '\0';
    return strstr(t->head, "\r\n\r\n") ? open_tunnel(t, at) : true;
}

static void close_tunnel(size_t index)
{
    struct tunnel *t = tunnels[index];

    for (int way = 0; way < WAYS; way++)
        while (t->ways[way].first)
            pop(&t->ways[way]);
    close(t->client);
    if (t->server >= 0)
        close(t->server);
    free(t);
    tunnels[index] = tunnels[--tunnel_count];
}

/* -- The link ---------------------------------------------------------------------------------- */

static bool is_wanted(const struct tunnel *t, int way)
{
    return t->is_open && !t->ways[way].is_ended && t->ways[way].held < HELD_MAX;
}

/* The link takes a turn's bytes of this tunnel; false: there are none. */
static bool take_turn(struct tunnel *t, int way, double at)
{
    struct half *h = &t->ways[way];
    char data[TURN];
    ssize_t n = is_wanted(t, way) ? recv(h->from, data, sizeof(data), MSG_DONTWAIT) : -1;

    if (n < 0 && (!is_wanted(t, way) || errno == EAGAIN))
        return false;
    if (n > 0)
        free_at[way] += (double)n / rate;
    h->is_ended = n <= 0;
    push(h, data, n > 0 ? (size_t)n : 0, (free_at[way] > at ? free_at[way] : at) + delay);
    return true;
}

static void serve_link(int way, double at)
{
    size_t idle = 0;

    /* An idle link saves nothing up; a busy one catches up if it is served late. */
    if (!is_busy[way] && free_at[way] < at)
        free_at[way] = at;
    else if (free_at[way] < at - LATE_MAX)
        free_at[way] = at - LATE_MAX;
    while (free_at[way] <= at && idle < tunnel_count) {
        turn[way] = (turn[way] + 1) % tunnel_count;
        idle = take_turn(tunnels[turn[way]], way, at) ? 0 : idle + 1;
    }
    is_busy[way] = free_at[way] > at;
}

/* What has arrived by now. False: the tunnel is broken. */
static bool deliver(struct half *h, double at)
{
    h->is_blocked = false;
    while (h->first && h->first->due <= at) {
        struct piece *p = h->first;
        ssize_t n = send(h->to, p->data + p->sent, p->len - p->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            h->is_blocked = true;
            return true;
        }
        if (n < 0)
            return false;
        p->sent += (size_t)n;
        if (p->sent < p->len)
            continue;
        if (!p->len) {
            shutdown(h->to, SHUT_WR);
            h->is_done = true;
        }
        pop(h);
    }
    return true;
}

static void step(int listener, double at)
{
    accept_all(listener);
    for (size_t i = 0; i < tunnel_count; i++)
        if (!tunnels[i]->is_open && !read_head(tunnels[i], at))
            close_tunnel(i--);
    for (int way = 0; way < WAYS; way++)
        serve_link(way, at);
    for (size_t i = 0; i < tunnel_count; i++) {
        struct tunnel *t = tunnels[i];
        bool is_good = true;

        for (int way = 0; t->is_open && way < WAYS; way++)
            is_good &= deliver(&t->ways[way], at);
        if (!is_good || (t->ways[UP].is_done && t->ways[DOWN].is_done))
            close_tunnel(i--);
    }
}

/* -- Waiting ----------------------------------------------------------------------------------- */

/* What to wait for in one direction of a tunnel; `ret_until` is lowered to when it must end. */
static void wait_for_half(const struct tunnel *t, int way, double at, struct pollfd *from,
                          struct pollfd *to, double *ret_until)
{
    const struct half *h = &t->ways[way];

    if (is_wanted(t, way) && free_at[way] <= at)
        from->events |= POLLIN;
    if (h->is_blocked)
        to->events |= POLLOUT;
    else if (h->first && h->first->due < *ret_until)
        *ret_until = h->first->due;
}

static bool wait_for_work(int listener)
{
    static struct pollfd fds[2 + 2 * TUNNELS_MAX];
    double at = now(), until = at + 60;
    struct timespec left;

    fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (size_t i = 0; i < tunnel_count; i++) {
        struct tunnel *t = tunnels[i];
        struct pollfd *client = &fds[2 + 2 * i], *server = client + 1;

        *client = (struct pollfd){.fd = t->client, .events = t->is_open ? 0 : POLLIN};
        *server = (struct pollfd){.fd = t->server};
        wait_for_half(t, UP, at, client, server, &until);
        wait_for_half(t, DOWN, at, server, client, &until);
        if (!client->events)
            client->fd = -1; /* a hangup that nobody asked about would wake us again and again */
        if (!server->events)
            server->fd = -1;
    }
    for (int way = 0; way < WAYS; way++)
        if (free_at[way] > at && free_at[way] < until)
            until = free_at[way];
    left.tv_sec = until > at ? (time_t)(until - at) : 0;
    left.tv_nsec = until > at ? (long)((until - at - (double)left.tv_sec) * 1e9) : 0;
    ppoll(fds, 2 + 2 * tunnel_count, &left, NULL);
    return !fds[0].revents;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    delay = argc == 3 ? strtod(argv[1], NULL) / 1e3 : 0;
    rate = argc == 3 ? strtod(argv[2], NULL) * 1e6 / 8 : 0;
    if (rate <= 0 || listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
        listen(listener, 1024) || getsockname(listener, (struct sockaddr *)&address, &len))
        return 2;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (wait_for_work(listener))
        step(listener, now());
    return 0;
}
