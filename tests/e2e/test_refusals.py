"""Refusals that do not change: the same 5xx several times running is not worth more requests.

The first sight of one costs at most 10 requests, then nothing for a minute. How long it takes, and
what comes after the minute, is in unit/github (retry, refusals, call, remote), where time is an
argument.
Each job has words of its own, because an answer to several questions counts for others as well.
"""

import os
import signal
import time

import pytest

from faulting import each, made, names_of, one_job, outcome, outcomes
from mounting import (MIB, REPO, SLOW, ended, fails, forget, run, spawn, traffic,
                      wait_for)

NO_URL = {"message": "Failed to generate URL to download logs"}
HTML = "<!DOCTYPE html><html><head><title>Unicorn!</title></head><body>502</body></html>"
AZURE = ("<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to "
         "authenticate the request.\nRequestId:{request}\nTime:2026-11-27T00:00:00Z</Message>"
         "</Error>")
COMPLETED = {"completed_at": "2026-01-02T00:00:00Z"}
RUNNING = {"status": "in_progress", "log": "missing"}


def refuse(github, job, status=500, body=NO_URL, hop="api", **more):
    """The log's route refuses, or storage does; for good by default."""
    where = {"path": "/jobs/%d/logs" % job} if hop == "api" else {"job": job}
    return github.fault("status", hop=hop, status=status, body=body,
                        **dict({"times": -1}, **where, **more))


def of_job(github, job, hop="api"):
    """The requests about this job."""
    return [e for e in traffic(github).of(hop)
            if e["job"] == job or "/jobs/%d" % job in e["path"]]


def first_sight(github, look, most):
    """It takes at most so many requests."""
    forget(github)
    got = look()
    seen = traffic(github).requests
    assert sum(seen) <= most, seen
    return got


def remembered(github, look, most):
    """The same, and a second look costs none."""
    got = first_sight(github, look, most)
    assert first_sight(github, look, 0) == got
    return got


# --- a log that the API has no URL for -----------------------------------------------------------

SHAPES = {
    "no URL": {"body": NO_URL},
    "HTML": {"status": 502, "body": HTML},
    "HTML with an id": {"status": 502, "body": "<html>Request id: <b>{request}</b>"},
    "JSON with an id": {"status": 503, "body": {"message": "Server Error", "id": "{request}"}},
    "nothing": {"status": 504, "body": ""},
    "patience for no time": {"status": 503, "body": "later", "headers": {"Retry-After": "0"}},
}


def test_a_refused_log_of_a_completed_job(github, mount):
    """4 requests for the log, one for the job; then none for any reader, by name or by step."""
    jobs = {name: one_job(github, size=1000, **COMPLETED) for name in SHAPES}
    for name, job in jobs.items():
        refuse(github, job, **SHAPES[name])
    m = mount()
    got = outcomes(m, jobs, 1000)
    assert got == dict.fromkeys(SHAPES, "EIO after 0")
    for job in jobs.values():
        assert [e["path"].endswith("/logs") for e in of_job(github, job)] == [True] * 4 + [False]
    forget(github)
    for job in jobs.values():
        with fails("EIO"):
            m.log(job).stat()
        with fails("EIO"):
            m.log(job).with_suffix(".txt").read_bytes()
        assert os.getxattr(m.folder(job), "user.ghlogfs.state") == b"broken"
    assert traffic(github).requests == (0, 0)
    assert "status 500: Failed to generate URL to download logs (the same answer" in m.stderr


def test_a_refused_log_of_a_running_job(github, mount):
    """No log yet; once the job has ended its log is asked for, however lately it was refused."""
    job = one_job(github, size=None, **RUNNING)
    refuse(github, job)
    m = mount()
    assert first_sight(github, lambda: outcome(m.log(job), b""), 5) == "ENOENT after 0"
    assert os.getxattr(m.folder(job), "user.ghlogfs.state") == b"pending"
    forget(github)
    wait_for(lambda: not m.log(job).exists() and github.counters()["api"]["requests"], 20, 0.2)
    assert traffic(github).requests == (1, 0), "the job is asked"
    github.clear_faults()
    github.complete_job(job, size=4000)
    wait_for(m.log(job).exists, 20, 0.2)
    assert outcome(m.log(job), made(job, 4000)) == "right"


def test_a_refused_log_of_a_queued_job(github, mount):
    job = one_job(github, size=None, status="queued", log="missing")
    refuse(github, job)
    m = mount()
    assert first_sight(github, lambda: outcome(m.log(job), b""), 5) == "ENOENT after 0"


def test_a_refused_log_and_a_refused_job(github, mount):
    job = one_job(github, size=1000)
    github.fault("status", hop="api", path="/jobs/%d" % job, status=502, body=HTML, times=-1)
    m = mount()
    assert remembered(github, lambda: outcome(m.log(job), b""), 5) == "EIO after 0"


def test_a_refused_log_of_no_job(github, mount):
    refuse(github, 4242)
    m = mount()
    assert remembered(github, lambda: outcome(m.log(4242), b""), 5) == "ENOENT after 0"


def test_readers_of_a_refused_log_share_its_requests(github, mount):
    job = one_job(github, size=1000, **COMPLETED)
    refuse(github, job)
    m = mount()
    got = each(lambda _: outcome(m.log(job), b""), dict.fromkeys(range(12)))
    assert set(got.values()) == {"EIO after 0"}
    assert traffic(github).requests == (5, 0)


@pytest.mark.parametrize("body", (NO_URL, HTML))
def test_r1_a_log_refused_three_times_is_read(github, mount, body):
    job = one_job(github, size=1000)
    refuse(github, job, times=3, body=body)
    assert outcome(mount().log(job), made(job, 1000)) == "right"


def test_r1_refusals_that_ask_for_patience_are_waited_out(github, mount):
    job = one_job(github, size=1000)
    refuse(github, job, 503, {"message": "busy"}, times=5, headers={"Retry-After": "1"})
    assert outcome(mount().log(job), made(job, 1000)) == "right"


def test_a_refusal_is_not_kept_beyond_the_mount(github, mount):
    job = one_job(github, size=1000, **COMPLETED)
    refuse(github, job)
    m = mount()
    assert outcome(m.log(job), b"") == "EIO after 0"
    m.stop()
    github.clear_faults()
    assert outcome(mount(cache=m.cache).log(job), made(job, 1000)) == "right"


def test_a_refusal_hides_no_cached_log(github, mount):
    job = one_job(github, size=1000)
    m = mount()
    assert outcome(m.log(job), made(job, 1000)) == "right"
    m.stop()
    refuse(github, job)
    forget(github)
    assert outcome(mount(cache=m.cache).log(job), made(job, 1000)) == "right"
    assert traffic(github).requests == (0, 0)


# --- other questions -----------------------------------------------------------------------------

def test_any_other_question_that_is_refused(github, mount):
    """job.json, run.json, the runs, the workflows, the repositories."""
    run_id = github.add_run(REPO)
    job = github.add_job(run_id, size=1000)
    m = mount()
    paths = {"/actions/jobs/%d" % job: m.json(job),
             "/actions/runs/%d" % run_id: m.repo() / "runs" / str(run_id) / "run.json",
             "/actions/runs": m.repo() / "runs",
             "/repos": m.path / "octo"}
    for number, (path, _) in enumerate(paths.items()):
        github.fault("status", hop="api", path=path, status=502, times=-1, body="x" * (number + 1))

    def look(path):
        try:
            os.listdir(path) if path.suffix != ".json" else path.read_bytes()
        except OSError as error:
            return error.errno
        return 0

    # A list is asked for in smaller pages, too: twice each, and four times in the smallest.
    got = remembered(github, lambda: each(look, paths), 2 * 4 + (2 + 4) + (2 + 2 + 4))
    assert set(got.values()) == {5}, got


# --- storage -------------------------------------------------------------------------------------

def test_storage_that_refuses_for_good(github, mount):
    """4 requests each, and as many URLs at most; a later range likewise."""
    refusals = {"500": (500, "no"), "503": (503, HTML), "403": (403, AZURE),
                "400": (400, "<Error>{request}"), "418": (418, "tea")}
    jobs = {name: one_job(github, size=1000) for name in refusals}
    for name, job in jobs.items():
        refuse(github, job, *refusals[name], hop="storage")
    m = mount()
    got = names_of(outcomes(m, jobs, 1000))
    assert got == dict.fromkeys(refusals, "EIO")
    for name, job in jobs.items():
        assert len(of_job(github, job, "storage")) == 4, name
        assert len(of_job(github, job)) <= 4, name
    forget(github)
    assert names_of(outcomes(m, jobs, 1000)) == got
    assert traffic(github).requests == (0, 0)


def test_a_later_range_that_storage_refuses_for_good(github, mount):
    size = 6 * MIB
    job = one_job(github, size=size)
    refuse(github, job, 500, "no", hop="storage", range="bytes=1048576-")
    m = mount()
    with open(m.log(job), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1000, 0) == made(job, 1000)
        forget(github)
        with fails("EIO"):
            os.pread(file.fileno(), 1000, MIB)
        assert traffic(github).storage <= 10
        assert os.pread(file.fileno(), 1000, 500_000) == made(job, 501_000)[500_000:]


# --- many ----------------------------------------------------------------------------------------

def retries_since(started):
    """How many there may have been: 60 in each minute."""
    return 60 * (1 + int((time.monotonic() - started) / 60))


@pytest.mark.limit(180)
def test_many_refused_logs_at_once_cost_sixty_retries(github, mount):
    """800 jobs in small: 100 readers, each of a log of its own."""
    run_id = github.add_run(REPO)
    jobs = {n: github.add_job(run_id, size=1000, **COMPLETED) for n in range(100)}
    github.fault("status", hop="api", path="/logs", status=500, body=NO_URL, times=-1)
    m = mount()
    started = time.monotonic()
    got = outcomes(m, jobs, 1000)
    assert set(got.values()) == {"EIO after 0"}
    assert traffic(github).api <= 100 + retries_since(started)
    good = one_job(github, size=1000)
    github.clear_faults()
    assert outcome(m.log(good), made(good, 1000)) == "right"


@pytest.mark.limit(180)
def test_a_walk_over_many_refused_logs(github, mount):
    """The first ones prove the answer, and each of the others is one request."""
    run_id = github.add_run(REPO)
    for _ in range(150):
        github.add_job(run_id, size=1000, **COMPLETED)
    github.fault("status", hop="api", path="/logs", status=500, body=NO_URL, times=-1)
    m = mount()
    started = time.monotonic()
    done = run("grep", "-r", "x", m.repo() / "jobs", check=False, timeout=170)
    assert done.returncode == 2 and done.stderr.count(b"Input/output error") == 150
    assert traffic(github).api < 2 + 150 + retries_since(started)


@pytest.mark.limit(180)
@pytest.mark.parametrize("hop", ("api", "storage"))
def test_r1_a_walk_over_logs_that_are_refused_once_each(github, mount, hop):
    """Some of these refusals meet a prefetch, which is not retried: the reader asks."""
    run_id = github.add_run(REPO)
    jobs = [github.add_job(run_id, size=1000, **COMPLETED) for _ in range(12)]
    for job in jobs:
        refuse(github, job, times=1, hop=hop)
    m = mount()
    done = run("grep", "-rc", "--include=log", "", m.repo() / "jobs", timeout=170)
    assert len(done.stdout.splitlines()) == len(jobs) and not done.stderr
    for job in jobs:
        assert outcome(m.log(job), made(job, 1000)) == "right"


# --- the end of a reader, the end of the mount ---------------------------------------------------

@pytest.mark.parametrize("hop", ("api", "storage"))
def test_r6_a_reader_of_a_refused_log_can_be_killed(github, mount, hop):
    job = one_job(github, size=1000)
    refuse(github, job, hop=hop)
    m = mount()
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_for(lambda: len(of_job(github, job, hop)) >= 2, 10)
        reader.kill()
        assert reader.wait(10 * SLOW) == -signal.SIGKILL


@pytest.mark.parametrize("hop", ("api", "storage"))
def test_r6_a_mount_ends_while_a_refused_log_is_tried_again(github, mount, hop):
    jobs = [one_job(github, size=1000) for _ in range(80)]
    for job in jobs:
        refuse(github, job, hop=hop)
    m = mount()
    with ended([spawn("cat", m.log(job)) for job in jobs]) as readers:
        wait_for(lambda: getattr(traffic(github, settle=False), hop) >= 80, 30)
        m.stop("term", within=10)
        for reader in readers:
            assert reader.wait(10 * SLOW) == 1
