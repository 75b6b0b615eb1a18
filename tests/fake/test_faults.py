"""Each fault does what it names, to the requests it names, as often as given."""

import http.client
import json
import re
import time
import urllib.parse

import pytest

from fake import content
from fake.asking import AGENT, get, one_job, raw, split


def test_fault_is_matched_by_hop_job_occurrence_and_number(github, ask):
    first, second = one_job(github), one_job(github)
    github.fault("status", status=502, hop="storage", job=second, nth=2, times=2)
    urls = {job: ask.signed(job) for job in (first, second)}
    assert [get(urls[first]).status for _ in range(3)] == [200] * 3
    assert [get(urls[second]).status for _ in range(5)] == [200, 502, 502, 200, 200]
    assert github.faults()[0]["hits"] == 2 and github.faults()[0]["seen"] == 5
    github.clear_faults()
    github.fault("status", status=500, path="/rate_limit", times=-1)
    assert [ask("/rate_limit").status for _ in range(5)] == [500] * 5
    assert ask("/repos/octo/hello").status == 200


def test_fault_status_with_body_and_headers(github, ask):
    github.fault("status", status=403, body={"message": "x"}, headers={"Retry-After": "3"})
    reply = ask("/rate_limit")
    assert (reply.status, reply.json, reply.headers["retry-after"]) == (403, {"message": "x"}, "3")


def test_fault_status_with_an_id_of_the_request(github, ask):
    github.fault("status", status=502, body="<html>{request}", times=2)
    bodies = {ask("/rate_limit").body for _ in range(2)}
    assert len(bodies) == 2 and b"{request}" not in b"".join(bodies)


@pytest.mark.parametrize("kind, after, ending", [
    ("reset", 1000, "reset"), ("reset", 0, "reset"), ("reset", -1, "reset"),
    ("close", 1000, "eof"), ("close", -1, "eof"), ("stall", 1000, "timeout"),
    ("stall", -1, "timeout"), ("reset", 3_000_000, "reset")])
def test_fault_cuts_after_so_many_bytes(github, ask, kind, after, ending):
    url = ask.signed(one_job(github, size=4_000_000))
    github.fault(kind, hop="storage", after=after)
    got, how = raw(url, timeout=0.7 if kind == "stall" else 5)
    head, body = split(got)
    assert how == ending and len(body) == max(0, after)
    assert (head == "") == (after < 0)
    if after >= 0:
        assert "Content-Length: 4000000" in head
    deadline = time.monotonic() + 2         # a stall ends once the client has gone
    while not github.log("storage") and time.monotonic() < deadline:
        time.sleep(0.02)
    entry, = github.log("storage")
    assert entry["aborted"] and entry["bytes"] == max(0, after) and entry["fault"]


def test_fault_stall_that_ends(github, ask):
    job = one_job(github)
    url = ask.signed(job)
    github.fault("stall", hop="storage", after=2000, seconds=0.3)
    start = time.monotonic()
    assert get(url).body == content.content(job, 0, 5050)
    assert 0.3 <= time.monotonic() - start < 2


def test_fault_drip(github, ask):
    url = ask.signed(one_job(github, size=40))
    github.fault("drip", hop="storage", bytes=10, every=0.1)
    start = time.monotonic()
    assert len(get(url).body) == 40 and time.monotonic() - start >= 0.3


def test_fault_drip_of_the_head(github, ask):
    url = ask.signed(one_job(github, size=40))
    github.fault("drip", hop="storage", bytes=50, every=0.1, head=True)
    start = time.monotonic()
    assert len(get(url).body) == 40 and time.monotonic() - start >= 0.3


def test_fault_lengths(github, ask):
    url = ask.signed(one_job(github))
    for fields, said, sent in ((dict(kind="overlong", extra=7), 5050, 5057),
                               (dict(kind="content_length", delta=5), 5055, 5050),
                               (dict(kind="content_length", value=1), 1, 5050),
                               (dict(kind="no_length"), None, 5050)):
        github.fault(hop="storage", **fields)
        got, how = raw(url)
        head, body = split(got)
        found = re.search(r"Content-Length: (\d+)", head)
        assert (found and int(found.group(1))) == said and len(body) == sent and how == "eof"


def test_fault_ranges(github, ask):
    url = ask.signed(one_job(github))
    for fields, status, said, size in (
            (dict(kind="ignore_range"), 200, None, 5050),
            (dict(kind="short_range", bytes=3), 206, "bytes 10-12/5050", 3),
            (dict(kind="content_range", total_delta=1), 206, "bytes 10-19/5051", 10),
            (dict(kind="content_range", start_delta=-1), 206, "bytes 9-18/5050", 10),
            (dict(kind="content_range", value="junk"), 206, "junk", 10)):
        github.fault(hop="storage", **fields)
        reply = get(url, {"Range": "bytes=10-19"})
        assert (reply.status, reply.headers.get("content-range")) == (status, said)
        assert len(reply.body) == size


def test_fault_headers_and_bodies_of_storage(github, ask):
    url = ask.signed(one_job(github))
    for fields, test in (
            (dict(kind="etag", value='"other"'), lambda r: r.headers["etag"] == '"other"'),
            (dict(kind="gzip"), lambda r: r.headers["content-encoding"] == "gzip"
             and r.body[:2] == b"\x1f\x8b"),
            (dict(kind="xml", code="ServerBusy"), lambda r: r.status == 503
             and b"ServerBusy" in r.body),
            (dict(kind="expired"), lambda r: r.status == 403 and b"time frame" in r.body),
            (dict(kind="header", headers={"Last-Modified": None}),
             lambda r: "last-modified" not in r.headers),
            (dict(kind="nul"), lambda r: r.body.count(b"\0") == 6)):
        github.fault(hop="storage", **fields)
        assert test(get(url)), fields
    assert get(url).status == 200


@pytest.mark.parametrize("form", ["huge", "malformed", "truncated", "deep", "nul", "html", "empty"])
def test_fault_json(github, ask, form):
    github.fault("json", form=form, size=2_000_000)
    body = ask("/repos/octo/hello").body
    if form in ("huge", "nul"):
        assert len(body) >= 2_000_000 or "\0" in json.loads(body)["name"]
    else:
        with pytest.raises((ValueError, RecursionError)):
            json.loads(body)


@pytest.mark.parametrize("value, wanted", [
    (None, None), ("file:///etc/passwd", "file:///etc/passwd"),
    ("http://u:p@{host}{path}", "http://u:p@127.0.0.2")])
def test_fault_location(github, ask, value, wanted):
    job = one_job(github)
    github.fault("location", value=value)
    location = ask("/repos/octo/hello/actions/jobs/%d/logs" % job).headers.get("location")
    assert location == wanted or location.startswith(wanted) and "/job-logs.txt?" in location


def test_fault_huge_headers(github):
    github.fault("huge_headers", size=300_000, count=2)
    got, _ = raw(github.api + "/rate_limit", timeout=0.5)
    assert len(split(got)[0]) > 600_000


def test_refused_connections(github, ask):
    url = ask.signed(one_job(github))
    github.refuse(hop="storage", seconds=0.4)
    with pytest.raises(ConnectionRefusedError):
        get(url)
    time.sleep(0.5)
    assert get(url).status == 200
    github.refuse(hop="api")
    with pytest.raises(ConnectionRefusedError):
        ask("/rate_limit")
    github.accept(hop="api")
    assert ask("/rate_limit").status == 200


def test_dropped_connections(github):
    netloc = urllib.parse.urlsplit(github.api).netloc
    connection = http.client.HTTPConnection(netloc, timeout=2)
    connection.request("GET", "/rate_limit", headers=AGENT)
    connection.getresponse().read()
    github.drop(hop="api")
    assert connection.sock.recv(1) == b""
    connection.close()


def test_fault_list_is_matched_by_its_query_and_changes_entries(github, ask):
    run = github.add_run("octo/hello")
    jobs = [github.add_job(run, size=10) for _ in range(5)]
    path = "/repos/octo/hello/actions/runs/%d/jobs?per_page=" % run
    github.fault("list", target="per_page=3&", times=-1, drop=1, null=1, twice=True, total=9,
                 link=False, pad=100)
    good, bad = ask(path + "4&page=1"), ask(path + "3&page=1")
    assert [job["id"] for job in good.json["jobs"]] == jobs[:4] and "link" in good.headers
    assert [job and job["id"] for job in bad.json["jobs"]] == [jobs[0], jobs[0], None]
    assert bad.json["total_count"] == 9 and bad.body.endswith(b"}" + 100 * b" ")
    assert "link" not in bad.headers and bad.headers["etag"]
    github.clear_faults()
    github.fault("list", times=-1, total=None)
    assert "total_count" not in ask(path + "5").json
