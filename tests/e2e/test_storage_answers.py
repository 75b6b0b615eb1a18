"""What an answer of storage is worth: pages of a proxy, sizes and marks that are wrong once, bodies
of which only the end of their connection tells the end.

Whatever is not the log is never shown as it and never kept: not for this reader, not for the next
mount, not offline.
"""

import errno
import os

import pytest

from faulting import (faulty_jobs, hits, made, named_logs, names_of, one_job, outcome, outcomes,
                      right)
from mounting import MIB, fails, forget, traffic, wait_for

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
    wait_for(lambda: (told := outcomes(again, jobs, SMALL)) == right(told), 20, 0.5)
    again.stop()
    told = outcomes(mount(cache=m.cache, offline=True), jobs, SMALL)
    assert told == right(told)


def test_a_page_tells_its_host_and_type_and_what_it_may_be(github, mount):
    job = one_job(github)
    github.fault(**page(HTML, Content_Type="text/html; charset=x\x1b[2J"))
    m = mount()
    with fails("EPROTO"):
        m.log(job).read_bytes()
    line = next(line for line in m.stderr.splitlines() if "127.0.0.2" in line)
    assert "text/html" in line and "proxy" in line and "\x1b" not in line
    assert os.getxattr(m.folder(job), "user.ghlogfs.state") == b"unknown"


def test_r1_a_page_up_to_three_times_is_not_noticed(github, mount):
    pages = {name: dict(spec, times=3) for name, spec in PAGES.items()}
    jobs = faulty_jobs(github, pages, SMALL)
    told = outcomes(mount(), jobs, SMALL)
    assert told == right(told) and all(hits(github))


def test_r1_a_page_in_a_later_range_is_not_noticed(github, mount):
    size = 6 * MIB
    pages = {name: dict(spec, times=3, range="bytes=1048576-") for name, spec in PAGES.items()}
    jobs = faulty_jobs(github, pages, size)
    told = outcomes(mount(), jobs, size)
    assert told == right(told) and all(hits(github))


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
    told = {}
    wait_for(lambda: told.update(outcomes(m, {job: job for job in run["jobs"]}, SMALL)) or
             told == right(told), 20, 0.5)


@pytest.mark.parametrize("form", ("legacy", "legacy-close"))
def test_a_server_without_marks_goes_on_serving_logs(github, mount, form):
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
