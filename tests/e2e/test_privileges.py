"""R8: what the daemon gives up once it is mounted, and what it takes."""

import contextlib
import os
import pathlib
import resource

import pytest

from fake.asking import one_job
from faulting import made
from mounting import WRAP

SYS_ADMIN, DAC_READ_SEARCH = 1 << 21, 1 << 2    # to mount and unmount, to reach the mountpoint

pytestmark = pytest.mark.skipif(bool(WRAP), reason="it is valgrind's process")


def words_of(path):
    """{name: value} of a file of /proc."""
    return {name: value.strip() for name, _, value in
            (line.partition(":") for line in path.read_text().splitlines())}


def tasks(m):
    return pathlib.Path("/proc/%d/task" % m.pid).iterdir()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to have something to give up")
def test_r8_root_keeps_two_capabilities_in_every_thread(github, mount):
    job = one_job(github, size=5050)
    m = mount()
    assert m.log(job).read_bytes() == made(job, 5050)
    got = [words_of(task / "status") for task in tasks(m)]
    assert len(got) > 2
    for status in got:
        assert int(status["CapEff"], 16) == SYS_ADMIN | DAC_READ_SEARCH, status["Name"]
        assert int(status["CapPrm"], 16) == SYS_ADMIN | DAC_READ_SEARCH, status["Name"]
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0, status["Name"]
        assert status["NoNewPrivs"] == "1", status["Name"]
    m.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to have something to give up")
def test_r8_what_is_left_is_enough_to_end_by_a_signal(github, mount):
    mount().stop("term")


def test_r8_it_cannot_be_looked_into(github, mount):
    """Not dumpable: its files in /proc belong to root, and it leaves no core."""
    m = mount()
    assert pathlib.Path("/proc/%d/environ" % m.pid).stat().st_uid == 0
    limits = pathlib.Path("/proc/%d/limits" % m.pid).read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


@contextlib.contextmanager
def soft_limit(count):
    """What is started in the block may open so many files, until it changes that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_of_open_files_is_raised(github, mount):
    """From the soft one to the hard one."""
    with soft_limit(256) as hard:
        assert hard > 256, "nothing to be raised here"
        m = mount()
        limits = pathlib.Path("/proc/%d/limits" % m.pid).read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == [str(hard), str(hard)]
