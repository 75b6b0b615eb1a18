"""R6: what is in the cache never waits behind a slow disk write."""

import os
import random
import signal
import statistics
import time

import pytest

from faulting import build_shim, made, one_job
from mounting import KIB, MIB, PLAIN, ended, forget, mounted, spawn, traffic, wait_for
from treeing import listing

WRITE_MS = 200                  # longer than anything below may take
CACHED, LARGE = 8 * MIB, 16 * MIB
READS = 40
READ = 64 * KIB


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if not PLAIN:
        pytest.skip("nothing can be preloaded under sanitizers and valgrind")
    made_at = build_shim(tmp_path_factory.mktemp("shim"))
    if not made_at:
        pytest.skip("there is no C compiler")
    return made_at


@pytest.fixture
def slow_disk(github, mount, shim):
    """(mount, cached job, large job): a second mount, whose every write of a log takes long."""
    cached, large = one_job(github, size=CACHED), one_job(github, size=LARGE)
    first = mount(fresh=600)
    assert first.log(cached).read_bytes() == made(cached, CACHED)
    assert listing(first.repo() / "jobs")
    first.stop()
    forget(github)
    env = {"LD_PRELOAD": shim, "SHIM": "slow:pwrite:%d" % WRITE_MS}
    second = mount(cache=first.cache, fresh=600, env=env)
    yield second, cached, large
    second.stop(within=5)


def wait_arriving(github):
    """Storage has been asked: what it sends finds space in the network's buffers in no time, and is
    then written for seconds."""
    wait_for(lambda: traffic(github, settle=False).storage > 0, why="storage was not asked")


def timed(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


def check(times, reader):
    assert reader.poll() is None, "the log was written before this was over: nothing is proved"
    assert statistics.median(times) < 0.1, times


def test_r6_cached_reads_while_a_log_is_written(github, slow_disk):
    """From the daemon, not from the kernel's memory of them; the first use of each page too."""
    m, cached, large = slow_disk
    want, chance, times = made(cached, CACHED), random.Random(6), []
    with open(m.log(cached), "rb", buffering=0) as file, \
            ended([spawn("cat", m.log(large))]) as (reader,):
        wait_arriving(github)
        for _ in range(READS):
            at = chance.randrange(CACHED - READ)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            started = time.monotonic()
            data = os.pread(file.fileno(), READ, at)
            times.append(time.monotonic() - started)
            assert data == want[at:at + READ]
            time.sleep(0.02)
        check(times, reader)
    assert traffic(github).api == 1, "only the large log was asked for"


def test_r6_looks_and_listings_while_a_log_is_written(github, slow_disk):
    m, cached, large = slow_disk
    listing(m.repo() / "jobs")
    times = []
    with ended([spawn("cat", m.log(large))]) as (reader,):
        wait_arriving(github)
        for _ in range(READS // 2):
            times.append(timed(lambda: os.stat(m.log(cached))))
            times.append(timed(lambda: os.close(os.open(m.log(cached), os.O_RDONLY))))
            times.append(timed(lambda: listing(m.repo() / "jobs")))
            times.append(timed(lambda: os.statvfs(m.path)))
            time.sleep(0.02)
        check(times, reader)


def test_r6_unmounting_does_not_wait_for_the_disk(github, slow_disk):
    """SIGTERM with a ring full of unwritten bytes: readers get an error, the mount is removed, and
    the daemon ends after the write that it is in."""
    m, _, large = slow_disk
    with ended([spawn("cat", m.log(large))]) as (reader,):
        wait_arriving(github)
        time.sleep(0.5)
        assert reader.poll() is None
        started = time.monotonic()
        os.kill(m.pid, signal.SIGTERM)
        assert reader.wait(5) == 1
        wait_for(lambda: not mounted(m.path), 5)
        assert time.monotonic() - started < 1
        assert m.process.wait(5) == 0
        assert time.monotonic() - started < 1 + 4 * WRITE_MS / 1000
