#include "views/steps.h"

#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The API gives whole seconds, each cut off or rounded. Steps one after another may seem to overlap
 * by one; by more only steps that ran at the same time do. */
#define OVERLAP_BY_ROUNDING_MS 1000

#define MAGIC "ghcuts2" /* of the record, and of the rules by which the ranges were made */
#define KEY_LEN 80

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

/* Whether the steps have numbers from 1, each its own. In a sorted list one comparison each is
 * enough. */
static bool has_own_numbers(const struct facts_job *job)
{
    unsigned largest = 0;

    if (job->step_count > TEXT_STEPS_MAX)
        return false;
    for (size_t i = 0; i < job->step_count; i++) {
        unsigned number = job->steps[i].number;
        for (size_t before = 0; number <= largest && before < i; before++)
            if (job->steps[before].number == number)
                return false;
        if (number == 0)
            return false;
        if (number > largest)
            largest = number;
    }
    return true;
}

bool steps_is_whole(const struct facts_job *job)
{
    bool times = has_times(job);

    if (!has_own_numbers(job))
        return true;
    for (size_t i = 0; i < job->step_count; i++)
        if (has_started(&job->steps[i], times))
            return false;
    return true;
}

/* --- steps that ran at the same time --------------------------------------------------------- */

/* A step that has lines. */
struct entry {
    const struct facts_step *step;
    struct steps_file *file;
    int64_t end_ms;   /* INT64_MAX: it went on to the job's end */
    int64_t reach_ms; /* when all steps up to this one had ended */
    bool joined;      /* its lines are in the file of the entry before */
};

/* The steps that have lines, in the order of their numbers. */
struct sequence {
    struct entry *entries;
    size_t count;
    size_t first, end; /* those that may run at the same time as others */
};

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

static int by_number(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->step->number < y->step->number ? -1 : x->step->number > y->step->number;
}

/* Sorts the entries, and finds out when they ended. */
static void fill_times(struct sequence *q)
{
    size_t running = 0;
    int64_t reach_ms = INT64_MIN;

    qsort(q->entries, q->count, sizeof(*q->entries), by_number);
    q->end = q->count;
    while (q->end > 0 && ends_job(q->entries[q->end - 1].step))
        q->end--;
    q->first = q->count && !strcmp(q->entries[0].step->name, "Set up job") ? 1 : 0;
    for (size_t i = 0; i < q->count; i++)
        running += q->entries[i].step->status == FACTS_IN_PROGRESS;
    for (size_t i = q->first; i < q->end; i++) {
        struct entry *e = &q->entries[i];
        e->end_ms = e->step->completed_ms > e->step->started_ms ? e->step->completed_ms
                                                                : e->step->started_ms;
        /* Of steps one after another one at most is in progress. */
        if (e->step->status == FACTS_IN_PROGRESS && running > 1)
            e->end_ms = INT64_MAX;
        reach_ms = e->end_ms > reach_ms ? e->end_ms : reach_ms;
        e->reach_ms = reach_ms;
    }
}

static bool overlap(const struct entry *e, const struct entry *later, int64_t slack_ms)
{
    return e->end_ms > later->step->started_ms + slack_ms && later->end_ms >= e->step->started_ms;
}

/* The first entry before `later` that it overlaps; itself: none. A search by halves skips those
 * that had all ended before it began. */
static size_t first_overlap(const struct sequence *q, size_t later, int64_t slack_ms)
{
    int64_t start_ms = q->entries[later].step->started_ms + slack_ms;
    size_t low = q->first, high = later;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (q->entries[middle].reach_ms > start_ms)
            high = middle;
        else
            low = middle + 1;
    }
    while (low < later && !overlap(&q->entries[low], &q->entries[later], slack_ms))
        low++;
    return low;
}

/* Joins each entry with the first one that it overlaps, and all between. Whether there are any. */
static bool join(struct sequence *q, int64_t slack_ms)
{
    bool any = false;

    for (size_t later = q->first; later < q->end; later++)
        for (size_t k = first_overlap(q, later, slack_ms) + 1; k <= later; k++)
            q->entries[k].joined = any = true;
    return any;
}

/* GitHub adds this step where no step waits for what runs in the background. */
static bool has_implicit_wait(const struct sequence *q)
{
    for (size_t i = q->first; i < q->end; i++)
        if (!strcmp(q->entries[i].step->name, "Wait for all background steps"))
            return true;
    return false;
}

/* Puts the lines of joined steps into the file of the first of them. */
static void join_files(const struct sequence *q)
{
    struct steps_file *file = NULL;

    for (size_t i = 0; i < q->count; i++) {
        struct steps_file *own = q->entries[i].file;
        if (!q->entries[i].joined) {
            file = own;
            continue;
        }
        own->present = false;
        file->beside++;
        file->has_failed |= own->has_failed;
        file->is_cut_off |= own->is_cut_off;
        if (own->start_ms < file->start_ms)
            file->start_ms = own->start_ms;
        if (own->end_ms > file->end_ms)
            file->end_ms = own->end_ms;
    }
}

struct steps_file *steps_get_files(const struct facts_job *job)
{
    struct steps_file *files = calloc(job->step_count + 1, sizeof(*files));
    struct sequence q = {.entries = calloc(job->step_count + 1, sizeof(*q.entries))};
    bool times = has_times(job);

    if (!files || !q.entries) {
        free(files);
        free(q.entries);
        return NULL;
    }
    for (size_t i = 0; i < job->step_count; i++) {
        const struct facts_step *step = &job->steps[i];
        files[i] = (struct steps_file){.present = has_started(step, times),
                                       .has_failed = facts_is_failed(step->conclusion),
                                       .is_cut_off = step->conclusion == FACTS_CANCELLED ||
                                                     facts_is_open(step),
                                       .start_ms = step->started_ms,
                                       .end_ms = step->completed_ms};
        if (files[i].present)
            q.entries[q.count++] = (struct entry){.step = step, .file = &files[i]};
    }
    if (times && has_own_numbers(job)) {
        fill_times(&q);
        /* Where steps do run in the background, a second is not a rounding. */
        if (join(&q, OVERLAP_BY_ROUNDING_MS) || has_implicit_wait(&q))
            join(&q, 0);
        join_files(&q);
    }
    free(q.entries);
    return files;
}

/* --- names ----------------------------------------------------------------------------------- */

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

/* --- where steps begin ----------------------------------------------------------------------- */

_Static_assert(FACTS_NO_TIME == TEXT_TIME_UNKNOWN, "the times of steps are handed on as they are");

struct text_step *steps_for_cutter(const struct facts_job *job)
{
    struct text_step *steps = calloc(job->step_count + 1, sizeof(*steps));
    struct steps_file *files = steps ? steps_get_files(job) : NULL;

    if (!files) {
        free(steps);
        return NULL;
    }
    for (size_t i = 0; i < job->step_count; i++)
        steps[i] = (struct text_step){.number = (int)job->steps[i].number,
                                      .skipped = !files[i].present,
                                      .together = files[i].beside > 0,
                                      .started_ms = files[i].start_ms,
                                      .completed_ms = files[i].end_ms,
                                      .name = job->steps[i].name};
    free(files);
    return steps;
}

uint64_t steps_digest(const struct facts_job *job)
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

/* A record: this, then the ranges. */
struct record {
    char magic[8];
    uint64_t text, digest, count;
};

static void make_key(uint64_t text, uint64_t digest, char ret_key[KEY_LEN])
{
    snprintf(ret_key, KEY_LEN, "cuts/%016llx/%016llx", (unsigned long long)text,
             (unsigned long long)digest);
}

int steps_save_ranges(struct store *s, uint64_t text, uint64_t digest,
                      const struct text_range *ranges, size_t count)
{
    struct record head = {.magic = MAGIC, .text = text, .digest = digest, .count = count};
    size_t body = count * sizeof(*ranges);
    char *data = malloc(sizeof(head) + body);
    char key[KEY_LEN];
    int rc;

    if (!data)
        return -ENOMEM;
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), ranges, body);
    make_key(text, digest, key);
    rc = store_put_record(s, key, data, sizeof(head) + body);
    free(data);
    return rc;
}

/* Whether every range lies within the text. */
static bool is_sound(const struct text_range *ranges, size_t count, uint64_t size)
{
    for (size_t i = 0; i < count; i++)
        if (ranges[i].present && (ranges[i].begin > ranges[i].end || ranges[i].end > size))
            return false;
    return true;
}

int steps_load_ranges(struct store *s, uint64_t text, uint64_t digest, uint64_t size,
                      struct text_range *ret_ranges, size_t count)
{
    const struct record head = {.magic = MAGIC, .text = text, .digest = digest, .count = count};
    size_t len, body = count * sizeof(*ret_ranges);
    const struct text_range *ranges;
    char key[KEY_LEN];
    void *data;
    int rc = -ENOENT;

    make_key(text, digest, key);
    if (store_get_record(s, key, &data, &len))
        return -ENOENT;
    ranges = (const struct text_range *)(void *)((char *)data + sizeof(head));
    if (len == sizeof(head) + body && !memcmp(data, &head, sizeof(head)) &&
        is_sound(ranges, count, size)) {
        memcpy(ret_ranges, ranges, body);
        rc = 0;
    }
    free(data);
    return rc;
}
