#include "net/internal.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEADERS_MAX (64 * 1024)
/* 16 KiB costs half the speed of a large body; more than this costs memory touched for the first
 * time. The same for all: where buffers of two sizes come and go, the heap is all over the place. */
#define BUFFER (128 * 1024L)
#define SLOW_BYTES 1024L
/* A file of authorities that has changed is read again after so long. */
#define AUTHORITIES_KEPT_S 600L

/* -- What came in ----------------------------------------------------------------------------- */

/* Ends the exchange with our own verdict, from within a callback of curl's. */
static size_t refuse(struct net_transfer *t, int err)
{
    t->verdict = err;
    return CURL_WRITEFUNC_ERROR;
}

enum presence { ABSENT, GIVEN, AMBIGUOUS };

static enum presence find_header(CURL *easy, const char *name, const char **ret_value)
{
    struct curl_header *h;
    const char *first;

    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return ABSENT;
    first = h->value;
    for (size_t i = 1, amount = h->amount; i < amount; i++) {
        if (curl_easy_header(easy, name, i, CURLH_HEADER, -1, &h) != CURLHE_OK ||
            strcmp(h->value, first) != 0)
            return AMBIGUOUS;
    }
    *ret_value = first;
    return GIVEN;
}

/* Whether the header is absent, empty, or says just `allowed`. */
static bool says_at_most(CURL *easy, const char *name, const char *allowed)
{
    const char *value;

    switch (find_header(easy, name, &value)) {
    case ABSENT: return true;
    case GIVEN: return !*value || strcasecmp(value, allowed) == 0;
    case AMBIGUOUS: break;
    }
    return false;
}

/* Digits only: curl is more forgiving, and lets the last of several lengths win. */
static int read_length(CURL *easy, int64_t *ret_length)
{
    const char *value;
    int64_t length = 0;

    switch (find_header(easy, "Content-Length", &value)) {
    case ABSENT: return 0;
    case AMBIGUOUS: return -EPROTO;
    case GIVEN: break;
    }
    if (!*value)
        return -EPROTO;
    for (; *value; value++) {
        if (*value < '0' || *value > '9' || length > (INT64_MAX - 9) / 10)
            return -EPROTO;
        length = length * 10 + (*value - '0');
    }
    *ret_length = length;
    return 0;
}

/* An encoded error page is still an error page, so only a success is refused for its encoding. */
static int check_head(struct net_transfer *t, int status)
{
    const char *ignored;
    bool is_success = status >= 200 && status <= 299;

    t->promised = -1;
    if (status == 204 || status == 304)
        return 0;
    if (is_success && !says_at_most(t->easy, "Content-Encoding", "identity"))
        return -EPROTO;
    if (!says_at_most(t->easy, "Transfer-Encoding", "chunked"))
        return -EPROTO;
    if (read_length(t->easy, &t->promised) < 0)
        return -EPROTO;
    if (t->promised >= 0 && find_header(t->easy, "Transfer-Encoding", &ignored) != ABSENT)
        return -EPROTO;
    return 0;
}

static bool promises_too_much(const struct net_transfer *t)
{
    return t->promised >= 0 && (uint64_t)t->promised > t->request->body_max;
}

static size_t begin_answer(struct net_transfer *t, size_t len)
{
    struct net_request *r = t->request;
    long status = 0;
    int err;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return len; /* 1xx: the answer is still to come */
    err = check_head(t, (int)status);
    if (err < 0)
        return refuse(t, err);
    t->headed = true;
    err = r->on_head(r, (int)status);
    if (t->request && err >= 0 && promises_too_much(t))
        err = -EFBIG; /* its status and headers were of use all the same */
    if (t->request && err < 0)
        return refuse(t, err);
    return t->request ? len : CURL_WRITEFUNC_ERROR;
}

/* Called for each line, also for those of interim answers and for trailers. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    size_t len = size * count;
    bool is_blank = len > 0 && (data[0] == '\r' || data[0] == '\n');

    if (!t->request)
        return CURL_WRITEFUNC_ERROR;
    t->header_bytes += len;
    if (t->header_bytes > HEADERS_MAX)
        return refuse(t, -EPROTO);
    if (t->headed || !is_blank)
        return len;
    return begin_answer(t, len);
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    struct net_request *r = t->request;
    size_t len = size * count;
    int answer;

    if (!r)
        return CURL_WRITEFUNC_ERROR;
    if (!t->headed)
        return refuse(t, -EPROTO);
    if (len > r->body_max - t->received)
        return refuse(t, -EFBIG);
    if (t->promised >= 0 && t->received + len > (uint64_t)t->promised)
        return refuse(t, -EIO);
    answer = r->on_body(r, data, len);
    if (!t->request)
        return CURL_WRITEFUNC_ERROR;
    if (answer < 0)
        return refuse(t, answer);
    t->paused = answer == NET_PAUSE;
    if (t->paused)
        return CURL_WRITEFUNC_PAUSE;
    t->received += len;
    return len;
}

/* -- The gate --------------------------------------------------------------------------------- */

static void settle_lookup(struct net_transfer *t, int64_t known_until_ms)
{
    if (t->leads)
        net_dns_settle(t->dns, t->leads, known_until_ms);
    t->leads = NULL;
}

/* A connection is opened, so the name has been looked up, and all who follow find it in the cache. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct net_transfer *t = arg;

    (void)purpose;
    settle_lookup(t, net_now_ms() + NET_DNS_FRESH_MS);
    t->socket = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    return t->socket;
}

/* About to ask. Nobody has settled the gate: the connection was kept, this one needed no lookup, the
 * next one may. */
static int on_connected(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct net_transfer *t = arg;

    (void)peer, (void)local, (void)peer_port, (void)local_port;
    t->asked++;
    settle_lookup(t, 0);
    return CURL_PREREQFUNC_OK;
}

/* -- Setting up ------------------------------------------------------------------------------- */

static int append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static int set_headers(struct net_transfer *t, const char *const *headers)
{
    int err = append(&t->headers, "Accept-Encoding: identity");

    for (; err == 0 && headers && *headers; headers++)
        err = strpbrk(*headers, "\r\n") ? -EPROTO : append(&t->headers, *headers);
    return err;
}

/* What is the same in all exchanges: how it speaks, and what it never does. */
static bool set_manners(struct net_transfer *t, const struct net_config *config)
{
    CURL *e = t->easy;
    const char *protocols = config->allow_http ? "http,https" : "https";
    int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, protocols);
    bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    bad |= curl_easy_setopt(e, CURLOPT_USERAGENT, config->user_agent);
    bad |= curl_easy_setopt(e, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    bad |= curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(e, CURLOPT_BUFFERSIZE, BUFFER);
    return !bad;
}

/* What is asked, of whom, by which way, and with which headers. The leader drops what curl remembers
 * of the name (resolve), so that a lookup is as young as the gate believes. */
static bool set_question(struct net_transfer *t, const struct net_config *config)
{
    CURL *e = t->easy;
    const char *proxy = t->is_proxied ? config->proxy : "";
    const char *no_proxy = config->no_proxy ? config->no_proxy : "";
    int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_URL, t->request->url);
    bad |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    bad |= curl_easy_setopt(e, CURLOPT_PROXY, proxy);
    bad |= curl_easy_setopt(e, CURLOPT_NOPROXY, no_proxy);
    bad |= curl_easy_setopt(e, CURLOPT_RESOLVE, t->resolve);
    return !bad;
}

/*
 * Whom to trust: one file and no folder beside it, for only then does curl keep what it has read for
 * all connections. Read for each of them anew, the authorities of a usual system cost 30 ms of this
 * thread and 1 MiB. The other settings may fail: a TLS library without them does no more than this.
 */
static bool set_trust(struct net_transfer *t, const char *ca_file)
{
    CURL *e = t->easy;

    if (!ca_file)
        return true;
    if (curl_easy_setopt(e, CURLOPT_CAINFO, ca_file) != CURLE_OK)
        return false;
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, AUTHORITIES_KEPT_S);
    curl_easy_setopt(e, CURLOPT_PROXY_CAINFO, ca_file);
    curl_easy_setopt(e, CURLOPT_PROXY_CAPATH, NULL);
    return true;
}

/*
 * How long it may take. A paused transfer is not slow, says curl. QUICK_EXIT: a lookup that hangs is
 * left to its thread, not waited for.
 */
static bool set_patience(struct net_transfer *t, long timeout_s)
{
    CURL *e = t->easy;
    int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, timeout_s);
    bad |= curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    bad |= curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, timeout_s);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_PIPEWAIT, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, NET_DNS_CURL_S);
    return !bad;
}

static bool set_callbacks(struct net_transfer *t, curl_closesocket_callback on_close, void *room)
{
    CURL *e = t->easy;
    int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    bad |= curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, room);

    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    bad |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    bad |= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQDATA, t);
    return !bad;
}

struct net_transfer *net_transfer_create(const struct net_config *config,
                                         curl_closesocket_callback on_close, void *room)
{
    struct net_transfer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->easy = curl_easy_init();
    if (t->easy && set_manners(t, config) && set_trust(t, config->ca_file) &&
        set_patience(t, config->timeout_s) && set_callbacks(t, on_close, room))
        return t;
    net_transfer_destroy(t);
    return NULL;
}

void net_transfer_destroy(struct net_transfer *t)
{
    if (!t)
        return;
    net_transfer_clear(t);
    curl_easy_cleanup(t->easy);
    free(t);
}

void net_transfer_clear(struct net_transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_URL, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->resolve);
    memset(t, 0, sizeof(*t));
    t->easy = easy;
}

int net_transfer_prepare(struct net_transfer *t, const struct net_config *config,
                         const struct net_route *route, struct net_request *r)
{
    int err = set_headers(t, r->headers);
    char forget[sizeof(route->lookup) + 1];

    if (err == 0 && t->leads) {
        snprintf(forget, sizeof(forget), "-%s", route->lookup);
        err = append(&t->resolve, forget);
    }
    if (err < 0)
        return err;
    t->request = r;
    t->promised = -1;
    t->socket = -1;
    t->is_proxied = route->is_proxied;
    return set_question(t, config) ? 0 : -ENOMEM;
}

/* -- What became of it ------------------------------------------------------------------------ */

/* curl has one code for a handshake that was refused and for one that was cut. */
static int errno_of_handshake(const char *words)
{
    static const char *const cut[] = {"SSL_ERROR_SYSCALL", "unexpected eof", "reset by peer",
                                      "Broken pipe"};

    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        if (strstr(words, cut[i]))
            return -EIO;
    }
    return -EPROTO;
}

static int errno_of_connect(CURL *easy)
{
    long cause = 0;

    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &cause);
    switch (cause) {
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL: return -EHOSTUNREACH;
    case ETIMEDOUT: return -ETIMEDOUT;
    default: return -ECONNREFUSED;
    }
}

/* Handshakes and a proxy's answers are bytes too, which curl tells nobody of. */
bool net_transfer_note_close(struct net_transfer *t, int socket)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (t->socket != socket)
        return false;
    t->socket = -1;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_bytes_received > 0)
        t->was_heard = true;
    return true;
}

long net_transfer_refused_tunnel(const struct net_transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300 ? status : 0;
}

static int errno_of_curl(const struct net_transfer *t, CURLcode result)
{
    /* To curl it is an answer that cannot be read, to the reader a host that cannot be reached. */
    if (result != CURLE_OK && net_transfer_refused_tunnel(t))
        return -ECONNREFUSED;
    switch (result) {
    case CURLE_OK: return 0;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT: return errno_of_connect(t->easy);
    case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
    case CURLE_SSL_CONNECT_ERROR: return errno_of_handshake(t->error);
    /* A header line longer than curl's own bound ends as if there were no memory. */
    case CURLE_OUT_OF_MEMORY: return t->header_bytes > 0 && !t->headed ? -EPROTO : -ENOMEM;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_NO_CONNECTION_AVAILABLE: return -EIO;
    default: return -EPROTO;
    }
}

/* Lengths are compared here whatever curl says: it has called cut bodies complete before. */
int net_transfer_outcome(struct net_transfer *t, CURLcode result)
{
    if (t->verdict < 0)
        return t->verdict;
    if (result != CURLE_OK)
        return errno_of_curl(t, result);
    if (!t->headed)
        return -EPROTO;
    if (t->promised >= 0 && t->received != (uint64_t)t->promised)
        return -EIO;
    return 0;
}

const char *net_header(const struct net_request *r, const char *name)
{
    const char *value;

    if (!r->transfer || find_header(r->transfer->easy, name, &value) != GIVEN)
        return NULL;
    return value;
}

/* STARTTRANSFER: when the first byte of the answer came, which need not end a line. */
bool net_was_heard(const struct net_request *r)
{
    curl_off_t first_us = 0;

    if (!r->transfer)
        return false;
    curl_easy_getinfo(r->transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
    return r->transfer->was_heard || first_us > 0;
}

bool net_peer_is_private(const struct net_request *r)
{
    const char *peer = NULL;

    if (!r->transfer || r->transfer->is_proxied)
        return false;
    curl_easy_getinfo(r->transfer->easy, CURLINFO_PRIMARY_IP, &peer);
    return peer && net_address_is_local(peer);
}
