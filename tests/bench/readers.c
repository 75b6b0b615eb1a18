/*
 * readers.c - many readers at once: so many threads read the files of a list, each file once.
 *
 *     readers LIST THREADS       LIST: one path a line
 *
 * Prints "ready" when all threads stand, starts at the first line on stdin, and prints the seconds
 * until the last file was read and how many failed. In C, and without the first touch and the end
 * of their stacks in what is timed, so that the readers cost little of what is measured.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (16 << 10) /* larger ones cost more page faults than they save calls */
#define STACK (CHUNK + (64 << 10))

static char **paths;
static size_t path_count;
static atomic_size_t next_path;
static atomic_uint failed, reading;
static double ended; /* when nobody was reading any more */
static pthread_barrier_t start;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_file(const char *path, char chunk[CHUNK])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0)
        n = read(fd, chunk, CHUNK);
    if (n < 0)
        atomic_fetch_add(&failed, 1);
    if (fd >= 0)
        close(fd);
}

static void *work(void *unused)
{
    char chunk[CHUNK];
    size_t i;

    (void)unused;
    memset(chunk, 1, sizeof(chunk));
    pthread_barrier_wait(&start);
    while ((i = atomic_fetch_add(&next_path, 1)) < path_count)
        read_file(paths[i], chunk);
    if (atomic_fetch_sub(&reading, 1) == 1)
        ended = now();
    return NULL;
}

static int load(const char *list)
{
    FILE *f = fopen(list, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    if (!f)
        return -1;
    while ((len = getline(&line, &room, f)) > 0) {
        char **grown = realloc(paths, (path_count + 1) * sizeof(*paths));
        if (!grown)
            return -1;
        paths = grown;
        line[strcspn(line, "\n")] = '\0';
        paths[path_count++] = strdup(line);
    }
    free(line);
    return fclose(f);
}

int main(int argc, char **argv)
{
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    pthread_t *threads = calloc(count + 1, sizeof(*threads));
    pthread_attr_t attr;
    double began;

    if (!count || !threads || load(argv[1]) || pthread_barrier_init(&start, NULL, count + 1))
        return 2;
    atomic_init(&reading, count);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], &attr, work, NULL))
            return 2;
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF)
        return 2;
    began = now();
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%f %u\n", ended - began, atomic_load(&failed));
    return 0;
}
