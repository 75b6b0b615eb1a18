/*
 * Cleans and cuts one log, for steps.py.
 *
 * usage: steps_cut LOG STEPS    STEPS: lines of number, skipped, started_ms, completed_ms, name,
 *                               separated by tabs
 * Writes a line `number begin end` for each step that is not skipped, on stdout, and the cleaned
 * text into LOG.clean.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/clean.h"
#include "text/cut.h"

enum { STEPS = 512, CHUNK = 65536 };

struct job {
    struct text_step steps[STEPS];
    size_t count;
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

static uint64_t log_clean(FILE *in, FILE *out, struct text_cutter *cutter)
{
    static struct text_cleaner cleaner;
    static char raw[CHUNK], clean[CHUNK + TEXT_CLEAN_SLACK];
    uint64_t size = 0;
    size_t len;

    text_cleaner_init(&cleaner, false, text_cutter_line, cutter);
    while ((len = fread(raw, 1, sizeof raw, in)) > 0) {
        len = text_cleaner_feed(&cleaner, raw, len, clean);
        size += fwrite(clean, 1, len, out);
    }
    len = text_cleaner_finish(&cleaner, clean);
    return size + fwrite(clean, 1, len, out);
}

int main(int argc, char **argv)
{
    static struct job job;
    static struct text_range ranges[STEPS];
    struct text_cutter *cutter = NULL;
    char clean_path[4096];

    if (argc != 3 || !job_read(&job, argv[2]))
        return 2;
    snprintf(clean_path, sizeof clean_path, "%s.clean", argv[1]);
    FILE *in = fopen(argv[1], "rb"), *out = fopen(clean_path, "wb");
    if (!in || !out || text_cutter_create(job.steps, job.count, &cutter))
        return 2;
    uint64_t size = log_clean(in, out, cutter);
    fclose(in);
    if (fclose(out) || text_cutter_finish(cutter, size, ranges))
        return 2;
    text_cutter_destroy(cutter);
    for (size_t i = 0; i < job.count; i++) {
        if (ranges[i].present)
            printf("%d %llu %llu\n", job.steps[i].number, (unsigned long long)ranges[i].begin,
                   (unsigned long long)ranges[i].end);
        free((char *)job.steps[i].name);
    }
    return 0;
}
