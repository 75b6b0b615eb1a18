"""What an answer of storage is worth: pages of a proxy, sizes and marks that are wrong once, bodies
of which only the end of their connection shows the end.

Whatever is not the log is never shown as it and never kept: not for this reader, not for the next
mount, not offline.
"""

import os
import sys

import pytest

from faulting import (faulty_jobs, hits, made, named_logs, names_of, one_job, outcome, outcomes,
                      right)
from mounting import MIB, ended, fails, out, spawn, wait_for

SMALL = 300_000
HTML = "<!DOCTYPE html><html><body>Blocked by policy.</body></html>"


def page(body, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "hop": "storage", "status": 200, "body": body, "headers": named,
            "times": -1}


# --- pages ---------------------------------------------------------------------------------------

PAGES = {
    "a block page": page(HTML, Content_Type="text/html"),
    "a block page in UTF-8": page(HTML, Content_Type="text/html; charset=utf-8"),
    "a block page of no type": page(HTML, Content_Type=None),
    "a block page as plain text": page(HTML),
    "a page with an ETag": page("\n <html>", ETag='"page"', Accept_Ranges="bytes"),
    "JSON": page({"message": "Log in."}),
    "JSON as plain text": page('{"message": "Log in."}'),
    "an XML error": page("<?xml version='1.0'?><Error/>", Content_Type="application/xml"),
    "an XML error as plain text": page("\ufeff<?xml version='1.0'?><Error/>"),
    "a part of a page": {"kind": "header", "hop": "storage", "times": -1,
                         "headers": {"Content-Type": "text/html"}},
    "many parts": {"kind": "header", "hop": "storage", "times": -1,
                   "headers": {"Content-Type": "multipart/byteranges; boundary=x"}},
    "a refusal in words": page("Access to this site is blocked. Call the help desk."),
    "a word": page("Blocked", Content_Type="application/octet-stream"),
    "nothing at all": page(""),
    "a login page behind a redirect": dict(page("", Location="http://127.0.0.1:9/login"),
                                           status=302),
}


@pytest.mark.limit(90)
def test_a_page_is_no_log_and_is_never_kept(github, mount):
    """Not while it is served, in no mount, and the log comes once it is gone."""
    jobs = faulty_jobs(github, PAGES, SMALL)
    m = mount()
    refused = dict.fromkeys(jobs, "EPROTO")
    assert names_of(outcomes(m, jobs, SMALL)) == refused
    m.stop()
    offline = mount(cache=m.cache, offline=True)
    assert names_of(outcomes(offline, jobs, SMALL)) == dict.fromkeys(jobs, "EHOSTUNREACH")
    offline.stop()
    again = mount(cache=m.cache)
    assert names_of(outcomes(again, jobs, SMALL)) == refused
    assert not named_logs(m.cache)
    github.clear_faults()
    wait_for(lambda: (got := outcomes(again, jobs, SMALL)) == right(got), 20, 0.5)
    again.stop()
    got = outcomes(mount(cache=m.cache, offline=True), jobs, SMALL)
    assert got == right(got)


def test_a_page_tells_its_host_and_type_and_what_it_may_be(github, mount):
    job = one_job(github)
    github.fault(**page(HTML, Content_Type="text/html; charset=x\x1b[2J"))
    m = mount()
    with fails("EPROTO"):
        m.log(job).read_bytes()
    line = next(line for line in m.stderr.splitlines() if "127.0.0.2" in line)
    assert "the response (text/html) is not a log" in line and "proxy" in line
    assert "\x1b" not in line
    assert os.getxattr(m.folder(job), "user.ghlogfs.state") == b"broken"


def test_r1_a_page_up_to_three_times_is_not_noticed(github, mount):
    pages = {name: dict(spec, times=3) for name, spec in PAGES.items()}
    jobs = faulty_jobs(github, pages, SMALL)
    got = outcomes(mount(), jobs, SMALL)
    assert got == right(got) and all(hits(github))


def test_r1_a_page_in_a_later_range_is_not_noticed(github, mount):
    size = 6 * MIB
    pages = {name: dict(spec, times=3, range="bytes=1048576-") for name, spec in PAGES.items()}
    jobs = faulty_jobs(github, pages, size)
    got = outcomes(mount(), jobs, size)
    assert got == right(got) and all(hits(github))


def test_a_page_ahead_of_a_recursive_reader_is_not_kept(github, mount):
    """What is fetched ahead is judged as what is read."""
    (run,) = github.bulk("octo/hello", runs=1, jobs=8, size=SMALL)
    github.fault(**page(HTML, Content_Type="text/html"))
    m = mount()
    for job in run["jobs"]:
        with fails("EPROTO"):
            m.log(job).read_bytes()
    assert not named_logs(m.cache)
    github.clear_faults()
    got = {}
    wait_for(lambda: got.update(outcomes(m, {job: job for job in run["jobs"]}, SMALL)) or
             got == right(got), 20, 0.5)


@pytest.mark.parametrize("form", ("legacy", "legacy-close"))
def test_a_server_without_marks_continues_to_serve_logs(github, mount, form):
    """Beside one that has them: its logs begin as all logs do."""
    m = mount()
    for _ in range(2):
        job = one_job(github, size=SMALL, form=form)
        assert outcome(m.log(job), made(job, SMALL)) == "right"
        block = one_job(github, size=SMALL)
        assert outcome(m.log(block), made(block, SMALL)) == "right"


def test_a_log_that_begins_like_a_page_is_a_log(github, mount):
    for text in (HTML.encode(), b'{"a": 1}\n', b"<?xml?>"):
        job = one_job(github, size=None, text=text)
        assert mount().log(job).read_bytes() == text


# --- R1: wrong answers, once or a few times ------------------------------------------------------

LARGE = 6 * MIB + 4321
WRONG = {
    "a total one too large": {"kind": "content_range", "total_delta": 1},
    "a total one too small": {"kind": "content_range", "total_delta": -1},
    "a total far too large": {"kind": "content_range", "total_delta": 100_000},
    "a total far too small": {"kind": "content_range", "total_delta": -100_000},
    "another ETag": {"kind": "etag"},
    "no ETag": {"kind": "header", "headers": {"ETag": None}},
    "another time": {"kind": "header", "headers":
                     {"Last-Modified": "Thu, 01 Jan 2026 00:00:01 GMT"}},
    "a length too large": {"kind": "content_length", "delta": 1},
    "a length too small": {"kind": "content_length", "delta": -1},
}


def is_right(got, want):
    """Said without both of them."""
    return "right" if got == want else "%d bytes for %d" % (len(got), len(want))


def wrong(**more):
    return {name: dict(spec, hop="storage", **more) for name, spec in WRONG.items()}


def assert_kept_right(mount, m, jobs, size):
    """Every later mount has the right sizes and the right bytes, offline too."""
    sizes = {name: m.log(job).stat().st_size for name, job in jobs.items()}
    assert sizes == dict.fromkeys(jobs, size)
    m.stop()
    offline = mount(cache=m.cache, offline=True)
    sizes = {name: offline.log(job).stat().st_size for name, job in jobs.items()}
    assert sizes == dict.fromkeys(jobs, size)
    got = outcomes(offline, jobs, size)
    assert got == right(got)


@pytest.mark.parametrize("nth, times", ((1, 1), (1, 3), (2, 1), (2, 3)))
@pytest.mark.parametrize("size", (900_000, MIB, 3_500_000, LARGE))
def test_r1_a_wrong_answer_is_not_noticed_and_not_kept(github, mount, size, nth, times):
    jobs = faulty_jobs(github, wrong(nth=nth, times=times), size)
    m = mount()
    got = outcomes(m, jobs, size)
    assert got == right(got)
    if nth == 1:
        assert all(hits(github))
    assert_kept_right(mount, m, jobs, size)


@pytest.mark.parametrize("form, times", (("append", 1), ("append", 3), ("append-sealed", 1)))
def test_r1_a_wrong_answer_about_a_log_that_grew(github, mount, form, times):
    """Whether it is final is asked for besides."""
    jobs = faulty_jobs(github, wrong(times=times), 3_500_000, form=form)
    m = mount()
    got = outcomes(m, jobs, 3_500_000)
    assert got == right(got)
    assert_kept_right(mount, m, jobs, 3_500_000)


def test_r1_a_wrong_answer_where_nothing_is_kept(github, mount):
    jobs = faulty_jobs(github, wrong(times=3), LARGE)
    m = mount(no_cache=True)
    for _ in range(2):
        got = outcomes(m, jobs, LARGE)
        assert got == right(got)


@pytest.mark.parametrize("size", (SMALL, 3_500_000))
def test_r1_a_wrong_answer_about_a_log_that_was_evicted(github, mount, size):
    """Its size was proven when it was whole: no answer changes it any more."""
    run = github.add_run("octo/hello")
    jobs = {name: github.add_job(run, size=size) for name in WRONG}
    first = mount()
    got = outcomes(first, jobs, size)
    assert got == right(got)
    first.stop()
    for file in named_logs(first.cache).values():
        file.unlink()
    for name, spec in wrong(times=3).items():
        github.fault(job=jobs[name], **spec)
    again = mount(cache=first.cache)
    got = outcomes(again, jobs, size)
    assert got == right(got)
    assert_kept_right(mount, again, jobs, size)


def test_r1_totals_wrong_twice_and_differently(github, mount):
    jobs = {}
    for first, second in ((1, 2), (-1, 1), (5000, -5000)):
        job = jobs[first, second] = one_job(github, size=LARGE)
        for nth, delta in ((1, first), (2, second)):
            github.fault("content_range", hop="storage", job=job, nth=nth, total_delta=delta)
    m = mount()
    got = outcomes(m, jobs, LARGE)
    assert got == right(got)
    assert_kept_right(mount, m, jobs, LARGE)


def test_r1_a_wrong_answer_to_a_stat(github, mount):
    """The size is shown as reported, and is right once the log is read, also after a remount."""
    jobs = faulty_jobs(github, wrong(), LARGE)
    m = mount()
    for job in jobs.values():
        m.log(job).stat()
    m.stop()
    again = mount(cache=m.cache)
    got = outcomes(again, jobs, LARGE)
    assert got == right(got)
    assert_kept_right(mount, again, jobs, LARGE)


@pytest.mark.parametrize("delta", (1, -1, 100_000, -100_000))
def test_r1_an_open_file_whose_size_was_reported_wrong(github, mount, delta):
    """By the time its end is read it is as long as the log: nothing is missing or added."""
    job = one_job(github, size=LARGE)
    github.fault("content_range", hop="storage", job=job, total_delta=delta)
    log = mount().log(job)
    with open(log, "rb", buffering=0) as file:
        assert os.fstat(file.fileno()).st_size == LARGE + delta
        assert os.pread(file.fileno(), 1000, 0) == made(job, 1000)
        file.seek(0)
        assert is_right(file.readall(), made(job, LARGE)) == "right"
        assert os.fstat(file.fileno()).st_size == LARGE
    assert log.stat().st_size == LARGE


@pytest.mark.parametrize("delta", (1, -1, 100_000, -100_000))
def test_r1_the_end_of_a_log_whose_size_was_reported_wrong(github, mount, delta):
    """A reader that seeks there at once gets neither less nor more."""
    job = one_job(github, size=LARGE)
    github.fault("content_range", hop="storage", job=job, total_delta=delta)
    with open(mount().log(job), "rb", buffering=0) as file:
        file.seek(LARGE - 150_000)
        assert is_right(file.readall(), made(job, LARGE)[-150_000:]) == "right"


@pytest.mark.parametrize("size", (1000, 4096, 32768))
@pytest.mark.parametrize("delta", (1, 5000, 100_000, 3 * MIB))
def test_r1_small_reads_to_the_end_of_a_log_that_turns_out_shorter(github, mount, delta, size):
    """Also while others stat it all the time: the kernel must not fill up with zeros."""
    jobs = [one_job(github, size=size) for size in (LARGE, 832 * 4096)]
    for job in jobs:
        github.fault("content_range", hop="storage", job=job, total_delta=delta)
    m = mount()
    with ended([spawn("sh", "-c", "while :; do stat %s %s; done >/dev/null" % (
            m.log(jobs[0]), m.log(jobs[1])))]):
        for job, length in zip(jobs, (LARGE, 832 * 4096)):
            for _ in range(2):
                with open(m.log(job), "rb", buffering=0) as file:
                    got = b"".join(iter(lambda: file.read(size), b""))
                assert is_right(got, made(job, length)) == "right"
            assert m.log(job).stat().st_size == length


MAPPED = """
import mmap, os, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as map:
    sys.stdout.buffer.write(map[:int(sys.argv[2])])
"""


@pytest.mark.parametrize("delta", (-1, -100_000))
def test_r1_a_mapped_file_whose_size_was_reported_wrong(github, mount, delta):
    """What was mapped of the log is there, to its last byte."""
    job = one_job(github, size=LARGE)
    github.fault("content_range", hop="storage", job=job, total_delta=delta)
    size = min(LARGE, LARGE + delta)
    assert is_right(out(sys.executable, "-c", MAPPED, mount().log(job), str(size)),
                    made(job, size)) == "right"


def test_r1_the_text_of_a_log_whose_size_was_reported_wrong(github, mount):
    """Whoever makes text of a log makes it of all of it, and of no more."""
    jobs = faulty_jobs(github, wrong(), 3_500_000)
    clean = one_job(github, size=3_500_000)
    m = mount()
    want = (m.folder(clean) / "log.txt").stat().st_size
    assert {name: (m.folder(job) / "log.txt").stat().st_size
            for name, job in jobs.items()} == dict.fromkeys(jobs, want)


def test_r1_a_wrong_answer_ahead_of_a_recursive_reader(github, mount):
    jobs = faulty_jobs(github, wrong(), 3_500_000)
    m = mount(prefetch=8)
    for job in sorted(jobs.values()):
        assert outcome(m.log(job), made(job, 3_500_000)) == "right"
    assert_kept_right(mount, m, jobs, 3_500_000)


def test_r1_a_running_log_reported_longer_than_it_is(github, mount):
    """Once: a reader that follows it gets what there is, and it continues to grow."""
    run = github.add_run("octo/hello", status="in_progress")
    job = github.add_job(run, name="now", status="in_progress", size=3 * MIB)
    github.fault("content_range", hop="storage", job=job, total_delta=100_000)
    m = mount()
    assert outcome(m.log(job), made(job, 3 * MIB)) == "right"
    assert m.log(job).stat().st_size == 3 * MIB
    github.grow(job, size=MIB)
    wait_for(lambda: m.log(job).stat().st_size == 4 * MIB, 20, 0.2)
    assert outcome(m.log(job), made(job, 4 * MIB)) == "right"


def test_s8_a_job_that_runs_again_by_one_answer_stays_final(github, mount):
    job = one_job(github, size=SMALL)
    m = mount(fresh=0)
    assert outcome(m.log(job), made(job, SMALL)) == "right"
    m.json(job).read_bytes()
    github.set_job(job, status="in_progress")
    m.json(job).read_bytes()
    assert outcome(m.log(job), made(job, SMALL)) == "right"
    assert os.getxattr(m.folder(job), "user.ghlogfs.state") == b"available"
    m.stop()
    assert outcome(mount(cache=m.cache, offline=True).log(job), made(job, SMALL)) == "right"


def test_s6_another_log_is_an_error_at_once_and_right_for_who_opens_it_anew(github, mount):
    """A reader of the old one gets no byte of the new one; a later one gets all of it."""
    job = one_job(github, size=None, text=made(7, LARGE))
    m = mount()
    with open(m.log(job), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1000, 0) == made(7, 1000)
        github.set_job(job, text=made(8, LARGE - 5))
        with fails("EIO"):
            os.pread(file.fileno(), 1000, 4 * MIB)
        assert outcome(m.log(job), made(8, LARGE - 5)) == "right"
        assert os.pread(file.fileno(), 1000, 500_000) == made(7, 501_000)[500_000:]
    m.stop()
    assert outcome(mount(cache=m.cache, offline=True).log(job), made(8, LARGE - 5)) == "right"


# --- bodies of which only the end of their connection shows the end -------------------------------

@pytest.mark.parametrize("after", (65_536, 101 * 1000, 0))
def test_r1_a_body_without_framing_cut_three_times_at_one_place(github, mount, after):
    """In good order, at a page's end, at a line's end, before its first byte."""
    job = one_job(github, size=SMALL, form="legacy-close")
    github.fault("close", hop="storage", job=job, nth=2, times=3, after=after)
    m = mount()
    assert outcome(m.log(job), made(job, SMALL)) == "right"
    assert m.log(job).stat().st_size == SMALL


def test_s8_a_body_without_framing_is_never_kept(github, mount):
    """Nor is the text that is made of it: nothing can show that a proxy always cuts it here."""
    job = one_job(github, size=SMALL, form="legacy-close")
    github.fault("close", hop="storage", job=job, times=-1, after=65_536)
    m = mount()
    assert outcome(m.log(job), made(job, SMALL)) == "short: 65536"
    text = (m.folder(job) / "log.txt").read_bytes()
    m.stop()
    assert not named_logs(m.cache)
    with fails("EHOSTUNREACH"):
        mount(cache=m.cache, offline=True).log(job).stat()
    github.clear_faults()
    again = mount(cache=m.cache)
    assert outcome(again.log(job), made(job, SMALL)) == "right"
    assert len((again.folder(job) / "log.txt").read_bytes()) > len(text)


def test_r1_a_length_that_stands_alone_and_is_wrong(github, mount):
    """A server without ranges sends the length of a log, three times a wrong one."""
    jobs = {}
    for delta in (-1, 1, -200_000):
        job = jobs[delta] = one_job(github, size=SMALL, form="legacy-length")
        github.fault("content_length", hop="storage", job=job, times=3, delta=delta)
    jobs["right"] = one_job(github, size=SMALL, form="legacy-length")
    m = mount()
    got = outcomes(m, jobs, SMALL)
    assert got == right(got)
    assert_kept_right(mount, m, jobs, SMALL)
