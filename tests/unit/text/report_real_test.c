/*
 * The reports of real failed steps hold what a person calls the cause, whatever pieces the logs
 * come in, and so do those of the whole logs. The logs are not part of the repository: without them
 * the tests are skipped. With GHLOGFS_REPORT_TABLE=FILE the result is written there as well, as a
 * table for docs/SEMANTICS.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text/clean.h"
#include "text/excerpt.h"
#include "text/report.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define REAL "../shared/real"

/* For each failed step the line that a person calls the cause, or a part of it. Not all that are
 * equal in a matrix are here. */
static const struct real_log {
    const char *archive; /* NULL: a log of logs.tar.xz, cut at lines */
    const char *file;
    size_t first, last;
    const char *cause;
} real_logs[] = {
    {NULL, "logs/asciidoctor-2024-windows-maven-fail.log", 117, 816,
     "generated HTML must not contain CRLF sequences"},
    {NULL, "logs/aspectj-2024-ubuntu-maven-2mb.log", 1723, 20368,
     "Exception in thread \"main\" java.lang.RuntimeException: failed to get Boolean \"PASS\""},
    {NULL, "logs/autokitteh-2025-ubuntu-playwright-cancelled.log", 1526, 2224,
     "The operation was canceled."},
    {NULL, "logs/bratan-2026-windows-electron-crlf-small.log", 177, 211,
     "configuration has an unknown property 'skipNodeRebuild'"},
    {NULL, "logs/ca-scanner-2025-ubuntu-dotnet-70-warnings.log", 775, 803,
     "The report file pattern '**/coverage.opencover.xml' found no matching files."},
    {NULL, "logs/concept-rag-2025-node-many-colours.log", 250, 2424,
     "DatabaseError: Failed to open table \"chunks\""},
    {NULL, "logs/cv-2022-ubuntu-gradle-crlf.log", 544, 1823,
     "fatal: unsafe repository ('/github/workspace' is owned by someone else)"},
    {NULL, "logs/infrahouse-2026-terraform-pytest.log", 319, 4362,
     "Error: operation error DynamoDB: DescribeTable"},
    {NULL, "logs/ionic-2025-ubuntu-screenshot-diff.log", 143, 2421,
     "181 pixels (ratio 0.01 of all image pixels) are different."},
    {NULL, "logs/jpasskit-2026-maven-release-long-lines.log", 175, 3893,
     "Provider.isPresent()\" because \"this.immutableRelease\" is null"},
    {NULL, "logs/keycloak-operator-2026-kind-integration.log", 402, 3305,
     "test_script_mapper_blocked - tests.integration.wait_helpers.ResourceNotReadyError"},
    {NULL, "logs/markitdown-2025-ubuntu-replacement-chars.log", 158, 408,
     "FAILED tests/test_cli_vectors.py::test_output_to_stdout[test_vector6] - assert"},
    {NULL, "logs/mistkit-2026-ubuntu-swift-wasm-fail.log", 189, 8390,
     "wasm trap: out of bounds memory access"},
    {NULL, "logs/nephoran-2025-ubuntu-12560-error-lines.log", 363, 38092,
     "api/intent/v1alpha1/groupversion_info.go:5:1: File is not properly formatted (gci)"},
    {NULL, "logs/nephoran-2025-windows-cancelled-crlf.log", 244, 280,
     "The operation was canceled."},
    {NULL, "logs/pytorch-2023-selfhosted-huge-line.log", 2548, 17041,
     "test_ops.py::TestCommonCPU::test_out_warning__refs_cat_cpu - KeyError: 'dim"},
    {NULL, "logs/pytorch-rl-2026-gpu-docker-progress.log", 3106, 17849,
     "ModuleNotFoundError: No module named 'procgen'"},
    {NULL, "logs/rpi-hw-info-2025-ubuntu-pytest-small.log", 228, 245, "Command not found: pytest"},
    {NULL, "logs/s3proxy-2025-ubuntu-node-docker.log", 569, 924,
     "CredentialsProviderError: Could not load credentials from any providers"},
    {NULL, "logs/upjet-2026-go-make.log", 929, 3000,
     "status.((conditions[?type == 'Test'])[0]).status: Required value: field not found"},
    {NULL, "logs/uv-2025-windows-cargo-nextest-colours.log", 630, 3156,
     "workspace::workspace_lock_idempotence_virtual_workspace' panicked at"},
    {NULL, "logs/x32-2025-windows-cargo-debug-crlf.log", 1316, 1358,
     "The directory name is invalid"},
    {NULL, "logs/zipgit-2025-ubuntu-256colour.log", 1378, 6809,
     "error: expected expression, found `let` statement"},
    {"ASISaga-businessinfinity.asisaga.com-1", "build/4_Build with Jekyll.txt", 1, 0,
     "The selector \".nav-alias\" was not found."},
    {"Amengclass-cc-switch-1", "Frontend Checks/10_Unit tests.txt", 1, 0,
     "TypeError: useSettingsQuery is not a function"},
    {"AnEntrypoint-looper-1", "build/7_Build circle libraries.txt", 1, 0,
     "error: no matching function for call to 'CUSBMIDIDevice::CUSBMIDIDevice(CUSBFunction*&)'"},
    {"Aros-Technology-Studio-AST-Aros-Financial-Paradigm-1", "build/6_Run Tests.txt", 1, 0,
     "Nest can't resolve dependencies of the FeeDistributionService"},
    {"Diabl0269-gravisynth-1", "Build, Test, and Coverage/7_Build.txt", 1, 0,
     "fatal error: 'gtk/gtk.h' file not found"},
    {"DoubleShift-wps-note-clone-4", "build-android/15_Upload APK.txt", 1, 0,
     "(409) Conflict: an artifact with this name already exists"},
    {"EcoSphereNetwork-smolitux-ui-1", "Build Docusaurus to gh-pages/4_Install dependencies.txt", 1,
     0, "npm error Invalid: lock file's @csstools/css-calc@2.1.1 does not satisfy"},
    {"Funfamm-aim-platform-1", "Build validation/8_Push schema to ephemeral CI database.txt", 1, 0,
     "error: Environment variable not found: DIRECT_URL."},
    {"Godwin-88-CRM-1", "build-and-push/6_Build and push Laravel app image.txt", 1, 0,
     "failed to calculate checksum of ref 59y6xpfqb2vttuhv0ug8dz7gq::jxehcirdut0e54evxradjckem"},
    {"HansPeterRadtke-android-github-build-1", "build/6_Build APK.txt", 1, 0,
     "Task with path ':app:scripts:downloadModels' not found in project ':app'."},
    {"ImL1s-screen_inu-1", "test/8_Run Playwright Tests.txt", 1, 0,
     "Error: expect(received).toBeGreaterThanOrEqual(expected)"},
    {"MLorneSmith-sophie-workspace-1",
     "Build Application _ Build Application/6_Build application.txt", 1, 0,
     "uncaughtException [Error: write EPIPE]"},
    {"PolicyEngine-policyengine-us-data-1", "Test _ test/10_Run tests.txt", 1, 0,
     "AssertionError: Expected 20k-25k active households, got 7,968."},
    {"Shidqi123-goddatax-ios-1", "Build Unsigned IPA/6_Build Xcode Project (Unsigned).txt", 1, 0,
     "AppDelegate.swift:46:117: error: extra argument 'restorationHandler' in call"},
    {"Yun-OwO-colorist-reborn-1", "build/5_Build.txt", 1, 0,
     "ColoristJeiPlugin.java:7: error: cannot find symbol"},
    {"addisonk-CustomPlayerAnthems-2", "build/13_Commit Version Update.txt", 1, 0,
     "remote: Permission to addisonk/CustomPlayerAnthems.git denied to github-actions[bot]."},
    {"addisonk-CustomPlayerAnthems-2",
     "error-investigation/2_Comprehensive Build Error Investigation.txt", 1, 0,
     "The value of the GH_TOKEN environment variable is being used for authentication."},
    {"ahmed-226m-Hello-World-CI-1", "build-and-test/5_Run ESLint.txt", 1, 0,
     "sh: 1: eslint: not found"},
    {"azaduluyazi-worldscope-2", "Lint, Test & Build/5_Lint.txt", 1, 0,
     "error  Error: Cannot call impure function during render"},
    {"azaduluyazi-worldscope-2", "Lint, Test & Build/7_Type Check & Build.txt", 1, 0,
     "Error: supabaseKey is required."},
    {"bhrq12-acctl-2", "Build/10_Compile Packages.txt", 1, 0,
     "if_ether.h:115:8: error: redefinition of 'struct ethhdr'"},
    {"cuongchung84-shopware-social-marketing-1", "build/5_Check Coding Standards.txt", 1, 0,
     "vendor/bin/phpcs: No such file or directory"},
    {"emmanuellaisa00-analysis-1", "build-and-deploy/7_Build debug APK.txt", 1, 0,
     "MainActivity.kt:219:112 imports are only allowed in the beginning of file"},
    {"gjoeckel-otter-1", "deploy/13_Verify health endpoint.txt", 1, 0,
     "Health check failed: HTTP 404"},
    {"jleechanorg-claude-commands-1", "test/6_Run test suite.txt", 1, 0,
     "ModuleNotFoundError: No module named 'pytest'"},
    {"kaiserguy-ai-questions-1", "validate (20.x)/5_Run unit tests.txt", 1, 0,
     "should not contain demo or placeholder functionality"},
    {"kneelinghorse-OODS-Foundry-1", "vr-test/11_Publish to Chromatic.txt", 1, 0,
     "Found 17 visual changes"},
    {"kneelinghorse-OODS-Foundry-1", "vr-test/8_Build packages.txt", 1, 0,
     "error TS2307: Cannot find module '@oods/artifacts'"},
    {"lorenzoperrone-promptino-1", "build/6_Run tests.txt", 1, 0,
     "Expected markers to contain 3 item(s), but found 0: {empty}."},
    {"martintrojer-jj-fugitive-1", "format/3_Install stylua.txt", 1, 0,
     "Diff in ./lua/jj-fugitive/diff.lua:"},
    {"martintrojer-jj-fugitive-1", "test (nightly)/6_Run comprehensive test suite.txt", 1, 0,
     "FAIL: Bookmark subcommand completion works - Should return bookmark subcommands"},
    {"martintrojer-jj-fugitive-1", "test (stable)/6_Run comprehensive test suite.txt", 1, 0,
     "FAIL: Bookmark subcommand completion works - Should return bookmark subcommands"},
    {"mirqtio-LeadFactory_v1-1", "test-minimal/10_Run core unit tests.txt", 1, 0,
     "E   AssertionError: assert True is False"},
    {"mohavro-financial-asset-relationship-db-2",
     "Test Python 3.8/2_Run CI common for Python 3.8.txt", 1, 0,
     "Can't find 'action.yml', 'action.yaml' or 'Dockerfile'"},
    {"nekomiya-kasane-llvm-toolchain-builder-1",
     "Bootstrap Tools/3_Install git (build from source if needed).txt", 1, 0,
     "tar (child): xz: Cannot exec: No such file or directory"},
    {"patapem-ermete-os-7", "Build and push image/9_Push To GHCR.txt", 1, 0,
     "denied: permission_denied: write_package"},
    {"qoin-inc-qoin-1", "build-deploy/5_Build.txt", 1, 0,
     "Module not found: Can't resolve '@/components/AdminView'"},
    {"rohit-577-rag-ci-cd-1", "Integration Tests/10_Run all tests including integration.txt", 1, 0,
     "Answer: [Error generating response: timed out]"},
    {"saikhantaung1988-sys-Standard-Global-Exchange-1", "build (18.x)/3_Use Node.js 18.x.txt", 1, 0,
     "The operation was canceled."},
    {"saikhantaung1988-sys-Standard-Global-Exchange-1", "build (22.x)/3_Use Node.js 22.x.txt", 1, 0,
     "Dependencies lock file is not found"},
    {"sistemas39-zombie-survival-1", "build/6_Compilar APK.txt", 1, 0,
     "fatal error: 'longintrepr.h' file not found"},
    {"somkid2042-star-EA_DASHBOARD_WEB-1", "release/6_Build Tauri App.txt", 1, 0,
     "You must change the bundle identifier"},
    {"suhaimitoamy-nutritrack-1", "build/7_Build APK.txt", 1, 0,
     "Dependency 'androidx.core:core-ktx:1.18.0' requires libraries and applications"},
    {"thc1006-nephoran-intent-operator-1", "CI Status Check/2_Check status.txt", 1, 0,
     "Test: cancelled"},
    {"thc1006-nephoran-intent-operator-1", "Test (ubuntu-latest)/5_Run tests (Unix).txt", 1, 0,
     "internal/porch/executor.go:95:14: undefined: cmdSafeQuoteWindows"},
    {"thc1006-nephoran-intent-operator-2", "CI Status Check/2_Check status.txt", 1, 0,
     "Test: failure"},
    {"thc1006-nephoran-intent-operator-2", "Test (windows-latest)/6_Run tests (Windows).txt", 1, 0,
     "--- FAIL: TestComprehensiveSecuritySuite ("},
    {"thc1006-nephoran-intent-operator-4", "Test (windows-latest)/6_Run tests (Windows).txt", 1, 0,
     "The operation was canceled."},
    {"thc1006-nephoran-intent-operator-5", "Test (windows-latest)/6_Run tests (Windows).txt", 1, 0,
     "--- FAIL: TestComprehensiveSecuritySuite ("},
    {"theobattaglia1-coverflow_amf-1", "test (18.x)/5_Run unit tests.txt", 1, 0,
     "EACCES: permission denied, mkdir '/data/pushTestArtist'"},
    {"yukaidi1220-aria2-1", "linux arm64/7_Build and test.txt", 1, 0, "Segmentation fault"},
    {"yukaidi1220-aria2-1", "linux x86_64/7_Build and test.txt", 1, 0,
     "Program received signal SIGSEGV, Segmentation fault."},
};

/* A cleaned log, or a part of one. */
struct log {
    char *bytes;
    size_t len;
};

static char folder[] = "/tmp/ghlogfs-report-XXXXXX";

static void run(const char *const *args)
{
    pid_t pid;
    int status = 0;
    char *const environment[] = {(char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin", NULL};
    assert_int_equal(
        posix_spawnp(&pid, args[0], NULL, NULL, (char *const *)(uintptr_t)args, environment), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/* Unpacks all that the tests read, once. */
static int unpack(void **state)
{
    (void)state;
    if (access(REAL "/logs.tar.xz", R_OK) != 0 || access("/usr/bin/unzip", X_OK) != 0)
        return 0;
    assert_non_null(mkdtemp(folder));
    run((const char *[]){"tar", "-xJf", REAL "/logs.tar.xz", "-C", folder, NULL});
    for (size_t i = 0; i < COUNT(real_logs); i++) {
        char archive[256], target[256];
        if (!real_logs[i].archive)
            continue;
        snprintf(archive, sizeof archive, REAL "/archives/%s.zip", real_logs[i].archive);
        snprintf(target, sizeof target, "%s/%s", folder, real_logs[i].archive);
        if (access(target, F_OK) != 0)
            run((const char *[]){"unzip", "-q", archive, "-d", target, NULL});
    }
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && !strstr(folder, "XXXXXX");
}

static struct log log_read(const char *name)
{
    static struct text_cleaner cleaner;
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    size_t size = (size_t)st.st_size;
    char *raw = malloc(size + 1);
    struct log log = {.bytes = malloc(size + TEXT_CLEAN_SLACK)};
    assert_true(raw && log.bytes);
    assert_int_equal(read(fd, raw, size), size);
    close(fd);
    text_cleaner_init(&cleaner, false, NULL, NULL);
    log.len = text_cleaner_feed(&cleaner, raw, size, log.bytes);
    log.len += text_cleaner_finish(&cleaner, log.bytes + log.len);
    free(raw);
    return log;
}

/* The step's lines only. */
static void log_cut(struct log *log, size_t first, size_t last)
{
    size_t line = 1, begin = 0, at = 0;
    for (; at < log->len && line <= last; at++) {
        if (log->bytes[at] != '\n')
            continue;
        line++;
        if (line == first)
            begin = at + 1;
    }
    memmove(log->bytes, log->bytes + begin, at - begin);
    log->len = at - begin;
}

static char *report_of(const struct log *log, size_t piece, size_t *ret_len)
{
    struct text_picker *p = NULL;
    struct text_excerpt *e = NULL;
    char *text = NULL;
    assert_int_equal(text_picker_create(&p), 0);
    for (size_t at = 0; at < log->len; at += piece)
        text_picker_feed(p, log->bytes + at, log->len - at < piece ? log->len - at : piece);
    assert_int_equal(text_picker_finish(p, &e), 0);
    const struct text_report_step step = {
        .name = "step", .path = "failed/1/job/1.txt", .excerpt = e};
    const struct text_report_job job = {.name = "job", .steps = &step, .step_count = 1};
    const struct text_report_run only = {.workflow = "CI", .jobs_failed = 1, .jobs_total = 1};
    assert_int_equal(text_report_make(&only, &job, 1, &text, ret_len), 0);
    text_picker_destroy(p);
    free(e);
    return text;
}

static void check_lines(const char *text, size_t len)
{
    size_t lines = 0, job = 0;
    for (const char *at = text; at < text + len; lines++) {
        const char *end = memchr(at, '\n', (size_t)(text + len - at));
        assert_non_null(end);
        if (strncmp(at, "  ", 2) != 0)
            assert_true(at == text || at == end || strncmp(at, "job \"job\", ", 11) == 0 ||
                        strncmp(at, "file failed/1/", 14) == 0 ||
                        strncmp(at, "left out: ", 10) == 0);
        if (strncmp(at, "job ", 4) == 0)
            job = lines;
        at = end + 1;
    }
    assert_true(job > 0 && lines - job <= TEXT_EXCERPT_LINES);
    assert_true(len <= TEXT_EXCERPT_BYTES + 256);
}

/* Whether the report of the log holds the cause, in whatever pieces the log comes. */
static bool is_found(const struct log *log, const char *cause)
{
    static const size_t pieces[] = {1, 61, 65536};
    size_t len = 0, again_len = 0;
    char *text = report_of(log, log->len + 1, &len);
    for (size_t n = 0; n < COUNT(pieces); n++) {
        char *again = report_of(log, pieces[n], &again_len);
        assert_int_equal(len, again_len);
        assert_memory_equal(text, again, len);
        free(again);
    }
    check_lines(text, len);
    bool found = memmem(text, len, cause, strlen(cause)) != NULL;
    free(text);
    return found;
}

static void put_row(FILE *table, const struct real_log *real, bool found)
{
    if (!table)
        return;
    fprintf(table, "| %s%s%s | `", real->archive ? real->archive : "", real->archive ? ": " : "",
            real->file);
    for (const char *c = real->cause; *c; c++)
        fprintf(table, *c == '|' ? "\\|" : "%c", *c == '`' ? '\'' : *c);
    fprintf(table, "` | %s |\n", found ? "yes" : "no");
}

static void reports_of_real_logs_hold_the_cause(void **state)
{
    (void)state;
    const char *path = getenv("GHLOGFS_REPORT_TABLE");
    size_t missing = 0;
    if (strstr(folder, "XXXXXX"))
        skip();
    FILE *table = path ? fopen(path, "w") : NULL;
    if (table)
        fprintf(table, "| log | cause | found |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < COUNT(real_logs); i++) {
        const struct real_log *real = &real_logs[i];
        char name[512];
        snprintf(name, sizeof name, "%s%s%s", real->archive ? real->archive : "",
                 real->archive ? "/" : "", real->file);
        struct log log = log_read(name);
        bool found = is_found(&log, real->cause);
        if (real->last > 0) {
            log_cut(&log, real->first, real->last);
            found &= is_found(&log, real->cause);
        }
        put_row(table, real, found);
        if (!found)
            print_error("%s: not in the report: %s\n", name, real->cause);
        missing += !found;
        free(log.bytes);
    }
    if (table)
        fclose(table);
    assert_int_equal(missing, 0);
}

static void equal_failures_of_a_real_matrix_are_told_once(void **state)
{
    (void)state;
    static const char *const versions[] = {"3.8", "3.9", "3.10", "3.11", "3.12"};
    struct text_excerpt *excerpts[COUNT(versions)];
    struct text_report_step steps[COUNT(versions)];
    struct text_report_job jobs[COUNT(versions)];
    char names[COUNT(versions)][64];
    const struct text_report_run matrix = {.jobs_failed = COUNT(versions)};
    if (strstr(folder, "XXXXXX"))
        skip();
    for (size_t i = 0; i < COUNT(versions); i++) {
        char name[256];
        struct text_picker *p = NULL;
        snprintf(name, sizeof name,
                 "mohavro-financial-asset-relationship-db-2/Test Python %s/2_Run CI common for "
                 "Python %s.txt",
                 versions[i], versions[i]);
        struct log log = log_read(name);
        assert_int_equal(text_picker_create(&p), 0);
        text_picker_feed(p, log.bytes, log.len);
        assert_int_equal(text_picker_finish(p, &excerpts[i]), 0);
        text_picker_destroy(p);
        free(log.bytes);
        snprintf(names[i], sizeof names[i], "Test Python %s", versions[i]);
        steps[i] = (struct text_report_step){.name = names[i], .excerpt = excerpts[i]};
        jobs[i] = (struct text_report_job){.name = names[i], .steps = &steps[i], .step_count = 1};
    }
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(text_report_make(&matrix, jobs, COUNT(versions), &text, &len), 0);
    static const char also[] = "\nalso \"Test Python 3.9\", \"Test Python 3.10\", "
                               "\"Test Python 3.11\", \"Test Python 3.12\"\n";
    assert_non_null(memmem(text, len, also, sizeof also - 1));
    free(text);
    for (size_t i = 0; i < COUNT(versions); i++)
        free(excerpts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_of_real_logs_hold_the_cause),
        cmocka_unit_test(equal_failures_of_a_real_matrix_are_told_once),
    };
    return cmocka_run_group_tests(tests, unpack, clean_up);
}
