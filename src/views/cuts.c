#include "views/cuts.h"

#include "store/store.h"
#include "views/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "ghcuts2" /* of the record, and of the rules by which the table was made */
#define KEY_LEN 80

struct record {
    char magic[8];
    uint64_t text, digest, count;
};

uint64_t cuts_digest(const struct facts_job *job)
{
    struct store_hasher h;

    store_hasher_init(&h);
    for (size_t i = 0; i < job->step_count; i++) {
        const struct facts_step *s = &job->steps[i];
        const int64_t numbers[5] = {s->number, s->status, s->conclusion, s->started_ms,
                                    s->completed_ms};
        store_hasher_update(&h, numbers, sizeof(numbers));
        store_hasher_update(&h, s->name, strlen(s->name) + 1);
    }
    return store_hasher_digest(&h);
}

size_t cuts_count(const struct facts_job *job)
{
    return job->step_count < TEXT_STEPS_MAX ? job->step_count : TEXT_STEPS_MAX;
}

struct cuts_table *cuts_create(uint64_t text, uint64_t digest, size_t count)
{
    struct cuts_table *t = calloc(1, sizeof(*t) + count * sizeof(t->ranges[0]));

    if (!t)
        return NULL;
    t->text = text;
    t->digest = digest;
    t->count = count;
    return t;
}

static int64_t cutter_time(int64_t ms)
{
    return ms == FACTS_NO_TIME ? TEXT_TIME_UNKNOWN : ms;
}

struct text_step *cuts_steps(const struct facts_job *job)
{
    struct text_step *steps = calloc(job->step_count + 1, sizeof(*steps));
    struct steps_file *files = steps_get_files(job);

    if (!steps || !files) {
        free(steps);
        free(files);
        return NULL;
    }
    for (size_t i = 0; i < job->step_count; i++) {
        const struct facts_step *s = &job->steps[i];
        steps[i] = (struct text_step){.number = (int)s->number,
                                      .skipped = !files[i].present,
                                      .together = files[i].beside > 0,
                                      .started_ms = cutter_time(files[i].start_ms),
                                      .completed_ms = cutter_time(files[i].end_ms),
                                      .name = s->name};
    }
    free(files);
    return steps;
}

static void make_key(uint64_t text, uint64_t digest, char key[KEY_LEN])
{
    snprintf(key, KEY_LEN, "cuts/%016llx/%016llx", (unsigned long long)text,
             (unsigned long long)digest);
}

int cuts_save(struct store *s, const struct cuts_table *t)
{
    struct record head = {.magic = MAGIC, .text = t->text, .digest = t->digest, .count = t->count};
    size_t body = t->count * sizeof(t->ranges[0]);
    char *data = malloc(sizeof(head) + body);
    char key[KEY_LEN];
    int rc;

    if (!data)
        return -ENOMEM;
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), t->ranges, body);
    make_key(t->text, t->digest, key);
    rc = store_put_record(s, key, data, sizeof(head) + body);
    free(data);
    return rc;
}

/* Whether every range lies within the text. */
static bool is_sound(const struct cuts_table *t, uint64_t size)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->ranges[i].present &&
            (t->ranges[i].begin > t->ranges[i].end || t->ranges[i].end > size))
            return false;
    return true;
}

int cuts_load(struct store *s, uint64_t text, uint64_t digest, size_t count, uint64_t size,
              struct cuts_table **ret_table)
{
    struct cuts_table *t = NULL;
    struct record head;
    char key[KEY_LEN];
    void *data;
    size_t len;
    int rc = -ENOENT;

    make_key(text, digest, key);
    if (store_get_record(s, key, &data, &len))
        return -ENOENT;
    if (len != sizeof(head) + count * sizeof(t->ranges[0]))
        goto out;
    memcpy(&head, data, sizeof(head));
    if (memcmp(head.magic, MAGIC, sizeof(MAGIC)) || head.text != text || head.digest != digest ||
        head.count != count)
        goto out;
    t = cuts_create(text, digest, count);
    rc = t ? 0 : -ENOMEM;
    if (!t)
        goto out;
    memcpy(t->ranges, (char *)data + sizeof(head), count * sizeof(t->ranges[0]));
    if (!is_sound(t, size)) {
        free(t);
        rc = -ENOENT;
        goto out;
    }
    *ret_table = t;
out:
    free(data);
    return rc;
}
