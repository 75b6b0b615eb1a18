#include "github/api.h"

#include "github/core.h"
#include "github/log_transfer.h"
#include "github/parse.h"
#include "github/parse_headers.h"
#include "github/question.h"
#include "github/request.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct api {
    struct core core;
    struct net_task close_task;
    pthread_mutex_t lock;
    struct list logs; /* lock; source_log; all of them */
};

#define OTHER_JOB_MS 5000 /* an answer about another job is not asked for again before */

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
        question_make_user_repos_url(fr->request.attempt.core->base, fr->facts, &url) < 0)
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

static void fail_facts(struct source_facts *f, int err)
{
    struct source_failure failure = failure_make(err, SOURCE_BROKEN, 0);

    f->done(f, &(struct source_answer){.failure = &failure, .etag = ""});
}

static void begin_facts(struct core *core, struct source_facts *f)
{
    struct facts_request *fr = calloc(1, sizeof(*fr));
    bool is_user = f->question == SOURCE_OWNER_REPOS && core_is_user(core, f->repo.owner);
    int err = -ENOMEM;
    char *url;

    if (fr)
        err = is_user ? question_make_user_repos_url(core->base, f, &url)
                      : question_make_url(core->base, f, &url);
    if (err < 0) {
        free(fr);
        fail_facts(f, err);
        return;
    }
    fr->facts = f;
    fr->is_user = is_user;
    api_request_init(&fr->request, core, REQUEST_FACTS, f->class, on_facts);
    fr->request.tries = f->tries;
    fr->request.waits = f->waits;
    api_request_begin(&fr->request, url, f->etag);
}

/* -- What other threads post ------------------------------------------------------------------- */

struct post {
    struct net_task task;
    struct api *api;
    void (*run)(struct post *p);
    union {
        struct source_bytes *bytes;
        struct source_facts *facts;
        struct token_line *line;
        uint64_t job;
        struct {
            struct source_log *log;
            bool completed; /* the job was seen so, by who checks its log */
            union {
                void (*released)(void *who);
                void (*checked)(void *who, const struct source_failure *failure);
            };
        };
    };
};

static void run_post(struct net_task *task)
{
    struct post *p = list_entry(task, struct post, task);

    p->run(p);
    free(p);
}

static struct post *make_post(struct api *api, void (*run)(struct post *p))
{
    struct post *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->task.run = run_post;
    p->api = api;
    p->run = run;
    return p;
}

static void send_post(struct post *p)
{
    net_post(p->api->core.net, &p->task);
}

static void run_want_bytes(struct post *p)
{
    struct source_bytes *b = p->bytes;

    if (b->class == SOURCE_DEMAND)
        log_state_promote(b->log);
    log_transfer_begin(b);
}

static void want_bytes(void *self, struct source_bytes *b)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct post *p = make_post(self, run_want_bytes);

    if (!p) {
        b->done(b, &failure);
        return;
    }
    p->bytes = b;
    send_post(p);
}

static void run_want_facts(struct post *p)
{
    begin_facts(&p->api->core, p->facts);
}

static void want_facts(void *self, struct source_facts *f)
{
    struct post *p = make_post(self, run_want_facts);

    if (!p) {
        fail_facts(f, -ENOMEM);
        return;
    }
    p->facts = f;
    send_post(p);
}

static void release_facts(void *self, struct source_facts *f)
{
    struct api *api = self;

    api_body_release(&api->core, &f->body);
}

/* A log of this job that nobody waits for yet. NULL: none. */
static struct source_log *find_prefetched(struct api *api, uint64_t job)
{
    struct source_log *found = NULL;

    pthread_mutex_lock(&api->lock);
    list_each(link, &api->logs) {
        struct source_log *log = list_entry(link, struct source_log, in_api);
        if (log->job == job && log->class == SOURCE_PREFETCH)
            found = log;
    }
    pthread_mutex_unlock(&api->lock);
    return found;
}

static void run_promote(struct post *p)
{
    struct source_log *log;

    while ((log = find_prefetched(p->api, p->job)))
        log_state_promote(log);
}

static void log_promote(void *self, uint64_t job)
{
    struct post *p = make_post(self, run_promote);

    if (!p)
        return; /* it stays prefetch, which is slow but not wrong */
    p->job = job;
    send_post(p);
}

static void resume(void *self)
{
    struct api *api = self;

    net_resume(api->core.net);
}

/* -- Logs -------------------------------------------------------------------------------------- */

static struct source_log *create_log(void *self, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who)
{
    struct api *api = self;
    struct source_log *log = source_log_create(&api->core, repo, job, completed, ops, who);

    if (!log)
        return NULL;
    pthread_mutex_lock(&api->lock);
    list_push_back(&api->logs, &log->in_api);
    pthread_mutex_unlock(&api->lock);
    return log;
}

static void run_release(struct net_task *task)
{
    struct source_log *log = list_entry(task, struct source_log, release_task);
    struct api *api = list_entry(log->core, struct api, core);
    void (*released)(void *who) = log->released;
    void *who = log->who;

    pthread_mutex_lock(&api->lock);
    list_remove(&log->in_api);
    pthread_mutex_unlock(&api->lock);
    source_log_destroy(log);
    if (released)
        released(who);
}

/* Needs no memory: its place is in the log. */
static void release_log(struct source_log *log, void (*released)(void *who))
{
    log->released = released;
    log->release_task.run = run_release;
    net_post(log->core->net, &log->release_task);
}

static void run_check(struct post *p)
{
    if (p->completed)
        core_note_completed(p->log->core, p->log->job);
    log_state_promote(p->log);
    source_log_check(p->log, p->checked);
}

static void check_log(struct source_log *log, bool completed,
                      void (*checked)(void *who, const struct source_failure *failure))
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct post *p = make_post(list_entry(log->core, struct api, core), run_check);

    if (!p) {
        checked(log->who, &failure);
        return;
    }
    p->log = log;
    p->completed = completed;
    p->checked = checked;
    send_post(p);
}

/* -- The house --------------------------------------------------------------------------------- */

static int init_core(struct core *core, const struct api_config *config)
{
    const struct budget_config budget = {.reserve = config->reserve};
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
    turns_init(&core->turns, config->net, &budget, config->connections, config->wait_ms,
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
    if (!config->token && !config->offline)
        diag_say(config->diag, DIAG_NOTICE,
                 "no token: GitHub shows runs and jobs of public repositories, 60 requests an "
                 "hour, but no logs; log in, for example with `gh auth login`");
    *ret_api = api;
    return 0;
}

static void run_close(struct net_task *task)
{
    core_close(&list_entry(task, struct api, close_task)->core);
}

void api_close(struct api *api)
{
    api->close_task.run = run_close;
    net_post(api->core.net, &api->close_task);
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
    token_finish(&api->core.token);
    free(api->core.base);
    free(api);
}

static void run_set_token(struct post *p)
{
    token_replace(&p->api->core.token, p->line);
}

void api_set_token(struct api *api, const char *token)
{
    struct token_line *line = NULL;
    struct post *p;

    if (token && token_make_line(token, &line) < 0)
        diag_say(api->core.diag, DIAG_WARNING, "the token that was read again is no token");
    p = make_post(api, run_set_token);
    if (!p) {
        token_line_unref(line);
        return;
    }
    p->line = line;
    send_post(p);
}

struct source api_source(struct api *api)
{
    static const struct source_ops ops = {
        .log_create = create_log,
        .log_release = release_log,
        .want_bytes = want_bytes,
        .log_check = check_log,
        .log_promote = log_promote,
        .want_facts = want_facts,
        .facts_release = release_facts,
        .resume = resume,
    };

    return (struct source){.self = api, .ops = &ops};
}

void api_read_stats(const struct api *api, struct api_stats *ret_stats)
{
    const struct core *core = &api->core;

    *ret_stats = (struct api_stats){
        .requests = atomic_load(&core->requests),
        .not_modified = atomic_load(&core->not_modified),
        .storage_requests = atomic_load(&core->storage_requests),
        .limit = atomic_load(&core->limit),
        .remaining = atomic_load(&core->remaining),
        .reset_s = atomic_load(&core->reset_s),
    };
}
