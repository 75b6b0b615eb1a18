#include "shared/server.h"

#include "diag.h"
#include "github/headers.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WRONG_MAX 4                  /* in a row, then it is left alone */
#define REFUSAL_READ_MAX (64 * 1024) /* of an error's body, only to keep the connection */

/* -- Who asks ---------------------------------------------------------------------------------- */

int shared_server_init(struct shared_server *s)
{
    if (s->location->region[0])
        snprintf(s->sigv4, sizeof(s->sigv4), "aws:amz:%s:s3", s->location->region);
    list_init(&s->queue);
    return -pthread_mutex_init(&s->lock, NULL);
}

void shared_server_finish(struct shared_server *s)
{
    shared_credentials_finish(&s->credentials);
    explicit_bzero(s->header, sizeof(s->header));
    pthread_mutex_destroy(&s->lock);
}

void shared_server_set_credentials(struct shared_server *s, const struct shared_credentials *c)
{
    s->credentials = *c;
    s->identity = (struct net_identity){.sigv4 = s->sigv4[0] ? s->sigv4 : NULL,
                                        .user = s->credentials.user,
                                        .password = s->credentials.password};
    s->header[0] = '\0';
    if (c->session[0])
        snprintf(s->header, sizeof(s->header), "x-amz-security-token: %s", c->session);
    else if (c->bearer[0])
        snprintf(s->header, sizeof(s->header), "Authorization: Bearer %s", c->bearer);
}

void shared_server_renew_credentials(struct shared_server *s, const struct shared_credentials *c)
{
    bool is_news;

    shared_server_set_credentials(s, c);
    pthread_mutex_lock(&s->lock);
    is_news = s->state.phase == SHARED_RESTING || s->state.phase == SHARED_PROBING;
    if (is_news)
        s->state = (struct shared_state){.phase = SHARED_UP};
    pthread_mutex_unlock(&s->lock);
    if (is_news)
        diag_log(s->diag, DIAG_NOTICE, "shared store %s: has a new key, and is asked again",
                 s->location->host);
}

/* -- Its state --------------------------------------------------------------------------------- */

bool shared_server_may_ask(struct shared_server *s)
{
    bool may;

    pthread_mutex_lock(&s->lock);
    may = shared_state_may_ask(&s->state, net_now_ms());
    pthread_mutex_unlock(&s->lock);
    return may;
}

bool shared_server_would_ask(struct shared_server *s)
{
    bool would;

    pthread_mutex_lock(&s->lock);
    would = shared_state_would_ask(&s->state, net_now_ms());
    pthread_mutex_unlock(&s->lock);
    return would;
}

bool shared_server_is_off(struct shared_server *s)
{
    bool is_off;

    pthread_mutex_lock(&s->lock);
    is_off = s->state.phase == SHARED_OFF;
    pthread_mutex_unlock(&s->lock);
    return is_off;
}

void shared_server_turn_off(struct shared_server *s, const struct repo_name *repo, uint64_t job)
{
    bool is_news;

    pthread_mutex_lock(&s->lock);
    is_news = shared_state_turn_off(&s->state);
    pthread_mutex_unlock(&s->lock);
    if (is_news)
        diag_log(s->diag, DIAG_ERROR,
                 "shared store %s: its log of job %llu of %s/%s is not GitHub's. The store is off "
                 "for this mount; find out who can write to it, and what in the cache came from it",
                 s->location->host, (unsigned long long)job, repo->owner, repo->repo);
}

/* After a failure, and before a next try. */
static bool is_left_alone(struct shared_server *s)
{
    bool is_resting;

    pthread_mutex_lock(&s->lock);
    is_resting = s->state.phase == SHARED_RESTING || s->state.phase == SHARED_OFF;
    pthread_mutex_unlock(&s->lock);
    return is_resting;
}

static void note_success(struct shared_server *s)
{
    bool is_news;

    pthread_mutex_lock(&s->lock);
    is_news = shared_state_note_success(&s->state);
    pthread_mutex_unlock(&s->lock);
    if (is_news)
        diag_log(s->diag, DIAG_NOTICE, "shared store %s: answers again", s->location->host);
}

static void note_failure(struct shared_server *s, const char *what)
{
    int64_t rest_ms;
    bool is_news;

    pthread_mutex_lock(&s->lock);
    is_news = shared_state_note_failure(&s->state, net_now_ms());
    rest_ms = s->state.rest_ms;
    pthread_mutex_unlock(&s->lock);
    if (is_news)
        diag_log(s->diag, DIAG_WARNING,
                 "shared store %s: %s; logs come from GitHub, and it is not asked for %" PRId64
                 " s",
                 s->location->host, what, rest_ms / 1000);
}

void shared_server_note_wrong(struct shared_server *s)
{
    if (++s->wrong < WRONG_MAX)
        return;
    s->wrong = 0;
    note_failure(s, "what it sends is not what was stored");
}

/* -- What an answer means ---------------------------------------------------------------------- */

void shared_find_code(const char *body, size_t len, char ret_code[SHARED_CODE_MAX])
{
    static const char begin[] = "<Code>";
    const char *at = memmem(body, len, begin, strlen(begin));
    size_t used = 0, left;

    if (at) {
        at += strlen(begin);
        left = len - (size_t)(at - body);
        while (used < left && used < SHARED_CODE_MAX - 1 && isalnum((unsigned char)at[used]))
            used++;
        memcpy(ret_code, at, used);
    }
    ret_code[used] = '\0';
}

/* Whoever may not list is not told what is not there. */
static bool is_hidden(const struct shared_get *g, const char *code)
{
    return g->status == 403 && g->server->identity.sigv4 && strcmp(code, "AccessDenied") == 0;
}

static enum shared_outcome judge_refusal(struct shared_get *g)
{
    struct shared_server *s = g->server;
    char code[SHARED_CODE_MAX], what[128];

    shared_find_code(g->refusal, g->refusal_len, code);
    /* A bucket that is not there is a mistake, which should be told. */
    if ((g->status == 404 && strcmp(code, "NoSuchBucket") != 0) || is_hidden(g, code)) {
        note_success(s);
        return SHARED_ABSENT;
    }
    if (g->status == 416) /* a range behind the end: it is another object */
        return SHARED_WRONG;
    /* Amazon answers 400 for a session that has ended. */
    if ((g->status == 401 || g->status == 403 || strcmp(code, "ExpiredToken") == 0) &&
        s->reread_key)
        s->reread_key(s->who);
    snprintf(what, sizeof(what), "status %d%s%s%s", g->status, code[0] ? " " : "", code,
             g->status >= 300 && g->status <= 399 ? " (is its region or address another?)" : "");
    atomic_fetch_add(&s->counters.errors, 1);
    note_failure(s, what);
    return SHARED_FAILED;
}

static enum shared_outcome judge(struct shared_get *g, int err)
{
    struct shared_server *s = g->server;
    bool is_success = g->status == 200 || g->status == 206;
    const char *cause = net_failure_text(&g->request);

    if (err == -ECONNABORTED || (err == -ECANCELED && is_success))
        return SHARED_DROPPED;
    if (g->status && !is_success)
        return judge_refusal(g);
    if (err == -EBADMSG || err == -EFBIG)
        return SHARED_WRONG;
    if (err == 0) {
        note_success(s);
        return SHARED_GOOD;
    }
    atomic_fetch_add(&s->counters.errors, 1);
    if (err == -ETIMEDOUT)
        atomic_fetch_add(&s->counters.timeouts, 1);
    note_failure(s, cause[0] ? cause : strerror(-err));
    return SHARED_FAILED;
}

/* -- Deadlines --------------------------------------------------------------------------------- */

static void on_late(struct net_timer *timer)
{
    struct shared_get *g = list_entry(timer, struct shared_get, timer);

    net_cancel(&g->request, -ETIMEDOUT);
}

static void set_deadline(struct shared_get *g, int64_t in_ms)
{
    g->timer.fire = on_late;
    g->since_pace = 0;
    net_timer_set(g->server->net, &g->timer, net_now_ms() + in_ms);
}

/* -- One get ----------------------------------------------------------------------------------- */

/* Which part of which size this is. 0, or -EBADMSG: not what was asked for. */
static int check_head(struct shared_get *g, uint64_t *ret_size)
{
    const char *length = net_header(&g->request, "Content-Length");
    uint64_t end = g->to;
    struct parse_range range;

    if (g->status == 200) {
        /* The server ignores ranges: fine, as long as the wanted part is at the start. */
        return g->from == 0 && parse_u64(length, ret_size) == 0 ? 0 : -EBADMSG;
    }
    if (!g->to || parse_content_range(net_header(&g->request, "Content-Range"), &range) < 0 ||
        !range.satisfied || !range.total_known)
        return -EBADMSG;
    if (range.total < end)
        end = range.total;
    *ret_size = range.total;
    return range.first == g->from && range.end == end ? 0 : -EBADMSG;
}

static int on_head(struct net_request *request, int status)
{
    struct shared_get *g = list_entry(request, struct shared_get, request);
    uint64_t size;

    g->status = status;
    if (status != 200 && status != 206)
        return 0;
    if (check_head(g, &size) < 0 || (!g->to && size > g->size_max))
        return -EBADMSG;
    return g->on_size(g, size);
}

static int on_body(struct net_request *request, const void *data, size_t len)
{
    struct shared_get *g = list_entry(request, struct shared_get, request);
    size_t space = sizeof(g->refusal) - g->refusal_len;
    int answer;

    if (g->status != 200 && g->status != 206) {
        memcpy(g->refusal + g->refusal_len, data, len < space ? len : space);
        g->refusal_len += len < space ? len : space;
        g->since_pace += len;
        return g->since_pace > REFUSAL_READ_MAX ? -ECANCELED : NET_TAKEN;
    }
    answer = g->on_data(g, data, len);
    if (answer == NET_PAUSE) { /* it waits for us */
        if (!g->is_pressed)
            net_timer_cancel(&g->timer);
        return answer;
    }
    if (answer < 0)
        return answer;
    atomic_fetch_add(&g->server->counters.bytes_in, len);
    g->since_pace += len;
    if (g->since_pace >= SHARED_PACE || !list_is_linked(&g->timer.link))
        set_deadline(g, SHARED_STALL_MS);
    return answer;
}

static void send_queued(struct shared_server *s)
{
    struct list *link;

    while (s->sent < s->connections && (link = list_take_first(&s->queue))) {
        struct shared_get *g = list_entry(link, struct shared_get, link);
        s->sent++;
        set_deadline(g, SHARED_FIRST_MS);
        net_send(s->net, &g->request);
    }
}

/* The server is left alone: who waits for a connection does not wait any more. */
static void fail_queued(struct shared_server *s)
{
    struct list *link;

    while ((link = list_take_first(&s->queue))) {
        struct shared_get *g = list_entry(link, struct shared_get, link);
        g->is_active = false;
        g->on_end(g, SHARED_FAILED);
    }
}

static void on_next(struct net_timer *timer)
{
    struct shared_server *s = list_entry(timer, struct shared_server, next);

    if (is_left_alone(s))
        fail_queued(s);
    else
        send_queued(s);
}

/* Those that wait come later, not from within this: what it ends, or drops, may be in the middle of
 * something that they belong to as well. */
static void on_done(struct net_request *request, int err)
{
    struct shared_get *g = list_entry(request, struct shared_get, request);
    struct shared_server *s = g->server;

    net_timer_cancel(&g->timer);
    s->sent -= !g->alone_ms;
    if (g->is_active) {
        g->is_active = false;
        g->on_end(g, judge(g, err)); /* g may be freed, here or by what follows */
    }
    s->next.fire = on_next;
    net_timer_set(s->net, &s->next, 0);
}

int shared_get_begin(struct shared_get *g, struct shared_server *s, const struct repo_name *repo,
                     uint64_t job)
{
    unsigned count = 0;

    if (shared_location_make_url(s->location, s->host, repo, job, g->what, g->url) < 0)
        return -EINVAL;
    memset(g->headers, 0, sizeof(g->headers));
    if (g->to) {
        snprintf(g->range, sizeof(g->range), "Range: bytes=%" PRIu64 "-%" PRIu64, g->from,
                 g->to - 1);
        g->headers[count++] = g->range;
    }
    if (s->header[0])
        g->headers[count++] = s->header;
    g->server = s;
    g->status = 0;
    g->refusal_len = 0;
    g->is_active = true;
    g->request = (struct net_request){.url = g->url,
                                      .headers = g->headers,
                                      .body_max = g->size_max > REFUSAL_READ_MAX ? g->size_max
                                                                                 : REFUSAL_READ_MAX,
                                      .is_open = true,
                                      .identity = s->credentials.user[0] ? &s->identity : NULL,
                                      .on_head = on_head,
                                      .on_body = on_body,
                                      .on_done = on_done};
    if (g->alone_ms) {
        set_deadline(g, g->alone_ms);
        net_send(s->net, &g->request);
        return 0;
    }
    list_push_back(&s->queue, &g->link);
    send_queued(s);
    return 0;
}

void shared_get_drop(struct shared_get *g)
{
    if (!g->is_active)
        return;
    g->is_active = false;
    if (list_is_linked(&g->link))
        list_remove(&g->link);
    else
        net_cancel(&g->request, -ECANCELED);
}
