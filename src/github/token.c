#include "github/token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 4096
#define REREAD_MS 10000

static const char prefix[] = "Authorization: Bearer ";

int token_make_line(const char *token, struct token_line **ret_line)
{
    size_t len = strnlen(token, TOKEN_MAX + 1);
    struct token_line *line;

    if (len == 0 || len > TOKEN_MAX)
        return -EINVAL;
    /* Visible ASCII only: anything else could end the header line. */
    for (size_t i = 0; i < len; i++)
        if (token[i] <= 0x20 || token[i] >= 0x7f)
            return -EINVAL;
    line = malloc(sizeof(*line) + sizeof(prefix) + len);
    if (!line)
        return -ENOMEM;
    line->refs = 1;
    line->size = sizeof(prefix) + len;
    memcpy(line->text, prefix, sizeof(prefix) - 1);
    memcpy(line->text + sizeof(prefix) - 1, token, len + 1);
    *ret_line = line;
    return 0;
}

struct token_line *token_line_ref(struct token_line *line)
{
    if (line)
        line->refs++;
    return line;
}

void token_line_unref(struct token_line *line)
{
    if (!line || --line->refs > 0)
        return;
    explicit_bzero(line->text, line->size);
    free(line);
}

bool token_is_in(const struct token_line *line, const char *text, size_t len)
{
    size_t at = sizeof(prefix) - 1;

    return line && memmem(text, len, line->text + at, line->size - 1 - at);
}

static void notify_all(struct token *t, bool renewed)
{
    struct list waiters, *link;

    list_init(&waiters);
    list_splice(&waiters, &t->waiters);
    while ((link = list_take_first(&waiters))) {
        struct token_waiter *w = list_entry(link, struct token_waiter, link);
        w->notify(w, renewed);
    }
}

static void give_up(struct net_timer *timer)
{
    notify_all(list_entry(timer, struct token, timer), false);
}

void token_init(struct token *t, struct net *net, struct token_line *line,
                void (*reread)(void *who), void *who)
{
    *t = (struct token){.net = net, .line = line, .reread = reread, .who = who};
    t->timer.fire = give_up;
    list_init(&t->waiters);
}

void token_finish(struct token *t)
{
    token_line_unref(t->line);
    t->line = NULL;
}

bool token_await(struct token *t, struct token_waiter *w)
{
    bool is_first = list_is_empty(&t->waiters);

    if (!t->reread)
        return false;
    list_push_back(&t->waiters, &w->link);
    if (is_first) {
        net_timer_set(t->net, &t->timer, net_now_ms() + REREAD_MS);
        t->reread(t->who);
    }
    return true;
}

void token_replace(struct token *t, struct token_line *line)
{
    const struct token_line *old = t->line;
    bool is_same = line && old && line->size == old->size &&
                   !memcmp(line->text, old->text, old->size);
    bool renewed = line && !is_same;

    net_timer_cancel(&t->timer);
    if (line) {
        token_line_unref(t->line);
        t->line = line;
    }
    notify_all(t, renewed);
}
