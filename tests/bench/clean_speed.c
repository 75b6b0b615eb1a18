/*
 * How fast does one core clean and cut?
 *
 * usage: clean_speed LOG...
 * Built by: cc -O2 -D_GNU_SOURCE -Isrc tests/bench/clean_speed.c src/text/?*.c src/name.c
 * Prints MB of raw log a second, for each log and for all together; each is repeated until half a
 * second is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text/clean.h"
#include "text/cut.h"

enum { CHUNK = 65536, STEPS = 20 };

static struct text_cleaner cleaner;
static char out[CHUNK + TEXT_CLEAN_SLACK];

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *file_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    if (f && fseek(f, 0, SEEK_END) == 0) {
        *len = (size_t)ftell(f);
        rewind(f);
        text = malloc(*len + 1);
        if (text)
            *len = fread(text, 1, *len, f);
    }
    if (f)
        fclose(f);
    return text;
}

static void clean_once(const char *log, size_t len)
{
    struct text_step steps[STEPS];
    struct text_range ranges[STEPS];
    struct text_cutter *cutter = NULL;
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct text_step){.number = i + 1,
                                      .started_ms = TEXT_TIME_UNKNOWN,
                                      .completed_ms = TEXT_TIME_UNKNOWN,
                                      .name = "Run something"};
    if (text_cutter_create(steps, STEPS, &cutter))
        exit(1);
    text_cleaner_init(&cleaner, false, text_cutter_line, cutter);
    uint64_t size = 0;
    for (size_t at = 0; at < len; at += CHUNK)
        size += text_cleaner_feed(&cleaner, log + at, len - at < CHUNK ? len - at : CHUNK, out);
    size += text_cleaner_finish(&cleaner, out);
    if (text_cutter_finish(cutter, size, ranges))
        exit(1);
    text_cutter_destroy(cutter);
}

int main(int argc, char **argv)
{
    double all_bytes = 0, all_time = 0;
    for (int i = 1; i < argc; i++) {
        size_t len = 0;
        char *log = file_read(argv[i], &len);
        if (!log)
            return 2;
        double begin = seconds(), now;
        int rounds = 0;
        do {
            clean_once(log, len);
            rounds++;
            now = seconds();
        } while (now - begin < 0.5);
        double bytes = (double)len * rounds;
        printf("%6.0f MB/s  %s\n", bytes / (now - begin) / 1e6, argv[i]);
        all_bytes += (double)len;
        all_time += (now - begin) / rounds;
        free(log);
    }
    if (all_time > 0)
        printf("%6.0f MB/s  together\n", all_bytes / all_time / 1e6);
    return 0;
}
