#include "archive/extract.h"

#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A whole log on its way into the store. */
struct log_entry {
    size_t job; /* index in the match */
    struct store_backing backing;
    uint64_t size, reserved;
    struct store_hasher hasher; /* of the page under way */
    uint64_t *sums;
    size_t sum_cap;
    struct match_content content;
    char *folder;                /* of its steps' files */
    struct archive_steps *steps; /* what has come of them; NULL: no memory */
};

struct extract {
    struct extract_config config;
    char repo[NAME_FULL_LEN];
    struct log_entry *current;          /* the entry is a whole log that is wanted */
    struct archive_steps *current_step; /* it is a step's file */
    struct log_entry *logs[EXTRACT_LOGS_MAX];
    size_t log_count;
    uint64_t bytes; /* of all logs */
};

int extract_create(const struct extract_config *config, struct extract **ret_extract)
{
    struct extract *x = calloc(1, sizeof(*x));

    if (!x)
        return -ENOMEM;
    x->config = *config;
    name_fold(&config->repo, x->repo);
    *ret_extract = x;
    return 0;
}

/* -- Whole logs -------------------------------------------------------------------------------- */

static void drop_log(struct extract *x, struct log_entry *e)
{
    if (!e)
        return;
    store_backing_close(x->config.store, &e->backing);
    archive_steps_destroy(e->steps);
    free(e->folder);
    free(e->sums);
    free(e);
}

/* The steps of the job are in files of a folder that is called as its log. */
static struct log_entry *open_log(struct extract *x, size_t job, const char *name)
{
    struct log_entry *e = calloc(1, sizeof(*e));
    const char *stem = strchr(name, '_') + 1;

    if (!e)
        return NULL;
    e->job = job;
    if (store_backing_open(x->config.store, &e->backing)) {
        free(e);
        return NULL;
    }
    if (e->backing.in_memory) { /* it could not be published */
        drop_log(x, e);
        return NULL;
    }
    store_hasher_init(&e->hasher);
    e->folder = strndup(stem, strlen(stem) - strlen(".txt"));
    if (e->folder && !archive_steps_create(x->config.work, &e->steps))
        archive_steps_begin(e->steps, 0);
    return e;
}

/* The checksum of the page that ends here. */
static int add_sum(struct log_entry *e)
{
    size_t page = (size_t)((e->size - 1) / STORE_PAGE_SIZE);

    if (page >= e->sum_cap) {
        size_t cap = e->sum_cap ? 2 * e->sum_cap : 16;
        uint64_t *sums = reallocarray(e->sums, cap, sizeof(*sums));
        if (!sums)
            return -ENOMEM;
        e->sums = sums;
        e->sum_cap = cap;
    }
    e->sums[page] = store_hasher_digest(&e->hasher);
    store_hasher_init(&e->hasher);
    return 0;
}

static int write_log(struct extract *x, struct log_entry *e, const char *data, size_t len)
{
    int rc = 0;

    if (e->size + len > e->reserved) {
        uint64_t to = store_page_count(e->size + len) * STORE_PAGE_SIZE;
        rc = store_backing_reserve(x->config.store, &e->backing, e->reserved, to);
        e->reserved = to;
    }
    if (!rc)
        rc = store_backing_write(&e->backing, data, len, e->size);
    match_content_add(&e->content, data, len);
    if (e->steps)
        archive_steps_add(e->steps, data, len);
    while (len > 0 && !rc) {
        size_t space = STORE_PAGE_SIZE - (size_t)(e->size % STORE_PAGE_SIZE);
        size_t part = len < space ? len : space;

        store_hasher_update(&e->hasher, data, part);
        e->size += part;
        data += part;
        len -= part;
        if (part == space)
            rc = add_sum(e);
    }
    return rc;
}

static int publish(struct extract *x, struct log_entry *e)
{
    const struct match_job *job = match_get_job(x->config.match, e->job);
    struct store_meta meta = {.size = e->size, .mtime_ms = job->completed_ms, .final = true};
    int rc = 0;

    if (e->size % STORE_PAGE_SIZE != 0)
        rc = add_sum(e);
    meta.checksums = e->sums;
    store_meta_add_name(&meta, x->repo);
    return rc ? rc : store_publish(x->config.store, job->id, &e->backing, &meta);
}

/* -- Entries ----------------------------------------------------------------------------------- */

static bool begin_step(struct extract *x, const char *name)
{
    size_t len;
    unsigned number = archive_steps_parse_name(name, &len);

    for (size_t i = 0; number && i < x->log_count; i++) {
        const struct log_entry *e = x->logs[i];
        if (e->steps && strlen(e->folder) == len && memcmp(e->folder, name, len) == 0)
            x->current_step = e->steps;
    }
    if (x->current_step)
        archive_steps_begin(x->current_step, number);
    return x->current_step != NULL;
}

bool extract_begin(struct extract *x, const char *name)
{
    size_t job;

    if (strchr(name, '/'))
        return begin_step(x, name);
    job = match_add_entry(x->config.match, name);
    if (job == MATCH_NONE)
        return false;
    if (!x->config.is_wanted(x->config.who, job))
        return false;
    x->current = x->log_count < EXTRACT_LOGS_MAX ? open_log(x, job, name) : NULL;
    if (!x->current)
        x->config.settled(x->config.who, job, false);
    return x->current != NULL;
}

bool extract_data(struct extract *x, const void *data, size_t len)
{
    if (x->current_step) {
        archive_steps_add(x->current_step, data, len);
        return true;
    }
    x->bytes += len;
    return !extract_is_over(x) && write_log(x, x->current, data, len) == 0;
}

void extract_end(struct extract *x, bool good)
{
    struct log_entry *e = x->current;

    if (x->current_step) {
        archive_steps_end(x->current_step, good);
        x->current_step = NULL;
        return;
    }
    x->current = NULL;
    if (e->steps)
        archive_steps_end(e->steps, good);
    if (good && e->size && match_content_fits(x->config.match, e->job, &e->content)) {
        x->logs[x->log_count++] = e;
    } else {
        x->config.settled(x->config.who, e->job, false);
        drop_log(x, e);
    }
}

/* -- The end ----------------------------------------------------------------------------------- */

static void keep_steps(struct extract *x, struct log_entry *e)
{
    uint64_t id = match_get_job(x->config.match, e->job)->id;
    struct archive_step *steps = NULL;
    int count = archive_steps_cut(e->steps, &steps);

    if (count > 0)
        x->config.keep_steps(x->config.steps_who, &x->config.repo, id, steps, (size_t)count);
    free(steps);
}

bool extract_is_over(const struct extract *x)
{
    return x->bytes > x->config.bytes_max;
}

void extract_finish(struct extract *x)
{
    for (size_t i = 0; i < x->log_count; i++) {
        struct log_entry *e = x->logs[i];
        bool is_published = match_is_only(x->config.match, e->job) &&
                            x->config.is_wanted(x->config.who, e->job) &&
                            (!e->steps || !archive_steps_have_more(e->steps));

        if (is_published && e->steps)
            keep_steps(x, e); /* first: whoever finds the log finds its steps */
        is_published = is_published && publish(x, e) == 0;
        x->config.settled(x->config.who, e->job, is_published);
        drop_log(x, e);
    }
    x->log_count = 0;
}

void extract_destroy(struct extract *x)
{
    if (!x)
        return;
    drop_log(x, x->current);
    for (size_t i = 0; i < x->log_count; i++)
        drop_log(x, x->logs[i]);
    free(x);
}
