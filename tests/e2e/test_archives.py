"""Logs out of the archive of their run (S20): what it costs, when it is used, and what comes of it.

What goes wrong with archives is in test_archive_faults.py.
"""

import os

import pytest

from archiving import (Run, add_run, archive_requests, archives, asked_for, drop_logs, impatient,
                       leftovers, own, read_at_once, sent_at, stats, step_into, wait_published,
                       wait_sent, walk, world)
from fake import content
from fake.asking import Asker, get
from faulting import made, outcome
from mounting import KIB, REPO, fails, forget, out, run as run_tool, traffic
from treeing import NOON, concatenated, listing

def needles(m, jobs):
    """What grep finds of each job: {job: count}."""
    found = run_tool("grep", "-rc", content.NEEDLE.decode(), m.repo() / "jobs", check=False,
                     timeout=120).stdout.decode()
    counts = dict(line.rsplit(":", 1) for line in found.splitlines())
    return {job: int(counts[str(m.log(job))]) for job in jobs}


# --- what it costs -------------------------------------------------------------------------------

def warm(github):
    """GitHub makes its archives while it sends them, but needs no test's processor for it."""
    ask = Asker(github)
    for run in ask("/repos/%s/actions/runs?per_page=100" % REPO).json["workflow_runs"]:
        url = ask("/repos/%s/actions/runs/%d/attempts/1/logs" % (REPO, run["id"]))
        assert get(url.headers["location"]).status == 200
    forget(github)


@pytest.mark.alone
@pytest.mark.limit(180)
def test_s20_grep_costs_one_request_for_a_run(github, mount):
    """25 runs of 4 jobs: 55 requests at most, where the job route needs 126. Again: none."""
    runs, jobs, size = 25, 4, 500_000
    all_jobs = [job for run in github.bulk(REPO, runs, jobs, size, told=True)
                for job in run["jobs"]]
    warm(github)
    github.latency(api_ms=50, storage_ms=30)
    m = mount(fresh=600)
    want = dict.fromkeys(all_jobs, content.needles(size))
    assert needles(m, all_jobs) == want
    seen = traffic(github)
    paths = [e["path"] for e in archive_requests(github)]
    assert seen.api <= 55 and seen.charged <= 55
    assert len(paths) == len(set(paths)) >= runs - 2
    told = stats(m)
    assert told["archives_requested"] == len(paths) and told["archives_failed"] == 0
    assert told["logs_from_archives"] >= (runs - 2) * jobs
    forget(github)
    for job in all_jobs:
        assert m.log(job).read_bytes() == made(job, size)
    assert needles(m, all_jobs) == want
    assert traffic(github).requests == (0, 0)
    m.stop()
    again = mount(cache=m.cache)
    assert needles(again, all_jobs) == want
    seen = traffic(github)
    assert (seen.charged, seen.storage) == (0, 0) and stats(again)["archives_requested"] == 0


@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_s20_with_few_and_many_logs_ahead(github, mount, ahead):
    """At most one request for a run's archive, whichever part of the run is looked ahead at."""
    made_runs = [add_run(github, 5) for _ in range(6)]
    walk(mount(prefetch=ahead), *made_runs)
    counts = [archives(github, run) for run in made_runs]
    assert max(counts) == 1 and sum(counts) >= 4


def test_s20_many_readers_of_one_run(github, mount):
    """Nobody requests by himself what the archive brings, and nobody gets anything else."""
    first, run = world(github, 8)
    github.latency(api_ms=100, storage_ms=300)
    m = mount()
    walk(m, first)
    read_at_once(m, run, readers=24)
    assert archives(github, run) == 1 and impatient(github, run) == []
    assert max(own(github, run)) <= 1


# --- when it is used -----------------------------------------------------------------------------

def test_s20_a_single_log_never_comes_out_of_an_archive(github, mount):
    """By its id, also of several runs, and after a listing."""
    made_runs = [add_run(github, 5) for _ in range(6)]
    m = mount()
    for run in made_runs[:3]:
        assert out("cat", m.log(run.jobs[2])) == run.logs[run.jobs[2]]
    os.listdir(m.repo() / "jobs")
    for run in made_runs[3:]:
        assert out("cat", m.log(run.jobs[4])) == run.logs[run.jobs[4]]
    assert archives(github) == 0 and stats(m)["archives_requested"] == 0
    assert sum(sum(own(github, run)) for run in made_runs) == 6


def test_s20_not_before_a_recursive_reader_is_recognised(github, mount):
    """Processes that list the jobs, then one job, and read its log, are none: a shell's. A process
    that does all three is one at the first log."""
    made_runs = [add_run(github, 5) for _ in range(4)][::-1]
    m = mount()
    first = made_runs[0].jobs[0]
    for words in (("ls", m.repo() / "jobs"), ("ls", m.folder(first)), ("cat", m.log(first))):
        out(*words)
    assert archives(github) == 0 and own(github, made_runs[0]) == [1, 0, 0, 0, 0]
    walk(m, *made_runs)
    assert [archives(github, run) for run in made_runs] == [1] * 4
    assert [impatient(github, run) for run in made_runs[1:]] == [[]] * 3


NEVER = {
    "archive_jobs=0": dict(archive_jobs=0),
    "more than the run has": dict(archive_jobs=5),
    "no_cache": dict(no_cache=True),
}


@pytest.mark.parametrize("why", NEVER)
def test_s20_never_without_a_use_for_it(github, mount, why):
    made_runs = [add_run(github) for _ in range(4)]
    m = mount(**NEVER[why])
    walk(m, *made_runs)
    assert archives(github) == 0 and stats(m)["archives_requested"] == 0
    assert [own(github, run) for run in made_runs] == [[1] * 4] * 4


@pytest.mark.parametrize("archive_jobs", [1, 3, 4])
def test_s20_archive_jobs_is_how_many_missing_logs_are_worth_it(github, mount, archive_jobs):
    first, run = world(github, 4)
    m = mount(archive_jobs=archive_jobs)
    walk(m, first)
    wait_published(m, run)
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == [0] * 4


def test_s20_only_what_is_missing_counts(github, mount):
    """Two logs of four are here: the others are not worth an archive (3)."""
    first, run = world(github, 4)
    m = mount()
    for job in run.jobs[:2]:
        assert m.log(job).read_bytes() == run.logs[job]
    walk(m, first, run)
    assert archives(github, run) == 0 and own(github, run) == [1] * 4


def test_s20_what_is_here_is_not_replaced(github, mount):
    """One log of five is here, and open: the archive brings the other four."""
    first, run = world(github, 5)
    m = mount()
    job = run.jobs[3]
    with open(m.log(job), "rb") as file:
        assert file.read() == run.logs[job]
        before = os.fstat(file.fileno())
        walk(m, first)
        wait_published(m, run)
        walk(m, run)
        file.seek(0)
        assert file.read() == run.logs[job]
        after = os.fstat(file.fileno())
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert archives(github, run) == 1 and own(github, run) == [0, 0, 0, 1, 0]


def test_s20_never_of_a_run_that_goes_on(github, mount):
    """GitHub would answer 404. Its completed jobs are read all the same; then it ends."""
    first, run = world(github, 5, status="in_progress")
    m = mount(fresh=0)
    walk(m, first, run)
    assert archives(github, run) == 0 and own(github, run) == [1] * 5
    github.set_run(run=run.id, status="completed", conclusion="success")
    m.stop()
    drop_logs(m.cache, run)
    again = mount(cache=m.cache, fresh=0)
    walk(again, first)
    wait_published(again, run)
    walk(again, run)
    assert archives(github, run) == 1 and own(github, run) == [1] * 5


@pytest.mark.parametrize("carried", [None, "same", "new"])
def test_s20_of_the_attempt_that_ran_the_jobs(github, mount, carried):
    """Five jobs ran in the first attempt, one of them again in the second: one archive at most
    for each attempt, and no log of the one attempt under a job of the other."""
    run = add_run(github, 5, attempt=1, attempts=2, carried=carried)
    again = add_run(github, ["job 2"], attempt=2, run=run.id, start=NOON + 1000)
    first = add_run(github, 6)
    m = mount()
    shown = {int(name) for name in os.listdir(m.repo() / "jobs")}
    expected = {**run.logs, **again.logs, **first.logs}
    for job in [int(name) for name in listing(m.repo() / "jobs")]:
        step_into(m, job)
        if job in expected:     # a copy that a later attempt carries has the log of none
            assert outcome(m.log(job), expected[job]) == "right"
    assert set(again.logs) | set(run.jobs[2:]) <= shown or carried == "new"
    paths = [e["path"] for e in archive_requests(github, run)]
    assert len(paths) == len(set(paths))
    assert sum(path.endswith(asked_for(run, 1)) for path in paths) <= 1
    assert not any(path.endswith(asked_for(run, 2)) for path in paths)   # one job is not worth it
    assert max(own(github, run)) <= 1 and max(own(github, again)) == 1


# --- what comes of it ----------------------------------------------------------------------------

def everything(top):
    """{path: (size, mtime, bytes)} of all files below."""
    found = {}
    for at, _, names in os.walk(top):
        for name in names:
            path = os.path.join(at, name)
            stat = os.stat(path)
            with open(path, "rb") as file:
                found[os.path.relpath(path, top)] = (stat.st_size, stat.st_mtime_ns, file.read())
    return found


@pytest.mark.parametrize("steps", [True, False])
def test_s20_s1_a_log_is_the_same_by_either_way(github, mount, steps):
    """Bytes, size and time, and what is made of the log; also when it is read again later. Where
    the archive has files of the steps, these decide where a step begins, not its text."""
    made_runs = [add_run(github, 5, {"steps": steps}, lines=40 + n, marked=n % 2 == 0, apart=100)
                 for n in range(5)]
    by_archive, by_job = mount(), mount(archive_jobs=0)
    walk(by_archive, made_runs[-1])
    wait_published(by_archive, *made_runs)
    trees = [everything(m.repo() / "jobs") for m in (by_archive, by_job)]
    assert [own(github, run) for run in made_runs[:-1]] == [[1] * 5] * 4    # by_job's
    assert stats(by_archive)["logs_from_archives"] >= 20
    assert trees[0] == trees[1]
    by_archive.stop()
    again = mount(cache=by_archive.cache, offline=True)
    assert everything(again.repo() / "jobs") == trees[0]
    for run in made_runs:
        folders = [again.repo() / "runs" / str(run.id), by_job.repo() / "runs" / str(run.id)]
        if not steps:
            assert everything(folders[0]) == everything(folders[1])
        for name in listing(folders[0]):
            if (folders[0] / name).is_dir():
                assert concatenated(folders[0] / name) == concatenated(folders[1] / name)


def test_s20_logs_of_many_sizes(github, mount):
    """Around the borders of pages, and one that is larger than what is held in memory. Short
    ones end before they tell whose they are."""
    sizes = [202, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 6_000_000, 101, 1]
    made_run, first = github.add_run(REPO), add_run(github, 6)
    jobs = [github.add_job(made_run, size=size, told=True) for size in sizes]
    run = Run(made_run, {job: made(job, size) for job, size in zip(jobs, sizes)})
    m = mount()
    walk(m, first)
    wait_published(m, run, but={5, 6})
    walk(m, run)
    assert [m.log(job).stat().st_size for job in jobs] == sizes
    assert archives(github, run) == 1 and own(github, run) == [0] * 5 + [1, 1]
    m.stop()
    assert not leftovers(m.cache)


FORMS = {
    "as GitHub makes them": {},
    "without the signature before sizes": {"sizes": "bare"},
    "sizes in 8 bytes": {"sizes": "zip64"},
    "sizes ahead of the data": {"sizes": "ahead"},
    "with a length": {"framing": "length"},
    "up to the end of the connection": {"framing": "close"},
    "slashes dropped": {"clean": "drop"},
    "no files of steps": {"steps": False},
    "files of some jobs' steps": {"steps": "some"},
    "files of some steps": {"steps": "short"},
    "files of steps with another text": {"steps": "other"},
    "entries of the old service": {"old": True},
    "system text": {"system": True},
    "all of it": {"old": True, "system": True, "steps": "some", "sizes": "bare"},
}


@pytest.mark.parametrize("form", FORMS)
def test_s20_archives_of_any_form(github, mount, form):
    first, run = world(github, ["lint / lint", "build", "test: a", "docs"], FORMS[form])
    m = mount()
    walk(m, first)
    wait_published(m, run)
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == [0] * 4
    assert stats(m)["archives_failed"] == 0


@pytest.mark.parametrize("marked", [True, False])
def test_s20_a_name_that_fits_two_jobs_tells_none(github, mount, marked):
    """What is unique comes out of the archive, all else by its own request."""
    names = {"lint / lint": 0, "same": 1, "a/b": 1, "x" * 120: 0, "rocket \U0001f680": 0,
             "y" * 95 + " 1": 1, "a:b": 1, "y" * 95 + " 2": 1, "plain": 0}
    first, run = world(github, [*names, "same"], marked=marked, apart=100)
    m, wanted = mount(), [*names.values(), 1]
    walk(m, first)
    wait_published(m, run, but={index for index, is_own in enumerate(wanted) if is_own})
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == wanted


def test_s20_numbers_on_equal_names(github, mount):
    """Whichever of them GitHub means by "job (1)"."""
    first, run = world(github, ["job", "job", "job (1)", "job (1)", "job(1)", "job 1", "(1)"])
    walk(mount(), first, run)
    assert max(own(github, run)) == 1 and archives(github, run) == 1


def test_s20_jobs_without_a_log(github, mount):
    """Skipped ones, and one whose log is gone: no request for the former, ENOENT for the latter."""
    first, run = world(github, 4)
    skipped = github.add_job(run.id, name="skipped", conclusion="skipped")
    gone = github.add_job(run.id, name="gone", log="expired", started_at=NOON,
                          completed_at=NOON + 60)
    m = mount()
    walk(m, first)
    wait_published(m, run)
    walk(m, run)
    for job in (skipped, gone):
        with fails("ENOENT"):
            m.log(job).read_bytes()
    assert archives(github, run) == 1 and own(github, run) == [0] * 4


def test_s20_a_log_out_of_an_archive_is_known_under_its_repository_only(github, mount):
    """S14: another name of the repository is verified as for any other log."""
    first, run = world(github, 4)
    github.add_repo("octo/other")
    m = mount()
    walk(m, first)
    wait_published(m, run)
    with fails("ENOENT"):
        m.log(run.jobs[0], repo="octo/other").read_bytes()
    github.rename_repo(repo=REPO, to="octo/renamed")
    forget(github)
    assert outcome(m.log(run.jobs[0], repo="octo/renamed"), run.logs[run.jobs[0]]) == "right"
    assert traffic(github).charged == 1


def test_s20_on_an_enterprise_server(make_github, mounts):
    """One host for everything, and its storage gets no token either."""
    server = make_github(ghes=True)
    first, run = world(server, 5)
    m = mounts(github=server)
    walk(m, first)
    wait_published(m, run)
    walk(m, run)
    assert archives(server, run) == 1 and own(server, run) == [0] * 5
    sent = wait_sent(server, run)
    assert sent["status"] == 200 and not sent["had_authorization"]


# --- the quota -----------------------------------------------------------------------------------

def test_s20_r5_the_reserve_is_not_for_archives(github, mount):
    """Those who wait are served from it, by an archive as well, and nothing is fetched ahead; the
    other runs are not remembered as without an archive."""
    made_runs = [add_run(github, 5) for _ in range(4)][::-1]
    github.rate_limit(limit=5000, remaining=500 + 6)    # one list of runs, four of jobs, one log
    m = mount()
    walk(m, *made_runs[:2])
    assert [archives(github, run) for run in made_runs] == [1, 0, 0, 0]
    assert [own(github, run) for run in made_runs[:2]] == [[0] * 5, [1] * 5]
    assert stats(m)["archives_failed"] == 0
    m.stop()
    github.rate_limit(limit=5000, remaining=5000)
    again = mount(cache=m.cache)
    walk(again, *made_runs[:2])
    wait_published(again, *made_runs)
    walk(again, *made_runs)
    assert [archives(github, run) for run in made_runs] == [1, 0, 1, 1]
    assert [own(github, run) for run in made_runs[2:]] == [[0] * 5] * 2


# --- memory --------------------------------------------------------------------------------------

def test_s20_an_archive_that_was_good_may_be_asked_for_again(github, mount):
    """When its logs were evicted, a day is not waited for."""
    first, run = world(github, 5)
    m = mount()
    walk(m, first)
    wait_published(m, run)
    m.stop()
    drop_logs(m.cache, run)
    again = mount(cache=m.cache)
    walk(again, first)
    wait_published(again, run)
    walk(again, run)
    assert archives(github, run) == 2 and own(github, run) == [0] * 5
    assert stats(again)["archives_requested"] == 1


def test_s20_two_mounts_of_one_cache(github, mount):
    """The second finds what the first has published."""
    first, run = world(github, 5)
    one = mount()
    walk(one, first, run)
    wait_published(one, first, run)
    two = mount(cache=one.cache)
    walk(two, first, run)
    assert archives(github, run) == 1 and stats(two)["archives_requested"] == 0


# --- secrets -------------------------------------------------------------------------------------

def test_s20_r7_no_token_for_the_archives_host_and_no_url_in_the_journal(github, mount):
    """Also with -d, and also of one that fails. Mount.stop() searches the output again."""
    first, run = world(github, 5)
    github.fault("status", hop="storage", path=sent_at(run), status=403, body="no")
    other = add_run(github, 5)
    m = mount(arguments=["-d"])
    walk(m, other, first, run)
    sent = [wait_sent(github, one) for one in (other, run)]
    assert not any(e["had_authorization"] for e in sent)
    assert github.counters()["token_leaks"] == 0
    signatures = [e["target"].rpartition("signature=")[2] for e in sent]
    m.stop()
    assert all(signatures) and not any(s in m.stderr + m.stdout for s in signatures)
    assert "/rest/runs/" not in m.stderr + m.stdout
