/*
 * groups.h - inside the views: runs by branch, by workflow, and those that failed (S19).
 */
#ifndef GHLOGFS_VIEWS_GROUPS_H
#define GHLOGFS_VIEWS_GROUPS_H

#include "views/internal.h"

/* failed/: links of the runs that ended in failure, timed_out or startup_failure. */
int groups_list_failed(struct views *v, const struct vnode *dir, struct waiter *w,
                       struct view_listing *l);

/* branches/ and what is below it: parts of names, and the links of the branch's own runs. */
int groups_list_branches(struct views *v, const struct vnode *dir, struct waiter *w,
                         struct view_listing *l);

int groups_list_workflows(struct views *v, const struct vnode *dir, struct waiter *w,
                          struct view_listing *l);
int groups_list_workflow(struct views *v, const struct vnode *dir, struct waiter *w,
                         struct view_listing *l);

#endif
