/*
 * A running job's log: whether it has grown or ended is asked while somebody looks or reads.
 */
#include "cache/log.h"

#define CHECK_MS 5000 /* how often storage is asked whether a watched live log has grown */
#define END_MS 1000   /* the same once its job is known to be completed */

bool live_take_check(struct log *log, bool completed)
{
    int64_t now = log->cache->config.now_ms();
    int64_t every_ms = completed ? END_MS : CHECK_MS;

    if (log->phase != LOG_KNOWN || log->meta.final || log->checking ||
        now - log->checked_ms < every_ms)
        return false;
    log->checked_ms = now;
    if (!log->source)
        return false;
    log->checking = true;
    log_use(log);
    return true;
}

static void on_checked(void *who, const struct source_failure *failure)
{
    struct log *log = who;

    (void)failure;
    pthread_mutex_lock(&log->cache->lock);
    log->checking = false;
    pthread_mutex_unlock(&log->cache->lock);
    log_unuse(log);
}

void live_check(struct log *log, bool completed)
{
    log_get_source(log)->ops->log_check(log->source, completed, on_checked);
}
