#include "views/internal.h"

#include "hash.h"
#include "views/attempts.h"
#include "views/runs.h"

#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int views_create(const struct view_config *config, struct views **ret_views)
{
    const struct generated_config generated = {.cache = config->cache,
                                               .store = config->store,
                                               .waits = config->waits,
                                               .now_ms = config->now_ms,
                                               .timestamps = config->timestamps};
    struct views *v = calloc(1, sizeof(*v));
    int rc;

    if (!v)
        return -ENOMEM;
    v->config = *config;
    v->walk = walk_create(config->prefetch);
    v->named = named_create();
    v->attempts = attempts_create();
    rc = v->walk && v->named && v->attempts ? generated_create(&generated, &v->generated) : -ENOMEM;
    if (rc)
        views_destroy(v);
    else
        *ret_views = v;
    return rc;
}

void views_stop(struct views *v)
{
    if (v)
        generated_stop(v->generated);
}

void views_destroy(struct views *v)
{
    if (!v)
        return;
    generated_destroy(v->generated);
    walk_destroy(v->walk);
    named_destroy(v->named);
    attempts_destroy(v->attempts);
    free(v);
}

void views_root(struct views *v, struct vnode *ret_vnode)
{
    (void)v;
    memset(ret_vnode, 0, sizeof(*ret_vnode));
    ret_vnode->kind = VNODE_ROOT;
}

void views_vnode_finish(struct vnode *p)
{
    log_release(p->log);
    view_text_unref(p->content);
    free(p->text);
    memset(p, 0, sizeof(*p));
}

/* A chain of one hash over the path's parts: the same in every mount. */
uint64_t views_ino(uint64_t parent_ino, const char *name)
{
    uint64_t h = (parent_ino ^ UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xFF51AFD7ED558CCD);

    h = hash_string(h, name);
    h ^= h >> 32;
    return h > 1 ? h : 2;
}

void views_get_usage(struct views *v, uint64_t *ret_used, uint64_t *ret_limit)
{
    store_usage(v->config.store, ret_used, ret_limit);
}
