"""contrib/ghlogfs-fill brings all logs of repositories into a shared store."""

import os
import signal
import subprocess

import pytest

import fake.content
from faulting import named_logs
from filling import FILL, Filler
from mounting import (REPO, SLOW, daemons_of, forget, mounted, run, traffic, unmount, wait_active,
                      wait_for)
from sharing import KEY, SECRET, Store, stats

SIZE = 20_000
OTHER = "octo/other"


@pytest.fixture
def store(github, folder):
    return Store(github, folder)


@pytest.fixture
def filler(github, folder, fuse):
    made = Filler(github, folder)
    yield made
    for left in made.tmp.iterdir():         # of a test that failed
        for pid in daemons_of(left):
            os.kill(pid, signal.SIGKILL)
        if mounted(left):
            unmount(left, lazy=True)


def jobs_of(github, repo=REPO, runs=5, jobs=6):
    return [job for one in github.bulk(repo, runs, jobs, SIZE, told=True) for job in one["jobs"]]


def stored(github, store, jobs, repo=REPO):
    """All of these logs are in the store, and no others of this repository."""
    paths = [path for path in github.store_list() if "/%s/" % repo in path]
    assert sorted(paths) == sorted(store.path(job, repo) + end for job in jobs
                                   for end in ("", ".meta"))
    return all(store.get(store.path(job, repo)) == fake.content.content(job, 0, SIZE)
               for job in jobs)


def test_it_stores_all_logs_and_a_second_machine_asks_storage_for_none(
        github, mount, store, filler):
    jobs, others = jobs_of(github), jobs_of(github, OTHER, 2, 2)
    output, errors = filler(REPO, OTHER, **store.options)
    assert not errors
    assert output.splitlines()[:2] == ["%s: 30 logs" % REPO, "%s: 4 logs" % OTHER]
    assert output.splitlines()[2].startswith("34 logs stored, ")
    seen = traffic(github)
    assert stored(github, store, jobs) and stored(github, store, others, OTHER)
    without = (1 + 5 + 30) + (1 + 2 + 4)
    assert seen.charged < without, "the logs of a run come out of its archive"
    forget(github)

    reader = mount(**store.options)
    for repo, count in ((REPO, 5), (OTHER, 2)):
        run("grep", "-rc", "needle", reader.repo(repo) / "jobs", check=False)
        seen = traffic(github)
        assert seen.charged == 1 + count and not seen.of("storage")
        forget(github)
    assert stats(reader)["shared_hits"] == 34


def test_what_an_earlier_call_has_stored_costs_nothing(github, store, filler):
    jobs = jobs_of(github)
    filler(REPO, **store.options)
    new = github.add_job(github.add_run(REPO), size=SIZE)
    forget(github)
    output, _ = filler(REPO, **store.options)
    assert output.splitlines()[-1].startswith("1 logs stored, ")
    seen = traffic(github)
    assert {e["path"].rpartition("/")[2] for e in seen.of("store")} == {str(new), "%d.meta" % new}
    assert len(seen.of("storage")) == 1 and stored(github, store, [*jobs, new])


def test_logs_that_cannot_be_had_do_not_keep_it_from_the_others(github, store, filler):
    """Running, expired, empty, of a job that never ran; and those of earlier attempts."""
    jobs = jobs_of(github, runs=1)
    ran = github.add_run(REPO)
    github.add_job(ran, log="expired")
    github.add_job(ran, size=0)
    github.add_job(ran, status="completed", conclusion="skipped", log="none")
    github.add_job(github.add_run(REPO, status="in_progress"), status="in_progress", size=SIZE)
    again = github.add_run(REPO, attempts=2)
    jobs += [github.add_job(again, attempt=attempt, name="build", size=SIZE) for attempt in (1, 2)]
    output, errors = filler(REPO, **store.options)
    assert not errors and stored(github, store, jobs), output


def test_it_says_what_it_cannot_read_and_goes_on(github, store, filler):
    jobs = jobs_of(github, OTHER, 1, 2)
    output, errors = filler("octo/nothing", OTHER, status=1, **store.options)
    assert errors == "ghlogfs-fill: [Errno 2] No such file or directory: 'octo/nothing/jobs'\n"
    assert "%s: 2 logs" % OTHER in output and stored(github, store, jobs, OTHER)


def test_a_log_that_github_refuses_is_read_by_the_next_call(github, store, filler):
    """The others are stored, and not read again."""
    jobs = jobs_of(github, runs=2, jobs=2)
    github.fault("status", hop="api", path="jobs/%d/logs" % jobs[1], status=500, times=-1)
    output, errors = filler(REPO, status=1, **store.options)
    assert "Input/output error: '%s/jobs/%d/log'" % (REPO, jobs[1]) in errors
    assert "%s: 3 logs" % REPO in output and stored(github, store, [jobs[0], *jobs[2:]])
    github.clear_faults()
    forget(github)
    output, _ = filler(REPO, **store.options)
    assert "1 logs stored" in output and stored(github, store, jobs)
    assert len(traffic(github).of("storage")) == 1


@pytest.mark.parametrize("why", ("refuses uploads", "refuses the key", "is away"))
def test_a_store_that_takes_nothing_ends_it_early_and_the_next_call_makes_up_for_it(
        github, store, filler, why):
    jobs = jobs_of(github)
    if why == "refuses uploads":
        github.store_setup(identities={KEY: SECRET}, readers=[KEY])
    elif why == "refuses the key":
        github.store_setup(identities={KEY: "another"})
    else:
        github.refuse(hop="store", seconds=3600)
    output, errors = filler(REPO, status=1, **store.options)
    assert "shared store 127.0.0.3: " in errors and not github.store_list()
    if why == "refuses uploads":        # told while others are read, or after that
        assert "does not take logs" in errors
    else:                               # told by the first log
        assert "cannot be used" in errors and REPO not in output
    github.accept(hop="store")
    github.store_setup(identities={KEY: SECRET})
    filler(REPO, **store.options)
    assert stored(github, store, jobs)


def test_a_call_that_was_killed_is_made_up_for(github, store, filler):
    jobs = jobs_of(github)
    github.fault("stall", hop="store", method="PUT", after=-1, times=-1, seconds=60)
    with filler.start(REPO, **store.options) as process:
        point = filler.mountpoint()
        wait_active(github, 1, "store")
        wait_for(lambda: len(named_logs(filler.cache)) > 2, 10)
        for pid in [process.pid, *daemons_of(point)]:       # as systemd does it
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    wait_for(lambda: not daemons_of(point), 10)
    unmount(point, lazy=True)
    point.rmdir()
    github.drop(hop="store")
    github.clear_faults()
    filler(REPO, **store.options)
    assert stored(github, store, jobs)


def test_it_unmounts_when_it_is_told_to_end(github, store, filler):
    jobs_of(github)
    github.fault("stall", hop="store", method="PUT", after=-1, times=-1, seconds=60)
    with filler.start(REPO, **store.options) as process:
        point = filler.mountpoint()
        wait_active(github, 1, "store")
        process.terminate()
        process.communicate(timeout=60 * SLOW)
    assert process.returncode == 1 and not point.exists() and not daemons_of(point)


def test_it_waits_for_uploads_to_their_end(github, store, filler):
    """Each takes longer than all reading."""
    jobs = jobs_of(github, runs=1, jobs=4)
    github.latency(store_ms=300)
    filler(REPO, **store.options)
    assert stored(github, store, jobs)


def test_it_leaves_the_rest_of_the_quota_to_others(github, store, filler):
    jobs_of(github)
    github.rate_limit(remaining=505)
    _, errors = filler(REPO, status=1, **store.options)
    assert errors == "ghlogfs-fill: GitHub's quota is nearly used up\n"
    assert traffic(github).charged < 30


def test_another_store_gets_all_logs_as_well(github, store, filler, folder):
    jobs = jobs_of(github, runs=1)
    filler(REPO, **store.options)
    second = Store(github, folder, prefix="/second")
    filler(REPO, **second.options)
    for each in (store, second):
        assert all(each.get(each.path(job)) == fake.content.content(job, 0, SIZE) for job in jobs)


def test_one_call_at_a_time_uses_a_cache(github, store, filler):
    jobs_of(github)
    github.fault("stall", hop="store", method="PUT", after=-1, times=-1, seconds=60)
    with filler.start(REPO, **store.options) as process:
        filler.mountpoint()
        wait_active(github, 1, "store")
        second = subprocess.run([FILL, "-o", "shared=s3://else", "github.com", REPO],
                                env=filler.env, capture_output=True, text=True,
                                timeout=60 * SLOW)
        process.terminate()
        process.communicate(timeout=60 * SLOW)
    assert second.returncode == 1
    assert second.stderr == "ghlogfs-fill: another ghlogfs-fill uses %s\n" % filler.cache


@pytest.mark.parametrize("words, told", (
    (["github.com", REPO], "-o shared=URL is missing"),
    (["-o", "shared=s3://logs", "github.com"], "OWNER/REPO"),
    (["-o", "shared=s3://logs", "github.com", "octo"], "octo is not OWNER/REPO"),
    (["-o", "runs=5,shared=s3:/logs", "github.com", REPO], "ghlogfs has ended (exit status 2)"),
    (["-o", "offline,shared=s3://logs", "github.com", REPO], "this mount has no shared store"),
))
def test_what_is_wrong_with_a_call_is_said(filler, words, told):
    done = subprocess.run([FILL, *words], env=filler.env, cwd=filler.home, capture_output=True,
                          text=True, timeout=60 * SLOW)
    assert done.returncode in (1, 2) and told in done.stderr and not done.stdout
    assert os.listdir(filler.tmp) == []
