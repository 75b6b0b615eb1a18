"""failed/: the failed steps of the failed jobs of the recent runs, and nothing else (S21)."""

import os
import stat
import time

import pytest

from mounting import REPO, SLOW, fails, forget, out, run, traffic, wait_for
from treeing import (BROKEN, ERROR, NOON, PLAIN, cut_job, failed_job, listing, steps_of, stamped,
                     within)

STEP = "02-Run make.txt"


def below(folder):
    """All that is in a folder, as sorted paths."""
    return sorted(out("find", folder, "-mindepth", "1", "-printf", "%P\n", text=True).splitlines())


def logs(github):
    """The jobs whose logs, or storage's answers about them, were requested; archives too."""
    return sorted({entry["job"] or entry["path"] for entry in traffic(github).entries
                   if entry["hop"] == "storage" or entry["path"].endswith("/logs")}, key=str)


@pytest.fixture
def three(github):
    """Three runs; of the one that failed, one of four jobs failed. {name: id}, its id first."""
    for _ in range(2):
        cut_job(github, github.add_run(REPO), name="build")
    made = github.add_run(REPO, conclusion="failure")
    jobs = {"build": cut_job(github, made, name="build"), "test": failed_job(github, made,
                                                                             name="test"),
            "lint": cut_job(github, made, name="lint", conclusion="cancelled"),
            "docs": github.add_job(made, name="docs", conclusion="skipped")}
    return made, jobs


# --- what is there -------------------------------------------------------------------------------

def test_s21_only_failed_steps_of_failed_jobs_are_there(three, mount):
    made, _ = three
    folder = mount().repo() / "failed"
    assert below(folder) == [str(made), "%d/test" % made, "%d/test/%s" % (made, STEP)]
    for name in ("build", "test/log", "run.json", "attempts", "test/01-Set up job.txt",
                 "test/00-log.txt", "lint", "docs", "none"):
        with fails("ENOENT"):
            os.lstat(folder / str(made) / name)


def test_s21_a_step_is_the_file_that_runs_has(three, mount):
    """Name, bytes, size, time; but its own node, so that no tool takes the two for one."""
    made, _ = three
    root = mount().repo()
    paths = [root / view / str(made) / "test" / STEP for view in ("failed", "runs")]
    infos = [os.lstat(path) for path in paths]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (infos[0].st_size, infos[0].st_mtime, infos[0].st_mode) == (
        infos[1].st_size, infos[1].st_mtime, infos[1].st_mode)
    assert stat.S_ISREG(infos[0].st_mode) and infos[0].st_nlink == 1
    for path in (paths[0], paths[0].parent, paths[0].parents[1]):
        other = root / "runs" / path.relative_to(root / "failed")
        assert os.lstat(path).st_ino != os.lstat(other).st_ino
    out("diff", "-r", paths[0].parent / STEP, paths[1])


def test_s21_names_are_those_of_the_whole_run(github, mount):
    """Which of two jobs of one name got the suffix does not depend on which of them failed."""
    made = github.add_run(REPO, conclusion="failure")
    cut_job(github, made, name="a/b")
    second = failed_job(github, made, name="a/b")
    odd = failed_job(github, made, name="run.json")
    root = mount().repo()
    names = sorted(listing(root / "failed" / str(made)))
    assert names == ["a∕b (%d)" % second, "run.json (%d)" % odd]
    assert set(names) < set(listing(root / "runs" / str(made)))


def test_s21_each_failing_line_is_found_once_by_its_step(github, mount):
    made = [github.add_run(REPO, conclusion="failure") for _ in range(2)]
    for one in made:
        failed_job(github, one, name="a")
        failed_job(github, one, name="b")
        cut_job(github, one, BROKEN, name="well")       # the same words, in a job that passed
    m = mount()
    found = out("grep", "-rnF", ERROR, "failed/", cwd=m.repo(), text=True).splitlines()
    assert sorted(found) == sorted("failed/%d/%s/%s:5:%s" % (one, name, STEP, ERROR)
                                   for one in made for name in "ab")
    shown = run("bash", "-c", "tail -qn 1 failed/*/*/*.txt", cwd=m.repo(), text=True).stdout
    assert shown.splitlines() == 4 * [ERROR]


# --- what it costs -------------------------------------------------------------------------------

READERS = ("grep -rn error failed/", "tail -n 40 failed/*/*/*.txt", "tar cf - failed | wc -c",
           "rsync -a failed OUT/", "find failed -newermt 2026-01-01", "ls -lR failed",
           "cp -r failed OUT/")


@pytest.mark.parametrize("line", READERS)
def test_s21_no_log_of_a_job_that_passed_is_fetched(three, github, mount, folder, line):
    made, jobs = three
    m = mount()
    done = run("bash", "-o", "pipefail", "-c", line.replace("OUT", str(folder)), cwd=m.repo())
    assert done.stdout or "OUT" in line
    assert logs(github) == [jobs["test"]]
    assert traffic(github).requests == (4 + 1 + 1, 1)
    if "OUT" in line:
        text = (folder / "failed" / str(made) / "test" / STEP).read_text()
        assert text.endswith(ERROR + "\n")


@pytest.mark.parametrize("line", ("ls failed", "find failed", "ls -R failed", "ls failed/*/*"))
def test_s21_names_alone_fetch_no_log(three, github, mount, line):
    m = mount(fresh=600)
    run("bash", "-c", line, cwd=m.repo())
    assert logs(github) == []
    forget(github)
    run("bash", "-c", line, cwd=m.repo())
    assert traffic(github).requests == (0, 0)


@pytest.mark.slow
def test_p13_thirty_failed_runs_of_forty_jobs(github, mount):
    """One failed job in each: one request for its run's jobs and one for its log, and no more."""
    for _ in range(30):
        made = github.add_run(REPO, conclusion="failure")
        github.ops([{"op": "add_job", "run": made, "name": "job %d" % n, "log": {"size": 2000}}
                    for n in range(39)])
        failed_job(github, made, name="bad")
    m = mount(fresh=600)
    run("find", m.repo() / "failed")
    assert traffic(github).requests == (34, 0)
    for cost in ((34 + 30, 30), (64, 30)):
        found = out("grep", "-rcF", ERROR, m.repo() / "failed")
        assert found.count(b":1\n") == 30
        assert traffic(github).requests == cost


# --- readers that walk ---------------------------------------------------------------------------

def many(github, good, bad):
    """A run of such jobs in turns; {True: failed ones, False: others}."""
    made = github.add_run(REPO, conclusion="failure")
    jobs = {True: [], False: []}
    for n in range(good + bad):
        failed = n * bad // (good + bad) < (n + 1) * bad // (good + bad)
        jobs[failed].append((failed_job if failed else cut_job)(github, made, name="job %02d" % n))
    assert (len(jobs[False]), len(jobs[True])) == (good, bad)
    return made, jobs


@pytest.mark.parametrize("before", ("true", "ls -R runs", "ls -R failed; ls -R runs"))
def test_s21_a_walk_is_prefetched_but_only_what_failed(github, mount, before):
    """Also where the reader has seen the listing of all jobs just before."""
    _, jobs = many(github, 20, 20)
    github.latency(api_ms=50, storage_ms=30)
    m = mount(archive_jobs=0)
    run("bash", "-c", before, cwd=m.repo())
    out("grep", "-rn", "error", m.repo() / "failed")
    assert logs(github) == sorted(jobs[True])
    assert github.counters()["storage"]["max_concurrent"] > 4
    assert traffic(github).storage == 20


def archives(github):
    return [entry["path"] for entry in traffic(github).of("api")
            if "/attempts/" in entry["path"] and entry["path"].endswith("/logs")]


def test_s21_many_failed_jobs_of_a_run_come_from_its_archive(github, mount):
    made, jobs = many(github, 4, 12)
    github.archive(run=made, steps=False)
    m = mount(archive_jobs=5)
    found = out("grep", "-rcF", ERROR, m.repo() / "failed")
    assert found.count(b":1\n") == 12
    assert len(archives(github)) == 1
    asked = [job for job in logs(github) if job in jobs[False]]
    assert asked == [], "the archive brings them; none was asked for"


def test_s21_a_few_failed_jobs_among_many_are_not_worth_the_archive(github, mount):
    """The archive would bring the logs of all jobs: what counts are those that failed."""
    _, jobs = many(github, 36, 4)
    m = mount(archive_jobs=5)
    out("grep", "-rcF", ERROR, m.repo() / "failed")
    assert archives(github) == [] and logs(github) == sorted(jobs[True])


def test_s21_two_thousand_failed_jobs(github, mount):
    """Their names are looked up one by one; no log is fetched for that."""
    made = github.add_run(REPO, conclusion="failure")
    github.ops([{"op": "add_job", "run": made, "name": "job %d" % n, "log": {"size": 100},
                 "conclusion": "success" if n % 2 else "failure"} for n in range(4000)])
    m = mount(fresh=600)
    with within(20 * SLOW):
        assert len(out("ls", "-l", m.repo() / "failed" / str(made)).splitlines()) == 1 + 2000
    assert traffic(github).requests == (1 + 40, 0)


# --- rows of the table ---------------------------------------------------------------------------

def shown(m, made):
    return below(m.repo() / "failed" / str(made))


def test_s21_cancelled_jobs_are_there_if_nothing_else_failed(github, mount):
    made = github.add_run(REPO, conclusion="timed_out")
    cut_job(github, made, name="well")
    cut_job(github, made, name="stopped", conclusion="cancelled", ends={2: "cancelled"})
    assert shown(mount(), made) == ["stopped", "stopped/" + STEP]


def test_s21_a_timed_out_job_has_the_step_that_was_stopped(github, mount):
    made = github.add_run(REPO, conclusion="timed_out")
    failed_job(github, made, name="slow", ends={2: "cancelled"}, conclusion="timed_out")
    assert shown(mount(), made) == ["slow", "slow/" + STEP]


def test_s21_a_lost_runner_s_job_has_the_step_without_an_end(github, mount):
    """As GitHub reports one: the rest is pending. It has a log as far as it came."""
    made = github.add_run(REPO, conclusion="failure")
    steps = steps_of(PLAIN)
    steps[1].update(status="in_progress", conclusion=None, completed_at=None)
    for step in steps[2:]:
        step.update(status="pending", conclusion=None, started_at=None, completed_at=None)
    github.add_job(made, name="lost", conclusion="failure", text=stamped(PLAIN[:2]),
                   started_at=NOON, completed_at=NOON + 3600, steps=steps)
    m = mount()
    assert shown(m, made) == ["lost", "lost/" + STEP]
    assert out("grep", "-rc", "needle", m.repo() / "failed").endswith(b":1\n")


def test_s21_a_job_without_a_failed_step_has_its_last_one(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    failed_job(github, made, PLAIN, ends={}, name="odd")
    assert shown(mount(), made) == ["odd", "odd/04-Complete job.txt"]


def test_s21_a_job_without_steps_has_its_whole_log(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    github.add_job(made, name="plain", conclusion="failure", size=5050, steps=[])
    assert shown(mount(), made) == ["plain", "plain/00-log.txt"]


def test_s21_a_job_that_never_ran_has_an_empty_directory(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    job = github.add_job(made, name="unpaid", conclusion="failure", log="none", steps=[],
                         runner="empty")
    m = mount()
    assert shown(m, made) == ["unpaid"]
    out("grep", "-rc", "x", m.repo() / "failed", check=False)
    assert logs(github) == [] and job


def test_s21_a_run_that_never_had_a_job_is_an_empty_directory(github, mount):
    """It is listed, for it failed; there is no log of it anywhere."""
    made = github.add_run(REPO, conclusion="startup_failure")
    m = mount()
    assert listing(m.repo() / "failed") == [str(made)]
    assert shown(m, made) == []


def test_s21_of_steps_that_ran_at_once_the_one_file_is_there(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    steps = steps_of(PLAIN)
    steps[1].update(completed_at="2026-01-01T12:00:29Z")        # as long as the step after it
    steps[2].update(name="Run two", started_at="2026-01-01T12:00:10Z", conclusion="failure")
    github.add_job(made, name="both", conclusion="failure", text=stamped(PLAIN), started_at=NOON,
                   completed_at=NOON + 40, steps=steps)
    assert shown(mount(), made) == ["both", "both/02-Run make +1.txt"]


def test_s21_any_run_may_be_looked_up(github, mount):
    """Listed or not: by its id, as in runs/."""
    passed = github.add_run(REPO)
    cut_job(github, passed)
    old = github.add_run(REPO, conclusion="failure", created_at="2025-01-01T00:00:00Z")
    failed_job(github, old)
    m = mount(runs=1)
    assert shown(m, passed) == [] and shown(m, old) == ["build", "build/" + STEP]
    with fails("ENOENT"):
        listing(m.repo() / "failed" / "5")


def test_s17_the_state_of_a_failed_run(three, mount):
    made, jobs = three
    m = mount()
    path = m.repo() / "failed" / str(made)
    assert os.getxattr(path, "user.ghlogfs.state") == b"unknown"
    listing(path)
    assert os.getxattr(path, "user.ghlogfs.state") == b"available"
    step = path / "test" / STEP
    assert os.getxattr(step, "user.ghlogfs.conclusion") == b"failure"
    assert os.getxattr(path / "test", "user.ghlogfs.run_id") == str(made).encode()


# --- runs that go on -----------------------------------------------------------------------------

def test_s21_a_failed_job_of_a_run_that_goes_on_is_there_at_once(github, mount):
    made = github.add_run(REPO, status="in_progress")
    going = github.add_job(made, name="going", status="in_progress")
    bad = github.add_job(made, name="bad", status="in_progress")
    github.add_job(made, name="stopped", conclusion="cancelled")
    m = mount(fresh=1)
    folder = m.repo() / "failed"
    assert listing(folder) == [] and listing(folder / str(made)) == []
    github.complete_job(job=bad, conclusion="failure", text=stamped(BROKEN), completed_at=NOON + 40)
    github.set_job(job=bad, started_at=NOON, steps=steps_of(BROKEN, ends={2: "failure"}))
    wait_for(lambda: listing(folder) == [str(made)], 10, 0.2)
    assert below(folder / str(made)) == ["bad", "bad/" + STEP]
    assert (folder / str(made) / "bad" / STEP).read_text().endswith(ERROR + "\n")
    assert traffic(github).storage == 1
    github.complete_job(job=going, conclusion="success")
    github.set_run(run=made, status="completed", conclusion="failure", updated_at=-1)
    time.sleep(1.1)
    assert below(folder) == [str(made), "%d/bad" % made, "%d/bad/%s" % (made, STEP)]


def test_s21_a_list_of_jobs_that_cannot_be_had_hides_no_other_run(github, mount):
    failed = github.add_run(REPO, conclusion="failure")
    going = [github.add_run(REPO, status=status) for status in ("in_progress", "queued")]
    for one in going:
        failed_job(github, one)
    github.fault("status", hop="api", times=-1, status=404, path="/runs/%d/" % going[0])
    assert listing(mount().repo() / "failed") == [str(going[1]), str(failed)]


def test_s21_a_run_that_is_run_again_keeps_the_jobs_that_are_not(github, mount):
    """Of the attempt before, what did not run again is as it ran last."""
    made = github.add_run(REPO, attempts=[{"conclusion": "failure"},
                                          {"status": "in_progress", "conclusion": None}])
    failed_job(github, made, name="left", attempt=1)
    failed_job(github, made, name="again", attempt=1)
    job = github.add_job(made, name="again", attempt=2, status="in_progress")
    m = mount(fresh=1)
    assert shown(m, made) == ["left", "left/" + STEP]
    github.complete_job(job=job, conclusion="success")
    github.set_run(run=made, status="completed", conclusion="failure", updated_at=-1)
    time.sleep(1.1)
    assert shown(m, made) == ["left", "left/" + STEP]


def test_s18_failed_lists_a_run_in_progress_by_what_is_newer(github, mount):
    """A stale filtered list has it as failed; its jobs tell that nothing of it has, by now."""
    made = github.add_run(REPO, conclusion="failure")
    github.index(repo=REPO, state="stale")
    github.set_run(run=made, attempt=2, status="in_progress", conclusion=None)
    cut_job(github, made, attempt=2)
    assert listing(mount().repo() / "failed") == []
