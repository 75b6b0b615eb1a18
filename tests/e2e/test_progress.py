"""`.ghlogfs/progress`: what is under way, how far it is, and what it waits for."""

import concurrent.futures
import contextlib
import re
import threading
import time

import pytest

import fake.content
from archiving import SIGN, add_run, walk, world
from fake.asking import one_job
from mounting import KIB, MIB, REPO, ended, out, run, spawn, threads_all, wait_for
from sharing import Store
from treeing import failed_job

HEAD = "      BYTES        SIZE       RATE WAITS-FOR            PATH"
LINE = re.compile(r" *(?P<bytes>\d+|-) +(?P<size>\d+|\?|-) +(?P<rate>\d+|-) "
                  r"(?P<waits>-|[a-z]+(?:-store|-until-\d\d:\d\d:\d\d|-in-\d+s)?) +(?P<path>\S.*)")
SHOWN = 100                     # lines at the most, besides the first and the last


def text_of(m):
    return (m.path / ".ghlogfs/progress").read_text()


def progress(m):
    """{path: {column: text}}, once each line is seen to have the form that the manual promises."""
    text, found = text_of(m), {}
    if not text:
        return found
    head, *lines = text.removesuffix("\n").split("\n")
    assert head == HEAD and lines, text
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line
        found[match["path"]] = match.groupdict()
    return found


def wait_line(m, path, **equal):
    """The line of this path, once it has these columns."""
    def look():
        line = progress(m).get(path)
        return line if line and all(line[name] == value for name, value in equal.items()) else None
    return wait_for(look, 30, 0.01, "no such line: %s %s" % (path, equal))


def log_of(job):
    return "%s/jobs/%d/log" % (REPO, job)


@contextlib.contextmanager
def reading(path):
    with ended([spawn("cat", path)]) as (reader,):
        yield reader


# --- one thing under way -------------------------------------------------------------------------

def test_a_slow_log_moves_forward_to_its_size(github, mount):
    """Bytes grow and never shrink, the rate is that of the bytes; then nothing is under way."""
    size, rate = 12 * MIB, 2 * MIB
    job = one_job(github, size=size)
    github.bandwidth(rate=rate)
    m = mount(connections=1)
    assert text_of(m) == ""
    seen = []

    def look():
        line = progress(m).get(log_of(job))
        if line and line["size"] != "?" and line["bytes"] not in [old["bytes"] for old in seen]:
            seen.append(line)
        return len(seen) >= 5 and int(seen[-1]["bytes"]) > 6 * MIB

    with reading(m.log(job)):
        wait_for(look, 30, 0.01, "it does not move")
    numbers = [int(line["bytes"]) for line in seen]
    assert numbers == sorted(numbers) and numbers[-1] <= size
    assert {line["size"] for line in seen} == {str(size)}
    # Far from what a wrong unit would make of it.
    assert rate // 10 < int(seen[-1]["rate"]) < rate * 10, seen


def test_the_rate_falls_while_nothing_comes_and_the_bytes_stay(github, mount):
    job = one_job(github, size=MIB)
    github.fault("stall", hop="storage", after=300_000)
    m = mount(timeout=60)
    with reading(m.log(job)):
        first = wait_line(m, log_of(job), bytes="300000", size=str(MIB))
        wait_for(lambda: int(progress(m)[log_of(job)]["rate"]) < int(first["rate"]) or None)
        line = progress(m)[log_of(job)]
    assert line["bytes"] == "300000" and line["waits"] == "-"


def test_tools_cut_the_columns(github, mount):
    """As the manual page says."""
    job = one_job(github, size=MIB)
    github.fault("stall", hop="storage", after=300_000)
    m = mount(timeout=60)
    with reading(m.log(job)):
        wait_line(m, log_of(job), bytes="300000", size=str(MIB))
        cut = out("awk", "NR > 1 { print $1, $2, $4, $5 }", m.path / ".ghlogfs/progress", text=True)
        with open(m.path / ".ghlogfs/progress") as text:
            told = out("numfmt", "--header", "--invalid=ignore", "--field=1-3", "--to=iec",
                       stdin=text, text=True)
    assert cut == "300000 %d - %s\n" % (MIB, log_of(job))
    head, line = told.splitlines()
    assert head == HEAD and line.split()[:2] == ["293K", "1.0M"]


def test_nothing_under_way_is_an_empty_file(github, mount):
    """Before and after; what is in the cache is not under way."""
    job = one_job(github, size=100_000)
    m = mount()
    assert text_of(m) == ""
    for _ in range(2):
        assert m.log(job).read_bytes() == fake.content.content(job, 0, 100_000)
        m.json(job).read_bytes()
        wait_for(lambda: text_of(m) == "")
    assert (m.path / ".ghlogfs/progress").stat().st_size == 0


@pytest.mark.parametrize("zone, local", [("UTC", time.gmtime),
                                         ("XYZ-5", lambda s: time.gmtime(s + 5 * 3600))])
def test_a_reader_who_waits_for_quota_sees_until_when(github, mount, zone, local):
    job = one_job(github)
    github.rate_limit(remaining=0, reset=3000)
    m = mount(wait=4000, env={"TZ": zone})
    begun = time.time()
    with reading(m.log(job)):
        line = wait_for(lambda: [line for line in progress(m).values()
                                 if line["waits"].startswith("quota-until-")], 30)[0]
    ended_at = time.time()
    assert line["path"] == log_of(job) and line["bytes"] == "0" and line["size"] == "?"
    # The clock of the server has whole seconds, and the wait is rounded up.
    allowed = {time.strftime("%H:%M:%S", local(at))
               for at in range(int(begun) + 2998, int(ended_at) + 3004)}
    assert line["waits"].removeprefix("quota-until-") in allowed


def test_a_reader_sees_github_fail_and_the_next_attempt(github, mount):
    job = one_job(github)
    github.fault("status", hop="storage", status=503, headers={"Retry-After": "50"}, times=-1)
    m = mount(timeout=100)
    with reading(m.log(job)):
        line = wait_for(lambda: [line for line in progress(m).values()
                                 if line["waits"].startswith("retry-in-")], 30)[0]
    assert line["path"] == log_of(job)
    assert 0 <= int(line["waits"].removeprefix("retry-in-").removesuffix("s")) <= 51


@pytest.mark.parametrize("hop, waits", [("api", "github"), ("storage", "storage")])
def test_a_reader_sees_which_answer_is_waited_for(github, mount, hop, waits):
    job = one_job(github)
    github.fault("stall", hop=hop, after=-1)
    m = mount(timeout=60)
    with reading(m.log(job)):
        wait_line(m, log_of(job), waits=waits)


def test_an_archive_under_way_is_a_line_of_its_own(github, mount):
    """And what is told of it are the bytes of the zip; its length is not known. It comes slowly,
    but fast enough for nobody to lose patience."""
    first, meant = world(github, 8, lines=2500)
    github.bandwidth(rate=400 * KIB)
    m = mount()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        walked = pool.submit(walk, m, first, meant)
        line = wait_for(lambda: [line for path, line in progress(m).items()
                                 if path == "%s/runs/%d (archive)" % (REPO, meant.id)
                                 and int(line["bytes"]) > 0], 30)[0]
        assert line["size"] == "?"
        walked.result(60)
    wait_for(lambda: text_of(m) == "")


def test_a_report_that_is_made_waits_for_logs(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    job = failed_job(github, made)
    github.fault("stall", hop="storage", after=0, times=-1)
    m = mount(timeout=60)
    with reading(m.repo() / "reports" / ("%d.txt" % made)):
        line = wait_line(m, "%s/reports/%d.txt" % (REPO, made), waits="logs")
        assert line["bytes"] == line["size"] == line["rate"] == "-"
        wait_line(m, log_of(job))


def test_an_upload_to_the_shared_store_is_a_line(github, mount, folder):
    store = Store(github, folder)
    jobs = [job for one in github.bulk(REPO, 1, 2, 300 * KIB) for job in one["jobs"]]
    github.fault("upload", hop="store", how="stall", after=65536)
    m = mount(**store.options, shared_write=True)
    for job in jobs:
        m.log(job).read_bytes()
    wait_line(m, log_of(jobs[0]) + " (upload)", size=str(300 * KIB))
    wait_line(m, log_of(jobs[1]) + " (upload)", size="?", waits="turn")
    github.drop(hop="store")        # that one is given up, the other waits for a while (T6)
    wait_for(lambda: list(progress(m)) == [log_of(jobs[1]) + " (upload)"], 30)


# --- names ---------------------------------------------------------------------------------------

def test_s12_names_with_odd_characters_stay_one_line(github, mount):
    """They are shown as everywhere, and the path leads to what is under way."""
    branch, shown = "--x/.a b\n\x1b[2J\té/7", "branches/_--x/_.a b__[2J_é/7 (branch)/"
    one = github.add_run(REPO, branch=branch)
    m = mount(fresh=0)
    assert str(one) in [entry.name for entry in (m.repo() / shown).iterdir()]
    github.fault("stall", hop="api", query="branch=", after=-1)
    with ended([spawn("ls", m.repo() / shown)]):
        line = wait_line(m, "%s/%s" % (REPO, shown), waits="github")
    assert line["size"] == "?" and line["rate"] == "-"


# --- many things under way -----------------------------------------------------------------------

@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.limit(120)
def test_eight_hundred_under_way_are_a_hundred_lines_and_a_count(github, mount):
    """Those that began first, in an order that stays."""
    jobs = [job for one in github.bulk(REPO, 40, 20, 500) for job in one["jobs"]]
    github.rate_limit(remaining=0, reset=3000)
    m = mount(wait=4000)
    threads, results = threads_all(800, lambda i: m.log(jobs[i]).read_bytes())
    wait_for(lambda: "(%d more)" % (800 - SHOWN) in progress(m), 60, 0.05)
    first = list(progress(m))
    assert len(first) == SHOWN + 1 and first == list(progress(m))
    assert len(text_of(m)) < (SHOWN + 2) * 120
    m.stop("term", within=10)
    for thread in threads:
        thread.join(20)
    assert all(isinstance(result, OSError) for result in results)


@pytest.mark.slow
@pytest.mark.limit(180)
def test_snapshots_while_everything_starts_and_ends(github, mount):
    """Logs, archives, listings and texts come and go; each snapshot is whole and has the log that
    began first and does not end; and what is read meanwhile is right.

    For the sanitizers: four readers of all that the mount has, and two of its progress."""
    runs = [add_run(github, SIGN, lines=40) for _ in range(12)]
    github.add_repo(repo="octo/other")
    held = github.add_job(github.add_run("octo/other"), size=MIB)
    github.fault("stall", hop="storage", job=held, after=300_000, times=-1)
    m = mount(fresh=0, timeout=600)
    oldest = "octo/other/jobs/%d/log" % held
    done, wrong = threading.Event(), []

    def watch():
        while not done.is_set():
            try:
                assert next(iter(progress(m))) == oldest
            except BaseException as problem:
                wrong.append(problem)
                return

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    with reading(m.path / oldest):
        wait_line(m, oldest, bytes="300000")
        for thread in watchers:
            thread.start()
        try:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                where = m.repo() / "runs", m.repo() / "jobs"
                readers = [pool.submit(walk, m, *runs), pool.submit(walk, m, *reversed(runs)),
                           *(pool.submit(run, "grep", "-rc", "Cleaning", at, timeout=120)
                             for at in where)]
                for reader in readers:
                    reader.result(150)
        finally:
            done.set()
            for thread in watchers:
                thread.join(60)
        assert not wrong, wrong[0]
        wait_for(lambda: list(progress(m)) == [oldest])
