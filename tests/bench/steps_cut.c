/*
 * Cleans and cuts one log, for steps.py.
 *
 * usage: steps_cut LOG STEPS...   STEPS: lines of number, skipped, started_ms, completed_ms, name,
 *                                 separated by tabs
 * Writes for each STEPS one line on stdout: for each step that is not skipped its number and the
 * number of its lines, `NUMBER:LINES`, separated by spaces.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/clean.h"
#include "text/cut.h"

enum { STEPS = 2048, CHUNK = 65536 };

struct job {
    struct text_step steps[STEPS];
    size_t count;
};

/* Passes each line on, and keeps where it begins. */
struct lines {
    struct text_cutter *cutter;
    uint64_t *offsets;
    size_t count;
    size_t room;
};

static bool job_read(struct job *job, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[4096];
    if (!f)
        return false;
    while (job->count < STEPS && fgets(line, sizeof line, f)) {
        struct text_step *step = &job->steps[job->count];
        long long started, completed;
        int skipped, at;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%d\t%d\t%lld\t%lld\t%n", &step->number, &skipped, &started, &completed,
                   &at) < 4)
            break;
        step->skipped = skipped != 0;
        step->started_ms = started;
        step->completed_ms = completed;
        step->name = strdup(line + at);
        job->count++;
    }
    fclose(f);
    return job->count > 0;
}

static void on_line(void *who, const struct text_line *line)
{
    struct lines *lines = who;
    if (lines->count == lines->room) {
        lines->room = lines->room ? lines->room * 2 : 4096;
        lines->offsets = realloc(lines->offsets, lines->room * sizeof *lines->offsets);
        if (!lines->offsets)
            abort();
    }
    lines->offsets[lines->count++] = line->offset;
    text_cutter_line(lines->cutter, line);
}

static uint64_t log_clean(FILE *in, struct lines *lines)
{
    static struct text_cleaner cleaner;
    static char raw[CHUNK], clean[CHUNK + TEXT_CLEAN_SLACK];
    uint64_t size = 0;
    size_t len;

    text_cleaner_init(&cleaner, false, on_line, lines);
    while ((len = fread(raw, 1, sizeof raw, in)) > 0)
        size += text_cleaner_feed(&cleaner, raw, len, clean);
    return size + text_cleaner_finish(&cleaner, clean);
}

/* How many lines begin below `offset`. */
static size_t lines_before(const struct lines *lines, uint64_t offset)
{
    size_t low = 0, high = lines->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lines->offsets[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int job_cut(const char *log, const char *table)
{
    static struct text_range ranges[STEPS];
    struct job job = {.count = 0};
    struct lines lines = {.count = 0};
    FILE *in = fopen(log, "rb");

    if (!in || !job_read(&job, table) || text_cutter_create(job.steps, job.count, &lines.cutter))
        return 2;
    uint64_t size = log_clean(in, &lines);
    fclose(in);
    if (text_cutter_finish(lines.cutter, size, ranges))
        return 2;
    for (size_t i = 0; i < job.count; i++) {
        if (ranges[i].present)
            printf("%d:%zu ", job.steps[i].number,
                   lines_before(&lines, ranges[i].end) - lines_before(&lines, ranges[i].begin));
        free((char *)job.steps[i].name);
    }
    printf("\n");
    text_cutter_destroy(lines.cutter);
    free(lines.offsets);
    return 0;
}

int main(int argc, char **argv)
{
    int err = argc < 3 ? 2 : 0;
    for (int i = 2; i < argc && err == 0; i++)
        err = job_cut(argv[1], argv[i]);
    return err;
}
