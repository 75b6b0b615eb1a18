#include "github/parse.h"
#include "name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int job_from(const char *text, struct facts_job *ret_job)
{
    return parse_job(text, strlen(text), ret_job);
}

static int jobs_from(const char *text, struct facts_job_list *ret_list)
{
    return parse_jobs_page(text, strlen(text), ret_list);
}

/* Refused, and the struct given is as it was. */
static void assert_no_job(const char *text, size_t len)
{
    struct facts_job before, job;

    memset(&job, 0x5A, sizeof(job));
    memcpy(&before, &job, sizeof(before));
    if (parse_job(text, len, &job) != -EPROTO)
        fail_msg("taken: %.60s", text);
    assert_memory_equal(&job, &before, sizeof(job));
}

/* `front`, `count` times `unit`, `back`; the caller frees. */
static char *repeat(const char *front, const char *unit, size_t count, const char *back,
                    size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);

    fputs(front, out);
    while (count--)
        fputs(unit, out);
    fputs(back, out);
    fclose(out);
    return text;
}

/* --- facts ------------------------------------------------------------------------------------ */

static void job_is_parsed_with_its_steps(void **state)
{
    struct facts_job job;

    (void)state;
    assert_int_equal(
        job_from(
            "{\"id\": 29679449, \"run_id\": 29679, \"run_attempt\": 2, \"name\": \"build\","
            "\"status\": \"completed\", \"conclusion\": \"failure\", \"head_sha\": \"f83a\","
            "\"html_url\": \"https://x\","
            "\"created_at\": \"2020-01-20T17:40:00Z\", \"started_at\": \"2020-01-20T17:42:40Z\","
            "\"completed_at\": \"2020-01-20T17:44:39Z\", \"steps\": [{\"name\": \"Set up job\","
            "\"status\": \"completed\", \"conclusion\": \"success\", \"number\": 1,"
            "\"started_at\": \"2020-01-20T09:42:40.000-08:00\", \"completed_at\": null},"
            "{\"name\": \"Post\", \"status\": \"queued\", \"conclusion\": null,"
            "\"number\": 11}]}",
            &job),
        0);
    assert_int_equal(job.id, 29679449);
    assert_int_equal(job.run_id, 29679);
    assert_int_equal(job.attempt, 2);
    assert_string_equal(job.name, "build");
    assert_int_equal(job.status, FACTS_COMPLETED);
    assert_int_equal(job.conclusion, FACTS_FAILURE);
    assert_string_equal(job.conclusion_text, "failure");
    assert_string_equal(job.head_sha, "f83a");
    assert_string_equal(job.html_url, "https://x");
    assert_int_equal(job.created_ms, 1579542000000);
    assert_int_equal(job.completed_ms, 1579542279000);
    assert_int_equal(job.step_count, 2);
    assert_string_equal(job.steps[0].name, "Set up job");
    assert_int_equal(job.steps[0].conclusion, FACTS_SUCCESS);
    assert_int_equal(job.steps[0].started_ms, 1579542160000);
    assert_int_equal(job.steps[0].completed_ms, FACTS_NO_TIME);
    assert_int_equal(job.steps[1].number, 11);
    assert_int_equal(job.steps[1].status, FACTS_QUEUED);
    assert_int_equal(job.steps[1].conclusion, FACTS_NO_CONCLUSION);
    facts_job_finish(&job);
}

static void fields_absent_null_or_of_another_type_have_defaults(void **state)
{
    static const char *const bodies[] = {
        "{\"id\":7}",
        "{\"id\":7,\"run_id\":null,\"run_attempt\":null,\"name\":null,\"status\":null,"
        "\"created_at\":null,\"steps\":null}",
        "{\"id\":7,\"run_id\":\"1\",\"run_attempt\":0,\"name\":1,\"status\":[],"
        "\"created_at\":12,\"steps\":{}}",
        "{\"id\":7,\"run_id\":-1,\"run_attempt\":1.5,\"name\":{},\"status\":true,"
        "\"created_at\":\"soon\",\"steps\":[]}",
        "{\"id\":7,\"run_id\":1e300,\"run_attempt\":4294967296,\"ID\":8,\"Name\":\"x\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct facts_job job;
        assert_int_equal(job_from(bodies[i], &job), 0);
        assert_int_equal(job.id, 7);
        assert_int_equal(job.run_id, 0);
        assert_int_equal(job.attempt, 1);
        assert_string_equal(job.name, "");
        assert_string_equal(job.conclusion_text, "");
        assert_int_equal(job.status, FACTS_STATUS_UNKNOWN);
        assert_int_equal(job.conclusion, FACTS_NO_CONCLUSION);
        assert_int_equal(job.created_ms, FACTS_NO_TIME);
        assert_int_equal(job.step_count, 0);
        facts_job_finish(&job);
    }
}

struct runner_case {
    const char *fields; /* of the job, besides its id and status */
    bool never_ran;
};

/* Null, 0 and "" are no runner; a field that is left out, or of another type, counts as not given
 * (S19). */
static void s19_a_completed_job_without_runner_and_steps_never_ran(void **state)
{
    static const struct runner_case cases[] = {
        {"\"runner_id\":null,\"runner_name\":null,\"steps\":[]", true},
        {"\"runner_id\":0,\"runner_name\":\"\",\"steps\":[]", true},
        {"\"runner_id\":0,\"runner_name\":null,\"steps\":null", true},
        {"\"runner_id\":null,\"steps\":[]", true},
        {"\"runner_name\":\"\",\"steps\":[]", true},
        {"\"runner_id\":7,\"runner_name\":\"\",\"steps\":[]", false},
        {"\"runner_id\":null,\"runner_name\":\"mine\",\"steps\":[]", false},
        {"\"runner_id\":null,\"runner_name\":null,\"steps\":[{\"name\":\"x\"}]", false},
        {"\"runner_id\":null,\"runner_name\":null", false},
        {"\"runner_id\":null,\"runner_name\":null,\"steps\":{}", false},
        {"\"runner_id\":[],\"runner_name\":{},\"steps\":[]", false},
        {"\"steps\":[]", false},
        {"\"name\":\"build\"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        static const char *const statuses[] = {"completed", "queued"};
        for (size_t k = 0; k < 2; k++) {
            struct facts_job job;
            char body[256];
            snprintf(body, sizeof(body), "{\"id\":7,\"status\":\"%s\",%s}", statuses[k],
                     cases[i].fields);
            assert_int_equal(job_from(body, &job), 0);
            assert_int_equal(job.never_ran, cases[i].never_ran && k == 0);
            facts_job_finish(&job);
        }
    }
}

static void step_without_number_gets_its_position(void **state)
{
    struct facts_job job;

    (void)state;
    assert_int_equal(job_from("{\"id\":7,\"steps\":[{\"number\":1},{\"name\":\"b\"},null]}", &job),
                     0);
    assert_int_equal(job.step_count, 3);
    assert_int_equal(job.steps[1].number, 2);
    assert_string_equal(job.steps[2].name, "");
    facts_job_finish(&job);
}

static void unknown_words_keep_their_text(void **state)
{
    struct facts_job job;

    (void)state;
    assert_int_equal(job_from("{\"id\":7,\"status\":\"x\",\"conclusion\":\"y\"}", &job), 0);
    assert_int_equal(job.status, FACTS_STATUS_UNKNOWN);
    assert_int_equal(job.conclusion, FACTS_OTHER_CONCLUSION);
    assert_string_equal(job.status_text, "x");
    assert_string_equal(job.conclusion_text, "y");
    facts_job_finish(&job);
}

static void ids_are_integers_that_json_carries_exactly(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "{\"id\":null}",
        "{\"id\":0}",
        "{\"id\":-1}",
        "{\"id\":\"1\"}",
        "{\"id\":1.5}",
        "{\"id\":9007199254740992}",
        "{\"id\":9007199254740993}",
        "{\"id\":1e400}",
        "{\"id\":[1]}",
        "{\"id\":true}",
        "[]",
        "[{\"id\":1}]",
        "1",
        "\"id\"",
        "null",
    };
    struct facts_job job;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_no_job(wrong[i], strlen(wrong[i]));
    assert_int_equal(job_from("{\"id\":9007199254740991}", &job), 0);
    assert_true(job.id == NAME_ID_MAX);
    facts_job_finish(&job);
}

static void run_of_a_deleted_fork_has_no_head_repository(void **state)
{
    static const char gone[] = "{\"id\":5,\"repository\":{\"id\":7},\"head_repository\":null,"
                               "\"workflow_id\":12,\"head_branch\":\"b\"}";
    static const char alive[] = "{\"id\":5,\"path\":\".github/workflows/a.yml@main\","
                                "\"repository\":{\"id\":7},"
                                "\"head_repository\":{\"id\":8,\"owner\":"
                                "{\"login\":\"o\"}},\"updated_at\":\"1970-01-01T00:00:01Z\","
                                "\"run_number\":3,\"display_title\":\"Fix\",\"event\":\"push\","
                                "\"html_url\":\"https://x\"}";
    struct facts_run run;

    (void)state;
    assert_int_equal(parse_run(gone, strlen(gone), &run), 0);
    assert_string_equal(run.head_repo_owner, "");
    assert_int_equal(run.repo_id, 7);
    assert_int_equal(run.head_repo_id, 0);
    assert_int_equal(run.workflow_id, 12);
    assert_string_equal(run.head_branch, "b");
    assert_string_equal(run.title, "");
    assert_int_equal(run.attempt, 1);
    assert_int_equal(run.number, 0);
    facts_run_finish(&run);
    assert_int_equal(parse_run(alive, strlen(alive), &run), 0);
    assert_string_equal(run.head_repo_owner, "o");
    assert_int_equal(run.repo_id, 7);
    assert_int_equal(run.head_repo_id, 8);
    assert_string_equal(run.path, ".github/workflows/a.yml@main");
    assert_int_equal(run.updated_ms, 1000);
    assert_int_equal(run.number, 3);
    assert_string_equal(run.title, "Fix");
    assert_string_equal(run.event, "push");
    assert_string_equal(run.html_url, "https://x");
    facts_run_finish(&run);
}

/* A fork's run names pull requests of the repository that the fork was made from. */
static void s23_run_has_the_pull_requests_of_its_repository(void **state)
{
    static const char text[] =
        "{\"id\":5,\"head_sha\":\"abc\",\"repository\":{\"id\":7},\"pull_requests\":["
        "{\"number\":3,\"base\":{\"repo\":{\"id\":7}}},"
        "{\"number\":4,\"base\":{\"repo\":{\"id\":8}}},"
        "null,{},7,{\"number\":\"9\"},{\"number\":5}]}";
    static const char *const none[] = {"{\"id\":5}", "{\"id\":5,\"pull_requests\":null}",
                                       "{\"id\":5,\"pull_requests\":{\"number\":3}}"};
    struct facts_run run;

    (void)state;
    assert_int_equal(parse_run(text, strlen(text), &run), 0);
    assert_string_equal(run.head_sha, "abc");
    assert_int_equal(run.pull_count, 2);
    assert_int_equal(run.pulls[0], 3);
    assert_int_equal(run.pulls[1], 5);
    facts_run_finish(&run);
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        assert_int_equal(parse_run(none[i], strlen(none[i]), &run), 0);
        assert_int_equal(run.pull_count, 0);
        assert_string_equal(run.head_sha, "");
        facts_run_finish(&run);
    }
}

static void s23_pull_request_needs_its_number_and_head(void **state)
{
    static const char good[] = "{\"id\":1,\"number\":12,\"head\":{\"sha\":\"abc\",\"repo\":null}}";
    static const char *const wrong[] = {
        "[]",
        "{\"head\":{\"sha\":\"abc\"}}",
        "{\"number\":0,\"head\":{\"sha\":\"abc\"}}",
        "{\"number\":12}",
        "{\"number\":12,\"head\":null}",
        "{\"number\":12,\"head\":{\"sha\":\"\"}}",
        "{\"number\":12,\"head\":{\"sha\":7}}",
    };
    struct facts_pull pull = {.number = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(parse_pull(wrong[i], strlen(wrong[i]), &pull), -EPROTO);
    assert_int_equal(pull.number, 77);
    assert_int_equal(parse_pull(good, strlen(good), &pull), 0);
    assert_int_equal(pull.number, 12);
    assert_string_equal(pull.head_sha, "abc");
    facts_pull_finish(&pull);
}

static void repository_needs_name_and_owner(void **state)
{
    static const char good[] = "[{\"name\":\"r\",\"owner\":{\"login\":\"o\"},\"pushed_at\":null}]";
    static const char *const wrong[] = {
        "[{\"owner\":{\"login\":\"o\"}}]",
        "[{\"name\":\"\",\"owner\":{\"login\":\"o\"}}]",
        "[{\"name\":\"r\",\"owner\":null}]",
        "[{\"name\":\"r\",\"owner\":{}}]",
        "[{\"name\":\"r\",\"owner\":{\"login\":1}}]",
        "[{\"name\":3,\"owner\":{\"login\":\"o\"}}]",
    };
    struct facts_repo_list list;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(parse_repos_page(wrong[i], strlen(wrong[i]), &list), -EPROTO);
    assert_int_equal(parse_repos_page(good, strlen(good), &list), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].owner, "o");
    assert_int_equal(list.items[0].pushed_ms, FACTS_NO_TIME);
    facts_repo_list_finish(&list);
}

/* --- listings --------------------------------------------------------------------------------- */

static void listing_needs_its_array_and_an_id(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "[]",
        "{\"jobs\":null}",
        "{\"jobs\":{}}",
        "{\"total_count\":1}",
        "{\"jobs\":[{}]}",
        "{\"jobs\":[null,{}]}",
        "{\"jobs\":[1]}",
        "{\"workflow_runs\":[{\"id\":1}]}",
    };
    struct facts_job_list list = {.total_count = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(jobs_from(wrong[i], &list), -EPROTO);
    assert_int_equal(list.total_count, 77);
    assert_int_equal(jobs_from("{\"total_count\":0,\"jobs\":[]}", &list), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.total_count, 0);
    facts_job_list_finish(&list);
    assert_int_equal(jobs_from("{\"jobs\":[{\"id\":2},{\"id\":1}]}", &list), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].id, 2);
    assert_int_equal(list.total_count, -1);
    facts_job_list_finish(&list);
}

/* One that cannot be read takes no other away. */
static void malformed_entry_is_skipped_and_counted(void **state)
{
    struct facts_repo_list repos;
    struct facts_run_list runs;
    struct facts_job_list list;

    (void)state;
    assert_int_equal(jobs_from("{\"total_count\":6,\"jobs\":[null,{\"id\":1},{\"name\":\"x\"},7,"
                               "{\"id\":2,\"steps\":[{\"name\":\"a\"}]},{\"id\":null}]}",
                               &list),
                     0);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.unread, 4);
    assert_int_equal(list.items[1].id, 2);
    assert_int_equal(list.items[1].step_count, 1);
    facts_job_list_finish(&list);
    assert_int_equal(jobs_from("{\"jobs\":[null,null]}", &list), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.unread, 2);
    facts_job_list_finish(&list);
#define RUNS "{\"workflow_runs\":[null,{\"id\":3}]}"
    assert_int_equal(parse_runs_page(RUNS, strlen(RUNS), &runs), 0);
    assert_int_equal(runs.items[0].id, 3);
    assert_int_equal(runs.unread, 1);
    facts_run_list_finish(&runs);
#define REPOS "[null,{\"name\":\"a\",\"owner\":{\"login\":\"o\"}},{\"name\":\"b\"}]"
    assert_int_equal(parse_repos_page(REPOS, strlen(REPOS), &repos), 0);
    assert_int_equal(repos.count, 1);
    assert_int_equal(repos.unread, 2);
    facts_repo_list_finish(&repos);
}

static void page_of_repositories_is_a_bare_array(void **state)
{
    static const char page[] = "[{\"id\":1,\"name\":\"a\",\"owner\":{\"login\":\"o\"}},"
                               "{\"id\":2,\"name\":\"b\",\"owner\":{\"login\":\"p\"}}]";
    struct facts_repo_list list;

    (void)state;
    assert_int_equal(parse_repos_page("{}", 2, &list), -EPROTO);
    assert_int_equal(parse_repos_page(page, strlen(page), &list), 0);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].owner, "p");
    assert_int_equal(list.total_count, -1);
    facts_repo_list_finish(&list);
}

static void r8_counts_are_bounded(void **state)
{
    struct facts_job_list list;
    struct facts_job job;
    struct facts_run run;
    size_t len;
    char *text = repeat("{\"jobs\":[{\"id\":1}", ",{\"id\":1}", PARSE_ITEMS_MAX - 1, "]}", &len);

    (void)state;
    assert_int_equal(parse_jobs_page(text, len, &list), 0);
    assert_int_equal(list.count, PARSE_ITEMS_MAX);
    facts_job_list_finish(&list);
    free(text);
    text = repeat("{\"jobs\":[{\"id\":1}", ",{\"id\":1}", PARSE_ITEMS_MAX, "]}", &len);
    assert_int_equal(parse_jobs_page(text, len, &list), -EPROTO);
    free(text);
    text = repeat("{\"id\":1,\"steps\":[{}", ",{}", PARSE_STEPS_MAX - 1, "]}", &len);
    assert_int_equal(parse_job(text, len, &job), 0);
    assert_int_equal(job.step_count, PARSE_STEPS_MAX);
    facts_job_finish(&job);
    free(text);
    text = repeat("{\"id\":1,\"steps\":[{}", ",{}", PARSE_STEPS_MAX, "]}", &len);
    assert_no_job(text, len);
    free(text);
    text = repeat("{\"id\":1,\"pull_requests\":[{\"number\":1}", ",{\"number\":2}", PARSE_PULLS_MAX,
                  "]}", &len);
    assert_int_equal(parse_run(text, len, &run), 0);
    assert_int_equal(run.pull_count, PARSE_PULLS_MAX);
    facts_run_finish(&run);
    free(text);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void r8_body_must_be_one_json_value(void **state)
{
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "{\"id\":1",
        "{\"id\":1}}",
        "{\"id\":1}{}",
        "{\"id\":1}x",
        "{id:1}",
        "{\"id\":1,}",
        "{'id':1}",
        "{\"id\":01x}",
        "<html></html>",
        "\xEF\xBB\xBF",
        "\xEF\xBB",
        "{\"id\":1,\"name\":\"\\ud800\"}",
        "{\"id\":1,\"name\":\"\\x\"}",
        "{\"id\":1,\"name\":\"",
        "{\"id\":1,\"name\":\"\\",
        "\xEF\xBB\xBF\xEF\xBB\xBF{\"id\":1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_no_job(wrong[i], strlen(wrong[i]));
    assert_no_job(NULL, 0);
    assert_no_job("{\"id\":1}\0", 9);
    assert_no_job("{\"id\":1,\"name\":\"a\0b\"}", 21);
}

static void white_space_and_a_bom_are_accepted(void **state)
{
    static const char *const good[] = {"\xEF\xBB\xBF{\"id\":1}", " \r\n\t{ \"id\" : 1 }\r\n \n"};
    struct facts_job job;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(job_from(good[i], &job), 0);
        facts_job_finish(&job);
    }
}

/* The length decides where a body ends, not a NUL: it lies in memory that ends with it. */
static void bytes_beyond_the_length_are_not_read(void **state)
{
    static const char body[] = "{\"id\":1,\"name\":\"build\",\"steps\":[{\"number\":12}]}";

    (void)state;
    for (size_t len = 1; len < strlen(body); len++) {
        char *exact = memcpy(malloc(len), body, len);
        assert_no_job(exact, len);
        free(exact);
    }
}

static void r8_depth_and_number_of_values_are_bounded(void **state)
{
    struct facts_job job;
    size_t len;
    char *text;

    (void)state;
    text = repeat("{\"id\":1,\"x\":", "[", 200000, "", &len);
    assert_no_job(text, len);
    free(text);
    text = repeat("{\"id\":1,\"x\":[1", ",1", PARSE_VALUES_MAX, "]}", &len);
    assert_no_job(text, len);
    free(text);
    /* Brackets and commas in a text are none, nor does an escaped quote end it. */
    text = repeat("{\"id\":1,\"x\":\"", "[,\\\"", PARSE_VALUES_MAX + 1, "\"}", &len);
    assert_int_equal(parse_job(text, len, &job), 0);
    facts_job_finish(&job);
    free(text);
    text = repeat("{\"id\":1}", " ", PARSE_BODY_MAX, "", &len);
    assert_no_job(text, len);
    free(text);
}

static void r8_texts_are_cut_at_a_character(void **state)
{
    static const char *const units[] = {"a", "\xC3\xA9", "\xE2\x88\x95", "\xF0\x9F\xA7\xAA"};

    (void)state;
    for (size_t u = 0; u < 4; u++) {
        size_t len, size = strlen(units[u]);
        char *text = repeat("{\"id\":1,\"name\":\"x", units[u], PARSE_TEXT_MAX, "\"}", &len);
        struct facts_job job;
        assert_int_equal(parse_job(text, len, &job), 0);
        assert_int_equal(strlen(job.name), 1 + (PARSE_TEXT_MAX - 1) / size * size);
        facts_job_finish(&job);
        free(text);
    }
}

static void escaped_nul_ends_a_text(void **state)
{
    struct facts_job job;

    (void)state;
    assert_int_equal(job_from("{\"id\":1,\"name\":\"a\\u0000b\",\"head_sha\":\"c\"}", &job), 0);
    assert_string_equal(job.name, "a");
    assert_string_equal(job.head_sha, "c");
    facts_job_finish(&job);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void error_message_is_printable_ascii(void **state)
{
    static const char body[] = "{\"message\":\"a\\u001b[31m\\n\xC3\xA9\xF0\x9F\xA7\xAA!\\u007f\","
                               "\"documentation_url\":\"https://docs.github.com/rest\"}";
    struct parse_error error;
    size_t len;
    char *text;

    (void)state;
    parse_error_message(body, strlen(body), &error);
    assert_string_equal(error.message, "a?[31m??"
                                       "?!?");
    text = repeat("{\"error\":\"", "x", 1000, "\"}", &len);
    parse_error_message(text, len, &error);
    assert_int_equal(strlen(error.message), PARSE_MESSAGE_LEN - 1);
    free(text);
}

static void body_without_message_gives_an_empty_one(void **state)
{
    static const char *const bodies[] = {"",   "<html>",          "[]",
                                         "{}", "{\"message\":1}", "\"message\""};
    struct parse_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        memset(&error, 'x', sizeof(error));
        parse_error_message(bodies[i], strlen(bodies[i]), &error);
        assert_string_equal(error.message, "");
    }
}

static void element_is_printed_with_all_its_fields(void **state)
{
    static const char page[] = "{\"jobs\":[{\"id\":1},{\"id\":9007199254740991,\"name\":\"a: {b, "
                               "\\\"c\\\"}\\\\\",\"x\":[],\"y\":{},\"z\":[1,{\"n\":null}]}]}";
    static const char printed[] = "{\n"
                                  "  \"id\": 9007199254740991,\n"
                                  "  \"name\": \"a: {b, \\\"c\\\"}\\\\\",\n"
                                  "  \"x\": [],\n"
                                  "  \"y\": {},\n"
                                  "  \"z\": [\n"
                                  "    1,\n"
                                  "    {\n"
                                  "      \"n\": null\n"
                                  "    }\n"
                                  "  ]\n"
                                  "}\n";
    char *text = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(parse_print(page, strlen(page), PARSE_JOBS, NAME_ID_MAX, &text, &len), 0);
    assert_string_equal(text, printed);
    assert_int_equal(len, strlen(printed));
    free(text);
    text = NULL;
    assert_int_equal(parse_print(page, strlen(page), PARSE_JOBS, 2, &text, &len), -ENOENT);
    assert_int_equal(parse_print(page, strlen(page) - 1, PARSE_JOBS, 2, &text, &len), -EPROTO);
    assert_int_equal(parse_print(page, strlen(page), PARSE_RUNS, 1, &text, &len), -EPROTO);
    assert_null(text);
}

/* Neither what is not an element of that array, nor a number elsewhere in one. */
static void element_is_found_by_its_own_id(void **state)
{
    static const char page[] = "{\"jobs\":{\"a\":{\"id\":7}},\"x\":[{\"id\":7,\"n\":1}],"
                               "\"jobs\" : [[{\"id\":7}],{\"id\":8,\"run\":7,\"a\":[{\"id\":7}]},"
                               "{\"name\":\"}]\\\"7\"},{\"id\":7,\"n\":\"]}\"},{\"id\":77}]}";
    char *text = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(parse_print(page, strlen(page), PARSE_JOBS, 7, &text, &len), 0);
    assert_string_equal(text, "{\n  \"id\": 7,\n  \"n\": \"]}\"\n}\n");
    free(text);
    text = NULL;
    assert_int_equal(parse_print(page, strlen(page), "obs", 7, &text, &len), -EPROTO);
    assert_int_equal(parse_print("]}]7", 4, PARSE_JOBS, 7, &text, &len), -EPROTO);
    assert_int_equal(parse_print(page, strlen(page), PARSE_JOBS, 0, &text, &len), -ENOENT);
    assert_null(text);
}

static void quota_is_that_of_the_core(void **state)
{
    const char *text = "{\"resources\":{\"search\":{\"limit\":30},\"core\":{\"limit\":5000,"
                       "\"remaining\":17,\"reset\":1700000000}},\"rate\":{\"limit\":1}}";
    const char *gaps = "{\"resources\":{\"core\":{\"limit\":\"x\",\"remaining\":-1}}}";
    struct facts_quota quota = {7, 7, 7};

    (void)state;
    assert_int_equal(parse_quota("{\"rate\":{\"limit\":1}}", 20, &quota), -EPROTO);
    assert_int_equal(parse_quota("{\"resources\":{}}", 16, &quota), -EPROTO);
    assert_true(quota.limit == 7 && quota.remaining == 7 && quota.reset_s == 7);
    assert_int_equal(parse_quota(text, strlen(text), &quota), 0);
    assert_true(quota.limit == 5000 && quota.remaining == 17 && quota.reset_s == 1700000000);
    assert_int_equal(parse_quota(gaps, strlen(gaps), &quota), 0);
    assert_true(quota.limit == -1 && quota.remaining == -1 && quota.reset_s == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_is_parsed_with_its_steps),
        cmocka_unit_test(fields_absent_null_or_of_another_type_have_defaults),
        cmocka_unit_test(s19_a_completed_job_without_runner_and_steps_never_ran),
        cmocka_unit_test(step_without_number_gets_its_position),
        cmocka_unit_test(unknown_words_keep_their_text),
        cmocka_unit_test(ids_are_integers_that_json_carries_exactly),
        cmocka_unit_test(run_of_a_deleted_fork_has_no_head_repository),
        cmocka_unit_test(s23_run_has_the_pull_requests_of_its_repository),
        cmocka_unit_test(s23_pull_request_needs_its_number_and_head),
        cmocka_unit_test(repository_needs_name_and_owner),
        cmocka_unit_test(listing_needs_its_array_and_an_id),
        cmocka_unit_test(malformed_entry_is_skipped_and_counted),
        cmocka_unit_test(page_of_repositories_is_a_bare_array),
        cmocka_unit_test(r8_counts_are_bounded),
        cmocka_unit_test(r8_body_must_be_one_json_value),
        cmocka_unit_test(white_space_and_a_bom_are_accepted),
        cmocka_unit_test(bytes_beyond_the_length_are_not_read),
        cmocka_unit_test(r8_depth_and_number_of_values_are_bounded),
        cmocka_unit_test(r8_texts_are_cut_at_a_character),
        cmocka_unit_test(escaped_nul_ends_a_text),
        cmocka_unit_test(error_message_is_printable_ascii),
        cmocka_unit_test(body_without_message_gives_an_empty_one),
        cmocka_unit_test(element_is_printed_with_all_its_fields),
        cmocka_unit_test(element_is_found_by_its_own_id),
        cmocka_unit_test(quota_is_that_of_the_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
