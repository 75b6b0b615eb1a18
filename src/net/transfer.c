#include "name.h"
#include "net/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX (64 * 1024)
/* 16 KiB costs half the speed of a large body; more than this costs memory touched for the first
 * time. The same for all, because buffers of two sizes would fragment the heap. */
#define BUFFER (128 * 1024L)
#define SLOW_BYTES 1024L
/* With a PUT libcurl 7.88 always asks whether it may send the body, and waits so long for an
 * answer. Servers that know the question answer at once; it saves sending what is refused. */
#define EXPECT_MS 300L
/* A file of authorities that has changed is read again after so long. */
#define AUTHORITIES_KEPT_S 600L

/* -- Headers ---------------------------------------------------------------------------------- */

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

/* Whether the header is absent, empty, or has just the value `allowed`. */
static bool has_at_most(CURL *easy, const char *name, const char *allowed)
{
    const char *value = "";

    if (find_header(easy, name, &value) == AMBIGUOUS)
        return false;
    return !*value || strcasecmp(value, allowed) == 0;
}

/*
 * 0, or -EPROTO for headers that contradict each other or announce an encoded body. An encoded
 * error page is still an error page, so only a success is refused for its encoding. The length is
 * digits only: curl accepts more, and takes the last of several lengths.
 */
static int check_headers(struct net_transfer *t, int status)
{
    const char *length, *ignored;
    bool is_success = status >= 200 && status <= 299;
    uint64_t promised;

    t->promised = -1;
    if (status == 204 || status == 304)
        return 0;
    if (is_success && !has_at_most(t->easy, "Content-Encoding", "identity"))
        return -EPROTO;
    if (!has_at_most(t->easy, "Transfer-Encoding", "chunked"))
        return -EPROTO;
    switch (find_header(t->easy, "Content-Length", &length)) {
    case ABSENT: return 0;
    case AMBIGUOUS: return -EPROTO;
    case GIVEN: break;
    }
    if (!name_parse_number(length, strlen(length), INT64_MAX, &promised) ||
        find_header(t->easy, "Transfer-Encoding", &ignored) != ABSENT)
        return -EPROTO;
    t->promised = (int64_t)promised;
    return 0;
}

/* -- What came in ----------------------------------------------------------------------------- */

/* Ends the exchange with an error of our own, from within a callback of curl's. */
static size_t refuse(struct net_transfer *t, int err)
{
    t->verdict = err;
    return CURL_WRITEFUNC_ERROR;
}

/* Called for each line, also for those of interim answers and for trailers. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    struct net_request *r = t->request;
    size_t len = size * count;
    bool is_end = len > 0 && (data[0] == '\r' || data[0] == '\n');
    long status = 0;
    int err;

    if (!r)
        return CURL_WRITEFUNC_ERROR;
    t->header_bytes += len;
    if (t->header_bytes > HEADERS_MAX)
        return refuse(t, -EPROTO);
    if (t->has_headers || !is_end)
        return len;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return len; /* 1xx: the answer is still to come */
    err = check_headers(t, (int)status);
    if (err < 0)
        return refuse(t, err);
    t->has_headers = true;
    err = r->on_head(r, (int)status);
    if (!t->request) /* cancelled; r may be freed */
        return CURL_WRITEFUNC_ERROR;
    /* Checked after on_head, because status and headers are of use all the same. */
    if (err >= 0 && t->promised >= 0 && (uint64_t)t->promised > r->body_max)
        err = -EFBIG;
    return err < 0 ? refuse(t, err) : len;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    struct net_request *r = t->request;
    size_t len = size * count;
    int answer;

    if (!r)
        return CURL_WRITEFUNC_ERROR;
    if (!t->has_headers)
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
    t->is_paused = answer == NET_PAUSE;
    if (t->is_paused)
        return CURL_WRITEFUNC_PAUSE;
    t->received += len;
    return len;
}

/* -- What goes out ---------------------------------------------------------------------------- */

static size_t on_read(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    struct net_request *r = t->request;
    ptrdiff_t n;

    if (!r)
        return CURL_READFUNC_ABORT;
    size *= count;
    if (size > r->upload_size - t->uploaded)
        size = (size_t)(r->upload_size - t->uploaded);
    if (!size)
        return 0;
    n = r->on_upload(r, t->uploaded, data, size);
    if (!t->request) /* cancelled; r may be freed */
        return CURL_READFUNC_ABORT;
    if (n < 0) {
        t->verdict = (int)n;
        return CURL_READFUNC_ABORT;
    }
    t->is_paused = n == 0;
    if (t->is_paused)
        return CURL_READFUNC_PAUSE;
    t->uploaded += (uint64_t)n;
    return (size_t)n;
}

/* The request is sent once more, because the kept connection was dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct net_transfer *t = arg;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    t->uploaded = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* -- Setting up ------------------------------------------------------------------------------- */

/*
 * Whom to trust: one file and no folder beside it, because only then curl keeps what it has read
 * for all connections. Read for each of them, the authorities of a usual system cost 30 ms of this
 * thread and 1 MiB. The later settings may fail: a TLS library without them does no more than this.
 */
static bool set_trust(CURL *e, const char *ca_file)
{
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

/* The options that are the same in all exchanges. */
static bool set_options(struct net_transfer *t, const struct net_config *config)
{
    const char *protocols = config->allow_http ? "http,https" : "https";
    long timeout_s = config->timeout_s;
    long connect_ms = config->connect_ms ? (long)config->connect_ms : timeout_s * 1000;
    CURL *e = t->easy;
    int bad = 0;

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

    /* QUICK_EXIT: a lookup that hangs is left to its thread, not waited for. A paused transfer is
     * not slow to curl. */
    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    bad |= curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    bad |= curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, timeout_s);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_PIPEWAIT, 0L);

    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    bad |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    bad |= curl_easy_setopt(e, CURLOPT_READDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
    bad |= curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_MS);
    return !bad && set_trust(e, config->ca_file);
}

/* NULL takes back what was set before. False: no memory, or a libcurl that cannot sign. */
static bool set_identity(CURL *e, const struct net_identity *identity)
{
    static const struct net_identity nobody;
    const struct net_identity *i = identity ? identity : &nobody;
    int bad = 0;

    /* libcurl 8.14 does not sign a path that it has not normalised. */
    bad |= curl_easy_setopt(e, CURLOPT_PATH_AS_IS, i->sigv4 ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_AWS_SIGV4, NULL); /* fails where libcurl cannot sign at all */
    bad |= curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    if (i->sigv4)
        bad |= curl_easy_setopt(e, CURLOPT_AWS_SIGV4, i->sigv4);
    /* Not USERPWD: a secret may have any byte in it. */
    bad |= curl_easy_setopt(e, CURLOPT_USERNAME, i->user);
    bad |= curl_easy_setopt(e, CURLOPT_PASSWORD, i->password);
    return !bad;
}

struct net_transfer *net_transfer_create(const struct net_config *config)
{
    struct net_transfer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->easy = curl_easy_init();
    if (t->easy && set_options(t, config))
        return t;
    net_transfer_destroy(t);
    return NULL;
}

void net_transfer_destroy(struct net_transfer *t)
{
    net_transfer_clear(t);
    curl_easy_cleanup(t->easy);
    free(t);
}

void net_transfer_clear(struct net_transfer *t)
{
    set_identity(t->easy, NULL);
    curl_easy_setopt(t->easy, CURLOPT_URL, NULL);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(t->easy, CURLOPT_RESOLVE, NULL);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->resolve);
    *t = (struct net_transfer){.net = t->net, .easy = t->easy};
}

static int append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

/* A leader drops what curl remembers of the name (resolve), so that its lookup is a new one. */
int net_transfer_prepare(struct net_transfer *t, const struct net_config *config,
                         const struct net_route *route, struct net_request *r)
{
    const char *no_proxy = config->no_proxy ? config->no_proxy : "";
    int err = append(&t->headers, "Accept-Encoding: identity");
    char forget[sizeof(route->lookup) + 1];
    int bad = 0;

    for (const char *const *h = r->headers; err == 0 && h && *h; h++)
        err = strpbrk(*h, "\r\n") ? -EPROTO : append(&t->headers, *h);
    if (err == 0 && r->identity && r->identity->sigv4)
        err = append(&t->headers, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
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
    bad |= curl_easy_setopt(t->easy, CURLOPT_URL, r->url);
    bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    bad |= curl_easy_setopt(t->easy, CURLOPT_PROXY, t->is_proxied ? config->proxy : "");
    bad |= curl_easy_setopt(t->easy, CURLOPT_NOPROXY, no_proxy);
    bad |= curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve);
    bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L); /* whatever it was before */
    if (r->is_put) {
        bad |= curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
        bad |= curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->upload_size);
    }
    bad |= !set_identity(t->easy, r->identity);
    return bad ? -ENOMEM : 0;
}

/* -- The result ------------------------------------------------------------------------------- */

/* curl has one code for a handshake that was refused and for one that was cut. */
static int errno_of_handshake(const char *text)
{
    static const char *const cut[] = {"SSL_ERROR_SYSCALL", "unexpected eof", "reset by peer",
                                      "Broken pipe"};

    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        if (strstr(text, cut[i]))
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

long net_transfer_refused_tunnel(const struct net_transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300 ? status : 0;
}

static bool was_accepted(CURL *easy)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status <= 299;
}

/* Lengths are compared here whatever curl reports: it has called cut bodies complete before. */
int net_transfer_result(const struct net_transfer *t, CURLcode code)
{
    if (t->verdict < 0)
        return t->verdict;
    /* To curl it is an answer that cannot be read, to the reader a host that cannot be reached. */
    if (code != CURLE_OK && net_transfer_refused_tunnel(t))
        return -ECONNREFUSED;
    switch (code) {
    case CURLE_OK: break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT: return errno_of_connect(t->easy);
    case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
    case CURLE_SSL_CONNECT_ERROR: return errno_of_handshake(t->error);
    /* curl's code also for a header line that is longer than its own bound. */
    case CURLE_OUT_OF_MEMORY: return t->header_bytes > 0 && !t->has_headers ? -EPROTO : -ENOMEM;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_WRITE_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_NO_CONNECTION_AVAILABLE: return -EIO;
    default: return -EPROTO;
    }
    if (!t->has_headers)
        return -EPROTO;
    if (t->request->is_put && t->uploaded != t->request->upload_size && was_accepted(t->easy))
        return -EIO;
    return t->promised >= 0 && t->received != (uint64_t)t->promised ? -EIO : 0;
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
    return r->transfer->has_heard || first_us > 0;
}

const char *net_error_text(const struct net_request *r)
{
    return r->transfer ? r->transfer->error : "";
}

const char *net_failure_text(const struct net_request *r)
{
    if (!r->transfer || !r->transfer->is_worth_telling)
        return "";
    r->transfer->is_told = true;
    return r->transfer->error;
}

bool net_is_proxied(const struct net_request *r)
{
    return r->transfer && r->transfer->is_proxied;
}

int net_refused_tunnel(const struct net_request *r)
{
    return r->transfer ? (int)net_transfer_refused_tunnel(r->transfer) : 0;
}

bool net_peer_is_private(const struct net_request *r)
{
    const char *peer = NULL;

    if (!r->transfer || r->transfer->is_proxied)
        return false;
    curl_easy_getinfo(r->transfer->easy, CURLINFO_PRIMARY_IP, &peer);
    return peer && net_address_is_local(peer);
}
