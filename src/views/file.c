/*
 * Open files: logs, and texts in memory.
 */
#include "views/room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct view_file {
    struct views *views;
    enum place_kind kind;
    struct repo_name repo;
    struct log_reader reader; /* PLACE_LOG */
    char *text;               /* else: the content when it was opened */
    size_t len;
};

static int copy_text(const char *text, char **ret_text, size_t *ret_len)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    *ret_text = copy;
    *ret_len = strlen(copy);
    return 0;
}

static int get_job_json(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
                        size_t *ret_len, bool *ret_final)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = p->repo, .id = p->job};
    struct log_hint hint;
    int rc = catalog_get_json(v->config.catalog, &q, NULL, w, ret_text, ret_len);

    if (rc)
        return rc;
    view_job_hint(v, p, &hint);
    *ret_final = hint.completed;
    catalog_note_used(v->config.catalog, &p->repo, p->job);
    return 0;
}

int view_text(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
              size_t *ret_len, bool *ret_final)
{
    *ret_final = false;
    switch (p->kind) {
    case PLACE_JOB_JSON: return get_job_json(v, p, w, ret_text, ret_len, ret_final);
    case PLACE_OPTIONS: return copy_text(v->config.options, ret_text, ret_len);
    case PLACE_VERSION: return copy_text(v->config.version, ret_text, ret_len);
    case PLACE_STATS:
        *ret_text = v->config.stats(v->config.who);
        *ret_len = *ret_text ? strlen(*ret_text) : 0;
        return *ret_text ? 0 : -ENOMEM;
    default: return -EISDIR;
    }
}

/* Once a log's size is known it may be opened. */
static int open_log(struct views *v, const struct place *p, struct waiter *w, struct view_file *f,
                    struct view_opened *ret_opened)
{
    struct log_hint hint;
    struct log_stat stat;
    int rc;

    view_job_hint(v, p, &hint);
    rc = log_get_stat(p->log, &p->repo, &hint, w, &stat);
    if (rc)
        return rc;
    log_open(p->log, &f->reader);
    ret_opened->direct = f->reader.direct;
    ret_opened->keep_cache = !f->reader.direct;
    return 0;
}

int views_open(struct views *v, const struct place *p, struct waiter *w,
               struct view_opened *ret_opened)
{
    struct view_opened opened = {0};
    struct view_file *f = calloc(1, sizeof(*f));
    bool final = false;
    int rc;

    if (!f)
        return -ENOMEM;
    f->views = v;
    f->kind = p->kind;
    f->repo = p->repo;
    if (p->kind == PLACE_LOG) {
        rc = open_log(v, p, w, f, &opened);
    } else {
        rc = view_text(v, p, w, &f->text, &f->len, &final);
        opened.direct = !final;
        opened.keep_cache = final;
    }
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
    if (f->kind == PLACE_LOG)
        log_close(&f->reader);
    free(f->text);
    free(f);
}

static int read_log(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
                    struct view_bytes *ret_bytes)
{
    struct log_slice slice;
    int rc = log_read(&f->reader, &f->repo, offset, len, w, &slice);

    if (rc)
        return rc;
    *ret_bytes = (struct view_bytes){
        .fd = slice.fd, .offset = slice.offset, .len = slice.len, .held = slice.held};
    return 0;
}

int views_read(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
               struct view_bytes *ret_bytes)
{
    if (f->kind == PLACE_LOG)
        return read_log(f, offset, len, w, ret_bytes);
    if (offset > f->len)
        offset = f->len;
    if (len > f->len - offset)
        len = f->len - offset;
    *ret_bytes = (struct view_bytes){
        .fd = -1, .offset = offset, .data = f->text + offset, .len = len};
    return 0;
}

void views_bytes_done(struct view_bytes *b)
{
    struct log_slice slice = {.held = b->held};

    log_slice_done(&slice);
    b->held = NULL;
}
