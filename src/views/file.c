/*
 * Open files.
 */
#include "views/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD_MAX 128 /* logs fetched ahead at one open */

struct view_file {
    struct views *views;
    struct repo_name repo;
    bool is_log;
    struct log_reader reader; /* is_log */
    bool is_step;             /* only `part` of the reader's log, when it was opened */
    struct view_part part;
    struct view_text *text; /* else */
};

/* A reader goes through a listing: the logs that come next are fetched, if it will find them listed. */
static void fetch_ahead(struct views *v, const struct vnode *p)
{
    struct vnode next = {.repo = p->repo};
    uint64_t jobs[AHEAD_MAX];
    size_t count = walk_note_open(v->walk, &p->repo, p->job, jobs, AHEAD_MAX);

    for (size_t i = 0; i < count; i++) {
        struct log *log = cache_hold(v->config.cache, jobs[i]);
        struct log_known known;
        struct known_job job;
        if (!log)
            return;
        next.job = jobs[i];
        log_get_known(log, &p->repo, &known);
        runs_peek_job(v, &next, &job);
        if (known.failure.err != -ENOENT && job.hint.completed && !job.has_no_log)
            log_prefetch(log, &p->repo, &job.hint);
        log_release(log);
    }
}

/* Once a log's size is known it may be opened. */
static int open_log(struct views *v, const struct vnode *p, struct waiter *w, struct view_file *f,
                    struct view_opened *ret_opened)
{
    int rc = view_get_part(v, p, w, &f->part);

    if (rc)
        return rc;
    log_open(p->log, &f->reader);
    /* It became final just now: what was told before is not its size. */
    if (!f->reader.direct && !f->part.final)
        rc = view_get_part(v, p, w, &f->part);
    if (rc) {
        log_close(&f->reader);
        return rc;
    }
    f->is_log = true;
    f->is_step = p->kind == VNODE_STEP;
    ret_opened->direct = f->reader.direct;
    ret_opened->keep_cache = !f->reader.direct;
    fetch_ahead(v, p);
    return 0;
}

static int open_text(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                     struct view_file *f, struct view_opened *ret_opened)
{
    bool is_same;
    int rc = make ? view_text_open(v, p, make, w, &f->text, &is_same) : -EISDIR;

    if (rc)
        return rc;
    ret_opened->direct = !is_same;
    return 0;
}

int view_file_open(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                   struct view_opened *ret_opened)
{
    struct view_opened opened = {0};
    struct view_file *f = calloc(1, sizeof(*f));
    int rc;

    if (!f)
        return -ENOMEM;
    f->views = v;
    f->repo = p->repo;
    rc = p->log ? open_log(v, p, w, f, &opened) : open_text(v, p, make, w, f, &opened);
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
    if (f->is_log)
        log_close(&f->reader);
    view_text_unref(f->text);
    free(f);
}

/* A log that was live when it was opened goes on growing, and the size of another may turn out to
 * be wrong; a step's position in the text is fixed. */
static int read_log(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
                    struct view_bytes *ret_bytes)
{
    struct log_slice slice;
    int rc;

    if (f->is_step) {
        if (offset > f->part.size)
            offset = f->part.size;
        if (len > f->part.size - offset)
            len = (size_t)(f->part.size - offset);
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
    if (f->is_log)
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
                                     .held = view_text_ref(f->text)};
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
