#include "fs/tree.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256

struct tree {
    pthread_mutex_t lock;  /* protects what follows and the private half of each node */
    struct node **buckets; /* by ino, which is a hash of the path */
    size_t n_buckets;      /* a power of two */
    size_t n_hashed;
    struct list nodes; /* all of them, the root first */
    struct node *root;
};

static struct node *node_create(struct node *parent, const char *name, const struct vnode *vnode)
{
    size_t len = strlen(name) + 1;
    struct node *n = calloc(1, sizeof(*n) + len);

    if (!n)
        return NULL;
    n->vnode = *vnode;
    n->parent = parent;
    n->ino = parent ? views_ino(parent->ino, name) : TREE_ROOT_ID;
    n->lookups = 1;
    memcpy(n->name, name, len);
    return n;
}

static void node_destroy(struct node *n)
{
    views_vnode_finish(&n->vnode);
    free(n);
}

int tree_create(struct tree **ret_tree)
{
    struct tree *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->n_buckets = FIRST_BUCKETS;
    t->buckets = calloc(t->n_buckets, sizeof(*t->buckets));
    t->root = node_create(NULL, "", &(struct vnode){.kind = VNODE_ROOT});
    if (!t->buckets || !t->root) {
        free(t->root);
        free(t->buckets);
        free(t);
        return -ENOMEM;
    }
    pthread_mutex_init(&t->lock, NULL);
    list_init(&t->nodes);
    list_push_back(&t->nodes, &t->root->in_tree);
    *ret_tree = t;
    return 0;
}

void tree_destroy(struct tree *t)
{
    struct list *link;

    if (!t)
        return;
    while ((link = list_take_first(&t->nodes)))
        node_destroy(list_entry(link, struct node, in_tree));
    pthread_mutex_destroy(&t->lock);
    free(t->buckets);
    free(t);
}

struct node *tree_get_node(struct tree *t, uint64_t id)
{
    return id == TREE_ROOT_ID ? t->root : (struct node *)(uintptr_t)id;
}

uint64_t tree_get_id(const struct tree *t, const struct node *n)
{
    return n == t->root ? TREE_ROOT_ID : (uint64_t)(uintptr_t)n;
}

/* Whether a name still means what it meant. The repository follows from the path. */
static bool is_same_vnode(const struct vnode *a, const struct vnode *b)
{
    return a->kind == b->kind && a->attempt == b->attempt && a->step == b->step &&
           a->cut == b->cut && a->run == b->run && a->job == b->job && a->log == b->log &&
           a->size == b->size && a->sum == b->sum &&
           (a->text == b->text || (a->text && b->text && strcmp(a->text, b->text) == 0));
}

/* --- the table; tree lock held -------------------------------------------------------------- */

static struct node **bucket_of(struct tree *t, uint64_t ino)
{
    return &t->buckets[ino & (t->n_buckets - 1)];
}

static struct node *table_find(struct tree *t, const struct node *like)
{
    struct node *n;

    for (n = *bucket_of(t, like->ino); n; n = n->next)
        if (n->ino == like->ino && n->parent == like->parent && strcmp(n->name, like->name) == 0)
            break;
    return n;
}

static void table_link(struct tree *t, struct node *n)
{
    struct node **at = bucket_of(t, n->ino);

    n->next = *at;
    *at = n;
}

/* Without memory for another table the old one stays in use, only slower. */
static void table_resize(struct tree *t, size_t n_buckets)
{
    size_t n_old = t->n_buckets;
    struct node **old = t->buckets;
    struct node **buckets = calloc(n_buckets, sizeof(*buckets));

    if (!buckets)
        return;
    t->buckets = buckets;
    t->n_buckets = n_buckets;
    for (size_t i = 0; i < n_old; i++) {
        while (old[i]) {
            struct node *n = old[i];
            old[i] = n->next;
            table_link(t, n);
        }
    }
    free(old);
}

static void table_remove(struct tree *t, struct node *n)
{
    struct node **at = bucket_of(t, n->ino);

    if (!n->hashed)
        return;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    n->hashed = false;
    t->n_hashed--;
    if (t->n_buckets > FIRST_BUCKETS && t->n_hashed < t->n_buckets / 8)
        table_resize(t, t->n_buckets / 2);
}

/* --- interning ------------------------------------------------------------------------------ */

int tree_intern(struct tree *t, struct node *parent, const char *name, struct vnode *vnode,
                struct node **ret_node)
{
    struct node *fresh = node_create(parent, name, vnode);
    struct node *old;
    bool same;

    if (!fresh) {
        views_vnode_finish(vnode);
        return -ENOMEM;
    }
    pthread_mutex_lock(&t->lock);
    old = table_find(t, fresh);
    same = old && is_same_vnode(&old->vnode, &fresh->vnode);
    if (same) {
        old->lookups++;
    } else {
        if (old)
            table_remove(t, old);
        if (t->n_hashed >= t->n_buckets)
            table_resize(t, t->n_buckets * 2);
        table_link(t, fresh);
        fresh->hashed = true;
        t->n_hashed++;
        list_push_back(&t->nodes, &fresh->in_tree);
        parent->children++;
    }
    pthread_mutex_unlock(&t->lock);
    if (same) {
        views_vnode_renew(&old->vnode, &fresh->vnode);
        node_destroy(fresh);
    }
    *ret_node = same ? old : fresh;
    return 0;
}

void tree_forget(struct tree *t, struct node *n, uint64_t count)
{
    struct node *dead = NULL;

    if (!n->parent)
        return; /* the root exists without being looked up */
    pthread_mutex_lock(&t->lock);
    assert(count <= n->lookups);
    n->lookups -= count;
    /* Unlinks it, and each ancestor that only it kept alive. */
    while (n->parent && n->lookups == 0 && n->children == 0) {
        struct node *parent = n->parent;
        table_remove(t, n);
        list_remove(&n->in_tree);
        parent->children--;
        n->next = dead;
        dead = n;
        n = parent;
    }
    pthread_mutex_unlock(&t->lock);
    while (dead) {
        struct node *next = dead->next;
        node_destroy(dead);
        dead = next;
    }
}

void tree_opened(struct tree *t, struct node *n)
{
    pthread_mutex_lock(&t->lock);
    n->opened++;
    pthread_mutex_unlock(&t->lock);
}

void tree_released(struct tree *t, struct node *n)
{
    pthread_mutex_lock(&t->lock);
    assert(n->opened > 0);
    n->opened--;
    pthread_mutex_unlock(&t->lock);
}

int64_t tree_show_time(struct tree *t, struct node *n, int64_t mtime_ms)
{
    int64_t shown_ms;

    pthread_mutex_lock(&t->lock);
    if (n->opened == 0 || n->shown_ms == 0)
        n->shown_ms = mtime_ms;
    shown_ms = n->shown_ms;
    pthread_mutex_unlock(&t->lock);
    return shown_ms;
}
