/*
 * fake_net.h - net without a network, for one test program: requests lie in a list until the test
 * answers them, and time passes when the test advances it.
 *
 * It defines every function of net.h that the module github calls, so that the library's own are
 * not linked. Included by one file of a program.
 */
#ifndef TESTS_UNIT_GITHUB_FAKE_NET_H
#define TESTS_UNIT_GITHUB_FAKE_NET_H

#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FAKE_WALL_S INT64_C(1800000000)

static struct {
    int64_t now_ms;
    struct list tasks, timers, sent;
    unsigned count;      /* requests ever sent */
    char headers[16384]; /* of the answer being given: lines, each ended by a NUL */
    bool peer_is_private, is_resumed, was_heard;
    const char *failure_text;
} fake;

static inline void fake_reset(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.now_ms = 1000000;
    list_init(&fake.tasks);
    list_init(&fake.timers);
    list_init(&fake.sent);
}

/* -- net.h ------------------------------------------------------------------------------------- */

int64_t net_now_ms(void)
{
    return fake.now_ms;
}

int64_t net_wall_s(void)
{
    return FAKE_WALL_S + fake.now_ms / 1000;
}

void net_post(struct net *net, struct net_task *task)
{
    (void)net;
    list_push_back(&fake.tasks, &task->link);
}

void net_resume(struct net *net)
{
    (void)net;
    fake.is_resumed = true;
}

void net_timer_set(struct net *net, struct net_timer *t, int64_t at_ms)
{
    (void)net;
    list_remove(&t->link);
    t->at_ms = at_ms;
    list_push_back(&fake.timers, &t->link);
}

void net_timer_cancel(struct net_timer *t)
{
    list_remove(&t->link);
}

void net_send(struct net *net, struct net_request *r)
{
    (void)net;
    fake.count++;
    list_push_back(&fake.sent, &r->link);
}

void net_cancel(struct net_request *r, int err)
{
    list_remove(&r->link);
    r->on_done(r, err);
}

bool net_peer_is_private(const struct net_request *r)
{
    (void)r;
    return fake.peer_is_private;
}

bool net_was_heard(const struct net_request *r)
{
    (void)r;
    return fake.was_heard;
}

const char *net_failure_text(const struct net_request *r)
{
    (void)r;
    return fake.failure_text ? fake.failure_text : "";
}

const char *net_header(const struct net_request *r, const char *name)
{
    size_t len = strlen(name);

    (void)r;
    for (const char *line = fake.headers; *line; line += strlen(line) + 1)
        if (strncasecmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0)
            return line + len + 2;
    return NULL;
}

/* -- Time and turns ---------------------------------------------------------------------------- */

static inline struct net_timer *fake_first_timer(void)
{
    struct net_timer *first = NULL;

    list_each(link, &fake.timers) {
        struct net_timer *t = list_entry(link, struct net_timer, link);
        if (!first || t->at_ms < first->at_ms)
            first = t;
    }
    return first;
}

/* Runs what is posted and due. */
static inline void fake_settle(void)
{
    struct list *link;
    struct net_timer *t;

    for (;;) {
        if ((link = list_take_first(&fake.tasks))) {
            struct net_task *task = list_entry(link, struct net_task, link);
            task->run(task);
        } else if ((t = fake_first_timer()) && t->at_ms <= fake.now_ms) {
            list_remove(&t->link);
            t->fire(t);
        } else {
            return;
        }
    }
}

/* Lets time pass, one timer after another. */
static inline void fake_advance(int64_t ms)
{
    int64_t until_ms = fake.now_ms + ms;
    struct net_timer *t;

    fake_settle();
    while ((t = fake_first_timer()) && t->at_ms <= until_ms) {
        fake.now_ms = t->at_ms > fake.now_ms ? t->at_ms : fake.now_ms;
        fake_settle();
    }
    fake.now_ms = until_ms;
}

/* -- Requests and answers ---------------------------------------------------------------------- */

/* The request that has waited the longest for its answer, or NULL. */
static inline struct net_request *fake_next(void)
{
    fake_settle();
    return list_is_empty(&fake.sent) ? NULL : list_entry(fake.sent.next, struct net_request, link);
}

/* The request that was sent last, or NULL. */
static inline struct net_request *fake_last(void)
{
    fake_settle();
    return list_is_empty(&fake.sent) ? NULL : list_entry(fake.sent.prev, struct net_request, link);
}

/* The next request, which may rest for its turn or for a retry until then. */
static inline struct net_request *fake_next_within(int64_t ms)
{
    int64_t until_ms = fake.now_ms + ms;
    struct net_request *r = fake_next();
    struct net_timer *t;

    while (!r && (t = fake_first_timer()) && t->at_ms <= until_ms) {
        fake.now_ms = t->at_ms > fake.now_ms ? t->at_ms : fake.now_ms;
        r = fake_next();
    }
    return r;
}

/* The value of a header that the request carries, or NULL. */
static inline const char *fake_asked(const struct net_request *r, const char *name)
{
    size_t len = strlen(name);

    for (const char *const *line = r->headers; line && *line; line++)
        if (strncasecmp(*line, name, len) == 0 && strncmp(*line + len, ": ", 2) == 0)
            return *line + len + 2;
    return NULL;
}

static inline void fake_set_headers(const char *lines)
{
    size_t len = strlen(lines);

    assert_true(len + 2 < sizeof(fake.headers));
    memset(fake.headers, 0, sizeof(fake.headers));
    for (size_t i = 0; i < len; i++)
        fake.headers[i] = lines[i] == '\n' ? 0 : lines[i];
}

/* Gives headers and body. True: the body was not taken now (NET_PAUSE). */
static inline bool fake_begin(struct net_request *r, int status, const char *headers,
                              const void *body, size_t len, int *ret_err)
{
    int rc;

    fake_set_headers(headers);
    rc = r->on_head(r, status);
    if (rc >= 0 && len)
        rc = r->on_body(r, body, len);
    *ret_err = rc < 0 ? rc : 0;
    return rc == NET_PAUSE;
}

static inline void fake_end(struct net_request *r, int err)
{
    list_remove(&r->link);
    r->on_done(r, err);
    fake.headers[0] = 0;
    fake_settle();
}

/* A whole answer, or one that ends with `err` behind these bytes. Headers: lines ended by \n. */
static inline void fake_cut(struct net_request *r, int status, const char *headers,
                            const void *body, size_t len, int err)
{
    int verdict;

    assert_non_null(r);
    assert_false(fake_begin(r, status, headers, body, len, &verdict));
    fake_end(r, verdict ? verdict : err);
}

static inline void fake_answer(struct net_request *r, int status, const char *headers,
                               const char *body)
{
    fake_cut(r, status, headers, body, strlen(body), 0);
}

/* No answer at all. */
static inline void fake_fail(struct net_request *r, int err)
{
    assert_non_null(r);
    fake_end(r, err);
}

#endif
