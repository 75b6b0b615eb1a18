"""Many readers, many logs, a large log; few threads and little memory."""

import os
import time

import pytest

import fake.content
from fake.asking import one_job
from mounting import (GIB, KIB, MIB, PLAIN, REPO, SLOW, ended, fork_all, out, read_at, run, spawn,
                      status_of, threads_all, traffic, wait_active, wait_for)

pytestmark = pytest.mark.alone

THREADS = 12            # of the daemon, under any load (P10)
MEMORY = 48 * MIB       # resident (P9)


def made(job, size):
    return fake.content.content(job, 0, size)


def check_memory(m):
    if PLAIN:
        for name in ("VmRSS", "VmHWM"):
            assert status_of(m.pid, name) < MEMORY, name


def bulk(github, runs, size):
    """runs times 20 jobs, each with a log of this size."""
    return [job for run in github.bulk(REPO, runs, 20, size) for job in run["jobs"]]


# --- one log, many readers -----------------------------------------------------------------------

def test_a_hundred_processes_open_the_same_cold_log_at_once(github, mount):
    job = one_job(github, size=700_000)
    github.latency(api_ms=100, storage_ms=100)
    m = mount()
    log, expected = m.log(job), made(job, 700_000)
    assert fork_all(100, lambda _: log.read_bytes() != expected) == [0] * 100
    assert traffic(github).requests == (1, 1)
    if PLAIN:
        assert status_of(m.pid, "Threads") <= THREADS


@pytest.mark.slow
def test_fifty_processes_read_a_cold_log_of_20_mib_at_once(github, mount):
    job = one_job(github, size=20 * MIB)
    m = mount()
    log = m.log(job)

    def work(index):
        """Each its own order of eight parts, so that many places are asked for at once."""
        for step in range(8):
            part = (index + step * 3) % 8
            at, length = part * 20 * MIB // 8, 20 * MIB // 8
            if fake.content.first_difference(job, at, read_at(log, at, length)) != -1:
                return 1
        return 0

    assert fork_all(50, work) == [0] * 50
    seen = traffic(github)
    assert seen.api == 1
    assert seen.bytes < 60 * MIB


# --- many logs -----------------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.limit(120)
def test_eight_hundred_readers_of_eight_hundred_cold_logs(github, mount):
    jobs = bulk(github, 40, 20_000)
    github.latency(api_ms=50, storage_ms=30)
    m = mount()
    highest = 0
    threads, results = threads_all(800, lambda i: m.log(jobs[i]).read_bytes())
    while any(thread.is_alive() for thread in threads):
        highest = max(highest, status_of(m.pid, "Threads"))
        time.sleep(0.05)
    for job, got in zip(jobs, results):
        assert got == made(job, 20_000), (job, got if isinstance(got, OSError) else "wrong bytes")
    assert traffic(github).requests == (800, 800)
    assert highest <= THREADS + (2 if not PLAIN else 0)
    assert github.counters()["api"]["max_concurrent"] <= 100
    check_memory(m)


@pytest.mark.slow
@pytest.mark.limit(120)
def test_a_cached_read_while_eight_hundred_others_wait(github, mount):
    job = one_job(github, size=2 * MIB)
    first = mount()
    first.log(job).read_bytes()
    first.stop()
    jobs = bulk(github, 40, 500_000)
    github.fault("stall", hop="storage", after=0, times=-1)
    m = mount(cache=first.cache, timeout=60)
    threads, results = threads_all(800, lambda i: m.log(jobs[i]).stat().st_size
                                   and m.log(jobs[i]).read_bytes())
    wait_active(github, 30, seconds=30)
    time.sleep(1)
    for _ in range(5):
        started = time.monotonic()
        assert m.log(job).read_bytes() == made(job, 2 * MIB)
        assert os.statvfs(m.path).f_namemax
        assert time.monotonic() - started < 5 * SLOW
    assert sum(thread.is_alive() for thread in threads) == 800
    assert status_of(m.pid, "Threads") <= THREADS + (2 if not PLAIN else 0)
    check_memory(m)
    m.stop("term", within=2)
    for thread in threads:
        thread.join(20)
    assert all(isinstance(result, OSError) for result in results)


def test_a_thousand_jobs_that_are_not_there(github, mount):
    m = mount()
    github.latency(api_ms=20)
    threads, results = threads_all(200, lambda i: m.log(10_000_000 + i).stat())
    for thread in threads:
        thread.join(60)
    assert all(isinstance(result, FileNotFoundError) for result in results)
    assert traffic(github).requests == (200, 0)
    check_memory(m)


def test_twenty_thousand_names_in_the_kernels_cache(github, mount):
    """What the kernel remembers the daemon must, but in few bytes each."""
    m = mount()
    for i in range(5_000):
        try:
            os.stat(m.path / ("o%d" % i) / "r" / "jobs" / str(i + 1))
        except OSError:
            pytest.fail("a folder by grammar")
    assert traffic(github).requests == (0, 0)
    check_memory(m)


# --- one large log -------------------------------------------------------------------------------

@pytest.fixture
def giant(github):
    return one_job(github, size=GIB)


@pytest.mark.slow
@pytest.mark.limit(180)
def test_a_log_of_1_gib(github, mount, giant):
    """The first byte long before the last, all bytes right, and little memory."""
    github.bandwidth(rate=400 * MIB)
    m = mount()
    started = time.monotonic()
    with open(m.log(giant), "rb", buffering=0) as file:
        assert os.fstat(file.fileno()).st_size == GIB
        assert os.pread(file.fileno(), 1, 0) == made(giant, 1)
        first = time.monotonic() - started
        at = 0
        while data := file.read(4 * MIB):
            assert fake.content.first_difference(giant, at, data) == -1, at
            at += len(data)
        assert at == GIB
        last = time.monotonic() - started
    assert first < last / 4
    check_memory(m)
    seen = traffic(github)
    assert seen.api == 1 and seen.storage <= 257
    assert seen.bytes == GIB, "bytes were fetched twice"
    for offset in (0, GIB - 1, 65535, 65536, 999_999_999, 512 * MIB - 3):
        assert read_at(m.log(giant), offset, 100) == \
            fake.content.content(giant, offset, min(100, GIB - offset))
    m.stop()
    _reread(github, mount, m, giant)


def _reread(github, mount, m, giant):
    """From the cache of the mount before, every page checked."""
    again = mount(cache=m.cache, offline=True)
    with open(again.log(giant), "rb", buffering=0) as file:
        at = 0
        while data := file.read(8 * MIB):
            assert fake.content.first_difference(giant, at, data) == -1, at
            at += len(data)
    assert at == GIB
    check_memory(again)


def test_the_end_of_a_cold_log_of_1_gib(github, mount, giant):
    assert out("tail", "-c", "4096", mount().log(giant)) == \
        fake.content.content(giant, GIB - 4096, 4096)
    assert traffic(github).bytes <= 4 * MIB


def test_ls_of_a_cold_log_of_1_gib(github, mount, giant):
    assert out("ls", "-l", mount().log(giant)).split()[4] == b"%d" % GIB
    time.sleep(0.3)
    seen = traffic(github)
    assert seen.bytes <= MIB
    assert seen.requests == (1, 1)


def test_places_all_over_a_cold_log_of_1_gib(github, mount, giant):
    log = mount().log(giant)
    with open(log, "rb", buffering=0) as file:
        for i in range(40):
            at = i * 7919 * 3301 % (GIB - 1000)
            assert os.pread(file.fileno(), 500, at) == fake.content.content(giant, at, 500), at
    assert traffic(github).bytes < 300 * MIB


def test_a_reader_that_leaves_early_does_not_fetch_it_all(github, mount, giant):
    github.bandwidth(rate=20 * MIB)
    assert out("head", "-n", "3", mount().log(giant)) == made(giant, 303)
    wait_for(lambda: not github.counters()["storage"]["active"], 15, 0.1,
             "it is fetched without a reader")
    assert traffic(github).bytes < 64 * MIB


def test_two_readers_at_both_ends(github, mount, giant):
    github.bandwidth(rate=50 * MIB)
    log = mount().log(giant)
    with ended([spawn("cat", log)]) as (reader,):
        wait_active(github, 1)
        started = time.monotonic()
        assert out("tail", "-c", "1000", log) == fake.content.content(giant, GIB - 1000, 1000)
        assert time.monotonic() - started < 5 * SLOW
        assert reader.poll() is None


@pytest.mark.slow
@pytest.mark.limit(120)
def test_sixty_four_readers_of_cold_logs_of_4_mib(github, mount):
    jobs = [one_job(github, size=4 * MIB) for _ in range(64)]
    m = mount()

    def work(index):
        data = m.log(jobs[index]).read_bytes()
        return len(data) != 4 * MIB or fake.content.first_difference(jobs[index], 0, data) != -1

    assert fork_all(64, work) == [0] * 64
    assert traffic(github).bytes == 64 * 4 * MIB
    check_memory(m)


def test_idle_memory(github, mount):
    m = mount()
    assert m.path.is_dir()
    if PLAIN:
        assert status_of(m.pid, "VmRSS") < 16 * MIB
        assert status_of(m.pid, "Threads") <= THREADS


@pytest.mark.limit(180)
def test_memory_of_names_that_the_kernel_has_forgotten_is_given_back(github, mount):
    """84 MiB stayed resident after 200,000 names: small blocks kept the heap from shrinking."""
    m = mount()
    for number in range(100_000):
        os.stat("%s/%d" % (m.repo() / "jobs", 10**9 + number))
    most = status_of(m.pid, "VmRSS")
    # The kernel forgets a file system's names when it is mounted anew.
    if run("mount", "-i", "-o", "remount,ro", m.path, check=False).returncode:
        pytest.skip("no right to remount")
    if PLAIN:
        assert most > 24 * MIB
        wait_for(lambda: status_of(m.pid, "VmRSS") < 16 * MIB, 60, 0.5, "memory stays in use")
