"""Prefetch for a recursive reader (P5, S3, R5), as its user and GitHub see it."""

import os

import pytest

from faulting import made
from mounting import REPO, fails, forget, out, traffic
from treeing import listing

SIZE = 20_000
RUNS, JOBS = 15, 4
FEW = 5                         # logs after which a reader stops
AHEAD = 8                       # the option, where it is small enough to be seen
LISTING = 1 + 1                 # requests for jobs/: the runs, the jobs of the one run


@pytest.fixture
def slow(github):
    """A repository that was not read before, on a slow GitHub."""
    github.bulk(REPO, RUNS, JOBS, SIZE)
    github.latency(api_ms=50, storage_ms=30)
    return github


@pytest.fixture
def one_run(github):
    """Sixty jobs whose listing costs LISTING."""
    github.bulk(REPO, 1, RUNS * JOBS, SIZE)
    return github


def grep(m):
    found = out("grep", "-rc", "line 0000000000", m.repo() / "jobs")
    assert found.count(b"/log:1\n") == RUNS * JOBS, found


def walk(m, count=FEW, step=1):
    """What a recursive reader does, until it ends early."""
    for job in listing(m.repo() / "jobs")[:count * step:step]:
        assert "log" in os.listdir(m.folder(job))
        assert m.log(job).read_bytes() == made(int(job), SIZE)


def most(github, hop="storage"):
    return github.counters()[hop]["max_concurrent"]


# --- it is done ----------------------------------------------------------------------------------

def test_p5_a_recursive_reader_has_many_logs_under_way(slow, mount):
    """One reader, one file after another; each log is fetched once all the same."""
    grep(mount(archive_jobs=0))
    assert 8 < most(slow) <= 32
    assert traffic(slow).requests == (1 + RUNS + RUNS * JOBS, RUNS * JOBS)


def test_p5_by_way_of_the_runs(slow, mount):
    """The jobs of a run are a listing of their own, and the next run's are known to come."""
    m = mount(archive_jobs=0)
    for run in listing(m.repo() / "runs"):
        for name in listing(m.repo() / "runs" / run):
            job = m.repo() / "runs" / run / name
            if job.is_dir():
                os.listdir(job)
                (job / "log").read_bytes()
    assert most(slow) > 2
    assert traffic(slow).storage == RUNS * JOBS


def test_prefetch_0_has_one_log_under_way(slow, mount):
    grep(mount(prefetch=0))
    assert most(slow) <= 2
    assert traffic(slow).requests == (1 + RUNS + RUNS * JOBS, RUNS * JOBS)


@pytest.mark.parametrize("ahead", (1, 4))
def test_prefetch_is_how_many(slow, mount, ahead):
    grep(mount(prefetch=ahead, archive_jobs=0))
    assert most(slow) <= ahead + 1


def test_connections_are_not_exceeded(slow, mount):
    grep(mount(connections=6, archive_jobs=0))
    assert 2 < most(slow) <= 6


# --- for whom, and at what price -----------------------------------------------------------------

def test_who_stops_costs_no_more_than_prefetch(one_run, mount):
    """S3, R5: what is prefetched and not read is bounded."""
    walk(mount(prefetch=AHEAD, archive_jobs=0))
    seen = traffic(one_run)
    assert seen.storage == FEW + AHEAD and seen.charged == LISTING + FEW + AHEAD


def test_prefetch_0_costs_what_is_read(one_run, mount):
    walk(mount(prefetch=0))
    seen = traffic(one_run)
    assert seen.storage == FEW and seen.charged == LISTING + FEW


@pytest.mark.parametrize("count,step", ((1, 1), (4, 13)))
def test_s3_nothing_is_prefetched_without_a_recursive_reader(one_run, mount, count, step):
    """One log of a listing, or some from here and there."""
    m = mount(prefetch=AHEAD)
    for job in listing(m.repo() / "jobs")[:count * step:step]:
        assert m.log(job).read_bytes() == made(int(job), SIZE)
    assert traffic(one_run).storage == count


def test_s3_nothing_is_fetched_for_who_only_lists(one_run, mount):
    m = mount(prefetch=AHEAD)
    out("find", m.repo() / "jobs", "-name", "log")
    for job in listing(m.repo() / "jobs")[:20]:
        assert m.json(job).read_bytes()
    assert traffic(one_run).storage == 0


def test_s8_offline_nothing_is_fetched_ahead(one_run, mount):
    m = mount(prefetch=0)
    walk(m)
    m.stop()
    forget(one_run)
    again = mount(cache=m.cache, offline=True)
    walk(again)
    with fails("EHOSTUNREACH"):
        again.log(listing(again.repo() / "jobs")[FEW]).read_bytes()
    assert traffic(one_run).requests == (0, 0)


# --- the reserve ---------------------------------------------------------------------------------

@pytest.mark.parametrize("left,reserve,ahead", (
    (500 + LISTING + 2, None, 0),       # all gone once the second log is opened: the walk's sign
    (500 + LISTING + 2 + 3, None, 3),   # some may go
    (5000, None, AHEAD), (LISTING + FEW + AHEAD, 0, AHEAD), (1000, 1000, 0)))
def test_r5_the_reserve_is_for_readers(one_run, mount, left, reserve, ahead):
    """Prefetch stops where the reserve begins; readers are served from it."""
    one_run.rate_limit(limit=5000, remaining=left)
    m = mount(prefetch=AHEAD, reserve=reserve, archive_jobs=0)
    names = listing(m.repo() / "jobs")
    walk(m, 2)
    seen = traffic(one_run)
    assert seen.storage == 2 + ahead and seen.charged == LISTING + 2 + ahead
    for name in names[2:FEW]:
        assert m.log(name).read_bytes() == made(int(name), SIZE)
    assert all(e["status"] < 400 for e in traffic(one_run).entries)
