#include "github/api.h"

#include "github/archive_transfer.h"
#include "github/core.h"
#include "github/endpoints.h"
#include "github/headers.h"
#include "github/log_transfer.h"
#include "github/parse.h"
#include "github/request.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_JOB_MS 5000 /* an answer about another job is not asked for again before */

struct api {
    struct core core;

    pthread_mutex_t lock;
    struct list logs;             /* source_log; all of them */
    struct list posted;           /* source_task, for the network thread */
    bool is_posted;               /* net_task is posted, or runs */
    struct token_line *new_token; /* not yet taken over; NULL: none was read */
    struct net_task net_task;
    struct source_task close_task, token_task;
};

/* -- Work for the network thread --------------------------------------------------------------- */

static void run_posted(struct net_task *net_task)
{
    struct api *api = list_entry(net_task, struct api, net_task);
    struct list *link;

    do {
        pthread_mutex_lock(&api->lock);
        link = list_take_first(&api->posted);
        api->is_posted = link != NULL;
        pthread_mutex_unlock(&api->lock);
        if (link) {
            struct source_task *t = list_entry(link, struct source_task, link);
            t->run(api, t);
        }
    } while (link);
}

/* Lock held; releases it. Work that is posted already keeps its place. */
static void post_and_unlock(struct api *api, struct source_task *t,
                            void (*run)(void *self, struct source_task *t))
{
    bool is_first = !api->is_posted;

    t->run = run;
    if (!list_is_linked(&t->link))
        list_push_back(&api->posted, &t->link);
    api->is_posted = true;
    pthread_mutex_unlock(&api->lock);
    if (is_first)
        net_post(api->core.net, &api->net_task);
}

static void post(struct api *api, struct source_task *t,
                 void (*run)(void *self, struct source_task *t))
{
    pthread_mutex_lock(&api->lock);
    post_and_unlock(api, t, run);
}

/* -- Facts ------------------------------------------------------------------------------------- */

struct facts_request {
    struct api_request request;
    struct source_facts *facts;
    bool is_user; /* asked as for a user's repositories */
};

/* Whether it is this job that GitHub answers about: it proves a name (S14). That it is completed
 * spares its log a request. */
static int note_job(struct core *core, uint64_t id, const struct api_answer *answer)
{
    struct facts_job job;
    int err = 0;

    if (answer->status != 200)
        return 0;
    err = parse_job(answer->body, answer->len, &job);
    if (err < 0)
        return err;
    if (job.id != id)
        err = -EPROTO;
    else if (job.status == FACTS_COMPLETED)
        core_note_completed(core, job.id);
    facts_job_finish(&job);
    return err;
}

/* The owner turned out to be no organization: asks again. False: it is one, or that was tried. */
static bool try_as_user(struct facts_request *fr, const struct source_failure *failure)
{
    char *url;

    if (fr->facts->question != SOURCE_OWNER_REPOS || fr->is_user || !failure ||
        failure->reason != SOURCE_NOT_FOUND ||
        endpoint_make_url(fr->request.attempt.core->base, fr->facts, true, &url) < 0)
        return false;
    fr->is_user = true;
    api_request_begin(&fr->request, url, fr->facts->etag);
    return true;
}

static void on_facts(struct api_request *req, const struct api_answer *given)
{
    struct facts_request *fr = list_entry(req, struct facts_request, request);
    struct core *core = req->attempt.core;
    struct source_facts *f = fr->facts;
    struct source_answer answer = {.failure = given->failure, .etag = ""};
    struct source_failure other = failure_make(-EPROTO, SOURCE_PROTOCOL, 0);
    const char *etag;
    uint32_t next_page = 0;

    if (try_as_user(fr, given->failure))
        return;
    if (!given->failure) {
        etag = net_header(&req->attempt.request, "ETag");
        parse_link_next(net_header(&req->attempt.request, "Link"), &next_page);
        answer.not_modified = given->status == 304;
        answer.len = given->len;
        answer.etag = etag && strlen(etag) < SOURCE_ETAG_LEN ? etag : "";
        answer.next_page = next_page;
        if (f->question == SOURCE_JOB && note_job(core, f->id, given) < 0) {
            other.until_ms = net_now_ms() + OTHER_JOB_MS;
            answer.failure = &other;
        }
        if (fr->is_user)
            core_note_user(core, f->repo.owner);
    }
    api_answer_take_body(core, given, &f->body);
    answer.body = f->body.data ? f->body.data : "";
    f->done(f, &answer);
    api_request_finish(req);
    free(fr);
}

static void run_want_facts(void *self, struct source_task *t)
{
    struct core *core = &((struct api *)self)->core;
    struct source_facts *f = list_entry(t, struct source_facts, task);
    struct facts_request *fr = calloc(1, sizeof(*fr));
    bool is_user = f->question == SOURCE_OWNER_REPOS && core_is_user(core, f->repo.owner);
    struct source_failure failure;
    int err = -ENOMEM;
    char *url;

    if (fr)
        err = endpoint_make_url(core->base, f, is_user, &url);
    if (err < 0) {
        free(fr);
        failure = failure_make(err, SOURCE_BROKEN, 0);
        f->done(f, &(struct source_answer){.failure = &failure, .etag = ""});
        return;
    }
    fr->facts = f;
    fr->is_user = is_user;
    api_request_init(&fr->request, core, REQUEST_FACTS, f->class, on_facts);
    fr->request.attempt.waits_for = f->waits_for;
    fr->request.tries = f->tries;
    fr->request.waits = f->waits;
    api_request_begin(&fr->request, url, f->etag);
}

static void want_facts(void *self, struct source_facts *f)
{
    post(self, &f->task, run_want_facts);
}

static void facts_release(void *self, struct source_facts *f)
{
    api_body_release(&((struct api *)self)->core, &f->body);
}

/* -- Logs -------------------------------------------------------------------------------------- */

static struct api *api_of(struct source_log *log)
{
    return list_entry(log->core, struct api, core);
}

static struct source_log *log_create(void *self, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who,
                                     struct progress_wait *waits_for)
{
    struct api *api = self;
    struct source_log *log = source_log_create(&api->core, repo, job, completed, ops, who,
                                               waits_for);

    if (!log)
        return NULL;
    pthread_mutex_lock(&api->lock);
    list_push_back(&api->logs, &log->in_api);
    pthread_mutex_unlock(&api->lock);
    return log;
}

static void run_release(void *self, struct source_task *t)
{
    struct api *api = self;
    struct source_log *log = list_entry(t, struct source_log, release_task);
    void (*released)(void *who) = log->released;
    void *who = log->who;

    pthread_mutex_lock(&api->lock);
    list_remove(&log->in_api);
    list_remove(&log->promote_task.link);
    pthread_mutex_unlock(&api->lock);
    source_log_destroy(log);
    if (released)
        released(who);
}

static void log_release(struct source_log *log, void (*released)(void *who))
{
    log->released = released;
    post(api_of(log), &log->release_task, run_release);
}

static void run_want_bytes(void *self, struct source_task *t)
{
    struct source_bytes *b = list_entry(t, struct source_bytes, task);

    (void)self;
    if (b->class == SOURCE_DEMAND)
        log_state_promote(b->log);
    log_transfer_begin(b);
}

static void want_bytes(void *self, struct source_bytes *b)
{
    post(self, &b->task, run_want_bytes);
}

static void run_check(void *self, struct source_task *t)
{
    struct source_log *log = list_entry(t, struct source_log, check_task);

    (void)self;
    if (log->is_check_completed)
        core_note_completed(log->core, log->job);
    log_state_promote(log);
    source_log_check(log, log->posted_checked);
}

static void log_check(struct source_log *log, bool completed,
                      void (*checked)(void *who, const struct source_failure *failure))
{
    log->is_check_completed = completed;
    log->posted_checked = checked;
    post(api_of(log), &log->check_task, run_check);
}

static void run_promote(void *self, struct source_task *t)
{
    (void)self;
    log_state_promote(list_entry(t, struct source_log, promote_task));
}

static void log_promote(void *self, uint64_t job)
{
    struct api *api = self;
    struct source_log *found = NULL;

    pthread_mutex_lock(&api->lock);
    list_each(link, &api->logs) {
        struct source_log *log = list_entry(link, struct source_log, in_api);
        if (log->job == job)
            found = log;
    }
    if (found)
        post_and_unlock(api, &found->promote_task, run_promote);
    else
        pthread_mutex_unlock(&api->lock);
}

/* -- Archives ---------------------------------------------------------------------------------- */

/* After this it may be freed: nothing that is posted may refer to it. */
static void on_archive_done(struct core *core, struct source_archive *a,
                            const struct source_failure *failure)
{
    struct api *api = list_entry(core, struct api, core);

    pthread_mutex_lock(&api->lock);
    a->is_wanted = false;
    list_remove(&a->promote_task.link);
    list_remove(&a->drop_task.link);
    pthread_mutex_unlock(&api->lock);
    a->done(a, failure);
}

static void run_want_archive(void *self, struct source_task *t)
{
    archive_transfer_begin(&((struct api *)self)->core, list_entry(t, struct source_archive, task),
                           on_archive_done);
}

static void want_archive(void *self, struct source_archive *a)
{
    struct api *api = self;

    pthread_mutex_lock(&api->lock);
    a->is_wanted = true;
    post_and_unlock(api, &a->task, run_want_archive);
}

static void run_promote_archive(void *self, struct source_task *t)
{
    (void)self;
    archive_transfer_promote(list_entry(t, struct source_archive, promote_task));
}

static void run_drop_archive(void *self, struct source_task *t)
{
    (void)self;
    archive_transfer_drop(list_entry(t, struct source_archive, drop_task));
}

static void post_archive(struct api *api, struct source_archive *a, struct source_task *t,
                         void (*run)(void *self, struct source_task *t))
{
    pthread_mutex_lock(&api->lock);
    if (a->is_wanted)
        post_and_unlock(api, t, run);
    else
        pthread_mutex_unlock(&api->lock);
}

static void archive_promote(void *self, struct source_archive *a)
{
    post_archive(self, a, &a->promote_task, run_promote_archive);
}

static void archive_drop(void *self, struct source_archive *a)
{
    post_archive(self, a, &a->drop_task, run_drop_archive);
}

/* -- Beginning and end ------------------------------------------------------------------------- */

static int init_core(struct core *core, const struct api_config *config)
{
    struct token_line *line = NULL;
    int err;

    if (net_url_parse(config->base, &core->base_at) < 0 || core->base_at.has_userinfo)
        return -EINVAL;
    err = config->token ? token_make_line(config->token, &line) : 0;
    if (err < 0)
        return err;
    core->base = strdup(config->base);
    if (!core->base) {
        token_line_unref(line);
        return -ENOMEM;
    }
    core->net = config->net;
    core->diag = config->diag;
    core->listener = config->listener;
    core->deadline_ms = config->deadline_ms;
    core->offline = config->offline;
    list_init(&core->in_flight);
    core->chance = ((uint64_t)net_now_ms() << 20) ^ (uint64_t)(uintptr_t)core ^ 1;
    atomic_init(&core->limit, -1);
    atomic_init(&core->remaining, -1);
    atomic_init(&core->reset_s, -1);
    token_init(&core->token, config->net, line, config->reread_token, config->who);
    queue_init(&core->queue, config->net, config->reserve, config->connections, config->wait_ms,
               config->deadline_ms);
    return 0;
}

int api_create(const struct api_config *config, struct api **ret_api)
{
    struct api *api = calloc(1, sizeof(*api));
    int err;

    if (!api)
        return -ENOMEM;
    err = init_core(&api->core, config);
    if (err < 0) {
        free(api);
        return err;
    }
    pthread_mutex_init(&api->lock, NULL);
    list_init(&api->logs);
    list_init(&api->posted);
    api->net_task.run = run_posted;
    *ret_api = api;
    return 0;
}

static void run_close(void *self, struct source_task *t)
{
    (void)t;
    core_close(&((struct api *)self)->core);
}

void api_close(struct api *api)
{
    post(api, &api->close_task, run_close);
}

void api_destroy(struct api *api)
{
    struct list *link;

    if (!api)
        return;
    /* Those whose release came too late for the network thread. */
    while ((link = list_take_first(&api->logs)))
        source_log_destroy(list_entry(link, struct source_log, in_api));
    pthread_mutex_destroy(&api->lock);
    token_line_unref(api->new_token);
    token_finish(&api->core.token);
    free(api->core.base);
    free(api);
}

static void run_set_token(void *self, struct source_task *t)
{
    struct api *api = self;
    struct token_line *line;

    (void)t;
    pthread_mutex_lock(&api->lock);
    line = api->new_token;
    api->new_token = NULL;
    pthread_mutex_unlock(&api->lock);
    token_replace(&api->core.token, line);
}

void api_set_token(struct api *api, const char *token)
{
    struct token_line *line = NULL;

    if (token && token_make_line(token, &line) < 0)
        diag_log(api->core.diag, DIAG_ERROR,
                 "the token that was read again is malformed: the old one stays in use");
    pthread_mutex_lock(&api->lock);
    if (line) {
        token_line_unref(api->new_token);
        api->new_token = line;
    }
    post_and_unlock(api, &api->token_task, run_set_token);
}

static void resume(void *self)
{
    net_resume(((struct api *)self)->core.net);
}

struct source api_source(struct api *api)
{
    static const struct source_ops ops = {
        .log_create = log_create,
        .log_release = log_release,
        .want_bytes = want_bytes,
        .log_check = log_check,
        .log_promote = log_promote,
        .want_facts = want_facts,
        .facts_release = facts_release,
        .want_archive = want_archive,
        .archive_promote = archive_promote,
        .archive_drop = archive_drop,
        .resume = resume,
    };

    return (struct source){.self = api, .ops = &ops};
}

enum progress_cause api_get_delay(const struct api *api, enum source_class class,
                                  int64_t *ret_until_ms)
{
    return progress_wait_get(&api->core.queue.delays[class], ret_until_ms);
}

void api_read_stats(const struct api *api, struct api_stats *ret_stats)
{
    const struct core *core = &api->core;

    *ret_stats = (struct api_stats){
        .requests = atomic_load(&core->requests),
        .storage_requests = atomic_load(&core->storage_requests),
        .limit = atomic_load(&core->limit),
        .remaining = atomic_load(&core->remaining),
        .reset_s = atomic_load(&core->reset_s),
    };
    for (int i = 0; i < OUTCOMES; i++)
        ret_stats->outcomes[i] = atomic_load(&core->outcomes[i]);
}
