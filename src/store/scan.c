#include "store/scan.h"

#include "store/room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FACTS_DEPTH 16

/* -- The list ---------------------------------------------------------------------------------- */

static void swap(struct scan_file *a, struct scan_file *b)
{
    struct scan_file c = *a;

    *a = *b;
    *b = c;
}

static void sift_up(struct scan_file *files, size_t i)
{
    for (size_t up; i && files[up = (i - 1) / 2].mtime_ns < files[i].mtime_ns; i = up)
        swap(&files[i], &files[up]);
}

static void sift_down(struct scan_file *files, size_t count)
{
    size_t i = 0;

    for (;;) {
        size_t top = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
            if (files[child].mtime_ns > files[top].mtime_ns)
                top = child;
        if (top == i)
            return;
        swap(&files[i], &files[top]);
        i = top;
    }
}

/* Room grows by doubling: most caches are small. */
static int list_grow(struct scan_list *list)
{
    struct scan_file *files;

    if (list->count & (list->count - 1))
        return 0;
    files = realloc(list->files, (list->count ? 2 * list->count : 1) * sizeof(*files));
    if (!files)
        return -ENOMEM;
    list->files = files;
    return 0;
}

int scan_list_add(struct scan_list *list, int64_t mtime_ns, uint64_t size, const char *path)
{
    struct scan_file file = {mtime_ns, size, NULL};
    bool full = list->count == SCAN_OLDEST_MAX;

    if (full && list->files[0].mtime_ns <= mtime_ns) {
        list->total += size;
        return 0;
    }
    if (!full && list_grow(list))
        return -ENOMEM;
    file.path = strdup(path);
    if (!file.path)
        return -ENOMEM;
    list->total += size;
    if (full) {
        free(list->files[0].path);
        list->files[0] = file;
        sift_down(list->files, list->count);
    } else {
        list->files[list->count] = file;
        sift_up(list->files, list->count++);
    }
    return 0;
}

static int compare_age(const void *a, const void *b)
{
    const struct scan_file *x = a, *y = b;

    return (x->mtime_ns > y->mtime_ns) - (x->mtime_ns < y->mtime_ns);
}

void scan_sort(struct scan_list *list)
{
    if (list->count)
        qsort(list->files, list->count, sizeof(*list->files), compare_age);
}

static void list_finish(struct scan_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].path);
    free(list->files);
    *list = (struct scan_list){0};
}

void scan_finish(struct scan *scan)
{
    list_finish(&scan->logs);
    list_finish(&scan->facts);
}

/* -- Directories ------------------------------------------------------------------------------- */

/* A path below v1/, for as long as a directory is looked at, and what is found in it. */
struct folder {
    struct scan *scan;
    DIR *dir;
    char path[STORE_PATH_LEN];
    size_t len;
    unsigned depth;
};

static int folder_open(struct folder *f, struct scan *scan, int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    f->dir = fdopendir(fd);
    if (!f->dir) {
        close(fd);
        return -ENOMEM;
    }
    f->scan = scan;
    f->depth = 0;
    f->path[0] = '\0';
    f->len = 0;
    return 0;
}

/* The next name that is not a dot's; NULL: the end. */
static const char *folder_next(struct folder *f)
{
    struct dirent *entry;

    do
        entry = readdir(f->dir);
    while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
    return entry ? entry->d_name : NULL;
}

/* The path of a name in the folder; false: longer than anything we make. */
static bool folder_path(const struct folder *f, const char *name, char path[STORE_PATH_LEN])
{
    int n = snprintf(path, STORE_PATH_LEN, "%s%s%s", f->path, f->len ? "/" : "", name);

    return n > 0 && n < STORE_PATH_LEN;
}

static int folder_enter(struct folder *f, const struct folder *up, const char *name)
{
    int rc = folder_open(f, up->scan, dirfd(up->dir), name);

    if (rc)
        return rc;
    if (!folder_path(up, name, f->path)) {
        closedir(f->dir);
        return -ENAMETOOLONG;
    }
    f->len = strlen(f->path);
    f->depth = up->depth + 1;
    return 0;
}

static int64_t mtime_of(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* -- Logs -------------------------------------------------------------------------------------- */

/* The metas of one folder: which job, and how old where that matters. */
struct metas {
    struct {
        int64_t mtime_ns;
        uint64_t job;
    } * at;
    size_t count;
};

/* A job id by its only spelling; false: another name. */
static bool parse_job(const char *name, const char *ending, uint64_t *ret_job)
{
    char spelled[64];
    uint64_t job = 0;
    const char *p = name;

    for (; *p >= '0' && *p <= '9' && p - name < 20; p++)
        job = job * 10 + (uint64_t)(*p - '0');
    snprintf(spelled, sizeof(spelled), "%" PRIu64 "%s", job, ending);
    *ret_job = job;
    return !strcmp(spelled, name);
}

static int metas_add(struct metas *m, uint64_t job)
{
    if (!(m->count & (m->count - 1))) {
        void *at = realloc(m->at, (m->count ? 2 * m->count : 1) * sizeof(*m->at));
        if (!at)
            return -ENOMEM;
        m->at = at;
    }
    m->at[m->count].mtime_ns = 0;
    m->at[m->count++].job = job;
    return 0;
}

/* A log whose meta is not there is none: the meta is always put there first and deleted last. */
static int add_log(struct folder *f, const char *name, uint64_t job)
{
    char meta[64], path[STORE_PATH_LEN];
    struct stat st;

    snprintf(meta, sizeof(meta), "%" PRIu64 ".meta", job);
    if (faccessat(dirfd(f->dir), meta, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT) {
        unlinkat(dirfd(f->dir), name, 0);
        return 0;
    }
    if (fstatat(dirfd(f->dir), name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ||
        !folder_path(f, name, path))
        return 0;
    return scan_list_add(&f->scan->logs, mtime_of(&st), store_size_on_disk((uint64_t)st.st_size),
                         path);
}

static int newest_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x < *y) - (*x > *y);
}

/* Keeps the ages of those without a log; with few metas there is nothing to do. */
static void metas_trim(struct folder *f, struct metas *m)
{
    char name[64];
    size_t alone = 0;
    struct stat st;

    if (m->count <= STORE_ORPHANS_MAX)
        return;
    for (size_t i = 0; i < m->count; i++) {
        snprintf(name, sizeof(name), "%" PRIu64, m->at[i].job);
        if (!faccessat(dirfd(f->dir), name, F_OK, AT_SYMLINK_NOFOLLOW))
            continue;
        snprintf(name, sizeof(name), "%" PRIu64 ".meta", m->at[i].job);
        if (fstatat(dirfd(f->dir), name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        m->at[alone].job = m->at[i].job;
        m->at[alone++].mtime_ns = mtime_of(&st);
    }
    if (alone <= STORE_ORPHANS_MAX)
        return;
    qsort(m->at, alone, sizeof(*m->at), newest_first);
    for (size_t i = STORE_ORPHANS_MAX; i < alone; i++) {
        snprintf(name, sizeof(name), "%" PRIu64 ".meta", m->at[i].job);
        unlinkat(dirfd(f->dir), name, 0);
    }
}

/* logs/<xx> */
static int scan_log_folder(struct folder *f)
{
    struct metas metas = {0};
    const char *name;
    uint64_t job;
    int rc = 0;

    while (!rc && (name = folder_next(f))) {
        if (parse_job(name, "", &job))
            rc = add_log(f, name, job);
        else if (parse_job(name, ".meta", &job))
            rc = metas_add(&metas, job);
    }
    if (!rc)
        metas_trim(f, &metas);
    free(metas.at);
    return rc;
}

/* -- Facts and the whole ----------------------------------------------------------------------- */

static int scan_each_folder(struct folder *up, int (*look)(struct folder *f));

static int add_fact(struct folder *f, const char *name)
{
    char path[STORE_PATH_LEN];
    struct stat st;

    if (fstatat(dirfd(f->dir), name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ||
        !folder_path(f, name, path))
        return 0;
    return scan_list_add(&f->scan->facts, mtime_of(&st), store_size_on_disk((uint64_t)st.st_size),
                         path);
}

/* facts/ and each directory below it. */
static int scan_fact_folder(struct folder *f)
{
    const char *name;
    int rc = 0;

    while (!rc && (name = folder_next(f)))
        if (name[strlen(name) - 1] == '~')
            rc = add_fact(f, name);
    rewinddir(f->dir);
    return rc || f->depth > FACTS_DEPTH ? rc : scan_each_folder(f, scan_fact_folder);
}

static int scan_one(struct folder *up, const char *name, int (*look)(struct folder *f))
{
    struct folder *f = malloc(sizeof(*f));
    int rc = f ? folder_enter(f, up, name) : -ENOMEM;

    if (!rc) {
        rc = look(f);
        closedir(f->dir);
    }
    free(f);
    return rc == -ENOMEM ? rc : 0; /* what is no directory, or went, is passed over */
}

static int scan_each_folder(struct folder *up, int (*look)(struct folder *f))
{
    const char *name;
    int rc = 0;

    while (!rc && (name = folder_next(up)))
        if (name[strlen(name) - 1] != '~')
            rc = scan_one(up, name, look);
    return rc;
}

static int scan_logs(struct folder *f)
{
    return scan_each_folder(f, scan_log_folder);
}

static int scan_host(struct folder *f)
{
    int rc = scan_one(f, "logs", scan_logs);

    return rc ? rc : scan_one(f, "facts", scan_fact_folder);
}

int scan_run(int root, struct scan *ret_scan)
{
    struct scan scan = {0};
    struct folder *top = malloc(sizeof(*top));
    int rc = top ? folder_open(top, &scan, root, ".") : -ENOMEM;

    if (!rc) {
        rc = scan_each_folder(top, scan_host);
        closedir(top->dir);
    }
    free(top);
    if (rc)
        scan_finish(&scan);
    else
        *ret_scan = scan;
    return rc;
}
