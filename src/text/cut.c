#include "text/cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text/align.h"
#include "text/mark.h"

enum {
    TEXT_MARKS_MAX = 16384,
    ALONE_MS = 2000, /* a step without a mark must last this long to be cut by time */
};

/* The first line that is not before a step's start, for a step that gets no mark. */
struct landing {
    uint64_t offset;
    bool found;
};

struct text_cutter {
    struct text_scanner scanner;
    struct text_part *parts; /* the steps that are not skipped, by number */
    size_t *origin;          /* their index in the caller's array */
    struct landing *landings;
    int64_t *starts; /* of the parts but the first, ascending: when they began */
    int64_t *names;  /* and the hashes of their names */
    size_t part_count;
    size_t landed; /* parts below this have their landing */
    size_t step_count;
    struct text_mark *marks;
    size_t mark_count;
    size_t mark_space;
    bool is_full;   /* of marks that are not doubtful */
    bool last_kept; /* the scanner's last mark is marks[mark_count - 1] */
};

/* By the steps' numbers; of equal ones by their place in the caller's array. */
static int origin_compare(const void *a, const void *b, void *steps)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int number = ((const struct text_step *)steps)[x].number;
    int other = ((const struct text_step *)steps)[y].number;
    if (number != other)
        return number < other ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int number_compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int parts_fill(struct text_cutter *c, const struct text_step *steps, size_t count)
{
    const char **names = malloc((count + 1) * sizeof *names);
    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (!steps[i].skipped)
            c->origin[c->part_count++] = i;
    qsort_r(c->origin, c->part_count, sizeof *c->origin, origin_compare, (void *)(uintptr_t)steps);
    for (size_t i = 0; i < c->part_count; i++) {
        const struct text_step *step = &steps[c->origin[i]];
        names[i] = step->name;
        c->parts[i].started_ms = step->started_ms;
        c->parts[i].completed_ms = step->completed_ms;
        c->parts[i].together = step->together;
    }
    text_parts_name(c->parts, names, c->part_count);
    for (size_t i = 1; i < c->part_count; i++) {
        c->starts[i - 1] = c->parts[i].started_ms;
        c->names[i - 1] = (int64_t)c->parts[i].name;
    }
    if (c->part_count > 1) {
        qsort(c->starts, c->part_count - 1, sizeof *c->starts, number_compare);
        qsort(c->names, c->part_count - 1, sizeof *c->names, number_compare);
    }
    free(names);
    return 0;
}

int text_cutter_create(const struct text_step *steps, size_t count, struct text_cutter **ret)
{
    if (count > TEXT_STEPS_MAX)
        return -E2BIG;
    struct text_cutter *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    text_scanner_init(&c->scanner);
    c->step_count = count;
    c->landed = 1;
    c->parts = calloc(count + 1, sizeof *c->parts);
    c->origin = calloc(count + 1, sizeof *c->origin);
    c->landings = calloc(count + 1, sizeof *c->landings);
    c->starts = calloc(count + 1, sizeof *c->starts);
    c->names = calloc(count + 1, sizeof *c->names);
    int err = -ENOMEM;
    if (c->parts && c->origin && c->landings && c->starts && c->names)
        err = parts_fill(c, steps, count);
    if (err) {
        text_cutter_destroy(c);
        return err;
    }
    *ret = c;
    return 0;
}

void text_cutter_destroy(struct text_cutter *c)
{
    if (!c)
        return;
    free(c->parts);
    free(c->origin);
    free(c->landings);
    free(c->starts);
    free(c->names);
    free(c->marks);
    free(c);
}

/* How many of the ascending numbers are below `limit`. */
static size_t count_below(const int64_t *numbers, size_t count, int64_t limit)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (numbers[middle] < limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Only a mark that fits some step is kept: what a program prints hour after hour is not. Each line
 * of the log may be a mark, so the steps are searched, not gone through. */
static bool mark_wanted(const struct text_cutter *c, const struct text_mark *mark)
{
    size_t count = c->part_count > 0 ? c->part_count - 1 : 0;
    size_t at = count_below(c->starts, count, mark->time_ms - TEXT_REACH_MS);
    if (count == 0)
        return false;
    if (c->starts[0] == TEXT_TIME_UNKNOWN ||
        (at < count && c->starts[at] <= mark->time_ms + TEXT_REACH_MS))
        return true;
    at = mark->name != 0 ? count_below(c->names, count, (int64_t)mark->name) : count;
    return at < count && c->names[at] == (int64_t)mark->name;
}

/* Whether there is space for one more mark. A full table drops those that a program may have
 * printed, unless that gains too little for the time it takes. */
static bool mark_space_make(struct text_cutter *c)
{
    if (c->mark_count < c->mark_space)
        return true;
    size_t space = c->mark_space ? c->mark_space * 2 : 64, kept = 0;
    if (space <= TEXT_MARKS_MAX) {
        struct text_mark *marks = realloc(c->marks, space * sizeof *marks);
        if (!marks)
            return false; /* one mark less: its step is cut by time */
        c->marks = marks;
        c->mark_space = space;
        return true;
    }
    if (c->is_full)
        return false;
    for (size_t i = 0; i < c->mark_count; i++)
        if (!c->marks[i].doubtful)
            c->marks[kept++] = c->marks[i];
    c->mark_count = kept;
    c->is_full = kept > TEXT_MARKS_MAX / 2;
    return !c->is_full;
}

void text_cutter_line(void *cutter, const struct text_line *line)
{
    struct text_cutter *c = cutter;
    struct text_mark mark;

    while (line->time_ms != TEXT_TIME_UNKNOWN && c->landed < c->part_count &&
           c->parts[c->landed].started_ms <= line->time_ms)
        c->landings[c->landed++] = (struct landing){.offset = line->offset, .found = true};
    switch (text_scanner_line(&c->scanner, line, &mark)) {
    case TEXT_MARK_CHANGED:
        if (c->last_kept) {
            c->marks[c->mark_count - 1] = mark;
            break;
        }
        /* fall through */
    case TEXT_MARK_NEW:
        c->last_kept = mark_wanted(c, &mark) && mark_space_make(c);
        if (c->last_kept)
            c->marks[c->mark_count++] = mark;
        break;
    case TEXT_MARK_DROPPED:
        if (c->last_kept)
            c->mark_count--;
        c->last_kept = false;
        break;
    case TEXT_MARK_NOTHING: break;
    }
}

/* May a step without a mark be cut by its time alone? It must have had seconds to itself, or a
 * silent step would take lines of the one before. */
static bool stands_alone(const struct text_cutter *c, size_t i)
{
    const struct text_part *part = &c->parts[i], *before = part - 1;
    return c->landings[i].found && part->started_ms != TEXT_TIME_UNKNOWN &&
           before->completed_ms != TEXT_TIME_UNKNOWN && before->completed_ms <= part->started_ms &&
           before->started_ms < part->started_ms &&
           part->completed_ms >= part->started_ms + ALONE_MS;
}

/* begins[i] is the part's first byte, begins[part_count] the end. From the last part to the
 * first: what has no start of its own is empty, just before the next one. */
static void begins_fill(const struct text_cutter *c, const size_t *chosen, uint64_t size,
                        uint64_t *begins)
{
    begins[c->part_count] = size;
    uint64_t floor = 0; /* no cut by time may cross the mark before it */
    for (size_t i = 1; i < c->part_count; i++) {
        if (chosen[i] != TEXT_NO_MARK)
            floor = c->marks[chosen[i]].offset;
        begins[i] = floor;
    }
    for (size_t i = c->part_count; i-- > 1;) {
        uint64_t at = begins[i + 1];
        if (chosen[i] != TEXT_NO_MARK)
            at = c->marks[chosen[i]].offset;
        else if (stands_alone(c, i) && c->landings[i].offset > begins[i] &&
                 c->landings[i].offset < at)
            at = c->landings[i].offset;
        /* A mark may go back to what came before it, and so before the mark of the step before. */
        begins[i] = at < begins[i + 1] ? at : begins[i + 1];
    }
    begins[0] = 0;
}

int text_cutter_finish(struct text_cutter *c, uint64_t size, struct text_range *ranges)
{
    size_t *chosen = calloc(c->part_count + 1, sizeof *chosen);
    uint64_t *begins = calloc(c->part_count + 1, sizeof *begins);
    int err = -ENOMEM;

    if (chosen && begins)
        err = text_align(c->parts, c->part_count, c->marks, c->mark_count, chosen);
    if (err)
        goto out;
    begins_fill(c, chosen, size, begins);
    memset(ranges, 0, c->step_count * sizeof *ranges);
    for (size_t i = 0; i < c->part_count; i++)
        ranges[c->origin[i]] = (struct text_range){
            .present = true, .begin = begins[i], .end = begins[i + 1]};
out:
    free(chosen);
    free(begins);
    return err;
}
