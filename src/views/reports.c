#include "views/reports.h"

#include "store/store.h"
#include "text/report.h"
#include "views/failed.h"
#include "views/runs.h"
#include "views/steps.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES 1 /* by which reports are made; part of the digest */
#define KEY_LEN (NAME_FULL_LEN + 64)
#define PATH_LEN (2 * SAFE_NAME_LEN + 64)

/* --- what a report is made of ---------------------------------------------------------------- */

/* The facts about a run and its jobs; the answers are held. */
struct facts {
    const struct facts_run *run;
    const struct catalog_answer *run_answer, *jobs;
    bool shows_cancelled; /* for failed_shows_job */
};

static void facts_release(struct facts *f)
{
    catalog_answer_release(f->run_answer);
    catalog_answer_release(f->jobs);
    *f = (struct facts){0};
}

/* May park. */
static int get_facts(struct views *v, const struct vnode *p, struct waiter *w,
                     struct facts *ret_facts)
{
    struct facts f = {0};
    struct attempts_run run;
    int rc = runs_get_facts(v, p, w, &f.run, &f.run_answer);

    if (rc)
        return rc;
    run = runs_resolve(&p->repo, f.run);
    rc = runs_list_jobs(v, &run, 0, w, &f.jobs);
    if (rc) {
        catalog_answer_release(f.run_answer);
        return rc;
    }
    f.shows_cancelled = failed_shows_cancelled(f.jobs->jobs, f.jobs->count, run.has_failed);
    *ret_facts = f;
    return 0;
}

static bool is_shown(const struct facts *f, size_t job)
{
    return failed_shows_job(f->jobs->jobs[job], f->shows_cancelled);
}

static void hash_text(struct store_hasher *h, const char *text)
{
    store_hasher_update(h, text, strlen(text) + 1);
}

/* Of all that the report is made of but the logs, which do not change. */
static uint64_t facts_digest(const struct facts *f, bool timestamps)
{
    const struct facts_run *run = f->run;
    const char *const texts[] = {run->name,        run->title,    run->event,
                                 run->head_branch, run->head_sha, run->html_url};
    const uint64_t numbers[] = {RULES,       timestamps,      run->attempt,  run->number,
                                run->status, run->conclusion, f->jobs->count};
    struct store_hasher h;

    store_hasher_init(&h);
    store_hasher_update(&h, numbers, sizeof(numbers));
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        hash_text(&h, texts[i]);
    for (size_t i = 0; i < f->jobs->count; i++) {
        const struct facts_job *job = f->jobs->jobs[i];
        const uint64_t of_job[] = {job->id, is_shown(f, i) ? steps_digest(job) : 0,
                                   facts_may_have_log(job)};
        store_hasher_update(&h, of_job, sizeof(of_job));
        hash_text(&h, job->name); /* it is part of what the others are called */
        hash_text(&h, is_shown(f, i) ? job->conclusion_text : "");
    }
    return store_hasher_digest(&h);
}

/* --- reports --------------------------------------------------------------------------------- */

/* A failed job that the report tells. */
struct failed_job {
    const struct facts_job *job;
    size_t at;        /* in the answer */
    const char *note; /* why there is nothing of its log; NULL */
    struct text_report_step steps[TEXT_REPORT_STEPS];
    size_t step_count, more_steps;
};

struct report {
    struct list link; /* lock; in reports.list, the latest use last */
    struct reports *all;
    struct repo_name repo;
    uint64_t run, digest;

    int64_t begun_ms;
    bool is_made;       /* lock; from then on the rest is constant */
    int64_t checked_ms; /* lock; when its facts were found to be those of the run */
    bool is_partial;    /* it lacks a log that may be had later */
    char *text;
    size_t len;

    /* Until it is made, the text thread's. */
    struct task task;
    struct list in_queue;
    struct waiter waiter; /* for a log */
    int wake_err;
    struct facts facts;
    struct safe_name *names; /* of all jobs */
    struct failed_job *jobs;
    size_t job_count, done; /* `done`: whose logs were read */
    struct log *log;        /* of the next job, while it is waited for */
    bool is_begun;
    bool is_tried; /* one log was requested alone: see start_logs */
};

struct reports {
    struct views *views;
    struct pending made; /* a report was made, or could not be */
    atomic_uint_fast64_t made_count;

    pthread_mutex_t lock;
    struct list list; /* lock */
    size_t count;     /* lock */
    /* lock; the run that was asked for last, and how many were so in a row, each next to the one
     * before it in the list of failed runs (`step` further) */
    uint64_t last_run;
    int step;
    unsigned in_row;

    /* the text thread */
    unsigned begun;    /* reports whose logs are on their way or being read */
    struct list queue; /* those that are next */
};

/* The part of `made` that a waiter for this report waits for. */
static uint64_t part_of(uint64_t run, uint64_t digest)
{
    return run ^ digest;
}

static void drop_work(struct report *r)
{
    for (size_t i = 0; i < r->job_count; i++) {
        struct failed_job *f = &r->jobs[i];
        for (size_t k = 0; k < TEXT_REPORT_STEPS; k++) {
            free((void *)(uintptr_t)f->steps[k].name);
            free((void *)(uintptr_t)f->steps[k].path);
            free((void *)(uintptr_t)f->steps[k].excerpt);
        }
    }
    free(r->jobs);
    free(r->names);
    log_release(r->log);
    r->jobs = NULL;
    r->names = NULL;
    r->job_count = 0;
    r->log = NULL;
    facts_release(&r->facts);
}

static void report_free(struct report *r)
{
    drop_work(r);
    free(r->text);
    free(r);
}

/* Lock held. `digest` 0: whichever was looked at last. */
static struct report *find_report(struct reports *all, const struct repo_name *repo, uint64_t run,
                                  uint64_t digest)
{
    struct report *found = NULL;

    list_each(link, &all->list) {
        struct report *r = list_entry(link, struct report, link);
        if (r->run == run && (!digest || r->digest == digest) && name_is_same(&r->repo, repo))
            found = r;
    }
    return found;
}

/* Lock held. One that was made a moment ago is about to be shown. */
static void drop_oldest(struct reports *all)
{
    int64_t recent_ms = all->views->config.now_ms() - REPORTS_RECENT_MS;

    list_each(link, &all->list) {
        struct report *r = list_entry(link, struct report, link);
        if (!r->is_made || (r->checked_ms > recent_ms && all->count < 4 * REPORTS_KEPT_MAX))
            continue;
        list_remove(&r->link);
        all->count--;
        report_free(r);
        return;
    }
}

/* --- the store ------------------------------------------------------------------------------- */

static void make_key(const struct report *r, char ret_key[KEY_LEN])
{
    char folded[NAME_FULL_LEN];

    name_fold(&r->repo, folded);
    snprintf(ret_key, KEY_LEN, "reports/%s/%llu-%016llx", folded, (unsigned long long)r->run,
             (unsigned long long)r->digest);
}

static bool load_text(struct report *r)
{
    char key[KEY_LEN];
    void *data;

    make_key(r, key);
    if (store_get_record(r->all->views->config.store, key, &data, &r->len))
        return false;
    r->text = data;
    return true;
}

static void save_text(struct report *r)
{
    char key[KEY_LEN];

    make_key(r, key);
    store_put_record(r->all->views->config.store, key, r->text, r->len);
}

/* --- the logs; text thread ------------------------------------------------------------------- */

/* Why there is nothing of a log, by the errno of asking for it. Any other one says nothing about
 * the log, and ends the report: it is worth another try. */
static const struct {
    int err;
    const char *note;
} notes[] = {
    {-ENOENT, "GitHub has no log of it"},
    {-EAGAIN, "its log is not complete yet"},
    {-EIO, "its log cannot be read now: GitHub fails (EIO)"},
    {-EPROTO, "its log cannot be read: the answer is malformed (EPROTO)"},
    {-EACCES, "its log cannot be read: this token may not (EACCES)"},
    {-EFBIG, "its log cannot be read: it exceeds the size limit (EFBIG)"},
};

static int note_failure(struct report *r, struct failed_job *f, int err)
{
    enum source_reason reason = log_get_failure(r->log, &r->repo).reason;
    size_t i = 0;

    while (i < sizeof(notes) / sizeof(*notes) && notes[i].err != err)
        i++;
    if (i == sizeof(notes) / sizeof(*notes))
        return err;
    f->note = notes[i].note;
    if (reason == SOURCE_EXPIRED)
        f->note = "its log has expired: GitHub has deleted it";
    else if (reason == SOURCE_PENDING)
        f->note = "GitHub has no log of it yet";
    r->is_partial |= reason != SOURCE_EXPIRED;
    return 0;
}

/* Requests the job's log without waiting for it. */
static int start_log(struct report *r, const struct failed_job *f)
{
    struct views *v = r->all->views;
    struct log *log = cache_hold(v->config.cache, f->job->id);
    struct known_job known;
    struct log_stat stat;

    if (!log)
        return -ENOMEM;
    runs_know_job(v, f->job, &known);
    if (!log_get_stat(log, &r->repo, EFFORT_NETWORK, &known.hint, NULL, &stat))
        log_fetch_all(log, &r->repo, NULL);
    log_release(log);
    return 0;
}

/* Requests the logs of the failed jobs, out of archives if that is worth it. Where it is not known
 * whether the shared store has them, one tells it for the others, which are requested after it. */
static int start_logs(struct report *r)
{
    const struct vnode reader = {.repo = r->repo, .run = r->run, .in_failed = true};
    enum view_run_way way = view_want_archives(r->all->views, &reader, r->run);
    bool is_one_enough = way == VIEW_RUN_TRY && !r->is_tried;
    int rc = 0;

    r->is_tried = is_one_enough;
    for (size_t i = 0; i < r->job_count && !rc; i++) {
        if (r->jobs[i].note)
            continue;
        rc = start_log(r, &r->jobs[i]);
        if (is_one_enough)
            break;
    }
    return rc;
}

/* Finds the failed jobs, and requests their logs. */
static int begin(struct report *r)
{
    int rc = job_names_make(r->facts.jobs, &r->names);

    r->is_begun = true;
    r->jobs = calloc(REPORTS_JOBS_MAX, sizeof(*r->jobs));
    if (rc || !r->jobs)
        return -ENOMEM;
    for (size_t i = 0; i < r->facts.jobs->count && r->job_count < REPORTS_JOBS_MAX; i++) {
        const struct facts_job *job = r->facts.jobs->jobs[i];
        if (is_shown(&r->facts, i))
            r->jobs[r->job_count++] = (struct failed_job){
                .job = job,
                .at = i,
                .note = facts_may_have_log(job) ? NULL : "it never ran, and has no log"};
    }
    return start_logs(r);
}

/* 0: the log is whole, or it is known why it is not. PENDING_PARKED: the task is posted again. */
static int wait_for_log(struct report *r, struct failed_job *f)
{
    struct views *v = r->all->views;
    struct known_job known;
    struct log_stat stat;
    int rc = r->wake_err;

    r->wake_err = 0;
    if (!r->log)
        r->log = cache_hold(v->config.cache, f->job->id);
    if (!r->log)
        return -ENOMEM;
    runs_know_job(v, f->job, &known);
    if (!rc)
        rc = log_get_stat(r->log, &r->repo, EFFORT_NETWORK, &known.hint, &r->waiter, &stat);
    if (rc != PENDING_PARKED && r->is_tried && start_logs(r))
        return -ENOMEM;
    if (!rc)
        rc = stat.final ? log_fetch_all(r->log, &r->repo, &r->waiter) : -EAGAIN;
    return rc && rc != PENDING_PARKED ? note_failure(r, f, rc) : rc;
}

static void on_wake(struct waiter *w, int err)
{
    struct report *r = list_entry(w, struct report, waiter);

    r->wake_err = err;
    generated_post(r->all->views->generated, &r->task);
}

/* --- the steps of a job; text thread --------------------------------------------------------- */

/* The steps that a job's text is read for. */
struct feeding {
    uint64_t at; /* bytes of the text so far */
    size_t count;
    struct text_picker *pickers[TEXT_REPORT_STEPS];
    struct text_range ranges[TEXT_REPORT_STEPS];
};

static int feed(void *who, const char *data, size_t len)
{
    struct feeding *f = who;

    for (size_t i = 0; i < f->count; i++) {
        const struct text_range *range = &f->ranges[i];
        uint64_t from = range->begin > f->at ? range->begin : f->at;
        uint64_t to = range->end < f->at + len ? range->end : f->at + len;
        if (f->pickers[i] && from < to)
            text_picker_feed(f->pickers[i], data + (from - f->at), (size_t)(to - from));
    }
    f->at += len;
    return 0;
}

/* Adds a step to the job, unless there are too many. Its name is NULL for the job's whole text. */
static int add_step(struct report *r, struct failed_job *f, const char *name, const char *file,
                    int64_t duration_ms)
{
    struct text_report_step *step;
    char path[PATH_LEN];

    if (f->step_count == TEXT_REPORT_STEPS) {
        f->more_steps++;
        return 0;
    }
    step = &f->steps[f->step_count++];
    snprintf(path, sizeof(path), "failed/%llu/%s/%s", (unsigned long long)r->run,
             r->names[f->at].name, file);
    step->name = name ? strdup(name) : NULL;
    step->path = f->note ? NULL : strdup(path); /* without a log there is no such file */
    step->duration_ms = duration_ms;
    return (step->path || f->note) && (step->name || !name) ? 0 : -ENOMEM;
}

static int64_t duration(int64_t start_ms, int64_t end_ms)
{
    return start_ms != FACTS_NO_TIME && end_ms >= start_ms ? end_ms - start_ms : -1;
}

/* Finds the job's failed steps, and where in its text they are. */
static int find_steps(struct report *r, struct failed_job *f, struct feeding *feeding)
{
    const struct facts_job *job = f->job;
    struct text_range *ranges = calloc(job->step_count + 1, sizeof(*ranges));
    struct steps_file *files = ranges ? steps_get_files(job) : NULL;
    char name[SAFE_NAME_LEN];
    int rc = files ? 0 : -ENOMEM;

    if (!rc && !f->note)
        rc = generated_cut(r->all->views->generated, &r->repo, job, ranges);
    if (!rc)
        failed_select_files(job, files);
    for (size_t i = 0; i < job->step_count && !rc; i++) {
        if (!files[i].present)
            continue;
        steps_make_name(&job->steps[i], &files[i], steps_get_width(job), name);
        if (f->step_count < TEXT_REPORT_STEPS)
            feeding->ranges[f->step_count] = ranges[i];
        rc = add_step(r, f, job->steps[i].name, name, duration(files[i].start_ms, files[i].end_ms));
    }
    free(files);
    free(ranges);
    return rc;
}

/* The same of a job whose text is one file. */
static int find_whole(struct report *r, struct failed_job *f, struct feeding *feeding)
{
    feeding->ranges[0] = (struct text_range){.present = true, .end = UINT64_MAX};
    return f->note ? 0
                   : add_step(r, f, NULL, VIEWS_WHOLE_STEP,
                              duration(f->job->started_ms, f->job->completed_ms));
}

/* Reads the job's text, and picks the lines of the failed steps. */
static int pick_lines(struct report *r, struct failed_job *f, struct feeding *feeding)
{
    int rc = 0;

    feeding->count = f->step_count;
    for (size_t i = 0; i < feeding->count && !rc; i++)
        rc = text_picker_create(&feeding->pickers[i]);
    if (!rc)
        rc = generated_read(r->all->views->generated, &r->repo, f->job->id, feed, feeding);
    for (size_t i = 0; i < feeding->count; i++) {
        struct text_excerpt *excerpt = NULL;
        if (!rc)
            rc = text_picker_finish(feeding->pickers[i], &excerpt);
        f->steps[i].excerpt = excerpt;
        text_picker_destroy(feeding->pickers[i]);
    }
    return rc;
}

/* PENDING_PARKED: the log is waited for. */
static int read_job(struct report *r, struct failed_job *f)
{
    struct feeding feeding = {0};
    int rc = f->note ? 0 : wait_for_log(r, f);

    if (rc)
        return rc;
    rc = steps_is_whole(f->job) ? find_whole(r, f, &feeding) : find_steps(r, f, &feeding);
    if (!rc && !f->note)
        rc = pick_lines(r, f, &feeding);
    if (rc && !f->note) /* it was whole a moment ago */
        rc = note_failure(r, f, rc);
    log_release(r->log);
    r->log = NULL;
    return rc;
}

/* --- the text; text thread ------------------------------------------------------------------- */

static const char *note_of_run(const struct facts *f)
{
    if (f->run->status != FACTS_COMPLETED)
        return "the run goes on: more may fail";
    if (!f->jobs->count)
        return f->run->conclusion == FACTS_STARTUP_FAILURE
                   ? "no job has run: the workflow could not be started"
                   : "GitHub lists no job of this run";
    return NULL;
}

static int lay_out(struct report *r)
{
    struct text_report_job *jobs = calloc(r->job_count + 1, sizeof(*jobs));
    const struct facts_run *facts = r->facts.run;
    char path[64];
    struct text_report_run run = {.workflow = facts->name,
                                  .number = facts->number,
                                  .title = facts->title,
                                  .branch = facts->head_branch,
                                  .sha = facts->head_sha,
                                  .attempt = facts->attempt,
                                  .event = facts->event,
                                  .url = facts->html_url,
                                  .jobs_total = r->facts.jobs->count,
                                  .path = path,
                                  .note = note_of_run(&r->facts)};
    int rc;

    if (!jobs)
        return -ENOMEM;
    snprintf(path, sizeof(path), "failed/%llu", (unsigned long long)r->run);
    for (size_t i = 0; i < r->facts.jobs->count; i++)
        run.jobs_failed += is_shown(&r->facts, i);
    for (size_t i = 0; i < r->job_count; i++) {
        const struct failed_job *f = &r->jobs[i];
        bool is_whole = steps_is_whole(f->job);
        jobs[i] = (struct text_report_job){.name = f->job->name,
                                           .conclusion = f->job->conclusion_text,
                                           .note = f->note    ? f->note
                                                   : is_whole ? "its steps are not known"
                                                              : NULL,
                                           .steps = f->steps,
                                           .step_count = f->step_count,
                                           .more_steps = f->more_steps};
    }
    rc = text_report_make(&run, jobs, r->job_count, &r->text, &r->len);
    free(jobs);
    return rc;
}

/* Whoever waits for the report asks again, or gets the failure. */
static void end(struct report *r, int rc)
{
    struct reports *all = r->all;
    uint64_t part = part_of(r->run, r->digest);
    struct list *next;

    if (!rc)
        atomic_fetch_add(&all->made_count, 1);
    if (!rc && !r->is_partial && r->facts.run->status == FACTS_COMPLETED)
        save_text(r);
    drop_work(r);
    all->begun--;
    next = list_take_first(&all->queue);
    if (next)
        generated_post(all->views->generated, &list_entry(next, struct report, in_queue)->task);
    pthread_mutex_lock(&all->lock);
    r->checked_ms = all->views->config.now_ms();
    r->is_made = !rc;
    if (rc) {
        list_remove(&r->link);
        all->count--;
        report_free(r);
    }
    pthread_mutex_unlock(&all->lock);
    pending_wake(&all->made, part, part, rc);
}

/* Reads the logs one after the other, one each time it runs. */
static void run_report(struct task *task)
{
    struct report *r = list_entry(task, struct report, task);
    struct reports *all = r->all;
    int rc = 0;

    if (!r->is_begun) {
        if (all->begun == REPORTS_BEGUN_MAX) {
            list_push_back(&all->queue, &r->in_queue);
            return;
        }
        all->begun++;
        rc = begin(r);
    }
    if (!rc && r->done < r->job_count) {
        rc = read_job(r, &r->jobs[r->done]);
        if (rc == PENDING_PARKED)
            return;
        r->done++;
        if (!rc) {
            generated_post(all->views->generated, &r->task);
            return;
        }
    }
    end(r, rc ? rc : lay_out(r));
}

/* --- what the views ask ---------------------------------------------------------------------- */

/* Adds the report for these facts: loaded from the store, or posted to be made. If another thread
 * has added it meanwhile, nothing is added. */
static int add_report(struct reports *all, const struct vnode *p, uint64_t digest,
                      const struct facts *facts)
{
    struct report *r = calloc(1, sizeof(*r));
    bool is_new, is_made;

    if (!r)
        return -ENOMEM;
    r->all = all;
    r->repo = p->repo;
    r->run = p->run;
    r->digest = digest;
    r->begun_ms = all->views->config.now_ms();
    r->task.run = run_report;
    r->waiter.wake = on_wake;
    list_init(&r->in_queue);
    is_made = r->is_made = load_text(r);
    if (!is_made) {
        r->facts = *facts;
        catalog_answer_hold(facts->run_answer);
        catalog_answer_hold(facts->jobs);
    }
    pthread_mutex_lock(&all->lock);
    is_new = !find_report(all, &p->repo, p->run, digest);
    if (is_new && all->count >= REPORTS_KEPT_MAX)
        drop_oldest(all);
    if (is_new) {
        list_push_back(&all->list, &r->link);
        all->count++;
    }
    pthread_mutex_unlock(&all->lock);
    if (!is_new)
        report_free(r);
    else if (!is_made)
        generated_post(all->views->generated, &r->task);
    return 0;
}

/* Lock held. */
static int copy_text(const struct report *r, char **ret_text, size_t *ret_len)
{
    char *copy = malloc(r->len + 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, r->text, r->len);
    *ret_text = copy;
    *ret_len = r->len;
    return 0;
}

/* The report for these facts; digest 0: one that was looked at a moment ago. PENDING_PARKED: it is
 * being made. -EAGAIN: there is none. */
static int take_text(struct reports *all, const struct vnode *p, uint64_t digest, char **ret_text,
                     size_t *ret_len)
{
    int64_t now_ms = all->views->config.now_ms();
    struct report *r;
    int rc = -EAGAIN;

    pthread_mutex_lock(&all->lock);
    r = find_report(all, &p->repo, p->run, digest);
    if (r && digest && r->is_made && r->is_partial &&
        now_ms - r->checked_ms >= REPORTS_PARTIAL_MS) {
        list_remove(&r->link);
        all->count--;
        report_free(r);
        r = NULL;
    }
    if (r && digest && !r->is_made)
        rc = PENDING_PARKED;
    else if (r && r->is_made && (digest || now_ms - r->checked_ms < REPORTS_RECENT_MS))
        rc = copy_text(r, ret_text, ret_len);
    if (!rc && digest) {
        if (!r->is_partial)
            r->checked_ms = now_ms;
        list_remove(&r->link);
        list_push_back(&all->list, &r->link);
    }
    pthread_mutex_unlock(&all->lock);
    return rc;
}

/* Where the run is among these; `count`: nowhere. */
static size_t find_run(const struct facts_run *const *runs, size_t count, uint64_t run)
{
    size_t at = 0;

    while (at < count && runs[at]->id != run)
        at++;
    return at;
}

/* Notes that the report of this run is asked for. Returns how far it is from that to the next one
 * that a reader will ask for who goes through the directory; 0: none goes. */
static int note_walk(struct reports *all, const struct facts_run *const *runs, size_t count,
                     size_t at)
{
    size_t before;
    int step = 0;

    pthread_mutex_lock(&all->lock);
    if (all->last_run != runs[at]->id) {
        before = find_run(runs, count, all->last_run);
        if (before < count && (before + 1 == at || before == at + 1))
            step = before < at ? 1 : -1;
        all->in_row = !step ? 1 : step == all->step ? all->in_row + 1 : 2;
        all->step = step;
        all->last_run = runs[at]->id;
    }
    step = all->in_row >= REPORTS_ROW ? all->step : 0;
    pthread_mutex_unlock(&all->lock);
    return step;
}

/* Requests what the report of this run needs; once its jobs are known, that is the report. */
static void start_ahead(struct views *v, const struct vnode *p, const struct facts_run *facts_run,
                        const struct catalog_answer *recent, struct waiter *w)
{
    const struct vnode ahead = {.repo = p->repo, .run = facts_run->id};
    struct attempts_run run = runs_resolve(&p->repo, facts_run);
    struct facts facts = {.run = facts_run, .run_answer = recent};
    uint64_t digest;
    bool is_known;

    attempts_want(v, &run, w);
    if (runs_list_jobs(v, &run, 0, NULL, &facts.jobs))
        return;
    facts.shows_cancelled = failed_shows_cancelled(facts.jobs->jobs, facts.jobs->count,
                                                   run.has_failed);
    digest = facts_digest(&facts, v->config.timestamps);
    pthread_mutex_lock(&v->reports->lock);
    is_known = find_report(v->reports, &p->repo, ahead.run, digest) != NULL;
    pthread_mutex_unlock(&v->reports->lock);
    if (!is_known)
        (void)add_report(v->reports, &ahead, digest, &facts);
    catalog_answer_release(facts.jobs);
}

/* For a reader who goes through the directory, in either direction. */
static void look_ahead(struct views *v, const struct vnode *p, struct waiter *w)
{
    const struct catalog_answer *recent;
    const struct facts_run **failed;
    struct catalog_question q;
    size_t count = 0, at;
    int step;

    runs_question(v, &p->repo, &q);
    if (!v->config.prefetch || catalog_ask(v->config.catalog, &q, EFFORT_MEMORY, NULL, &recent))
        return;
    failed = calloc(recent->count + 1, sizeof(const struct facts_run *));
    for (size_t i = 0; failed && i < recent->count; i++)
        if (facts_is_failed(recent->runs[i]->conclusion))
            failed[count++] = recent->runs[i];
    at = find_run(failed, count, p->run);
    step = at < count ? note_walk(v->reports, failed, count, at) : 0;
    for (int n = 0; step && n < REPORTS_AHEAD; n++) {
        at += (size_t)step;
        if (at >= count) /* also below 0 */
            break;
        start_ahead(v, p, failed[at], recent, w);
    }
    free(failed);
    catalog_answer_release(recent);
}

int view_text_of_report(struct views *v, const struct vnode *p, struct waiter *w, char **ret_text,
                        size_t *ret_len)
{
    struct reports *all = v->reports;
    struct facts facts;
    uint64_t digest, part;
    int rc = take_text(all, p, 0, ret_text, ret_len);

    if (rc != -EAGAIN)
        return rc;
    look_ahead(v, p, w);
    rc = get_facts(v, p, w, &facts);
    if (rc)
        return rc;
    digest = facts_digest(&facts, v->config.timestamps);
    part = part_of(p->run, digest);
    do {
        uint64_t generation = pending_generation(&all->made);
        rc = take_text(all, p, digest, ret_text, ret_len);
        if (rc == -EAGAIN)
            rc = add_report(all, p, digest, &facts) ? -ENOMEM : -EAGAIN;
        else if (rc == PENDING_PARKED && !pending_park(&all->made, w, generation, part, part))
            rc = -EAGAIN;
    } while (rc == -EAGAIN);
    facts_release(&facts);
    return rc;
}

/* --- creation and end ------------------------------------------------------------------------ */

uint64_t reports_get_made(const struct reports *all)
{
    return atomic_load(&all->made_count);
}

struct reports *reports_create(struct views *v)
{
    struct reports *all = calloc(1, sizeof(*all));

    if (!all)
        return NULL;
    all->views = v;
    list_init(&all->list);
    list_init(&all->queue);
    pthread_mutex_init(&all->lock, NULL);
    pending_init(&all->made, v->config.waits);
    pending_touch(&all->made, INT64_MAX); /* the deadline is that of the wait for each log */
    return all;
}

void reports_destroy(struct reports *all)
{
    struct list *link;

    if (!all)
        return;
    while ((link = list_take_first(&all->list)))
        report_free(list_entry(link, struct report, link));
    pending_finish(&all->made);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

unsigned reports_list_status(struct reports *all, struct reports_status *ret_status, unsigned max)
{
    unsigned count = 0, n = 0;

    pthread_mutex_lock(&all->lock);
    list_each(link, &all->list) {
        const struct report *r = list_entry(link, struct report, link);
        if (r->is_made)
            continue;
        count++;
        if (n < max)
            ret_status[n++] = (struct reports_status){.repo = r->repo,
                                                      .run = r->run,
                                                      .progress = {.begun_ms = r->begun_ms,
                                                                   .bytes = PROGRESS_UNKNOWN,
                                                                   .size = PROGRESS_UNKNOWN,
                                                                   .rate = PROGRESS_UNKNOWN,
                                                                   .cause = PROGRESS_LOGS}};
    }
    pthread_mutex_unlock(&all->lock);
    return count;
}
