"""The tools people use on files, on logs not read before: same answers as on plain copies.

Every tool starts on a cold log, so that the log is fetched by that tool's own way of asking. Up to
1 MiB this is exactly one API request and one storage request (S3), whatever the tool does.
"""

import ctypes
import ctypes.util
import mmap
import os
import socket
import threading

import pytest

import fake.content
from mounting import KIB, MIB, REPO, SLOW, fails, fork_all, out, read_at, run, traffic
from terminal import Screen

SIZES = [0, 1, 100, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, 5 * MIB, 20 * MIB]
NAMES = ["0", "1", "100", "64K-1", "64K", "64K+1", "1M-1", "1M", "1M+1", "5M", "20M"]


@pytest.fixture(params=SIZES, ids=NAMES)
def cold(request, github, mount, folder):
    """A cold log on a mount, and the same bytes in a plain file."""
    return Cold(github, mount, folder, request.param)


@pytest.fixture
def cold_mid(github, mount, folder):
    return Cold(github, mount, folder, 700_007)


class Cold:
    def __init__(self, github, mount, folder, size):
        self.github, self.size = github, size
        self.job = github.add_job(github.add_run(REPO), size=size)
        self.mount = mount()
        self.log, self.plain = self.mount.log(self.job), folder / "plain"
        self.plain.write_bytes(fake.content.content(self.job, 0, size))
        self.data = self.plain.read_bytes()

    def check_requests(self, jumps=0):
        """S3: two requests up to 1 MiB; beyond, at most one for each further 4 MiB, and one for
        each jump, which is a READ far from what was read before. The refusal
        that shows an empty log does not show that it is final: the job's status is asked, and the
        end of the log once more (S8)."""
        seen = traffic(self.github)
        if not self.size:
            assert seen.api <= 2 and seen.storage <= 2
            return
        assert seen.api == 1
        more = max(0, self.size - MIB)
        assert 1 <= seen.storage <= 1 + -(-more // (4 * MIB)) + (jumps if more else 0)
        assert seen.bytes == self.size


def same(cold, *words):
    """The tool prints the same for the log (on standard input or as LOG) as of the plain copy."""
    def with_path(path):
        return out(*[path if word == "LOG" else word for word in words])
    there = with_path(cold.log)
    assert there == with_path(cold.plain), words
    return there


# --- whole reads, by size ------------------------------------------------------------------------

def test_cat(cold):
    assert out("cat", cold.log) == cold.data
    cold.check_requests()


def test_python_read(cold):
    with open(cold.log, "rb") as file:
        assert file.read() == cold.data
    cold.check_requests()


def test_cp(cold, folder):
    run("cp", cold.log, folder / "copy")
    assert (folder / "copy").read_bytes() == cold.data
    cold.check_requests()


def test_mmap_shared(cold):
    _map(cold, mmap.MAP_SHARED)


def test_mmap_private(cold):
    _map(cold, mmap.MAP_PRIVATE)


def _map(cold, flags):
    with open(cold.log, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        assert size == cold.size
        if size:
            with mmap.mmap(file.fileno(), size, flags, mmap.PROT_READ) as view:
                assert view[:] == cold.data
            # Some processors copy from both ends: the kernel asks for the last MiB in two READs,
            # of which either may come first.
            cold.check_requests(jumps=1)


def test_sendfile_straight_after_open(cold, folder):
    """No stat in between: sendfile uses the size that LOOKUP gave (S4)."""
    source = os.open(cold.log, os.O_RDONLY)
    target = os.open(folder / "sent", os.O_CREAT | os.O_WRONLY)
    try:
        sent = 0
        while step := os.sendfile(target, source, sent, 1 << 30):
            sent += step
    finally:
        os.close(source)
        os.close(target)
    assert sent == cold.size
    assert (folder / "sent").read_bytes() == cold.data
    cold.check_requests()


def test_tar(cold, folder):
    run("tar", "-P", "-cf", folder / "a.tar", cold.log)
    assert out("tar", "-P", "-xOf", folder / "a.tar", cold.log) == cold.data
    cold.check_requests()


def test_wc(cold):
    assert int(out("wc", "-c", cold.log).split()[0]) == cold.size
    same(cold, "sh", "-c", 'wc <"$1"', "sh", "LOG")


def test_tail_of_each_size(cold):
    assert out("tail", "-c", "100", cold.log) == cold.data[-100:]
    assert out("tail", "-n", "3", cold.log) == out("tail", "-n", "3", cold.plain)


def test_sizes_without_opening(cold):
    """S4: what tools that never open a file print of it."""
    assert cold.log.stat().st_size == cold.size
    assert out("stat", "-c", "%s", cold.log).split() == [b"%d" % cold.size]
    assert out("find", cold.log, "-size", "%dc" % cold.size).strip() == bytes(cold.log)
    assert out("du", "--apparent-size", "-b", cold.log).split()[0] == b"%d" % cold.size
    blocks = int(out("du", "-B512", cold.log).split()[0])
    assert blocks * 512 >= cold.size and blocks <= -(-cold.size // 4096) * 8
    assert (run("test", "-s", cold.log, check=False).returncode == 0) == (cold.size > 0)
    seen = traffic(cold.github)
    assert seen.storage == 1 and seen.api == 1 or not cold.size


# --- one tool each -------------------------------------------------------------------------------

TOOLS = {
    "head": ["head", "-n", "7", "LOG"],
    "head -c": ["head", "-c", "70000", "LOG"],
    "head -c -N": ["head", "-c", "-100", "LOG"],
    "tail -n": ["tail", "-n", "7", "LOG"],
    "tail -n +N": ["tail", "-n", "+6000", "LOG"],
    "tail -c": ["tail", "-c", "70001", "LOG"],
    "tac": ["tac", "LOG"],
    "wc -l": ["sh", "-c", 'wc -l <"$1"', "sh", "LOG"],
    "sha256sum": ["sh", "-c", 'sha256sum <"$1"', "sh", "LOG"],
    "sha256sum of a name": ["sh", "-c", 'sha256sum "$1" | cut -c1-64', "sh", "LOG"],
    "md5sum": ["sh", "-c", 'md5sum <"$1"', "sh", "LOG"],
    "file": ["file", "-b", "LOG"],
    "file by its first bytes": ["file", "-b", "--mime", "LOG"],
    "dd": ["dd", "if=LOG", "bs=4099", "status=none"],
    "dd skip": ["dd", "if=LOG", "bs=65536", "skip=3", "count=2", "status=none"],
    "dd direct": ["dd", "if=LOG", "bs=65536", "iflag=direct", "status=none"],
    "grep": ["grep", "needle", "LOG"],
    "grep -c": ["grep", "-c", "ok", "LOG"],
    "rg": ["rg", "--no-config", "-n", "needle", "LOG"],
    "rg --mmap": ["rg", "--no-config", "--mmap", "-n", "needle", "LOG"],
    "sort": ["sort", "-r", "LOG"],
    "awk": ["awk", "{ n += length($0) } END { print n }", "LOG"],
    "sed": ["sed", "-n", "5000,5010p", "LOG"],
    "gzip": ["sh", "-c", 'gzip -9 <"$1" | gzip -d', "sh", "LOG"],
    "xxd": ["od", "-A", "d", "-t", "x1", "-j", "600000", "-N", "300", "LOG"],
    "perl": ["perl", "-ne", "print if /needle/", "LOG"],
    "cmp of itself": ["sh", "-c", 'cmp "$1" "$1" && echo same', "sh", "LOG"],
    "ls -l": ["sh", "-c", 'ls -l "$1" | cut -d" " -f5', "sh", "LOG"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tool(cold_mid, tool):
    words = TOOLS[tool]
    if words[0] == "dd":
        there = out(*[w.replace("LOG", str(cold_mid.log)) for w in words])
        assert there == out(*[w.replace("LOG", str(cold_mid.plain)) for w in words
                              if w != "iflag=direct"])
    else:
        assert same(cold_mid, *words)
    cold_mid.check_requests()


@pytest.mark.smoke
def test_cmp_and_diff(cold_mid, folder):
    run("cmp", cold_mid.log, cold_mid.plain)
    run("diff", cold_mid.log, cold_mid.plain)
    other = bytearray(cold_mid.data)
    other[-2] ^= 1
    (folder / "other").write_bytes(other)
    assert run("cmp", cold_mid.log, folder / "other", check=False).returncode == 1
    cold_mid.check_requests()


def test_split(cold_mid, folder):
    (folder / "parts").mkdir()
    run("split", "-b", "64K", cold_mid.log, folder / "parts" / "x")
    joined = b"".join(part.read_bytes() for part in sorted((folder / "parts").iterdir()))
    assert joined == cold_mid.data
    cold_mid.check_requests()


def test_split_by_number_of_parts(cold_mid, folder):
    """`split -n` trusts st_size."""
    (folder / "parts").mkdir()
    run("split", "-n", "3", cold_mid.log, folder / "parts" / "x")
    parts = sorted((folder / "parts").iterdir())
    assert len(parts) == 3
    assert b"".join(part.read_bytes() for part in parts) == cold_mid.data


def test_rsync(cold_mid, folder):
    (folder / "copies").mkdir()
    run("rsync", "-a", cold_mid.log, folder / "copies")
    copy = folder / "copies" / "log"
    assert copy.read_bytes() == cold_mid.data
    assert copy.stat().st_mtime == cold_mid.log.stat().st_mtime
    again = out("rsync", "-ai", cold_mid.log, folder / "copies")
    assert again == b"", "the second run found a difference"
    assert out("rsync", "-aic", cold_mid.log, folder / "copies") == b""
    cold_mid.check_requests()


def test_cp_keeps_mode_and_times(cold_mid, folder):
    run("cp", "-p", cold_mid.log, folder / "copy")
    assert (folder / "copy").read_bytes() == cold_mid.data
    assert (folder / "copy").stat().st_mtime == cold_mid.log.stat().st_mtime
    assert (folder / "copy").stat().st_mode & 0o777 == 0o444


def test_find_by_size_and_emptiness(cold_mid):
    assert out("find", cold_mid.log, "-size", "+683k", "-size", "-685k").strip() == \
        bytes(cold_mid.log)
    assert out("find", cold_mid.log, "-empty") == b""
    cold_mid.check_requests()


def test_sendfile_to_a_socket(cold_mid):
    ours, theirs = socket.socketpair()
    got = bytearray()

    def take():
        while part := theirs.recv(1 << 16):
            got.extend(part)

    taker = threading.Thread(target=take)
    taker.start()
    with open(cold_mid.log, "rb") as file, ours:
        ours.sendfile(file)
    taker.join(30)
    assert bytes(got) == cold_mid.data
    cold_mid.check_requests()


def test_splice_straight_after_open(cold_mid):
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    reader, writer = os.pipe()
    source = os.open(cold_mid.log, os.O_RDONLY)
    got = b""
    try:
        while (step := libc.splice(source, None, writer, None, 32 * KIB, 0)) > 0:
            got += os.read(reader, step)
        assert step == 0, os.strerror(ctypes.get_errno())
    finally:
        for fd in (reader, writer, source):
            os.close(fd)
    assert got == cold_mid.data


def test_reads_at_odd_places(cold_mid):
    size = cold_mid.size
    for offset, length in ((size - 1, 1), (size, 10), (size + 10, 10), (size - 5, 100),
                           (65535, 2), (65536, 65536), (131071, 3), (0, 1), (1, size)):
        assert read_at(cold_mid.log, offset, length) == cold_mid.data[offset:offset + length]
    cold_mid.check_requests()


def test_eight_processes_with_eight_parts(cold_mid):
    """Neighbouring parts of one cold log read at once."""
    def work(index):
        step = cold_mid.size // 8 + 1
        return read_at(cold_mid.log, index * step, step) != \
            cold_mid.data[index * step:(index + 1) * step]

    assert fork_all(8, work) == [0] * 8
    cold_mid.check_requests()


# --- several logs --------------------------------------------------------------------------------

@pytest.fixture
def four(github, mount, folder):
    """Four cold logs, and a plain tree like the one on the mount."""
    run_id = github.add_run(REPO)
    jobs = [github.add_job(run_id, size=size) for size in (50_000, 101_000, 200_000, 1_200_000)]
    m = mount()
    for job, size in zip(jobs, (50_000, 101_000, 200_000, 1_200_000)):
        (folder / "tree" / str(job)).mkdir(parents=True)
        (folder / "tree" / str(job) / "log").write_bytes(fake.content.content(job, 0, size))
    return m, jobs, folder / "tree"


def _relative(base, lines):
    return sorted(line.replace(bytes(base) + b"/", b"") for line in lines.splitlines())


@pytest.mark.parametrize("words", (["grep", "-r", "needle"], ["grep", "-rc", "ok"],
                                   ["rg", "--no-config", "needle"],
                                   ["rg", "--no-config", "--mmap", "needle"],
                                   ["rg", "--no-config", "-j4", "-c", "compile"]), ids=" ".join)
def test_recursive_grep_of_job_folders(github, four, words):
    m, jobs, tree = four
    base = m.repo() / "jobs"
    only = ["--include=log"] if words[0] == "grep" else ["-g", "log"]
    done = run(*words, *only, *[base / str(job) for job in jobs])
    assert done.stderr == b""
    plain = out(*words, *[tree / str(job) for job in jobs])
    assert _relative(base, done.stdout) == _relative(tree, plain)
    seen = traffic(github)
    assert seen.storage <= 6, "a log was fetched twice"
    assert seen.api <= 2 * len(jobs), "more than the log and the listing of each job"


def test_tar_of_job_folders(four, folder):
    m, jobs, tree = four
    base = m.repo() / "jobs"
    run("tar", "-C", base, "-cf", folder / "a.tar", *["%d/log" % job for job in jobs])
    for job in jobs:
        assert out("tar", "-xOf", folder / "a.tar", "%d/log" % job) == \
            (tree / str(job) / "log").read_bytes()


def test_rsync_of_job_folders(four, folder):
    m, jobs, tree = four
    base = m.repo() / "jobs"
    run("rsync", "-a", *[base / str(job) for job in jobs], folder / "copies/")
    for job in jobs:
        copy = folder / "copies" / str(job)
        assert (copy / "log").read_bytes() == (tree / str(job) / "log").read_bytes()
        assert sorted(os.listdir(copy)) == ["job.json", "log"]


def test_diff_of_job_folders(four):
    m, jobs, tree = four
    for job in jobs:
        run("diff", "-r", "-x", "job.json", m.folder(job), tree / str(job))


def test_cat_of_several(four):
    m, jobs, tree = four
    assert out("cat", *[m.log(job) for job in jobs]) == \
        b"".join((tree / str(job) / "log").read_bytes() for job in jobs)


# --- in a terminal -------------------------------------------------------------------------------

def _line(job, number):
    return fake.content.content(job, (number - 1) * fake.content.LINE, 90).decode()


def test_less_in_a_terminal(github, mount, folder):
    """First page, search, end and back, of a log of 5 MiB."""
    job = github.add_job(github.add_run(REPO), size=fake.content.whole_lines(5 * MIB))
    last = fake.content.whole_lines(5 * MIB) // fake.content.LINE
    with Screen(folder, "less", mount().log(job)) as screen:
        screen.shows(_line(job, 1))
        screen.keys("/needle", "Enter")
        screen.shows("needle-in-the-log")
        screen.keys("G")
        screen.shows(_line(job, last))
        screen.keys("g")
        screen.shows(_line(job, 1))
        screen.keys("q")


def test_less_at_the_end(github, mount, folder):
    job = github.add_job(github.add_run(REPO), size=fake.content.whole_lines(3 * MIB))
    with Screen(folder, "less", "+G", mount().log(job)) as screen:
        screen.shows(_line(job, fake.content.whole_lines(3 * MIB) // fake.content.LINE))
        screen.keys("q")


def test_tail_follows_a_log_that_is_final(github, mount):
    """tail -f shows the end and waits; nothing more comes, nothing more is asked."""
    job = github.add_job(github.add_run(REPO), size=10_100)
    done = run("timeout", 1.5 * SLOW, "tail", "-n", "1", "-f", mount().log(job), check=False)
    assert done.returncode == 124
    assert done.stdout == fake.content.content(job, 9_999, 101)
    assert traffic(github).requests == (1, 1)


def test_a_missing_file_gives_the_usual_error(github, mount):
    path = mount().log(424242)
    assert b"No such file or directory" in run("cat", path, check=False).stderr
    with fails("ENOENT"):
        os.stat(path)
