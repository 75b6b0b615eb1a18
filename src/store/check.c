/*
 * check.c - compares every log, .meta and record of a cache directory with its checksum.
 *
 * Mounts may use the directory meanwhile. Names change by link and rename only, so what was opened
 * is whole; only a damaged page changes in place, when a mount mends it. A file is deleted as
 * eviction does it, under v1/lock, after it was seen once more to be the one that was read. What a
 * mount puts there in that very moment is lost to the cache and fetched again; no reader sees
 * anything of it.
 */
#include "name.h"
#include "store/internal.h"
#include "store/meta.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_BYTES (16u << 20)
#define FACTS_DEPTH 16

struct check {
    int root;
    const struct store_checker *checker;
    struct store_totals *totals;
    char path[STORE_PATH_LEN]; /* of what is visited */
    char host[STORE_HOST_LEN];
    size_t key_at; /* where a record's key begins in `path` */
    unsigned depth;
    bool is_counting; /* the first pass only adds up what the second will read */
    uint64_t done, total, told;
    unsigned char *page;
    struct stat meta; /* of the log that is read */
};

/* -- Findings ---------------------------------------------------------------------------------- */

/* Whether the path still names this very file. A log that is used or mended gets another time. */
static bool is_same(int root, const char *path, const struct stat *was)
{
    struct stat now;

    return !fstatat(root, path, &now, AT_SYMLINK_NOFOLLOW) && now.st_dev == was->st_dev &&
           now.st_ino == was->st_ino && now.st_size == was->st_size;
}

static bool exists(int root, const char *path)
{
    return !faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) || errno != ENOENT;
}

static void meta_path_of(const char *path, char ret_path[STORE_PATH_LEN + 8])
{
    snprintf(ret_path, STORE_PATH_LEN + 8, "%s.meta", path);
}

/* Under the lock. */
static void delete_file(struct check *c, struct store_finding *f)
{
    char log[STORE_PATH_LEN];

    if (f->flaw == STORE_META_DAMAGED) {
        /* The log first: without a .meta it would be another finding. */
        snprintf(log, sizeof(log), "%.*s", (int)(strlen(f->path) - strlen(".meta")), f->path);
        if (unlinkat(c->root, log, 0) && errno != ENOENT)
            f->err = -errno;
    }
    if (!f->err && unlinkat(c->root, f->path, 0))
        f->err = -errno;
    f->is_deleted = !f->err;
}

/* Whether it is still what was read. If not, a mount has deleted or replaced it, and nothing is
 * wrong any more. */
static bool is_current(struct check *c, const struct store_finding *f, const struct stat *was)
{
    char path[STORE_PATH_LEN + 8];

    meta_path_of(f->path, path);
    return is_same(c->root, f->path, was) &&
           (f->flaw != STORE_LOG_DAMAGED || is_same(c->root, path, &c->meta));
}

static void report(struct check *c, struct store_finding *f, const struct stat *was)
{
    bool wants_lock = c->checker->repair && f->flaw != STORE_UNREADABLE, is_it;
    int lock = wants_lock ? store_dir_lock(c->root, true) : 0;

    f->path = c->path;
    f->err = lock < 0 ? lock : 0;
    is_it = is_current(c, f, was);
    if (is_it && wants_lock && !f->err)
        delete_file(c, f);
    if (wants_lock && lock >= 0)
        close(lock);
    if (is_it)
        c->checker->found(c->checker->who, f);
}

static void report_unreadable(struct check *c, int err)
{
    struct store_finding f = {.flaw = STORE_UNREADABLE, .path = c->path, .err = err};

    c->checker->found(c->checker->who, &f);
}

static void report_flaw(struct check *c, enum store_flaw flaw, const struct stat *was)
{
    struct store_finding f = {.flaw = flaw};

    report(c, &f, was);
}

/* -- Logs -------------------------------------------------------------------------------------- */

static void note_progress(struct check *c, uint64_t bytes)
{
    c->done += bytes;
    if (!c->checker->progress || c->done - c->told < PROGRESS_BYTES)
        return;
    c->told = c->done;
    c->checker->progress(c->checker->who, c->done < c->total ? c->done : c->total, c->total);
}

/* 0, 1: it does not match, -errno. */
static int compare_page(struct check *c, int fd, size_t len, uint64_t offset, uint64_t checksum)
{
    ssize_t n = store_file_read(fd, c->page, len, offset);

    if (n < 0)
        return (int)n;
    return (size_t)n != len || store_page_checksum(c->page, len) != checksum;
}

static void compare_log(struct check *c, int fd, const struct stat *st, const struct store_meta *m)
{
    struct store_finding f = {.flaw = STORE_LOG_DAMAGED, .page = UINT64_MAX};
    int rc = (uint64_t)st->st_size != m->size;

    for (uint64_t i = 0; !rc && i < store_page_count(m->size); i++) {
        uint64_t offset = i * STORE_PAGE_SIZE, left = m->size - offset;
        size_t len = left < STORE_PAGE_SIZE ? (size_t)left : STORE_PAGE_SIZE;
        rc = compare_page(c, fd, len, offset, m->checksums[i]);
        if (rc)
            f.page = i;
        note_progress(c, len);
    }
    c->totals->logs++;
    c->totals->bytes += (uint64_t)st->st_size;
    if (rc == 1 || rc == -EIO)
        report(c, &f, st);
    else if (rc)
        report_unreadable(c, rc);
}

/* The log at c->path, whose .meta this is. */
static void check_log(struct check *c, const struct store_meta *m)
{
    int fd = openat(c->root, c->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && errno == ENOENT) {
        c->totals->metas++;
    } else if (fd < 0 || fstat(fd, &st)) {
        report_unreadable(c, -errno);
    } else if (!m->checksums) {
        c->totals->metas++;
        report_flaw(c, STORE_LOG_ALONE, &st);
    } else {
        compare_log(c, fd, &st, m);
    }
    if (fd >= 0)
        close(fd);
}

/* The .meta at c->path, and its log. */
static int check_meta(struct check *c, uint64_t job)
{
    size_t end = strlen(c->path) - strlen(".meta"), len;
    struct store_meta m;
    void *data;
    int rc;

    if (fstatat(c->root, c->path, &c->meta, AT_SYMLINK_NOFOLLOW))
        return 0; /* gone */
    rc = store_file_load_at(c->root, c->path, META_BYTES_MAX, &data, &len);
    if (rc == -ENOMEM)
        return rc;
    if (rc == -EACCES || rc == -EPERM) {
        report_unreadable(c, rc);
        return 0;
    }
    if (!rc) {
        bool is_foreign = meta_is_foreign(data, len);
        rc = is_foreign ? 1 : meta_decode(data, len, c->host, job, &m);
        free(data);
    }
    if (rc == -ENOMEM)
        return rc;
    if (rc == 1) {
        c->totals->foreign++;
    } else if (rc) {
        report_flaw(c, STORE_META_DAMAGED, &c->meta);
    } else {
        c->path[end] = '\0';
        check_log(c, &m);
        c->path[end] = '.';
        store_meta_finish(&m);
    }
    return 0;
}

/* In logs/<xx>/. Other names and spellings are not ours. */
static int visit_log(void *who, const char *name)
{
    char meta[STORE_PATH_LEN + 8];
    size_t digits = strcspn(name, ".");
    bool is_meta = !strcmp(name + digits, ".meta");
    struct check *c = who;
    struct stat st;
    uint64_t job;

    if ((*name == '0' && digits > 1) || (name[digits] && !is_meta) ||
        !name_parse_number(name, digits, UINT64_MAX, &job))
        return 0;
    if (is_meta)
        return c->is_counting ? 0 : check_meta(c, job);
    if (fstatat(c->root, c->path, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        return 0;
    meta_path_of(c->path, meta);
    if (c->is_counting)
        c->total += (uint64_t)st.st_size;
    else if (!exists(c->root, meta))
        report_flaw(c, STORE_LOG_ALONE, &st);
    return 0;
}

/* -- Records, and files on their way ----------------------------------------------------------- */

static int each_name(struct check *c, int (*visit)(void *who, const char *name))
{
    const char *path = c->path[0] ? c->path : ".";
    struct stat st;
    int rc;

    if (!fstatat(c->root, path, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode) &&
        faccessat(c->root, path, R_OK | X_OK, AT_EACCESS)) {
        if (!c->is_counting)
            report_unreadable(c, -errno);
        return 0;
    }
    c->depth++;
    rc = store_dir_each(c->root, c->path, visit, c);
    c->depth--;
    return rc;
}

static int check_record(struct check *c)
{
    char key[STORE_PATH_LEN];
    size_t len, ignored;
    struct stat st;
    void *file;
    int rc;

    snprintf(key, sizeof(key), "%.*s", (int)(strlen(c->path + c->key_at) - 1), c->path + c->key_at);
    if (!record_key_is_valid(key) || fstatat(c->root, c->path, &st, AT_SYMLINK_NOFOLLOW))
        return 0;
    rc = store_file_load_at(c->root, c->path, (size_t)STORE_RECORD_MAX + RECORD_TRAILER, &file,
                            &len);
    if (rc == -ENOMEM)
        return rc;
    if (rc == -EACCES || rc == -EPERM) {
        report_unreadable(c, rc);
        return 0;
    }
    if (!rc) {
        bool is_foreign = record_is_foreign(file, len);
        rc = is_foreign ? 1 : record_open(c->host, key, file, len, &ignored);
        free(file);
    }
    c->totals->records += rc == 0;
    c->totals->foreign += rc == 1;
    if (rc < 0)
        report_flaw(c, STORE_RECORD_DAMAGED, &st);
    return 0;
}

static int visit_fact(void *who, const char *name)
{
    struct check *c = who;

    if (name[strlen(name) - 1] == '~')
        return check_record(c);
    return c->depth > FACTS_DEPTH ? 0 : each_name(c, visit_fact);
}

/* Whoever writes it holds its lock. The finding keeps it until the file is deleted. */
static int visit_temp(void *who, const char *name)
{
    struct check *c = who;
    struct stat st;
    int fd;

    (void)name;
    fd = openat(c->root, c->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !flock(fd, LOCK_EX | LOCK_NB))
        report_flaw(c, STORE_TEMP_LEFT, &st);
    close(fd);
    return 0;
}

/* -- The directory ----------------------------------------------------------------------------- */

static int visit_log_folder(void *who, const char *name)
{
    (void)name;
    return each_name(who, visit_log);
}

static int visit_kind(void *who, const char *name)
{
    struct check *c = who;

    if (!strcmp(name, "logs"))
        return each_name(c, visit_log_folder);
    c->key_at = strlen(c->path) + 1;
    return c->is_counting || strcmp(name, "facts") ? 0 : each_name(c, visit_fact);
}

static int visit_host(void *who, const char *name)
{
    struct check *c = who;

    if (!strcmp(name, "tmp"))
        return c->is_counting ? 0 : each_name(c, visit_temp);
    if (strlen(name) >= sizeof(c->host) || !strcmp(name, "lock"))
        return 0;
    memcpy(c->host, name, strlen(name) + 1);
    return each_name(c, visit_kind);
}

int store_check_dir(const char *dir, char ret_refusal[STORE_REFUSAL_LEN])
{
    int root = store_dir_open(dir, ret_refusal);

    if (root < 0)
        return root;
    close(root);
    return 0;
}

int store_check(const char *dir, const struct store_checker *checker,
                struct store_totals *ret_totals, char ret_refusal[STORE_REFUSAL_LEN])
{
    struct check c = {.checker = checker, .totals = ret_totals, .is_counting = true};
    int rc;

    *ret_totals = (struct store_totals){0};
    c.root = store_dir_open(dir, ret_refusal);
    if (c.root < 0)
        return c.root;
    c.page = malloc(STORE_PAGE_SIZE);
    rc = c.page ? each_name(&c, visit_host) : -ENOMEM;
    c.is_counting = false;
    if (!rc)
        rc = each_name(&c, visit_host);
    free(c.page);
    close(c.root);
    return rc;
}
