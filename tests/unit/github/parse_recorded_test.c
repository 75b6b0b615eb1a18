/* Every recorded body gives the facts it holds, or is refused. */
#include "github/headers.h"
#include "github/parse.h"
#include "github/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define EXPECTED "tests/unit/github/recorded.txt"

/* What a file's bodies add up to. */
struct sums {
    size_t count, refused;
    int64_t total;
    uint64_t steps, text, numbers;
    int64_t times;
};

struct expected {
    char kind[16], file[192], where[32];
    struct sums sums;
};

static void add_time(struct sums *s, int64_t ms)
{
    s->times += ms == FACTS_NO_TIME ? 0 : ms;
}

static void add_job(struct sums *s, const struct facts_job *job)
{
    const char *const texts[] = {job->name, job->status_text, job->conclusion_text, job->head_sha,
                                 job->html_url};

    s->count++;
    s->numbers += job->id + job->run_id + job->attempt;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        s->text += strlen(texts[i]);
    add_time(s, job->created_ms);
    add_time(s, job->started_ms);
    add_time(s, job->completed_ms);
    for (size_t i = 0; i < job->step_count; i++) {
        s->steps++;
        s->numbers += job->steps[i].number;
        s->text += strlen(job->steps[i].name);
        add_time(s, job->steps[i].started_ms);
        add_time(s, job->steps[i].completed_ms);
    }
    assert_int_not_equal(job->status, FACTS_STATUS_UNKNOWN);
    assert_int_not_equal(job->conclusion, FACTS_OTHER_CONCLUSION);
}

static void add_run(struct sums *s, const struct facts_run *run)
{
    const char *const texts[] = {run->name, run->head_branch, run->head_sha, run->path,
                                 run->head_repo_owner};

    s->count++;
    s->numbers += run->id + run->workflow_id + run->attempt + run->repo_id + run->head_repo_id;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        s->text += strlen(texts[i]);
    for (size_t i = 0; i < run->pull_count; i++)
        s->numbers += run->pulls[i];
    add_time(s, run->created_ms);
    add_time(s, run->updated_ms);
    assert_int_not_equal(run->status, FACTS_STATUS_UNKNOWN);
    assert_int_not_equal(run->conclusion, FACTS_OTHER_CONCLUSION);
}

static void add_repo(struct sums *s, const struct facts_repo *repo)
{
    s->count++;
    s->numbers += repo->id;
    s->text += strlen(repo->name) + strlen(repo->owner);
    add_time(s, repo->pushed_ms);
}

static int take_job(struct sums *s, const char *body, size_t len)
{
    struct facts_job job;
    int err = parse_job(body, len, &job);

    if (err)
        return err;
    add_job(s, &job);
    facts_job_finish(&job);
    return 0;
}

static int take_run(struct sums *s, const char *body, size_t len)
{
    struct facts_run run;
    int err = parse_run(body, len, &run);

    if (err)
        return err;
    add_run(s, &run);
    facts_run_finish(&run);
    return 0;
}

static int take_pull(struct sums *s, const char *body, size_t len)
{
    struct facts_pull pull;
    int err = parse_pull(body, len, &pull);

    if (err)
        return err;
    s->count++;
    s->numbers += pull.number;
    s->text += strlen(pull.head_sha);
    facts_pull_finish(&pull);
    return 0;
}

/* What a listing of jobs or runs prints of an element holds the facts that the listing held. */
static void check_printed_job(const char *body, size_t len, const struct facts_job *job)
{
    struct sums listed = {0}, printed = {0};
    char *text;
    size_t text_len;

    assert_int_equal(parse_print(body, len, PARSE_JOBS, job->id, &text, &text_len), 0);
    assert_int_equal(strlen(text), text_len);
    add_job(&listed, job);
    assert_int_equal(take_job(&printed, text, text_len), 0);
    assert_memory_equal(&listed, &printed, sizeof(listed));
    free(text);
}

static void check_printed_run(const char *body, size_t len, const struct facts_run *run)
{
    struct sums listed = {0}, printed = {0};
    char *text;
    size_t text_len;

    assert_int_equal(parse_print(body, len, PARSE_RUNS, run->id, &text, &text_len), 0);
    assert_int_equal(strlen(text), text_len);
    add_run(&listed, run);
    assert_int_equal(take_run(&printed, text, text_len), 0);
    assert_memory_equal(&listed, &printed, sizeof(listed));
    free(text);
}

static int take_jobs(struct sums *s, const char *body, size_t len)
{
    struct facts_job_list list;
    int err = parse_jobs_page(body, len, &list);

    if (err)
        return err;
    s->total = list.total_count;
    for (size_t i = 0; i < list.count; i++) {
        add_job(s, &list.items[i]);
        check_printed_job(body, len, &list.items[i]);
    }
    facts_job_list_finish(&list);
    return 0;
}

static int take_runs(struct sums *s, const char *body, size_t len)
{
    struct facts_run_list list;
    int err = parse_runs_page(body, len, &list);

    if (err)
        return err;
    s->total = list.total_count;
    for (size_t i = 0; i < list.count; i++)
        add_run(s, &list.items[i]);
    if (list.count)
        check_printed_run(body, len, &list.items[list.count - 1]);
    facts_run_list_finish(&list);
    return 0;
}

static int take_repos(struct sums *s, const char *body, size_t len)
{
    struct facts_repo_list list;
    int err = parse_repos_page(body, len, &list);

    if (err)
        return err;
    s->total = list.total_count;
    for (size_t i = 0; i < list.count; i++)
        add_repo(s, &list.items[i]);
    facts_repo_list_finish(&list);
    return 0;
}

/* What is never requested alone is put into a listing. */
static int take_listed(struct sums *s, const char *before, const char *body, size_t len,
                       const char *after,
                       int (*take)(struct sums *s, const char *page, size_t page_len))
{
    char *page;
    int page_len = asprintf(&page, "%s%.*s%s", before, (int)len, body, after);
    int err;

    assert_true(page_len > 0);
    err = take(s, page, (size_t)page_len);
    free(page);
    return err;
}

/* No total was given. */
static int take_repo(struct sums *s, const char *body, size_t len)
{
    int64_t total = s->total;
    int err = take_listed(s, "[", body, len, "]", take_repos);

    s->total = total;
    return err;
}

static int take_error(struct sums *s, const char *body, size_t len)
{
    struct parse_error error;

    parse_error_message(body, len, &error);
    if (!*error.message)
        return -1;
    s->count++;
    s->text += strlen(error.message);
    return 0;
}

static const struct {
    const char *kind;
    int (*take)(struct sums *s, const char *body, size_t len);
} takers[] = {
    {"JOB", take_job},   {"JOBS", take_jobs},   {"RUN", take_run},   {"RUNS", take_runs},
    {"REPO", take_repo}, {"REPOS", take_repos}, {"PULL", take_pull}, {"ERROR", take_error},
};

/* A body of kind NONE is refused as each kind. One of kind UNUSED is of a kind that is never
 * requested, and could pass for another. */
static void take_body(struct sums *s, const char *kind, const char *body, size_t len)
{
    bool is_none = !strcmp(kind, "NONE"), is_known = is_none, is_taken = false;

    if (!strcmp(kind, "UNUSED"))
        return;
    for (size_t i = 0; i < sizeof(takers) / sizeof(*takers); i++) {
        if (strcmp(kind, takers[i].kind) != 0 && (!is_none || takers[i].take == take_error))
            continue;
        is_known = true;
        is_taken |= takers[i].take(s, body, len) == 0;
    }
    assert_true(is_known);
    s->refused += !is_taken;
}

/* The bodies at a path of keys within a value; "*" are all elements of an array. */
static void take_within(struct sums *s, const char *kind, const cJSON *value, const char *where)
{
    char key[32];
    const char *rest = strchr(where, '/');
    const cJSON *element;
    char *text;

    if (!*where) {
        text = cJSON_IsString(value) ? strdup(value->valuestring) : cJSON_Print(value);
        take_body(s, kind, text, strlen(text));
        free(text);
        return;
    }
    snprintf(key, sizeof(key), "%.*s", (int)strcspn(where, "/"), where);
    rest = rest ? rest + 1 : "";
    if (strcmp(key, "*") != 0) {
        take_within(s, kind, cJSON_GetObjectItem(value, key), rest);
        return;
    }
    cJSON_ArrayForEach(element, value)
    {
        take_within(s, kind, element, rest);
    }
}

static void check_file(const char *folder, const struct expected *e)
{
    struct sums got = {0};
    size_t len;
    char *body = recorded_read(folder, e->file, &len);

    if (!strcmp(e->where, ".")) {
        take_body(&got, e->kind, body, len);
    } else {
        cJSON *tree = cJSON_ParseWithLength(body, len);
        assert_non_null(tree);
        take_within(&got, e->kind, tree, e->where);
        cJSON_Delete(tree);
    }
    free(body);
    if (memcmp(&got, &e->sums, sizeof(got)) != 0)
        fail_msg("%s: %zu elements, %zu refused, total %jd, %ju steps, text %ju, numbers %ju, "
                 "times %jd",
                 e->file, got.count, got.refused, (intmax_t)got.total, (uintmax_t)got.steps,
                 (uintmax_t)got.text, (uintmax_t)got.numbers, (intmax_t)got.times);
}

/* False at the end of the table. */
static bool read_expected(FILE *table, struct expected *e)
{
    struct sums *s = &e->sums;
    char line[512];

    do {
        if (!fgets(line, sizeof(line), table))
            return false;
    } while (*line == '#');
    memset(e, 0, sizeof(*e));
    assert_int_equal(sscanf(line, "%15s %zu %zu %jd %ju %ju %ju %jd %191s %31s", e->kind, &s->count,
                            &s->refused, &s->total, &s->steps, &s->text, &s->numbers, &s->times,
                            e->file, e->where),
                     10);
    return true;
}

static void every_recorded_body_gives_the_facts_it_holds(void **state)
{
    struct expected e;
    FILE *table;

    if (!*state)
        skip();
    table = fopen(EXPECTED, "r");
    assert_non_null(table);
    while (read_expected(table, &e))
        check_file(*state, &e);
    fclose(table);
}

static void count_body(void *who, const char *name)
{
    struct expected e;
    size_t *missing = who;
    bool found = false;
    FILE *table;

    if (strstr(name, ".exchange.json")) /* most have their body in a file of its own, or none */
        return;
    table = fopen(EXPECTED, "r");
    assert_non_null(table);
    while (!found && read_expected(table, &e))
        found = !strcmp(e.file, name);
    fclose(table);
    if (!found)
        print_error("%s is not in " EXPECTED "\n", name);
    *missing += !found;
}

static void no_recorded_body_is_left_out(void **state)
{
    size_t missing = 0;

    if (!*state)
        skip();
    recorded_each(*state, ".json", count_body, &missing);
    assert_int_equal(missing, 0);
}

static void job_of_2024_is_parsed_in_full(void **state)
{
    struct facts_job job;
    size_t len;
    char *body;

    if (!*state)
        skip();
    body = recorded_read(*state, "ghactions-manager/job-21694126229.json", &len);
    assert_int_equal(parse_job(body, len, &job), 0);
    assert_int_equal(job.id, 21694126229);
    assert_int_equal(job.run_id, 7946420025);
    assert_int_equal(job.status, FACTS_COMPLETED);
    assert_int_equal(job.conclusion, FACTS_FAILURE);
    assert_int_equal(job.completed_ms % 1000, 0);
    assert_true(job.started_ms <= job.completed_ms);
    assert_string_equal(job.steps[0].name, "Set up job");
    assert_int_equal(job.steps[0].number, 1);
    facts_job_finish(&job);
    free(body);
}

/* --- headers ---------------------------------------------------------------------------------- */

struct header_sums {
    unsigned dates, pages, last_pages, counts;
    int64_t date_s, page, count;
};

static void add_header(struct header_sums *s, const char *name, const char *value)
{
    int64_t date_s;
    uint32_t page;

    if (strstr(value, "{{")) /* filled in by those who replay it */
        return;
    if (!strcasecmp(name, "Date") || !strcasecmp(name, "Last-Modified")) {
        assert_int_equal(parse_http_date(value, 1700000000, &date_s), 0);
        s->date_s += date_s;
        s->dates++;
    } else if (!strcasecmp(name, "Link")) {
        if (parse_link_next(value, &page) == 0)
            s->page += page, s->pages++;
        else
            s->last_pages++;
    } else if (!strncasecmp(name, "X-RateLimit-", 12) && parse_count(value) >= 0) {
        s->count += parse_count(value);
        s->counts++;
    }
}

static void add_headers(struct header_sums *s, const cJSON *headers)
{
    const cJSON *header, *value;

    cJSON_ArrayForEach(header, headers)
    {
        if (cJSON_IsString(header)) /* {"Name": "value"} */
            add_header(s, header->string, header->valuestring);
        else if (cJSON_IsArray(header) && !header->string) /* [["Name", "value"]] */
            add_header(s, header->child->valuestring, header->child->next->valuestring);
        else /* {"Name": ["value", "value"]} */
            cJSON_ArrayForEach(value, header) add_header(s, header->string, value->valuestring);
    }
}

struct header_walk {
    const char *folder;
    struct header_sums sums;
};

static void take_exchange(void *who, const char *name)
{
    struct header_walk *walk = who;
    size_t len;
    char *text = recorded_read(walk->folder, name, &len);
    cJSON *tree = cJSON_ParseWithLength(text, len);
    const cJSON *headers = cJSON_GetObjectItem(tree, "headers");

    assert_non_null(tree);
    if (!headers)
        headers = cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "response"), "headers");
    add_headers(&walk->sums, headers);
    cJSON_Delete(tree);
    free(text);
}

/* The numbers were reckoned from the same files with Python's email.utils and re modules. */
static void recorded_headers_are_understood(void **state)
{
    struct header_walk walk = {.folder = *state};

    if (!*state)
        skip();
    recorded_each(*state, ".exchange.json", take_exchange, &walk);
    assert_int_equal(walk.sums.dates, 56);
    assert_int_equal(walk.sums.date_s, 90025101729);
    assert_int_equal(walk.sums.pages, 6);
    assert_int_equal(walk.sums.page, 12);
    assert_int_equal(walk.sums.last_pages, 1);
    assert_int_equal(walk.sums.counts, 179);
    assert_int_equal(walk.sums.count, 73743242671);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_body_gives_the_facts_it_holds),
        cmocka_unit_test(no_recorded_body_is_left_out),
        cmocka_unit_test(job_of_2024_is_parsed_in_full),
        cmocka_unit_test(recorded_headers_are_understood),
    };
    return cmocka_run_group_tests(tests, recorded_setup, recorded_teardown);
}
