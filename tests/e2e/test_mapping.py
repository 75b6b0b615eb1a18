"""S4: every regular file whose content is fixed has one size, before and after it is opened. What
mmap, sendfile, splice, direct I/O and tools give of it are the bytes that read gives."""

import concurrent.futures
import contextlib
import ctypes
import mmap
import os
import shutil
import subprocess
import threading

import pytest

from fake.asking import one_job
from mounting import MIB, REPO, fails, run

SIZE = 300_000
TEXTS = ("job.json", "run.json", "stats", "options", "version", "metrics", "metrics.prom")
KINDS = TEXTS + ("log", "log.txt", "step", "report", "empty")
COUNTS = ("stats", "metrics", "metrics.prom")
STEADY = [kind for kind in KINDS if kind not in COUNTS]  # the same whenever it is opened


@pytest.fixture
def files(github, mount):
    """{kind: path} of every kind of regular file there is."""
    run_id = github.add_run(REPO, conclusion="failure")
    job = github.add_job(run_id, size=SIZE, conclusion="failure")
    empty = github.add_job(run_id, size=0)
    m = mount()
    at = m.repo() / "runs" / str(run_id)
    (folder,) = [path.parent for path in at.glob("*/log")
                 if os.readlink(path).endswith("/%d/log" % job)]
    return {"job.json": m.json(job), "run.json": at / "run.json", "log": m.log(job),
            "log.txt": m.folder(job) / "log.txt", "empty": m.log(empty),
            "report": m.repo() / "reports" / ("%d.txt" % run_id),
            "step": max(folder.glob("*.txt"), key=lambda path: path.stat().st_size),
            **{name: m.path / ".ghlogfs" / name for name in TEXTS[2:]}}


def bytes_of(fd):
    return os.pread(fd, MIB, 0)


def mapped_bytes(fd, flags=mmap.MAP_SHARED):
    size = os.fstat(fd).st_size
    if not size:
        return b""
    with mmap.mmap(fd, 0, flags=flags, prot=mmap.PROT_READ) as mapped:
        assert len(mapped) == size
        return mapped[:]


@contextlib.contextmanager
def opened(path, flags=0):
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", KINDS)
def test_s4_mapped_is_what_is_read(files, kind):
    path = files[kind]
    before = path.stat().st_size
    with opened(path) as fd:
        assert os.fstat(fd).st_size == before
        shared = mapped_bytes(fd)
        assert len(shared) == before and (before or kind == "empty")
        assert mapped_bytes(fd, mmap.MAP_PRIVATE) == shared == bytes_of(fd)
        assert os.fstat(fd).st_size == before
    assert path.stat().st_size == before


def sendfile(source, sink):
    while os.sendfile(sink, source, None, MIB):
        pass


def splice(source, sink):
    """By way of a pipe, as nginx does; Python 3.9 has no os.splice."""
    libc = ctypes.CDLL(None, use_errno=True)
    ends = os.pipe()
    try:
        while (count := libc.splice(source, None, ends[1], None, 65536, 0)) > 0:
            os.write(sink, os.read(ends[0], count))
        assert count == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(ends[0])
        os.close(ends[1])


@pytest.mark.parametrize("copy", (sendfile, splice))
@pytest.mark.parametrize("kind", KINDS)
def test_s4_copied_by_the_kernel_without_looking_first(files, folder, kind, copy):
    with opened(files[kind]) as fd, open(folder / "copy", "wb") as sink:
        copy(fd, sink.fileno())
        assert (folder / "copy").read_bytes() == bytes_of(fd)


TOOLS = {
    "wc": lambda path, copy: int(run("wc", "-c", path).stdout.split()[0]) == len(copy),
    "tail": lambda path, copy: run("tail", "-c", "100", path).stdout == copy[-100:],
    "head": lambda path, copy: run("head", "-c", "-1", path).stdout == copy[:-1],
    "dd": lambda path, copy: run("dd", "if=%s" % path, "iflag=direct", "bs=64k").stdout == copy,
    "cmp": lambda path, copy: run("cmp", path, "-", input=copy).returncode == 0,
    "rg": lambda path, copy: run("rg", "--mmap", "-c", "", path).stdout.split() == [
        b"%d" % len(copy.splitlines())],
    "git": lambda path, copy: run("git", "diff", "--no-index", "--stat", "/dev/null", path,
                                  check=False).stdout.count(b"1 file changed") == 1,
}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", [kind for kind in STEADY if kind != "empty"])
def test_s4_what_tools_make_of_it(files, kind, tool):
    if not shutil.which(tool):
        pytest.skip("no " + tool)
    assert TOOLS[tool](files[kind], files[kind].read_bytes())


@pytest.mark.parametrize("kind", STEADY)
def test_s4_cp_with_and_without_reflink(files, folder, kind):
    for word in ("auto", "never"):
        run("cp", "--reflink=" + word, files[kind], folder / word)
        assert (folder / word).stat().st_size == files[kind].stat().st_size
    assert (folder / "auto").read_bytes() == (folder / "never").read_bytes()


def test_s4_two_texts_of_one_path_are_mapped_at_once(github, mount):
    """Each open file keeps the text as it was then, whatever others open and map."""
    first, second = one_job(github, size=SIZE), one_job(github, size=SIZE)
    m = mount()
    stats = m.path / ".ghlogfs" / "stats"
    with contextlib.ExitStack() as stack:
        held = []
        for job in (first, second, None):
            fd = stack.enter_context(opened(stats))
            held.append((fd, mmap.mmap(fd, 0, access=mmap.ACCESS_READ), bytes_of(fd)))
            if job:
                m.log(job).read_bytes()
        assert len({text for _, _, text in held}) == 3, "it was to change in between"
        for _ in range(2):
            for fd, mapped, text in held:
                assert mapped[:] == text == bytes_of(fd) and os.fstat(fd).st_size == len(text)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            stats.read_bytes()
        assert len({os.fstat(fd).st_ino for fd, _, _ in held} | {stats.stat().st_ino}) == 1
        for _, mapped, _ in held:
            mapped.close()


def test_s4_a_job_in_progress_while_its_json_is_mapped(github, mount):
    job = github.add_job(github.add_run(REPO, status="in_progress"), status="in_progress", size=10)
    m = mount(fresh=0)
    with opened(m.json(job)) as fd, mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapped:
        before = mapped[:]
        github.set_job(job, status="completed", conclusion="success")
        after = m.json(job).read_bytes()
        assert after != before and m.json(job).stat().st_size == len(after)
        assert mapped[:] == before == bytes_of(fd) and os.fstat(fd).st_size == len(before)


@pytest.mark.limit(120)
def test_s4_many_open_a_text_that_changes_all_the_time(github, mount):
    """What each of them has open is one text: size, mapping and reads agree."""
    jobs = [one_job(github, size=SIZE) for _ in range(60)]
    m = mount()
    stats, done = m.path / ".ghlogfs" / "stats", threading.Event()

    def look(_):
        seen = set()
        while not done.is_set() or not seen:
            with opened(stats) as fd:
                size, text = os.fstat(fd).st_size, bytes_of(fd)
                assert mapped_bytes(fd) == text and len(text) == size, (size, text)
                assert text.startswith(b"api_requests ") and text.endswith(b"\n")
                seen.add(text)
        return seen

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        looks = [pool.submit(look, n) for n in range(8)]
        try:
            list(pool.map(lambda job: m.log(job).read_bytes(), jobs))
        finally:
            done.set()
        assert len(set().union(*(one.result() for one in looks))) > 1


def test_s4_a_descriptor_is_opened_again(files):
    """By way of /proc, with no lookup: what the descriptor was of, or as it is by now."""
    for kind in KINDS:
        want = files[kind].read_bytes()
        with opened(files[kind], os.O_PATH) as fd, opened("/proc/self/fd/%d" % fd) as again:
            assert bytes_of(again) == want or kind in COUNTS, kind
            assert len(bytes_of(again)) == os.fstat(again).st_size, kind


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to mount")
def test_s4_a_text_that_is_bound_elsewhere(files, folder):
    """As into a container: there is never a lookup again."""
    at = folder / "bound"
    at.touch()
    done = subprocess.run(["mount", "--bind", files["stats"], at], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no right to mount: " + done.stderr)
    try:
        assert at.read_bytes().startswith(b"api_requests ")
        files["log"].read_bytes()
        assert at.read_bytes().startswith(b"api_requests ")
        assert run("cat", at).stdout.endswith(b"\n")
    finally:
        run("umount", "-l", at)


def test_s11_a_running_jobs_log_can_be_mapped_privately_only(github, mount):
    """It grows, and is read with direct I/O: what is shared cannot be promised."""
    job = github.add_job(github.add_run(REPO, status="in_progress"), status="in_progress",
                         size=SIZE)
    m = mount()
    with opened(m.log(job)) as fd:
        with fails("ENODEV"):
            mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        assert mapped_bytes(fd, mmap.MAP_PRIVATE) == bytes_of(fd) and os.fstat(fd).st_size == SIZE
