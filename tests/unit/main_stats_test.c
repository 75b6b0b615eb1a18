/* The counters as texts: what stays as scripts know it, and what the formats of metrics require. */
#include "main_stats.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct stats new_stats(void)
{
    return (struct stats){.api = {.requests = 1,
                                  .outcomes = {[OUTCOME_NOT_MODIFIED] = 2, [OUTCOME_REFUSED] = 40},
                                  .storage_requests = 3,
                                  .limit = 5000,
                                  .remaining = 4,
                                  .reset_s = 1700000000},
                          .cache = {5, 8, 7, 6},
                          .archives = {11, 12, 13},
                          .reports = 14,
                          .session = {.opened = 15, .bytes_read = 16, .waiting = 17},
                          .used = 9,
                          .limit = 10,
                          .evicted = 18,
                          .evicted_bytes = 19,
                          .started_s = 1600000000,
                          .mountpoint = "/mnt/gh",
                          .libfuse = "3.14.0",
                          .libcurl = "libcurl/7.88.1"};
}

static void assert_has(const char *text, const char *lines)
{
    if (!strstr(text, lines))
        fail_msg("\"%s\" is not in\n%s", lines, text);
}

static void stats_for_people_are_as_they_were(void **state)
{
    struct stats s = new_stats();
    char *text = stats_print(&s, STATS_PLAIN);

    (void)state;
    assert_string_equal(
        text, "api_requests 1\napi_not_modified 2\nstorage_requests 3\nquota_limit 5000\n"
              "quota_remaining 4\nquota_reset 1700000000\nlogs_in_memory 5\nfetches_running 7\n"
              "bytes_received 8\nlogs_published 6\ncache_used 9\ncache_size 10\n"
              "archives_requested 11\narchives_failed 12\nlogs_from_archives 13\n"
              "reports_made 14\nlogs_opened 15\nbytes_read 16\nreaders_waiting 17\n"
              "logs_evicted 18\n");
    free(text);
}

static void shared_store_is_counted_where_there_is_one(void **state)
{
    struct stats s = new_stats();
    char *text;

    (void)state;
    text = stats_print(&s, STATS_PROMETHEUS);
    assert_null(strstr(text, "ghlogfs_shared"));
    free(text);
    s.has_shared = true;
    s.shared = (struct shared_stats){.hits = 1, .queued = 2, .bytes_out = 3, .state = "resting"};
    text = stats_print(&s, STATS_PLAIN);
    assert_has(text, "logs_evicted 18\nshared_state resting\nshared_hits 1\nshared_misses 0\n"
                     "shared_wrong 0\nshared_errors 0\nshared_timeouts 0\nshared_bytes_in 0\n"
                     "shared_verified 0\nshared_uploads_queued 2\nshared_uploads_done 0\n"
                     "shared_uploads_dropped 0\nshared_bytes_out 3\n");
    free(text);
    text = stats_print(&s, STATS_PROMETHEUS);
    assert_has(text, "ghlogfs_shared_state{mount=\"/mnt/gh\",state=\"up\"} 0\n"
                     "ghlogfs_shared_state{mount=\"/mnt/gh\",state=\"resting\"} 1\n"
                     "ghlogfs_shared_state{mount=\"/mnt/gh\",state=\"off\"} 0\n");
    assert_has(text, "\nghlogfs_shared_sent_bytes_total{mount=\"/mnt/gh\"} 3\n");
    free(text);
}

static void two_formats_name_families_and_units_each_its_way(void **state)
{
    struct stats s = new_stats();
    char *open = stats_print(&s, STATS_OPENMETRICS), *prom = stats_print(&s, STATS_PROMETHEUS);

    (void)state;
    assert_has(open, "\n# TYPE ghlogfs_read_bytes counter\n# UNIT ghlogfs_read_bytes bytes\n"
                     "ghlogfs_read_bytes_total{mount=\"/mnt/gh\"} 16\n");
    assert_has(open, "\n# TYPE ghlogfs_build info\nghlogfs_build_info{");
    assert_string_equal(open + strlen(open) - 7, "\n# EOF\n");
    assert_has(prom, "\n# TYPE ghlogfs_read_bytes_total counter\n"
                     "ghlogfs_read_bytes_total{mount=\"/mnt/gh\"} 16\n");
    assert_has(prom, "\n# TYPE ghlogfs_build_info gauge\nghlogfs_build_info{");
    assert_null(strstr(prom, "# EOF"));
    assert_null(strstr(prom, "# UNIT"));
    free(open);
    free(prom);
}

static void outcomes_and_failures_are_labels(void **state)
{
    struct stats s = new_stats();
    char *text;

    (void)state;
    s.session.failures[EDQUOT] = 21;
    s.session.failures[ENOENT] = 22;
    text = stats_print(&s, STATS_OPENMETRICS);
    assert_has(text, "\nghlogfs_api_requests_total{mount=\"/mnt/gh\",outcome=\"refused\"} 40\n");
    assert_has(text, "\nghlogfs_failures_total{mount=\"/mnt/gh\",errno=\"EDQUOT\"} 21\n");
    assert_null(strstr(text, "ENOENT"));
    free(text);
}

static void what_is_not_known_is_absent(void **state)
{
    struct stats s = new_stats();
    char *text;

    (void)state;
    s.api.limit = s.api.remaining = s.api.reset_s = -1;
    text = stats_print(&s, STATS_OPENMETRICS);
    assert_null(strstr(text, "quota_"));
    free(text);
    text = stats_print(&s, STATS_PLAIN);
    assert_has(text, "quota_limit -1\nquota_remaining -1\nquota_reset -1\n");
    free(text);
}

static void mountpoint_of_any_bytes_is_a_label(void **state)
{
    static const char *const given[][2] = {
        {"/a\"b\\c\nd", "/a\\\"b\\\\c\\nd"},
        {"/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"/\xff|\xc3", "/\xef\xbf\xbd|\xef\xbf\xbd"},               /* not UTF-8, cut */
        {"/\xc0\xaf", "/\xef\xbf\xbd\xef\xbf\xbd"},                 /* too long a form */
        {"/\xed\xa0\x80", "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half of a pair */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        struct stats s = new_stats();
        char line[128], *text;

        s.mountpoint = given[i][0];
        snprintf(line, sizeof(line), "\nghlogfs_logs_in_memory{mount=\"%s\"} 5\n", given[i][1]);
        text = stats_print(&s, STATS_OPENMETRICS);
        assert_has(text, line);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stats_for_people_are_as_they_were),
        cmocka_unit_test(shared_store_is_counted_where_there_is_one),
        cmocka_unit_test(two_formats_name_families_and_units_each_its_way),
        cmocka_unit_test(outcomes_and_failures_are_labels),
        cmocka_unit_test(what_is_not_known_is_absent),
        cmocka_unit_test(mountpoint_of_any_bytes_is_a_label),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
