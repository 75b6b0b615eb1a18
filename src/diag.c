#include "diag.h"

#include "hash.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define REMEMBERED 64
#define PROBES 4 /* slots that a line may be remembered in */
#define REPEAT_MS 60000

struct printed {
    uint64_t hash;
    int64_t at_ms;
};

struct diag {
    int64_t (*now_ms)(void);
    int64_t (*wall_ms)(void);
    bool debug;
    bool has_levels;      /* stderr is read by the journal */
    atomic_bool journal;  /* set once the mount answers, when threads run */
    pthread_mutex_t lock; /* protects what follows */
    struct printed printed[REMEMBERED];
};

/* The journal sets JOURNAL_STREAM to device and inode of what it reads. A program started with
 * another stderr inherits the variable, too. */
static bool is_read_by_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;

    if (!stream || fstat(fd, &st))
        return false;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return !strcmp(own, stream);
}

struct diag *diag_create(int64_t (*now_ms)(void), int64_t (*wall_ms)(void), bool debug)
{
    struct diag *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->now_ms = now_ms;
    d->wall_ms = wall_ms;
    d->debug = debug;
    d->has_levels = is_read_by_journal(STDERR_FILENO);
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

void diag_destroy(struct diag *d)
{
    if (!d)
        return;
    if (d->journal)
        closelog();
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void diag_use_journal(struct diag *d)
{
    if (!d || d->journal)
        return;
    openlog("ghlogfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    d->journal = true;
}

/* Whether this line was printed less than a minute ago; if not, it is remembered as printed now. */
static bool is_repeated(struct diag *d, const char *line)
{
    uint64_t hash = hash_string(HASH_START, line);
    struct printed *oldest = NULL;
    int64_t now = d->now_ms();
    bool repeated = false;

    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < PROBES; i++) {
        struct printed *slot = &d->printed[(hash + i) % REMEMBERED];
        repeated |= slot->hash == hash && now - slot->at_ms < REPEAT_MS;
        if (!oldest || slot->hash == hash || slot->at_ms < oldest->at_ms)
            oldest = slot;
        if (slot->hash == hash)
            break;
    }
    if (!repeated)
        *oldest = (struct printed){.hash = hash, .at_ms = now};
    pthread_mutex_unlock(&d->lock);
    return repeated;
}

__attribute__((format(printf, 2, 0))) static void make_line(char line[LINE_MAX_BYTES],
                                                            const char *fmt, va_list ap)
{
    vsnprintf(line, LINE_MAX_BYTES, fmt, ap);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

/* One call, so that lines of several threads do not mix. */
static void print_line(enum diag_level level, bool has_level, const char *time, const char *line)
{
    char prefix[8] = "";

    if (has_level)
        snprintf(prefix, sizeof(prefix), "<%d>", (int)level);
    fprintf(stderr, "%sghlogfs: %s%s\n", prefix, time, line);
}

void diag_log(struct diag *d, enum diag_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES], time[32] = "";
    va_list ap;

    if (!d || (level == DIAG_DEBUG && !d->debug))
        return;
    va_start(ap, fmt);
    make_line(line, fmt, ap);
    va_end(ap);
    if (level != DIAG_DEBUG && is_repeated(d, line))
        return;
    if (d->debug) {
        int64_t ms = d->wall_ms() % (24 * 3600 * 1000);
        snprintf(time, sizeof(time), "%02d:%02d:%02d.%03d ", (int)(ms / 3600000),
                 (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
    }
    if (d->journal)
        syslog((int)level, "%s", line);
    else
        print_line(level, d->has_levels, time, line);
}

void diag_print(enum diag_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list ap;

    va_start(ap, fmt);
    make_line(line, fmt, ap);
    va_end(ap);
    print_line(level, is_read_by_journal(STDERR_FILENO), "", line);
}
