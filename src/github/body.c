#include "github/body.h"

#include <stdlib.h>

static bool try_reserve(struct body_pool *pool, struct source_body *body, size_t bytes)
{
    if (body->beyond)
        return true;
    if (atomic_fetch_add(&pool->used, bytes) + bytes <= BODY_BYTES_MAX) {
        body->bytes += bytes;
        return true;
    }
    atomic_fetch_sub(&pool->used, bytes);
    body->beyond = !atomic_exchange(&pool->has_beyond, true);
    return body->beyond;
}

/* Tried once more after the wish is known: whoever gives back looks for it afterwards. */
bool body_reserve(struct body_pool *pool, struct source_body *body, size_t bytes)
{
    if (try_reserve(pool, body, bytes))
        return true;
    atomic_store(&pool->is_wanted, true);
    return try_reserve(pool, body, bytes);
}

/* What was reserved is there for others. */
static void give_back(struct body_pool *pool, size_t bytes)
{
    if (bytes)
        atomic_fetch_sub(&pool->used, bytes);
    if (atomic_exchange(&pool->is_wanted, false))
        net_resume(pool->net);
}

void body_trim(struct body_pool *pool, struct source_body *body, size_t bytes)
{
    char *data = realloc(body->data, bytes);

    if (data)
        body->data = data;
    if (body->bytes <= bytes)
        return;
    give_back(pool, body->bytes - bytes);
    body->bytes = bytes;
}

void body_release(struct body_pool *pool, struct source_body *body)
{
    free(body->data);
    if (body->beyond)
        atomic_store(&pool->has_beyond, false);
    if (body->bytes || body->beyond)
        give_back(pool, body->bytes);
    *body = (struct source_body){0};
}
