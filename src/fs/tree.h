/*
 * tree.h - the names that the kernel knows: nodes, interned by parent and name as it was spelled.
 *
 * A node owns its vnode and keeps its parent alive; its address is the nodeid the kernel uses, the
 * root's is TREE_ROOT_ID. It lives as long as the kernel counts lookups of it (or of what is below
 * it): a node of a request that waits is safe, because the kernel holds what it asks about.
 *
 * Does no I/O; calls views only for inode numbers and to end or renew vnodes, with no lock held.
 * When a name comes to mean something else (a job of a newer attempt, a log that was replaced,
 * another text), it gets a new node, so that a vnode never changes under a reader; the old node
 * lives until the kernel has forgotten it.
 *
 * Any thread; one mutex inside. Errors: -ENOMEM.
 */
#ifndef GHLOGFS_FS_TREE_H
#define GHLOGFS_FS_TREE_H

#include "list.h"
#include "views/views.h"

#include <stdbool.h>
#include <stdint.h>

#define TREE_ROOT_ID 1

struct node {
    struct vnode vnode;  /* constant, as are ino, parent and name; it may be renewed */
    uint64_t ino;        /* st_ino: the same for this path in every mount */
    struct node *parent; /* NULL: the root */

    /* Private to tree.c, under its lock. */
    struct list in_tree;
    struct node *next; /* in its bucket, or among the dead */
    uint64_t lookups;
    uint64_t children;
    uint64_t opened; /* as a directory, and not yet released */
    int64_t shown_ms;
    bool hashed;
    char name[];
};

struct tree;

int tree_create(struct tree **ret_tree);

/* Every request must have been answered before. */
void tree_destroy(struct tree *t);

/* The node of a number the kernel was given. */
struct node *tree_get_node(struct tree *t, uint64_t id);
uint64_t tree_get_id(const struct tree *t, const struct node *n);

/* The node of `name` in `parent`, looked up once more. Takes the vnode, also on failure. */
int tree_intern(struct tree *t, struct node *parent, const char *name, struct vnode *vnode,
                struct node **ret_node);

/* The kernel forgets `count` lookups. The node may be gone afterwards. */
void tree_forget(struct tree *t, struct node *n, uint64_t count);

/* Brackets the time in which a directory is open. The kernel holds the node in between. */
void tree_opened(struct tree *t, struct node *n);
void tree_released(struct tree *t, struct node *n);

/* Which mtime of a directory to show: `mtime_ms` (UTC), but while it is open the one shown last.
 * Its time may become known while a program reads it, which is no change of it: GNU tar 1.35
 * compares the times before and after, and fails. */
int64_t tree_show_time(struct tree *t, struct node *n, int64_t mtime_ms);

#endif
