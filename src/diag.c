#include "diag.h"

#include "hash.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define LINE_MAX_BYTES 512
#define REMEMBERED 64
#define PROBES 4 /* slots that a line may be remembered in */
#define REPEAT_MS 60000

struct printed {
    uint64_t hash;
    int64_t at_ms;
};

struct diag {
    int64_t (*now_ms)(void);
    bool debug;
    atomic_bool journal;  /* set once the mount answers, when threads run */
    pthread_mutex_t lock; /* protects what follows */
    struct printed printed[REMEMBERED];
};

struct diag *diag_create(int64_t (*now_ms)(void), bool debug)
{
    struct diag *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->now_ms = now_ms;
    d->debug = debug;
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

void diag_log(struct diag *d, enum diag_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list ap;

    if (!d || (level == DIAG_DEBUG && !d->debug))
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    if (level != DIAG_DEBUG && is_repeated(d, line))
        return;
    if (d->journal)
        syslog((int)level, "%s", line);
    else
        fprintf(stderr, "ghlogfs: %s\n", line);
}
