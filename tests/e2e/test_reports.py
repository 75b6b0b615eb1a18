"""Failure reports: what failed in a run, as one text (S22)."""

import mmap
import os
import re
import tarfile

import pytest

from archiving import stats
from mounting import (REPO, ROOT, ended, fails, forget, fork_all, out, read_at, run, spawn, traffic,
                      wait_active, wait_for)
from treeing import NOON, PLAIN, cut_job, listing, stamped, steps_of, within

REAL = ROOT.parent / "shared" / "real"
EXIT = "##[error]Process completed with exit code 2."
OURS = re.compile(r'run "|job "|also "|step "|file failed/|note: |left out: |$')


# --- runs that failed, and what is to be seen of them ---

def failing(lines, step="Run tests", name="build"):
    """The parts of a job whose second step printed these lines and failed."""
    first, said = PLAIN[0]
    return [(first, [*said, "Complete job name: " + name]),
            (step, ["##[group]Run tests", "make check", "##[endgroup]", *lines, EXIT]),
            *PLAIN[2:]]


def failed_job(github, made, lines=("main.c:7: error: no",), name="build", step="Run tests",
               start=NOON, **fields):
    parts = failing(lines, step, name)
    steps = steps_of(parts, start)
    steps[1]["conclusion"] = "failure"
    return github.add_job(made, **{
        "name": name, "text": stamped(parts, start), "steps": steps, "conclusion": "failure",
        "started_at": start, "completed_at": start + 10 * len(parts), **fields})


def failed_run(github, **fields):
    return github.add_run(REPO, **{"conclusion": "failure", **fields})


def path_of(m, made):
    return m.repo() / "reports" / ("%d.txt" % made)


def report(m, made):
    """The report, once it is seen to keep the rules that hold for each."""
    text = path_of(m, made).read_bytes().decode()
    assert len(text.encode()) <= 65536 and text.endswith("\n")
    for block in text.split("\n\n")[1:]:
        assert len(block.encode()) <= 16384 + 2 and block.count("\n") <= 200, block
    for line in text.splitlines():
        assert OURS.match(line) or re.match(r"  \d+: ", line), line
    check_lines(m, text)
    return text


def check_lines(m, text):
    """Each numbered line is that line of the file that is named above it."""
    lines = []
    for line in text.encode().split(b"\n"):
        if line.startswith(b"file "):
            lines = (m.repo() / line[5:].decode()).read_bytes().split(b"\n")
        elif line.startswith(b"  "):
            number, shown = line.split(b": ", 1)
            whole = lines[int(number) - 1]
            cut = re.fullmatch(rb"(.*) \.\.\. \[(\d+) bytes\]", shown)
            assert (cut and whole.startswith(cut[1]) and len(whole) == int(cut[2])) or (
                shown == whole)


def asked_logs(seen):
    """The jobs whose logs were asked for."""
    return {entry["job"] for entry in seen.of("api") if re.search(r"/jobs/\d+/logs$",
                                                                  entry["path"])}


def bodies(text):
    """The blocks of the report."""
    return text.rstrip("\n").split("\n\n")[1:]


# --- what a report tells ---

def test_s22_a_report_tells_what_failed_where_and_why(github, mount):
    github.add_repo(REPO)
    made = failed_run(github, title="Fix \"it\"\njob \"x\"", workflow="CI", branch="topic",
                      sha="0123456789abcdef0123456789abcdef01234567", event="pull_request")
    cut_job(github, made, name="good")
    failed_job(github, made, ["one", "a.c:1: error: two", "three"], name="test (3.9)")
    m = mount()
    assert listing(m.repo() / "reports") == ["%d.txt" % made]
    assert report(m, made) == (
        'run "CI" #1: "Fix \'it\'_job \'x\'", branch "topic", commit 0123456789ab, attempt 1, '
        'pull_request, 1 of 2 jobs failed, https://github.com/octo/hello/actions/runs/%d\n'
        "\n"
        'job "test (3.9)", step "Run tests", exit code 2, 10s\n'
        "file failed/%d/test (3.9)/02-Run tests.txt\n"
        "  1: ##[group]Run tests\n"
        "  2: make check\n"
        "  3: ##[endgroup]\n"
        "  4: one\n"
        "  5: a.c:1: error: two\n"
        "  6: three\n"
        "  7: ##[error]Process completed with exit code 2.\n" % (made, made))


def test_s22_each_error_and_the_ten_lines_before_it(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    filler = ["line %d" % n for n in range(100)]
    failed_job(github, made, [*filler, "##[error]first", *filler, "##[error]second", *filler])
    m = mount()
    shown = [int(n) for n in re.findall(r"^  (\d+): ", report(m, made), re.MULTILINE)]
    first, second, last = 3 + 101, 3 + 202, 3 + 303
    assert set(range(first - 10, first + 1)) | set(range(second - 10, second + 1)) <= set(shown)
    assert last in shown and 3 + 50 not in shown and 3 + 150 not in shown


def test_s22_without_any_sign_the_last_lines_of_the_step(github, mount):
    """Never of the job: that is always the clean-up."""
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["line %d" % n for n in range(100)])
    m = mount()
    shown = re.findall(r"^  (\d+): (.*)", report(m, made), re.MULTILINE)
    assert [int(number) for number, _ in shown] == list(range(104 - 29, 105))
    assert shown[-1][1] == EXIT


def test_s22_several_steps_of_a_job(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    parts = [PLAIN[0], *[("Run %d" % n, ["##[group]Run %d" % n, "##[endgroup]", "error: %d" % n,
                                         EXIT]) for n in range(7)], PLAIN[3]]
    steps = steps_of(parts)
    for step in steps[1:8]:
        step["conclusion"] = "failure"
    github.add_job(made, text=stamped(parts), steps=steps, conclusion="failure", started_at=NOON,
                   completed_at=NOON + 10 * len(parts))
    m = mount()
    text = report(m, made)
    assert re.findall(r"error: (\d)", text) == ["0", "1", "2", "3"]
    assert "left out: 3 more failed steps of this job\n" in text


def test_s22_equal_failures_are_told_once(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    versions = ["3.%d" % n for n in range(8, 14)]
    for n, version in enumerate(versions):
        failed_job(github, made, ["took %d ms" % n, "E   assert 1 == %d" % n],
                   name="test (%s)" % version, start=NOON + n)
    failed_job(github, made, ["error: of its own"], name="lint")
    m = mount()
    text = report(m, made)
    assert len(bodies(text)) == 2
    assert "also " + ", ".join('"test (%s)"' % v for v in versions[1:]) + "\n" in text
    assert "7 of 7 jobs failed" in text


# --- what it costs ---

def test_s22_p13_thirty_failed_runs(github, mount):
    """As many requests as failed jobs and runs, not as jobs."""
    github.add_repo(REPO)
    runs, failed = [], set()
    for _ in range(30):
        made = failed_run(github)
        runs.append(made)
        for n in range(39):
            github.add_job(made, name="job %d" % n, size=20_000)
        failed.add(failed_job(github, made, name="bad"))
    m = mount()
    forget(github)
    assert sorted(listing(m.repo() / "reports")) == ["%d.txt" % made for made in runs]
    listing(m.repo() / "failed")
    assert not asked_logs(traffic(github)) and traffic(github).storage == 0
    first = out("sh", "-c", "cat %s/reports/*" % m.repo())
    seen = traffic(github)
    assert seen.api <= 64 and asked_logs(seen) == failed and seen.storage == 30
    forget(github)
    assert out("sh", "-c", "cat %s/reports/*" % m.repo()) == first
    assert traffic(github).requests == (0, 0) and stats(m)["reports_made"] == 30
    m.stop()
    forget(github)
    again = mount(cache=m.cache)
    assert out("sh", "-c", "cat %s/reports/*" % again.repo()) == first
    seen = traffic(github)
    assert seen.charged == 0 and seen.storage == 0 and not asked_logs(seen)
    assert stats(again)["reports_made"] == 0
    assert first.count(b'job "bad", step "Run tests", exit code 2') == 30


def test_s22_no_log_of_a_job_that_passed_is_asked_for(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    for n in range(10):
        cut_job(github, made, name="good %d" % n)
    bad = {failed_job(github, made, ["error: %d" % n], name="bad %d" % n) for n in range(2)}
    m = mount()
    for words in (["ls", "-l"], ["cat"], ["grep", "-rn", "error"]):
        target = [path_of(m, made)] if words[0] == "cat" else [m.repo() / "reports"]
        run(*words, *target)
    assert asked_logs(traffic(github)) == bad


def test_s22_many_failed_jobs_of_a_run_cost_one_request(github, mount):
    """Its archive; and the report is the same as of its logs one by one."""
    github.add_repo(REPO)
    made = failed_run(github)
    for n in range(5):
        cut_job(github, made, name="good %d" % n)
        failed_job(github, made, ["error: of %s" % "abcde"[n]], name="bad %d" % n)
    github.op("archive", run=made, steps=False)
    m, plain = mount(), mount(archive_jobs=0)
    text = path_of(m, made).read_bytes()
    assert not asked_logs(traffic(github))
    assert path_of(plain, made).read_bytes() == text
    assert len(asked_logs(traffic(github))) == 5
    assert report(m, made).encode() == text


def test_s22_numbers_are_those_of_the_archives_steps(github, mount):
    """Which are cut at other lines here."""
    github.add_repo(REPO)
    made = failed_run(github)
    for n in range(5):
        failed_job(github, made, ["error: of %s" % "abcde"[n]] * 40, name="bad %d" % n)
    m = mount()
    report(m, made)
    assert not asked_logs(traffic(github))


def test_s22_the_logs_of_a_run_are_asked_for_at_once(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    for n in range(8):
        failed_job(github, made, ["error: %s" % "abcdefgh"[n]], name="bad %d" % n)
    m = mount(archive_jobs=0)
    github.fault("stall", hop="storage", times=-1)
    with ended([spawn("cat", path_of(m, made))]):
        wait_active(github, 8)
        github.op("clear_faults")


@pytest.mark.parametrize("order", (1, -1), ids=("forwards", "backwards"))
def test_s22_for_a_reader_of_all_reports_they_are_made_ahead(github, mount, order):
    """While it waits for the sixth, what the next ones need is requested."""
    github.add_repo(REPO)
    runs = [failed_run(github) for _ in range(20)]
    jobs = [failed_job(github, made, ["error: of %d" % made]) for made in runs][::order]
    m = mount(fresh=600)
    run("ls", "-R", m.repo() / "failed")        # so that the jobs are known
    github.fault("stall", hop="storage", job=jobs[5], times=-1)
    with ended([spawn("cat", *[path_of(m, made) for made in runs[::order]])]):
        wait_for(lambda: asked_logs(traffic(github, settle=False)) >= set(jobs[:10]))
        assert not asked_logs(traffic(github, settle=False)) & set(jobs[15:])
        github.op("clear_faults")


def test_s22_who_reads_some_reports_fetches_no_others(github, mount):
    github.add_repo(REPO)
    runs = [failed_run(github) for _ in range(12)]
    jobs = [failed_job(github, made) for made in runs]
    m, plain = mount(fresh=600), mount(prefetch=0, fresh=600)
    for each in (m, plain):
        run("ls", "-R", each.repo() / "failed")
    for index in (3, 4, 9, 8, 0, 11, 5):
        report(m, runs[index])
    wanted = {jobs[index] for index in (3, 4, 9, 8, 0, 11, 5)}
    assert asked_logs(traffic(github)) == wanted
    forget(github)
    for index in range(5):
        report(plain, runs[index])
    assert asked_logs(traffic(github)) == set(jobs[:5])


# --- the file ---

def test_s22_its_size_is_exact(github, mount, folder):
    github.add_repo(REPO)
    runs = [failed_run(github) for _ in range(5)]
    for made in runs:
        failed_job(github, made)
    m = mount()
    with open(path_of(m, runs[0]), "rb") as file:       # cold, opened without a look
        size = os.fstat(file.fileno()).st_size
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            text = mapped[:]
        assert len(text) == size == path_of(m, runs[0]).stat().st_size
    assert read_at(path_of(m, runs[1]), 4, 100) == read_at(path_of(m, runs[1]), 0, 104)[4:]
    size = path_of(m, runs[2]).stat().st_size           # cold, looked at first
    assert len(path_of(m, runs[2]).read_bytes()) == size
    run("tar", "-C", m.repo(), "-cf", folder / "a.tar", "reports")
    with tarfile.open(folder / "a.tar") as archive:
        for made in runs:
            got = archive.extractfile("reports/%d.txt" % made).read()
            assert got == path_of(m, made).read_bytes()


def test_s22_a_log_that_stalls_delays_no_other_report(github, mount):
    """Lookups in one directory may wait for each other: none waits for a log."""
    github.add_repo(REPO)
    slow, quick = failed_run(github), failed_run(github)
    job = failed_job(github, slow)
    failed_job(github, quick)
    m = mount()
    github.fault("stall", hop="storage", job=job, times=-1)
    with ended([spawn("stat", path_of(m, slow)), spawn("cat", path_of(m, slow))]):
        wait_active(github, 1)
        with within(5):
            assert len(listing(m.repo() / "reports")) == 2
            assert "main.c:7: error: no" in report(m, quick)
        github.op("clear_faults")


@pytest.mark.parametrize("options", ({}, {"no_cache": True}), ids=str)
def test_s22_many_readers_at_once(github, mount, options):
    """More than are kept in memory, each looked at and read by several."""
    github.add_repo(REPO)
    runs = [failed_run(github) for _ in range(30)]
    for made in runs:
        failed_job(github, made, ["error: of %d" % made])
    m = mount(runs=30, **options)
    paths = [path_of(m, made) for made in runs]

    def read_all(index):
        for path in paths[index:] + paths[:index]:
            text = path.read_bytes()
            assert len(text) == path.stat().st_size and b"error: of " + path.stem.encode() in text

    assert fork_all(8, read_all) == [0] * 8
    assert len(asked_logs(traffic(github))) == 30


def test_s22_an_unmount_ends_the_wait(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made)
    m = mount()
    github.fault("stall", hop="storage", times=-1)
    with ended([spawn("cat", path_of(m, made)) for _ in range(3)]) as readers:
        wait_active(github, 1)
        m.stop("term")
        assert all(reader.wait(10) == 1 for reader in readers)
    github.op("clear_faults")


def test_s22_what_is_no_run_has_no_report(github, mount):
    github.add_repo(REPO)
    m = mount()
    for name in ("1", "1.tx", ".txt", "01.txt", "0.txt", "x.txt", "1.txt.txt", "9" * 40 + ".txt"):
        with fails("ENOENT"):
            os.stat(m.repo() / "reports" / name)
    assert traffic(github).api == 0
    with fails("ENOENT"):
        path_of(m, 77).read_bytes()


def test_s22_the_same_bytes_from_two_mounts_and_when_made_anew(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    for n in range(2):
        failed_job(github, made, ["error: %s" % "ab"[n]], name="bad %d" % n)
    m, other = mount(), mount(no_cache=True)
    text = path_of(m, made).read_bytes()
    assert path_of(other, made).read_bytes() == text
    m.stop()
    (record,) = (m.cache / "v1").rglob("reports/**/%d-*~" % made)
    for change in (record.unlink, lambda: record.write_bytes(record.read_bytes()[:-1])):
        change()
        m = mount(cache=m.cache)
        assert path_of(m, made).read_bytes() == text
        m.stop()


def test_s22_readable_when_its_logs_are_evicted_and_offline(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made)
    m = mount()
    text = path_of(m, made).read_bytes()
    m.stop()
    for path in (m.cache / "v1").rglob("logs/*/*"):
        path.unlink()
    m = mount(cache=m.cache, offline=True)
    assert path_of(m, made).read_bytes() == text


def test_s22_with_timestamps(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["line %d" % n for n in range(40)] + ["##[error]a.c:1: bad"])
    m = mount(timestamps=True)
    text = report(m, made)
    assert re.search(r"^  44: 2026-01-01T12:00:10\.\d{7}Z ##\[error\]a.c:1: bad$", text,
                     re.MULTILINE)
    assert ", exit code 2, " in text and "  30: " not in text


# --- runs whose facts change ---

def test_s22_of_a_run_that_goes_on(github, mount):
    github.add_repo(REPO)
    made = github.add_run(REPO, status="in_progress")
    failed_job(github, made, ["error: first"], name="a")
    github.add_job(made, name="b", status="in_progress")
    m = mount(fresh=1)
    assert listing(m.repo() / "reports") == ["%d.txt" % made]
    text = report(m, made)
    assert "note: the run goes on: more may fail\n" in text and len(bodies(text)) == 1
    assert "1 of 2 jobs failed" in text
    failed_job(github, made, ["error: second"], name="c")
    wait_for(lambda: "error: second" in report(m, made))
    assert "2 of 3 jobs failed" in report(m, made)
    github.op("set_run", run=made, status="completed", conclusion="failure")
    wait_for(lambda: "note: " not in report(m, made))
    assert "error: first" in report(m, made)


def test_s22_of_a_run_that_was_re_run(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["error: first"])
    m = mount(fresh=1)
    assert "error: first" in report(m, made) and ", attempt 1, " in report(m, made)
    again = github.add_run(REPO, conclusion="failure", attempts=2)
    failed_job(github, again, ["error: first"], attempt=1)
    failed_job(github, again, ["error: second"], attempt=2)
    text = report(m, again)
    assert ", attempt 2, " in text and "error: second" in text and "error: first" not in text


# --- what cannot be had ---

@pytest.mark.parametrize("log, says", (("expired", "its log has expired"),
                                       ("missing", "GitHub has no log of it"),
                                       ("deleted", "GitHub has no log of it")))
def test_s22_a_log_that_is_gone_is_told(github, mount, log, says):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["error: here"], name="here")
    failed_job(github, made, name="gone", text=None, log=log)
    m = mount()
    text = report(m, made)
    there, gone = bodies(text)
    assert "error: here" in there
    assert gone.startswith('job "gone", step "Run tests", 10s\nnote: ' + says)


def test_s22_a_log_that_cannot_be_read_is_told_and_asked_for_again(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["error: here"], name="here")
    bad = failed_job(github, made, ["error: later"], name="bad")
    m = mount(deadline=20)
    github.fault("xml", hop="storage", job=bad, status=403, code="AuthenticationFailed",
                 message="no", times=-1)
    text = report(m, made)
    assert "error: here" in text and "note: its log cannot be read now" in text
    github.op("clear_faults")
    m.stop()
    assert "error: later" in report(mount(cache=m.cache), made)


def test_s22_a_job_without_steps(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["error: somewhere"], steps=[])
    m = mount()
    text = report(m, made)
    assert "note: its steps are not known\n" in text and "error: somewhere\n" in text
    assert "file failed/%d/build/00-log.txt\n" % made in text


def test_s22_a_run_without_jobs(github, mount):
    github.add_repo(REPO)
    made = failed_run(github, conclusion="startup_failure")
    m = mount()
    assert listing(m.repo() / "reports") == ["%d.txt" % made]
    assert report(m, made).splitlines()[1] == (
        "note: no job has run: the workflow could not be started")


def test_s22_a_job_that_never_ran(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    github.add_job(made, name="never", conclusion="failure", steps=[], runner="null",
                   log="missing")
    m = mount()
    assert bodies(report(m, made)) == ['job "never"\nnote: it never ran, and has no log']
    assert not asked_logs(traffic(github))


def test_s22_without_a_network_there_is_no_report_with_holes(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["error: here"], name="here")
    failed_job(github, made, ["error: there"], name="there")
    m = mount(deadline=3)
    listing(m.repo() / "failed" / str(made))
    github.op("refuse", hop="storage", seconds=600)
    with fails("ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "EIO"):
        path_of(m, made).read_bytes()
    github.op("accept", hop="storage")


# --- hostile ---

IMITATING = ['run "x" #1', "", 'job "x", step "y"', "file failed/1/x/y.txt", "  7: error: x",
             "left out: 1 of 2 error lines", "\rjob \"x\"", "note: x", "\u2028job \"x\""]


def test_s22_a_log_cannot_imitate_our_lines(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, [*IMITATING, *["error: " + line for line in IMITATING]])
    m = mount()
    text = path_of(m, made).read_bytes().decode()
    for line in text.replace("\u2028", "\n").replace("\r", "\n").split("\n")[3:]:
        assert line.startswith(("  ", "file failed/%d/" % made)) or not line, line
    assert len(bodies(text)) == 1


@pytest.mark.parametrize("name", ("-rf", "a/b", "x\ny", 'q", step "z', "\u202egnp", "../..", "",
                                  "é" * 200, "\u2028job \"x\"", "a" * 1000, "+x", "~"))
def test_s22_odd_names(github, mount, name):
    github.add_repo(REPO)
    made = failed_run(github, title=name, workflow=name or "w", branch=name or "b")
    failed_job(github, made, name=name, step=name)
    m = mount()
    text = path_of(m, made).read_bytes().decode()
    assert len(re.split("[\n\r\u2028\u2029\x0b\x0c\x85]", text)) == text.count("\n") + 1
    assert "\u202e" not in text and len(bodies(text)) == 1
    assert [line[:5] for line in text.splitlines() if not line.startswith("  ")] == [
        'run "', "", 'job "', "file "]


def test_s22_two_thousand_failed_jobs(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    for n in range(2000):
        failed_job(github, made, ["error: %s" % chr(97 + n % 26)], name="job %d" % n)
    m = mount(archive_jobs=0)
    with within(30):
        text = path_of(m, made).read_bytes().decode()
    assert len(text) <= 65536 and "2000 of 2000 jobs failed" in text
    assert len(bodies(text)) <= 21 and "left out: " in text and text.endswith(
        "more failed jobs, see failed/%d\n" % made)
    assert len(asked_logs(traffic(github))) <= 40


def test_s22_lines_of_400_kb(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    failed_job(github, made, ["error: " + "x" * 400_000] * 20)
    m = mount()
    text = report(m, made)
    assert " ... [400007 bytes]\n" in text


@pytest.mark.slow
def test_s22_a_large_log_of_errors_alone(github, mount):
    github.add_repo(REPO)
    made = failed_run(github)
    line = "2026-01-01T12:00:15.0000000Z ##[error]a.c:%07d: this is wrong, and so is that\n"
    raw = stamped(PLAIN[:1]) + b"".join(line.encode() % n for n in range(500_000))
    parts = failing([])
    steps = steps_of(parts)
    steps[1]["conclusion"] = "failure"
    github.add_job(made, text=raw, steps=steps, conclusion="failure", started_at=NOON,
                   completed_at=NOON + 40)
    m = mount()
    with within(20):
        text = path_of(m, made).read_bytes().decode()
    assert "a.c:0000000: " in text and "a.c:0499999: " in text
    assert re.search(r"left out: \d+ of 500000 error lines, see ", text)


# --- real logs ---

STAMP = re.compile(rb"(?:\xef\xbb\xbf)?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{7}Z")
NAME = re.compile(rb"Complete job name: ([^\r\n]*)")


def real_job(github, made, path):
    """A failed job with this log, and with the name and times that it tells."""
    raw = path.read_bytes()
    times = [match[1].decode() + "Z" for match in STAMP.finditer(raw)]
    name = NAME.search(raw)
    return github.add_job(made, name=name[1].decode() if name else path.stem, steps=[],
                          conclusion="failure", log={"file": str(path)}, started_at=min(times),
                          completed_at=max(times))


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "logs.tar.xz").exists(), reason="there are no real logs here")
def test_s22_real_logs(github, mount, folder):
    """Of jobs without steps; the same from logs out of archives and when made anew."""
    with tarfile.open(REAL / "logs.tar.xz") as archive:
        archive.extractall(folder)
    github.add_repo(REPO)
    logs, runs = sorted(folder.rglob("*.log")), []
    for first in range(0, len(logs), 4):
        made = failed_run(github)
        jobs = [real_job(github, made, path) for path in logs[first:first + 4]]
        github.op("archive", run=made, steps=False)
        runs.append((made, len(jobs)))
    m, other = mount(), mount(archive_jobs=0)
    for made, jobs in runs:
        text = report(m, made)
        assert len(bodies(text)) == jobs and min(body.count("\n  ") for body in bodies(text)) > 0
        assert path_of(other, made).read_bytes() == text.encode()
    assert stats(m)["logs_from_archives"] > len(logs) / 2
    other.stop()
    for path in (other.cache / "v1").rglob("reports/**/*~"):
        path.unlink()
    again = mount(cache=other.cache)
    for made, _ in runs:
        assert path_of(again, made).read_bytes() == path_of(m, made).read_bytes()
    assert stats(again)["reports_made"] == len(runs)
