/* What a line looks like, and which level it has, wherever it goes. */
#include "diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#undef syslog /* clang's, with _FORTIFY_SOURCE */

static char sent[8][256]; /* to the journal, as "LEVEL text" */
static unsigned sent_count;
static int64_t now = 1000;

/* In place of the C library's: there may be nobody to send it to. */
void openlog(const char *name, int options, int facility)
{
    assert_string_equal(name, "ghlogfs");
    assert_true(options & LOG_PID && facility == LOG_DAEMON);
}

void closelog(void) {}

__attribute__((format(printf, 2, 0))) static void note(int level, const char *fmt, va_list ap)
{
    char text[200];

    vsnprintf(text, sizeof(text), fmt, ap);
    snprintf(sent[sent_count++], sizeof(sent[0]), "%d %s", level, text);
}

void syslog(int level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note(level, fmt, ap);
    va_end(ap);
}

void __syslog_chk(int level, int flag, const char *fmt, ...); /* with _FORTIFY_SOURCE */
void __syslog_chk(int level, int flag, const char *fmt, ...)
{
    va_list ap;

    (void)flag;
    va_start(ap, fmt);
    note(level, fmt, ap);
    va_end(ap);
}

static int64_t now_ms(void)
{
    return now;
}

/* 1970-01-02 03:04:05.678 */
static int64_t wall_ms(void)
{
    return INT64_C(97445678);
}

/* Stderr goes to a file meanwhile, which the journal reads if `is_read`. */
struct caught {
    int saved, fd;
    char text[2048];
};

static void catch_begin(struct caught *c, bool is_read)
{
    char stream[64];
    struct stat st;

    fflush(stderr);
    c->saved = dup(STDERR_FILENO);
    c->fd = memfd_create("stderr", MFD_CLOEXEC);
    assert_int_equal(dup2(c->fd, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino + !is_read);
    setenv("JOURNAL_STREAM", stream, 1);
}

static const char *catch_end(struct caught *c)
{
    ssize_t len;

    fflush(stderr);
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    len = pread(c->fd, c->text, sizeof(c->text) - 1, 0);
    assert_true(len >= 0);
    c->text[len] = '\0';
    close(c->fd);
    unsetenv("JOURNAL_STREAM");
    return c->text;
}

static void say(struct diag *d)
{
    diag_log(d, DIAG_ERROR, "an error");
    diag_log(d, DIAG_WARNING, "a %s", "warning");
    diag_log(d, DIAG_NOTICE, "a notice");
    diag_log(d, DIAG_DEBUG, "debug");
}

static void lines_have_no_levels_for_a_terminal_or_a_file(void **state)
{
    struct caught c;
    struct diag *d;

    (void)state;
    catch_begin(&c, false);
    d = diag_create(now_ms, wall_ms, false);
    say(d);
    diag_print(DIAG_ERROR, "at the start");
    diag_destroy(d);
    assert_string_equal(catch_end(&c), "ghlogfs: an error\nghlogfs: a warning\n"
                                       "ghlogfs: a notice\nghlogfs: at the start\n");
}

static void lines_have_levels_where_the_journal_reads_stderr(void **state)
{
    struct caught c;
    struct diag *d;

    (void)state;
    catch_begin(&c, true);
    d = diag_create(now_ms, wall_ms, true);
    say(d);
    diag_print(DIAG_WARNING, "at the start");
    diag_destroy(d);
    assert_string_equal(catch_end(&c), "<3>ghlogfs: 03:04:05.678 an error\n"
                                       "<4>ghlogfs: 03:04:05.678 a warning\n"
                                       "<5>ghlogfs: 03:04:05.678 a notice\n"
                                       "<7>ghlogfs: 03:04:05.678 debug\n"
                                       "<4>ghlogfs: at the start\n");
}

static void lines_have_levels_in_the_background(void **state)
{
    static const char *const expected[] = {"3 an error", "4 a warning", "5 a notice"};
    struct caught c;
    struct diag *d;

    (void)state;
    catch_begin(&c, false);
    d = diag_create(now_ms, wall_ms, false);
    diag_use_journal(d);
    sent_count = 0;
    say(d);
    diag_destroy(d);
    assert_string_equal(catch_end(&c), "");
    assert_int_equal(sent_count, 3);
    for (unsigned i = 0; i < sent_count; i++)
        assert_string_equal(sent[i], expected[i]);
}

static void same_line_comes_once_a_minute_but_debug_each_time(void **state)
{
    struct caught c;
    struct diag *d;

    (void)state;
    catch_begin(&c, false);
    d = diag_create(now_ms, wall_ms, true);
    for (int i = 0; i < 3; i++, now += 30000) {
        diag_log(d, DIAG_WARNING, "again");
        diag_log(d, DIAG_DEBUG, "event");
    }
    diag_destroy(d);
    assert_string_equal(catch_end(&c), "ghlogfs: 03:04:05.678 again\n"
                                       "ghlogfs: 03:04:05.678 event\n"
                                       "ghlogfs: 03:04:05.678 event\n"
                                       "ghlogfs: 03:04:05.678 again\n"
                                       "ghlogfs: 03:04:05.678 event\n");
}

static void control_characters_are_replaced(void **state)
{
    struct caught c;
    struct diag *d;

    (void)state;
    catch_begin(&c, true);
    d = diag_create(now_ms, wall_ms, false);
    diag_log(d, DIAG_WARNING, "a\nb\x1b[1m\x7f");
    diag_print(DIAG_ERROR, "c\n<0>d");
    diag_destroy(d);
    assert_string_equal(catch_end(&c), "<4>ghlogfs: a?b?[1m?\n<3>ghlogfs: c?<0>d\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_no_levels_for_a_terminal_or_a_file),
        cmocka_unit_test(lines_have_levels_where_the_journal_reads_stderr),
        cmocka_unit_test(lines_have_levels_in_the_background),
        cmocka_unit_test(same_line_comes_once_a_minute_but_debug_each_time),
        cmocka_unit_test(control_characters_are_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
