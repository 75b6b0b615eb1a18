/*
 * Links: made from ids and safe names only (S12).
 */
#include "views/runs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REPO_DEPTH 2 /* owner/repo */

/* "../" for each directory between the link and its repository, then the rest. */
static int print_target(const struct vnode *p, const char *folder, uint64_t id, const char *rest,
                        char *buf, size_t cap)
{
    size_t used = 0;
    int n;

    for (unsigned up = p->depth - REPO_DEPTH - 1; up > 0; up--) {
        if (used + 4 > cap)
            return -ENAMETOOLONG;
        memcpy(buf + used, "../", 4);
        used += 3;
    }
    n = snprintf(buf + used, cap - used, "%s/%llu%s", folder, (unsigned long long)id, rest);
    return n < 0 || used + (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

/* The newest run, whatever its state. */
static int read_latest(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                       size_t cap)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    int rc;

    runs_question(v, &p->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, &runs);
    if (rc)
        return rc;
    rc = runs->count ? print_target(p, "runs", runs->runs[0]->id, "", buf, cap) : -ENOENT;
    catalog_answer_release(runs);
    return rc;
}

int views_read_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf, size_t cap)
{
    switch (p->kind) {
    case VNODE_LATEST: return read_latest(v, p, w, buf, cap);
    case VNODE_RUN_LINK: return print_target(p, "runs", p->run, "", buf, cap);
    case VNODE_JOB_LINK: return print_target(p, "jobs", p->job, "/log", buf, cap);
    default: return -EINVAL;
    }
}
