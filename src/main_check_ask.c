#include "main_check_ask.h"

#include "github/archive_transfer.h"
#include "github/headers.h"
#include "github/log_state.h"
#include "github/parse.h"
#include "github/redirect.h"
#include "github/token.h"
#include "net/url.h"
#include "shared/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOVES_MAX 3
#define START_MAX 2048 /* bytes of a body that tell what it is */

struct asker {
    struct net *net;
    struct token_line *token; /* NULL: none */
    unsigned timeout_s;

    /* One question: the network thread's from net_post until is_done. */
    struct net_task task;
    struct net_request request;
    struct net_timer deadline;
    enum ask_kind kind;
    const char *headers[8];
    int64_t since_ms;
    struct asked *asked;
    size_t capacity; /* of the body */
    bool is_blob;    /* storage's own headers were there */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done; /* lock */
};

/* -- What came, on the network thread ---------------------------------------------------------- */

static void copy_plain(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
    for (char *c = to; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

/* Not its value, which has a link with a secret in it. */
static bool wants_sso(const char *header)
{
    return header && !strncasecmp(header, "required", strlen("required"));
}

static void read_headers(struct asker *a, struct check_answer *to)
{
    const struct net_request *r = &a->request;
    const char *scopes = net_header(r, "X-OAuth-Scopes");
    int64_t seconds;

    to->at_s = net_wall_s();
    to->took_ms = net_now_ms() - a->since_ms;
    if (parse_http_date(net_header(r, "Date"), to->at_s, &seconds) == 0)
        to->date_s = seconds;
    if (parse_retry_after(net_header(r, "Retry-After"), to->at_s, &seconds) == 0)
        to->retry_after_s = seconds;
    response_read_type(r, to->type);
    if (a->kind != ASK_API)
        return;
    to->quota = (struct facts_quota){parse_count(net_header(r, "X-RateLimit-Limit")),
                                     parse_count(net_header(r, "X-RateLimit-Remaining")),
                                     parse_count(net_header(r, "X-RateLimit-Reset"))};
    to->has_scopes = scopes != NULL;
    copy_plain(to->scopes, sizeof(to->scopes), scopes);
    copy_plain(to->expiration, sizeof(to->expiration),
               net_header(r, "github-authentication-token-expiration"));
    copy_plain(to->permissions, sizeof(to->permissions),
               net_header(r, "X-Accepted-GitHub-Permissions"));
    to->wants_sso = wants_sso(net_header(r, "X-GitHub-SSO"));
}

static int on_head(struct net_request *request, int status)
{
    struct asker *a = list_entry(request, struct asker, request);
    struct asked *asked = a->asked;
    const char *location = net_header(request, "Location");

    asked->answer.status = status;
    read_headers(a, &asked->answer);
    asked->is_peer_private = net_peer_is_private(request);
    a->is_blob = net_header(request, "x-ms-blob-type") != NULL;
    if (location)
        asked->location = strdup(location);
    return 0;
}

/* Of an archive and a log no more is wanted than shows what they are. */
static int on_body(struct net_request *request, const void *data, size_t len)
{
    struct asker *a = list_entry(request, struct asker, request);
    struct asked *asked = a->asked;
    size_t most = a->kind == ASK_API ? PARSE_BODY_MAX : START_MAX;

    if (len > most - asked->len)
        len = most - asked->len;
    if (asked->len + len + 1 > a->capacity) {
        size_t capacity = 2 * (asked->len + len + 1);
        char *body = realloc(asked->body, capacity);
        if (!body)
            return -ENOMEM;
        asked->body = body;
        a->capacity = capacity;
    }
    memcpy(asked->body + asked->len, data, len);
    asked->len += len;
    asked->body[asked->len] = '\0';
    return asked->len == most ? -ECANCELED : NET_TAKEN;
}

static void on_late(struct net_timer *timer)
{
    net_cancel(&list_entry(timer, struct asker, deadline)->request, -ETIMEDOUT);
}

static void on_done(struct net_request *request, int err)
{
    struct asker *a = list_entry(request, struct asker, request);
    struct check_answer *to = &a->asked->answer;

    net_timer_cancel(&a->deadline);
    /* What ends a body that is not wanted is no failure. */
    to->err = to->status && a->kind != ASK_API && (err == -ECANCELED || err == -EFBIG) ? 0 : err;
    if (!to->status || err == -ETIMEDOUT)
        to->took_ms = net_now_ms() - a->since_ms;
    to->is_proxied = net_is_proxied(request);
    to->tunnel = to->status ? 0 : net_refused_tunnel(request);
    copy_plain(to->detail, sizeof(to->detail), err ? net_error_text(request) : "");
    pthread_mutex_lock(&a->lock);
    a->is_done = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static void begin(struct net_task *task)
{
    struct asker *a = list_entry(task, struct asker, task);

    a->deadline.fire = on_late;
    net_timer_set(a->net, &a->deadline, net_now_ms() + a->timeout_s * INT64_C(1000));
    net_send(a->net, &a->request);
}

/* -- What it is -------------------------------------------------------------------------------- */

/* What a mount would take for a log: by its type, and where nothing else shows that storage sent
 * it, by its first line. */
static bool is_log(const struct asker *a, const struct asked *asked)
{
    return response_is_log_type(asked->answer.type) &&
           (asked->answer.status != 200 || a->is_blob ||
            response_begins_like_log(asked->body, asked->len));
}

/* A server may repeat what it was sent. */
static void hide_token(const struct asker *a, char *text)
{
    if (token_is_in(a->token, text, strlen(text)))
        text[0] = '\0';
}

static void judge_body(const struct asker *a, struct asked *asked)
{
    struct check_answer *to = &asked->answer;
    enum ask_kind kind = a->kind;
    bool is_success = to->status >= 200 && to->status <= 299;
    struct parse_error error;

    if (kind == ASK_API && !is_success) {
        parse_error_message(asked->body, asked->len, &error);
        copy_plain(to->message, sizeof(to->message), error.message);
    } else if (!is_success) {
        shared_find_code(asked->body ? asked->body : "", asked->len, to->code);
    } else if (kind == ASK_LOG) {
        to->is_right = is_log(a, asked);
    } else if (kind == ASK_ARCHIVE) {
        to->is_right = response_is_zip_type(to->type);
    }
    if (kind == ASK_LOG && to->status == 416) /* an empty log has no first byte */
        to->is_right = true;
    hide_token(a, to->message);
    hide_token(a, to->scopes);
    hide_token(a, to->expiration);
    hide_token(a, to->permissions);
    hide_token(a, to->type);
}

/* -- Asking, on main's thread ------------------------------------------------------------------ */

static void set_request(struct asker *a, const char *url, const char *header,
                        const struct net_identity *identity)
{
    size_t n = 0;

    if (a->kind == ASK_API) {
        a->headers[n++] = "Accept: application/vnd.github+json";
        a->headers[n++] = "X-GitHub-Api-Version: 2022-11-28";
        if (a->token)
            a->headers[n++] = a->token->text;
    }
    if (a->kind == ASK_LOG || a->kind == ASK_ARCHIVE)
        a->headers[n++] = "Range: bytes=0-31";
    if (header)
        a->headers[n++] = header;
    a->headers[n] = NULL;
    /* A length beyond the bound ends it right behind the headers: those are what is wanted. */
    a->request = (struct net_request){.url = url,
                                      .headers = a->headers,
                                      .body_max = a->kind == ASK_API ? PARSE_BODY_MAX : START_MAX,
                                      .identity = identity,
                                      .on_head = on_head,
                                      .on_body = on_body,
                                      .on_done = on_done};
}

static void get_once(struct asker *a, const char *url, const char *header,
                     const struct net_identity *identity, struct asked *asked)
{
    struct net_url at;

    *asked = (struct asked){.answer = {.date_s = -1, .retry_after_s = -1, .quota = {-1, -1, -1}}};
    if (net_url_parse(url, &at) == 0) {
        snprintf(asked->answer.host, sizeof(asked->answer.host), "%s", at.host);
        asked->answer.is_plain = !strcmp(at.scheme, "http");
    }
    a->asked = asked;
    a->capacity = 0;
    a->is_done = false;
    a->since_ms = net_now_ms();
    a->task = (struct net_task){.run = begin};
    set_request(a, url, header, identity);
    net_post(a->net, &a->task);
    pthread_mutex_lock(&a->lock);
    while (!a->is_done)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
    judge_body(a, asked);
}

static bool is_move(int status)
{
    return status == 301 || status == 307 || status == 308;
}

void asker_get(struct asker *a, const char *url, enum ask_kind kind, const char *header,
               const struct net_identity *identity, struct asked *ret)
{
    char *moved = NULL, *next;

    a->kind = kind;
    get_once(a, url, header, identity, ret);
    for (int i = 0; i < MOVES_MAX && kind == ASK_API && is_move(ret->answer.status); i++) {
        if (!ret->location || redirect_resolve_move(moved ? moved : url, ret->location, &next) < 0)
            break;
        free(moved);
        moved = next;
        asked_finish(ret);
        get_once(a, moved, header, identity, ret);
    }
    free(moved);
}

void asked_finish(struct asked *asked)
{
    free(asked->body);
    free(asked->location);
    asked->body = NULL;
    asked->location = NULL;
}

int asker_create(const struct net_config *config, unsigned timeout_s, const char *token,
                 struct asker **ret_asker)
{
    struct asker *a = calloc(1, sizeof(*a));
    int rc = a ? 0 : -ENOMEM;

    if (!rc && token)
        rc = token_make_line(token, &a->token);
    if (!rc)
        rc = net_create(config, &a->net);
    if (rc) {
        if (a && a->token)
            token_line_unref(a->token);
        free(a);
        return rc;
    }
    a->timeout_s = timeout_s;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    *ret_asker = a;
    return 0;
}

void asker_destroy(struct asker *a)
{
    if (!a)
        return;
    net_destroy(a->net);
    if (a->token)
        token_line_unref(a->token);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
