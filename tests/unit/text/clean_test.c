#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "text/clean.h"

#define STAMP "2025-11-15T12:26:36.0086225Z"
#define TS STAMP " "
#define BOM "\xef\xbb\xbf"

/* -- a second cleaner, as simple as can be: it has the whole log and looks at it line by line -- */

static bool naive_stamp(const unsigned char *p, size_t len)
{
    static const char form[] = "0000-00-00T00:00:00.0000000Z";
    if (len < 28)
        return false;
    for (size_t i = 0; i < 28; i++) {
        bool digit = p[i] >= '0' && p[i] <= '9';
        if (form[i] == '0' ? !digit : p[i] != (unsigned char)form[i])
            return false;
    }
    return len == 28 || p[28] == ' ' || p[28] == '\r';
}

/* Length of the escape sequence at p (which is an ESC), 0: it does not end. */
static size_t naive_escape(const unsigned char *p, size_t len)
{
    size_t i = 1;
    if (len < 2)
        return 0;
    if (p[1] == '[') {
        for (i = 2; i < len && p[i] >= 0x30 && p[i] <= 0x3f; i++)
            ;
        for (; i < len && p[i] >= 0x20 && p[i] <= 0x2f; i++)
            ;
        return i < len && i < TEXT_ESCAPE_MAX + 1 && p[i] >= 0x40 && p[i] <= 0x7e ? i + 1 : 0;
    }
    if (strchr("]PX^_", p[1]) && p[1]) {
        for (i = 2; i < len && i <= TEXT_ESCAPE_MAX; i++) {
            if (p[1] == ']' && p[i] == 0x07)
                return i + 1;
            if (p[i] == 0x1b)
                return i + 1 < len && p[i + 1] == '\\' ? i + 2 : 0;
        }
        return 0;
    }
    for (; i < len && p[i] >= 0x20 && p[i] <= 0x2f; i++)
        ;
    return i < len && i < TEXT_ESCAPE_MAX + 1 && p[i] >= 0x30 && p[i] <= 0x7e ? i + 1 : 0;
}

/* C1 last, in what is left: whole ones, then what would make one of a lone lead byte. */
static size_t naive_c1(char *text, size_t len)
{
    size_t to = 0, end = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;
        if (text[i] == '\xc2' && next >= 0x80 && next <= 0x9f)
            i++;
        else
            text[to++] = text[i];
    }
    for (size_t i = 0; i < to; i++) {
        unsigned char b = (unsigned char)text[i];
        if (end == 0 || text[end - 1] != '\xc2' || b < 0x80 || b > 0x9f)
            text[end++] = (char)b;
    }
    return end;
}

static size_t naive_line(const unsigned char *p, size_t len, bool keep, char *out)
{
    size_t at = 0, i = 0;
    while (len - i >= 3 && memcmp(p + i, BOM, 3) == 0)
        i += 3;
    if (naive_stamp(p + i, len - i)) {
        size_t stamp = len - i > 28 && p[i + 28] == ' ' ? 29 : 28;
        if (keep) {
            memcpy(out, p + i, stamp);
            at = stamp;
        }
        i += stamp;
    }
    while (i < len) {
        size_t escape = p[i] == 0x1b ? naive_escape(p + i, len - i) : 0;
        if (escape > 0) {
            i += escape;
            continue;
        }
        unsigned char b = p[i++];
        if ((b < 0x20 && b != '\t') || b == 0x7f)
            continue;
        out[at++] = (char)b;
    }
    return naive_c1(out, at);
}

static size_t naive_clean(const unsigned char *in, size_t len, bool keep, char *out)
{
    size_t at = 0, from = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && in[i] != '\n')
            continue;
        at += naive_line(in + from, i - from, keep, out + at);
        if (i < len)
            out[at++] = '\n';
        from = i + 1;
    }
    return at;
}

/* -- helpers -- */

/* All arguments of the hook, as one number, and how many lines. */
struct seen {
    uint64_t sum;
    size_t lines;
    struct text_line last;
    char head[TEXT_HEAD_MAX];
};

static void seen_line(void *ctx, const struct text_line *line)
{
    struct seen *seen = ctx;
    seen->sum = seen->sum * 31 + line->offset;
    seen->sum = seen->sum * 31 + (uint64_t)line->time_ms;
    for (size_t i = 0; i < line->head_len; i++)
        seen->sum = seen->sum * 31 + (unsigned char)line->head[i];
    seen->last = *line;
    memcpy(seen->head, line->head, line->head_len);
    seen->lines++;
}

static struct text_cleaner cleaner;

/* Cleans `in` in pieces of `piece` bytes, the first of `first`. */
static size_t clean(const void *in, size_t len, size_t first, size_t piece, bool keep, char *out,
                    struct seen *seen)
{
    const char *p = in;
    size_t at = 0;
    text_cleaner_init(&cleaner, keep, seen ? seen_line : NULL, seen);
    for (size_t done = 0, n = first; done < len; done += n, n = piece) {
        if (n > len - done)
            n = len - done;
        size_t wrote = text_cleaner_feed(&cleaner, p + done, n, out + at);
        assert_true(wrote <= n + TEXT_CLEAN_SLACK);
        at += wrote;
    }
    return at + text_cleaner_finish(&cleaner, out + at);
}

static void expect_bytes(const char *in, size_t in_len, const char *want, size_t want_len,
                         bool keep)
{
    char *out = malloc(in_len + TEXT_CLEAN_SLACK);
    for (size_t first = 1; first <= in_len; first++) {
        size_t len = clean(in, in_len, first, in_len, keep, out, NULL);
        assert_int_equal(len, want_len);
        assert_memory_equal(out, want, want_len);
    }
    free(out);
}

#define EXPECT(in, want) expect_bytes(in, sizeof(in) - 1, want, sizeof(want) - 1, false)
#define EXPECT_KEPT(in, want) expect_bytes(in, sizeof(in) - 1, want, sizeof(want) - 1, true)

/* -- S9, one sentence after the other -- */

static void s9_marks_at_line_starts_go_and_in_the_text_stay(void **state)
{
    (void)state;
    EXPECT(BOM TS "a\n" BOM TS "b\n", "a\nb\n");
    EXPECT(BOM BOM "a\n" BOM "\n", "a\n\n");
    EXPECT(TS BOM "a\nb" BOM "\n", BOM "a\nb" BOM "\n");
    EXPECT("\xef\xbbx\n\xef\n\xef\xbb", "\xef\xbbx\n\xef\n\xef\xbb");
    EXPECT_KEPT(BOM TS "a\n", TS "a\n");
}

static void s9_timestamps_go_unless_kept(void **state)
{
    (void)state;
    EXPECT(TS "a\nmore\n" TS TS "b\n", "a\nmore\n" TS "b\n");
    EXPECT_KEPT(TS "a\n" TS "\x1b[1mb\n", TS "a\n" TS "b\n");
    EXPECT(TS "\n" STAMP "\n" STAMP "\r\n" STAMP, "\n\n\n");
    EXPECT(STAMP "x\n2025-11-15\n2025-11-15T12:26:36.008622Z a\n",
           STAMP "x\n2025-11-15\n2025-11-15T12:26:36.008622Z a\n");
}

static void s9_escape_sequences_go(void **state)
{
    (void)state;
    EXPECT("a\x1b[31;1mb\x1b[0m\x1b[?25lc\x1b[2 qd\n", "abcd\n");
    EXPECT("\x1b]0;title\x07x\x1b]8;;http://h/\x1b\\y\x1b]8;;\x1b\\\n", "xy\n");
    EXPECT("\x1bPq#0\x07\x1b\\a\x1b_x\x1b\\b\x1b^y\x1b\\c\x1bXz\x1b\\d\n", "abcd\n");
    EXPECT("\x1b(Ba\x1b"
           "7b\x1b=c\x1b"
           "cd\x1bMe\n",
           "abcde\n");
    EXPECT(TS "\x1b[36;1mecho\x1b[0m\r\n", "echo\n");
}

static void s9_an_unended_sequence_loses_only_its_esc(void **state)
{
    (void)state;
    EXPECT("a\x1b[31\nb\x1b]0;t\nc\x1b(\nd\x1b\n\x1bPq", "a[31\nb]0;t\nc(\nd\nPq");
    EXPECT("\x1b[31\xc3\xa4 \x1b[1\x07m\x1b[ 1m\n", "[31\xc3\xa4 [1m[ 1m\n");
    EXPECT("\x1b]0;t\x1b[1mx\x07\n", "]0;tx\n");
    EXPECT("\x1b]0;t\x01\xc2\x85\tu\r\nv\x07\n", "]0;t\tu\nv\n");
    EXPECT("\x1b\x1b[1mx\x1b", "x");
}

static void s9_controls_go_but_tab_and_newline(void **state)
{
    (void)state;
    EXPECT("a\tb\0c\x01"
           "d\x7f"
           "e\x0b\x0c\x08\r\n",
           "a\tbcde\n");
    EXPECT("a\rb\r\n\r\n", "ab\n\n");
    EXPECT("\xc2\x80"
           "a\xc2\x9f"
           "b\xc2\xa0\n",
           "ab\xc2\xa0\n");
}

static void s9_what_is_not_utf8_passes(void **state)
{
    (void)state;
    EXPECT("\x80\x9f\xff\xfe\xc3(\xe4\x85\x85\xc2\n\xc2x\xc2",
           "\x80\x9f\xff\xfe\xc3(\xe4\x85\x85\xc2\n\xc2x\xc2");
}

static void s9_dropping_bytes_makes_no_control_character(void **state)
{
    (void)state;
    EXPECT("\xc2\x1b[m\x9b"
           "31m \xc2\0\x85\n",
           "31m \n");
    EXPECT("\xc2\xc2\x85\x85"
           "a\n",
           "\xc2"
           "a\n");
}

static void s9_no_line_is_lost(void **state)
{
    (void)state;
    EXPECT("\n\n\x1b[\n\x1b]\n\x01\n" BOM "\nend", "\n\n[\n]\n\n\nend");
    EXPECT("", "");
}

/* -- bounds -- */

static void a_sequence_longer_than_the_bound_counts_as_unended(void **state)
{
    (void)state;
    size_t len = 3 * (size_t)TEXT_ESCAPE_MAX;
    char *in = malloc(len), *out = malloc(len + TEXT_CLEAN_SLACK);
    for (size_t body = TEXT_ESCAPE_MAX - 4; body < TEXT_ESCAPE_MAX + 4; body++) {
        memset(in, 'x', len);
        memcpy(in, "\x1b]", 2);
        in[body + 2] = '\x07';
        size_t got = clean(in, len, 1000, 4096, false, out, NULL);
        assert_int_equal(got, body + 2 <= TEXT_ESCAPE_MAX ? len - body - 3 : len - 2);
    }
    free(in);
    free(out);
}

static void a_line_of_megabytes_with_an_unended_string_passes(void **state)
{
    (void)state;
    size_t len = (size_t)12 << 20;
    char *in = malloc(len), *out = malloc(len + TEXT_CLEAN_SLACK);
    memset(in, 'x', len);
    memcpy(in, "\x1b]", 2);
    in[len - 1] = '\n';
    assert_int_equal(clean(in, len, 65536, 65536, false, out, NULL), len - 1);
    assert_memory_equal(out, in + 1, len - 1);
    free(in);
    free(out);
}

/* -- the hook -- */

static void the_hook_sees_offset_time_and_head_of_each_line(void **state)
{
    (void)state;
    static const char in[] = BOM TS "first\n" TS "\x1b[1msecond\x1b[0m line\r\nthird";
    char out[sizeof in + TEXT_CLEAN_SLACK];
    struct seen seen = {0};
    clean(in, sizeof in - 1, 7, 7, false, out, &seen);
    assert_int_equal(seen.lines, 3);
    assert_int_equal(seen.last.offset, 6 + 12);
    assert_int_equal(seen.last.time_ms, TEXT_TIME_UNKNOWN);
    memset(&seen, 0, sizeof seen);
    clean(in, sizeof in - 6, 9, 5, true, out, &seen);
    assert_int_equal(seen.lines, 2);
    assert_int_equal(seen.last.offset, 29 + 6);
    assert_true(seen.last.time_ms == INT64_C(1763209596008));
    assert_int_equal(seen.last.head_len, 11);
    assert_memory_equal(seen.head, "second line", 11);
}

/* -- against the second cleaner -- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Random logs, made of what matters. */
static size_t random_log(uint32_t *seed, char *in, size_t max)
{
    static const struct {
        const char *s;
        size_t len;
    } parts[] = {
        {BOM, 3},     {TS, 29},    {STAMP, 28}, {"\n", 1},    {"\r\n", 2},     {"\x1b", 1},
        {"\x1b[", 2}, {"31;1", 4}, {"m", 1},    {"\x1b]", 2}, {"\x07", 1},     {"\x1b\\", 2},
        {"\x1bP", 2}, {"\xc2", 1}, {"\x85", 1}, {"\x9b", 1},  {"\xc3\xa4", 2}, {"\xef\xbb", 2},
        {"\0", 1},    {"\t", 1},   {" ", 1},    {"(", 1},     {"text", 4},     {"2025-1", 6},
        {"\x7f", 1},  {"Z", 1},    {"\xff", 1}, {"/", 1},
    };
    size_t len = 0;
    for (size_t n = next_random(seed) % 24; n > 0; n--) {
        size_t i = next_random(seed) % (sizeof parts / sizeof *parts);
        if (len + parts[i].len > max)
            break;
        memcpy(in + len, parts[i].s, parts[i].len);
        len += parts[i].len;
    }
    return len;
}

static void any_chunking_gives_what_the_simple_cleaner_gives(void **state)
{
    (void)state;
    enum { MAX = 512 };
    char in[MAX], want[MAX], *out = malloc(MAX + TEXT_CLEAN_SLACK);
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        bool keep = round % 4 == 0;
        size_t len = random_log(&seed, in, MAX);
        size_t want_len = naive_clean((unsigned char *)in, len, keep, want);
        uint64_t sum = 0;
        for (size_t piece = 1; piece <= len; piece++) {
            struct seen seen = {0};
            size_t got = clean(in, len, piece, piece % 5 ? len : piece, keep, out, &seen);
            assert_int_equal(got, want_len);
            assert_memory_equal(out, want, want_len);
            assert_true(piece == 1 || seen.sum == sum);
            sum = seen.sum;
        }
    }
    free(out);
}

/* -- real logs -- */

static char *file_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    struct stat st;
    assert_int_equal(fstat(fileno(f), &st), 0);
    char *text = malloc((size_t)st.st_size + 1);
    *len = fread(text, 1, (size_t)st.st_size, f);
    fclose(f);
    return text;
}

static void real_log_check(const char *path)
{
    size_t len;
    char *in = file_read(path, &len);
    char *want = malloc(len + 1), *out = malloc(len + TEXT_CLEAN_SLACK);
    static const size_t pieces[] = {64 << 10, 1 << 20, 4093, 61};
    size_t want_len = naive_clean((unsigned char *)in, len, false, want);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        assert_int_equal(clean(in, len, pieces[i], pieces[i], false, out, NULL), want_len);
        assert_memory_equal(out, want, want_len);
    }
    assert_null(memchr(out, '\x1b', want_len));
    assert_null(memchr(out, '\r', want_len));
    assert_null(memmem(out, want_len, "\n" BOM, 4));
    free(in);
    free(want);
    free(out);
}

static int child(const char *program, const char *a, const char *b, const char *c, const char *d)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp(program, program, a, b, c, d, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void real_logs_are_cleaned_as_the_simple_cleaner_does(void **state)
{
    (void)state;
    static const char archive[] = "../shared/real/logs.tar.xz";
    char folder[] = "/tmp/ghlogfs-text-XXXXXX", path[512];
    int logs = 0;
    if (access(archive, R_OK) != 0) {
        print_message("no real logs: %s is absent\n", archive);
        skip();
    }
    assert_non_null(mkdtemp(folder));
    assert_int_equal(child("tar", "-xJf", archive, "-C", folder), 0);
    snprintf(path, sizeof path, "%s/logs", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        snprintf(path, sizeof path, "%s/logs/%.200s", folder, e->d_name);
        if (e->d_name[0] == '.')
            continue;
        real_log_check(path);
        logs++;
    }
    closedir(dir);
    assert_int_equal(child("rm", "-rf", "--", folder, NULL), 0);
    assert_true(logs > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s9_marks_at_line_starts_go_and_in_the_text_stay),
        cmocka_unit_test(s9_timestamps_go_unless_kept),
        cmocka_unit_test(s9_escape_sequences_go),
        cmocka_unit_test(s9_an_unended_sequence_loses_only_its_esc),
        cmocka_unit_test(s9_controls_go_but_tab_and_newline),
        cmocka_unit_test(s9_what_is_not_utf8_passes),
        cmocka_unit_test(s9_dropping_bytes_makes_no_control_character),
        cmocka_unit_test(s9_no_line_is_lost),
        cmocka_unit_test(a_sequence_longer_than_the_bound_counts_as_unended),
        cmocka_unit_test(a_line_of_megabytes_with_an_unended_string_passes),
        cmocka_unit_test(the_hook_sees_offset_time_and_head_of_each_line),
        cmocka_unit_test(any_chunking_gives_what_the_simple_cleaner_gives),
        cmocka_unit_test(real_logs_are_cleaned_as_the_simple_cleaner_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
