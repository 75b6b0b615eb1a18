#include "views/steps.h"

#include "store/store.h"
#include "text/cut.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The API tells whole seconds, each cut off or rounded. Steps one after another may seem to overlap
 * by one; by more only steps that ran at the same time do. */
#define OVERLAP_BY_ROUNDING_MS 1000

#define MAGIC "ghcuts2" /* of the record, and of the rules by which the table was made */
#define KEY_LEN 80

/* The steps that have lines, in the order of their numbers. */
struct sequence {
    const struct facts_job *job;
    struct steps_file *files; /* of the job's steps */
    size_t *at;               /* of each: its index in the job */
    bool *joined;             /* of each: its lines are in the file of the one before */
    int64_t *reach_ms;        /* of each: when the last one up to it had ended */
    size_t count;
    size_t first, end; /* those that may run at the same time as others */
    bool open_ended;   /* what is still in progress went on to the job's end */
};

static bool has_times(const struct facts_job *job)
{
    for (size_t i = 0; i < job->step_count; i++)
        if (job->steps[i].started_ms != FACTS_NO_TIME)
            return true;
    return false;
}

/* A step that is in progress in a completed job did start: its runner was lost. One that waits, or
 * has no time while others have, never did. */
static bool has_started(const struct facts_step *step, bool times)
{
    switch (step->status) {
    case FACTS_QUEUED:
    case FACTS_WAITING:
    case FACTS_REQUESTED:
    case FACTS_PENDING: return false;
    case FACTS_STATUS_UNKNOWN:
    case FACTS_IN_PROGRESS:
    case FACTS_COMPLETED: break;
    }
    return step->conclusion != FACTS_SKIPPED && (!times || step->started_ms != FACTS_NO_TIME);
}

static bool has_number_before(const struct facts_job *job, size_t end, unsigned number)
{
    for (size_t i = 0; i < end; i++)
        if (job->steps[i].number == number)
            return true;
    return false;
}

/* Each number once, from 1; in a list in order this is one look at each. */
static bool has_numbers(const struct facts_job *job)
{
    unsigned largest = 0;

    for (size_t i = 0; i < job->step_count; i++) {
        unsigned number = job->steps[i].number;
        if (number == 0 || (number <= largest && has_number_before(job, i, number)))
            return false;
        if (number > largest)
            largest = number;
    }
    return true;
}

static bool is_told_apart(const struct facts_job *job)
{
    return job->step_count <= TEXT_STEPS_MAX && has_numbers(job);
}

bool steps_is_whole(const struct facts_job *job)
{
    bool times = has_times(job);

    if (!is_told_apart(job))
        return true;
    for (size_t i = 0; i < job->step_count; i++)
        if (has_started(&job->steps[i], times))
            return false;
    return true;
}

/* --- steps that ran at the same time ----------------------------------------------------------- */

static const struct facts_step *step_at(const struct sequence *q, size_t i)
{
    return &q->job->steps[q->at[i]];
}

/* The runner ends a job one step at a time, when nothing runs in the background any more; and the
 * times of those steps are the ones that are wrong by seconds. */
static bool ends_job(const struct facts_step *step)
{
    static const char *const names[] = {"Complete job", "Complete runner", "Stop containers",
                                        "Create custom image"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(step->name, names[i]))
            return true;
    return !strncmp(step->name, "Post ", strlen("Post "));
}

static int64_t end_of(const struct sequence *q, size_t i)
{
    const struct facts_step *step = step_at(q, i);

    if (step->status == FACTS_IN_PROGRESS && q->open_ended)
        return INT64_MAX;
    return step->completed_ms > step->started_ms ? step->completed_ms : step->started_ms;
}

static bool overlap(const struct sequence *q, size_t i, size_t later, int64_t slack_ms)
{
    return end_of(q, i) > step_at(q, later)->started_ms + slack_ms &&
           end_of(q, later) >= step_at(q, i)->started_ms;
}

/* The first one before `later` that it overlaps; itself: none. Of those that had ended before it
 * began none is looked at. */
static size_t first_overlap(const struct sequence *q, size_t later, int64_t slack_ms)
{
    int64_t start_ms = step_at(q, later)->started_ms + slack_ms;
    size_t low = q->first, high = later;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (q->reach_ms[middle] > start_ms)
            high = middle;
        else
            low = middle + 1;
    }
    while (low < later && !overlap(q, low, later, slack_ms))
        low++;
    return low;
}

/* Joins each step to the first one before it that it overlaps, and all between. Whether there are
 * any. */
static bool join(struct sequence *q, int64_t slack_ms)
{
    bool any = false;

    for (size_t later = q->first; later < q->end; later++)
        for (size_t k = first_overlap(q, later, slack_ms) + 1; k <= later; k++)
            q->joined[k] = any = true;
    return any;
}

static int sequence_compare(const void *a, const void *b, void *job)
{
    const struct facts_step *steps = ((const struct facts_job *)job)->steps;
    uint32_t x = steps[*(const size_t *)a].number, y = steps[*(const size_t *)b].number;

    return x < y ? -1 : x > y;
}

/* Which of the sequence may have run at the same time as others, and how far those before reach. */
static void find_bounds(struct sequence *q)
{
    size_t running = 0;

    q->end = q->count;
    while (q->end > 0 && ends_job(step_at(q, q->end - 1)))
        q->end--;
    q->first = q->count && !strcmp(step_at(q, 0)->name, "Set up job") ? 1 : 0;
    for (size_t i = 0; i < q->count; i++)
        running += step_at(q, i)->status == FACTS_IN_PROGRESS;
    q->open_ended = running > 1; /* one after another there is one at most */
    for (size_t i = q->first; i < q->end; i++) {
        int64_t end_ms = end_of(q, i);
        bool later = i == q->first || end_ms > q->reach_ms[i - 1];
        q->reach_ms[i] = later ? end_ms : q->reach_ms[i - 1];
    }
}

/* GitHub adds this step where nobody waits for what runs in the background. */
static bool has_implicit_wait(const struct sequence *q)
{
    for (size_t i = q->first; i < q->end; i++)
        if (!strcmp(step_at(q, i)->name, "Wait for all background steps"))
            return true;
    return false;
}

/* The lines of joined steps are in the file of the first. */
static void join_files(const struct sequence *q)
{
    struct steps_file *file = NULL;

    for (size_t i = 0; i < q->count; i++) {
        struct steps_file *own = &q->files[q->at[i]];
        if (!q->joined[i]) {
            file = own;
            continue;
        }
        own->present = false;
        file->beside++;
        if (own->start_ms < file->start_ms)
            file->start_ms = own->start_ms;
        if (own->end_ms > file->end_ms)
            file->end_ms = own->end_ms;
    }
}

static void find_stretches(struct sequence *q)
{
    for (size_t i = 0; i < q->job->step_count; i++)
        if (q->files[i].present)
            q->at[q->count++] = i;
    qsort_r(q->at, q->count, sizeof(*q->at), sequence_compare, (void *)(uintptr_t)q->job);
    find_bounds(q);
    /* Where steps do run in the background, a second is no rounding. */
    if (join(q, OVERLAP_BY_ROUNDING_MS) || has_implicit_wait(q))
        join(q, 0);
    join_files(q);
}

struct steps_file *steps_get_files(const struct facts_job *job)
{
    struct steps_file *files = calloc(job->step_count + 1, sizeof(*files));
    struct sequence q = {.job = job, .files = files};
    bool times = has_times(job);

    q.at = calloc(job->step_count + 1, sizeof(*q.at));
    q.joined = calloc(job->step_count + 1, sizeof(*q.joined));
    q.reach_ms = calloc(job->step_count + 1, sizeof(*q.reach_ms));
    if (!files || !q.at || !q.joined || !q.reach_ms) {
        free(files);
        files = NULL;
        goto out;
    }
    for (size_t i = 0; i < job->step_count; i++) {
        const struct facts_step *step = &job->steps[i];
        files[i].present = has_started(step, times);
        files[i].start_ms = step->started_ms;
        files[i].end_ms = step->completed_ms;
    }
    if (times && is_told_apart(job))
        find_stretches(&q);
out:
    free(q.at);
    free(q.joined);
    free(q.reach_ms);
    return files;
}

/* --- names ------------------------------------------------------------------------------------- */

unsigned steps_get_width(const struct facts_job *job)
{
    unsigned largest = 0, width = 2;

    for (size_t i = 0; i < job->step_count; i++)
        if (job->steps[i].number > largest)
            largest = job->steps[i].number;
    for (unsigned n = largest / 100; n; n /= 10)
        width++;
    return width;
}

void steps_make_name(const struct facts_step *step, const struct steps_file *file, unsigned width,
                     char ret_name[SAFE_NAME_LEN])
{
    char number[16], ending[24] = ".txt";

    snprintf(number, sizeof(number), "%0*u-", (int)width, step->number);
    if (file->beside)
        snprintf(ending, sizeof(ending), " +%u.txt", file->beside);
    safe_name_make(number, step->name, ending, ret_name);
}

/* --- where steps begin ------------------------------------------------------------------------- */

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
