/*
 * Files: texts in memory (job.json, run.json, what the mount reports of itself), and logs.
 *
 * The kernel keeps size and pages of a file for all who have it open, so one node stands for one
 * text. A text is made when its path is looked up, which gives its exact size; a lookup that makes
 * another text gives another node. A node keeps its text for the open that mostly follows. An open
 * without a lookup (by a descriptor, a bind mount) comes later and makes the text anew; if that
 * has changed, the kernel knows a wrong size, and the file is opened with direct I/O.
 *
 * Where a text takes long and its directory is one that many share, the lookup begins to make it
 * and does not wait: the text is deferred. It is waited for when its size is asked for, and by an
 * open, which is then refused once (ESTALE): the kernel looks the path up again, and gets the node
 * with the right size.
 */
#include "store/store.h"
#include "views/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECENT_MS 10000 /* so long a text is opened as it was looked up */

/* As it was at one moment. Counted, and constant but for its time. */
struct view_text {
    atomic_uint refs;
    _Atomic int64_t made_ms;  /* or found to be the same */
    _Atomic uint64_t *budget; /* its bytes count towards this; NULL: towards none */
    char *bytes;              /* NULL: deferred, and then */
    size_t len;
    atomic_bool was_refused;
};

struct view_file {
    struct repo_name repo;
    struct view_text *text; /* NULL: a log, and then */
    struct log_reader reader;
    bool is_step; /* only `part` of the log, as it was when the file was opened */
    struct view_part part;
};

/* --- what is in the texts -------------------------------------------------------------------- */

/* The list of jobs that the job was last seen in. False: none, or the job has not ended. */
static bool find_list(struct views *v, const struct vnode *p, struct catalog_question *ret_q,
                      bool *ret_settled)
{
    struct catalog_seen seen;
    bool found;

    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return false;
    found = seen.job->status == FACTS_COMPLETED && seen.job->run_id;
    if (found) {
        const struct attempts_run run = {.repo = p->repo, .id = seen.job->run_id};
        attempts_question(&run, seen.job->attempt, ret_q);
        *ret_settled = catalog_is_settled(v->config.catalog, seen.job);
    }
    catalog_seen_release(&seen);
    return found;
}

/* GitHub may report the steps of a job later than its end, so an old list is refreshed. If that
 * fails, the old one counts. */
static int refresh_list(struct views *v, const struct catalog_question *q, struct waiter *w)
{
    const struct catalog_answer *answer;
    int rc = catalog_ask(v->config.catalog, q, EFFORT_DISK, w, &answer);

    if (!rc) {
        catalog_answer_release(answer);
        rc = catalog_ask(v->config.catalog, q, EFFORT_NETWORK, w, &answer);
    }
    if (!rc)
        catalog_answer_release(answer);
    return rc == PENDING_PARKED ? rc : 0;
}

/* A job that has ended is shown as the list of its run had it, which sends no request. */
int view_text_of_job(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                     size_t *ret_len)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = p->repo, .id = p->job}, list;
    bool is_settled, is_listed = find_list(v, p, &list, &is_settled);
    int rc = is_listed && !is_settled ? refresh_list(v, &list, w) : 0;

    if (rc)
        return rc;
    rc = catalog_get_json(v->config.catalog, &q, is_listed ? &list : NULL, w, ret_text, ret_len);
    if (!rc)
        catalog_note_used(v->config.catalog, &p->repo, p->job);
    return rc;
}

int view_text_of_run(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                     size_t *ret_len)
{
    const struct catalog_question q = {.what = SOURCE_RUN, .repo = p->repo, .id = p->run};
    const struct catalog_answer *answer;
    const struct facts_run *listed;
    struct catalog_question from;
    int rc = runs_find_listed(v, p, w, &listed, &answer);

    if (!rc)
        catalog_answer_release(answer);
    else if (rc != -ENOENT)
        return rc;
    runs_question(v, &p->repo, &from);
    return catalog_get_json(v->config.catalog, &q, rc ? NULL : &from, w, ret_text, ret_len);
}

int view_text_of_attempt(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                         size_t *ret_len)
{
    const struct catalog_question q = {
        .what = SOURCE_RUN_ATTEMPT, .repo = p->repo, .id = p->run, .attempt = p->attempt};

    return catalog_get_json(v->config.catalog, &q, NULL, w, ret_text, ret_len);
}

/* What the mount reports of itself. */
int view_text_of_mount(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                       size_t *ret_len)
{
    const struct view_config *c = &v->config;
    char *text;

    (void)w;
    switch (p->kind) {
    case VNODE_PROGRESS: text = c->progress(c->who); break;
    case VNODE_OPTIONS: text = strdup(c->options); break;
    case VNODE_VERSION: text = strdup(c->version); break;
    default: text = c->stats(c->who, p->kind);
    }
    if (!text)
        return -ENOMEM;
    *ret_text = text;
    *ret_len = strlen(text);
    return 0;
}

/* --- texts ----------------------------------------------------------------------------------- */

static int make_text(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                     struct view_text **ret_text)
{
    struct view_text *t = calloc(1, sizeof(*t));
    int rc = t ? make(v, p, w, &t->bytes, &t->len) : -ENOMEM;

    if (rc) {
        free(t);
        return rc;
    }
    atomic_init(&t->refs, 1);
    atomic_init(&t->made_ms, v->config.now_ms());
    *ret_text = t;
    return 0;
}

static struct view_text *ref_text(struct view_text *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void view_text_unref(struct view_text *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    if (t->budget)
        atomic_fetch_sub(t->budget, t->len);
    free(t->bytes);
    free(t);
}

static uint64_t sum_of(const struct view_text *t)
{
    return store_page_checksum(t->bytes, t->len);
}

int view_text_look_up(struct views *v, struct vnode *p, view_make_text *make, struct waiter *w)
{
    struct view_text *t;
    int rc = make_text(v, p, make, w, &t);

    if (rc)
        return rc;
    p->size = t->len;
    p->sum = sum_of(t);
    p->content = t;
    if (!p->repo.repo[0])
        return 0; /* of the mount itself: small and few, so all are kept */
    t->budget = &v->texts_kept;
    if (atomic_fetch_add(t->budget, t->len) + t->len > VIEWS_TEXTS_BYTES) {
        p->content = NULL;
        view_text_unref(t);
    }
    return 0;
}

int view_text_defer(struct vnode *p)
{
    p->content = calloc(1, sizeof(*p->content));
    if (!p->content)
        return -ENOMEM;
    atomic_init(&p->content->refs, 1);
    return 0;
}

bool view_text_is_deferred(const struct vnode *p)
{
    return p->content && !p->content->bytes;
}

int view_text_get_size(struct views *v, const struct vnode *p, view_make_text *make,
                       struct waiter *w, uint64_t *ret_size)
{
    struct view_text *t;
    int rc = make_text(v, p, make, w, &t);

    if (rc)
        return rc;
    *ret_size = t->len;
    view_text_unref(t);
    return 0;
}

void views_vnode_renew(struct vnode *p, const struct vnode *same)
{
    if (p->content && same->content)
        atomic_store(&p->content->made_ms, atomic_load(&same->content->made_ms));
}

static int open_text(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                     struct view_file *f, struct view_opened *ret_opened)
{
    struct view_text *t = p->content;
    bool is_deferred = view_text_is_deferred(p);
    int rc;

    if (t && !is_deferred && v->config.now_ms() - atomic_load(&t->made_ms) < RECENT_MS) {
        f->text = ref_text(t);
        return 0;
    }
    rc = make_text(v, p, make, w, &f->text);
    if (!rc && is_deferred && !atomic_exchange(&t->was_refused, true)) {
        view_text_unref(f->text);
        return -ESTALE;
    }
    if (!rc)
        ret_opened->direct = f->text->len != p->size || sum_of(f->text) != p->sum;
    return rc;
}

/* --- logs ------------------------------------------------------------------------------------ */

static int open_log(struct views *v, const struct vnode *p, struct waiter *w, struct view_file *f,
                    struct view_opened *ret_opened)
{
    struct view_ahead ahead;
    int rc = view_get_part(v, p, w, &f->part);

    if (rc)
        return rc;
    log_open(p->log, &f->reader);
    /* It has become final since, and has another size. */
    if (!f->reader.direct && !f->part.stat.final)
        rc = view_get_part(v, p, w, &f->part);
    if (rc) {
        log_close(&f->reader);
        return rc;
    }
    f->is_step = p->kind == VNODE_STEP;
    ret_opened->is_log = true;
    ret_opened->direct = f->reader.direct;
    ret_opened->keep_cache = !f->reader.direct;
    view_note_use(v, p, VIEW_OPENED, w, &ahead);
    view_fetch_ahead(v, &ahead);
    return 0;
}

/* --- open files ------------------------------------------------------------------------------ */

int view_file_open(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                   struct view_opened *ret_opened)
{
    struct view_opened opened = {0};
    struct view_file *f = calloc(1, sizeof(*f));
    int rc = -EISDIR;

    if (!f)
        return -ENOMEM;
    f->repo = p->repo;
    if (p->log)
        rc = open_log(v, p, w, f, &opened);
    else if (make)
        rc = open_text(v, p, make, w, f, &opened);
    if (rc) {
        free(f);
        return rc;
    }
    opened.file = f;
    *ret_opened = opened;
    return 0;
}

void views_close(struct view_file *f)
{
    if (!f)
        return;
    if (!f->text)
        log_close(&f->reader);
    view_text_unref(f->text);
    free(f);
}

/* A log that was live when it was opened grows, and the size of another may turn out to be wrong. A
 * step's position in the text is fixed. */
static int read_log(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
                    struct view_bytes *ret_bytes)
{
    struct log_slice slice;
    int rc;

    if (f->is_step) {
        if (offset > f->part.stat.size)
            offset = f->part.stat.size;
        if (len > f->part.stat.size - offset)
            len = (size_t)(f->part.stat.size - offset);
    }
    rc = log_read(&f->reader, &f->repo, f->part.begin + offset, len, w, &slice);
    if (rc)
        return rc;
    *ret_bytes = (struct view_bytes){.fd = slice.fd,
                                     .offset = slice.offset,
                                     .data = slice.data,
                                     .len = slice.len,
                                     .held = slice.held};
    return 0;
}

int views_read(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
               struct view_bytes *ret_bytes)
{
    if (!f->text)
        return read_log(f, offset, len, w, ret_bytes);
    if (offset > f->text->len)
        offset = f->text->len;
    if (len > f->text->len - offset)
        len = f->text->len - offset;
    /* The reply may still be on its way to the kernel when the file is closed. */
    *ret_bytes = (struct view_bytes){.fd = -1,
                                     .offset = offset,
                                     .data = f->text->bytes + offset,
                                     .len = len,
                                     .is_text = true,
                                     .held = ref_text(f->text)};
    return 0;
}

void views_bytes_done(struct view_bytes *b)
{
    struct log_slice slice = {.data = b->data, .held = b->held};

    if (b->is_text)
        view_text_unref(b->held);
    else
        log_slice_done(&slice);
    b->held = NULL;
}
