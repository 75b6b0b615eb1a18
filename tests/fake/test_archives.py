"""The archive of a run's attempt, as the loopback GitHub makes it."""

import base64
import gzip
import http.client
import io
import struct
import time
import urllib.parse
import zipfile
import zlib

import pytest

from fake import FakeError
from fake.asking import get, raw, split

LOG = (b"\xef\xbb\xbf2026-01-01T00:00:01.1234567Z Complete job name: %s\n"
       b"2026-01-01T00:00:02.1234567Z two\n2026-01-01T00:00:03.1234567Z three\n")
RUNS = "/repos/octo/hello/actions/runs/%d"


@pytest.fixture
def run(github):
    return github.add_run("octo/hello")


def add(github, run, name, **fields):
    return github.add_job(run, name=name, text=LOG % name.encode(), **fields)


def fetch(ask, run, attempt=None):
    path = (RUNS + ("/attempts/%d/logs" % attempt if attempt else "/logs")) % run
    return get(ask(path).headers["location"])


def unpack(ask, run, attempt=None):
    return zipfile.ZipFile(io.BytesIO(fetch(ask, run, attempt).body))


def tops(archive):
    return [name for name in archive.namelist() if "/" not in name]


def test_it_holds_each_log_and_its_steps(github, ask, run):
    add(github, run, "build / a:b")
    add(github, run, "test")
    archive = unpack(ask, run)
    by_name = {name.partition("_")[2]: archive.read(name) for name in tops(archive)}
    assert by_name == {"build _ ab.txt": LOG % b"build / a:b", "test.txt": LOG % b"test"}
    steps = [archive.read(name) for name in archive.namelist() if name.startswith("test/")]
    assert b"".join(steps).count(b"\n") == 3 and b"\xef\xbb\xbf" not in b"".join(steps)
    assert all(info.flag_bits & 8 for info in archive.infolist())


def test_it_is_made_while_it_is_sent(github, ask, run):
    add(github, run, "build")
    reply = fetch(ask, run)
    assert reply.headers["transfer-encoding"] == "chunked"
    assert not {"content-length", "etag", "accept-ranges"} & set(reply.headers)
    url = ask((RUNS + "/logs") % run).headers["location"]
    assert get(url, {"Range": "bytes=0-9"}).status == 200
    assert get(url[:-3]).status == 403


def test_only_of_a_completed_attempt_and_only_its_own_jobs(github, ask):
    run = github.add_run("octo/hello", attempts=2)
    add(github, run, "first", attempt=1)
    add(github, run, "second", attempt=2)
    assert [name[2:] for name in tops(unpack(ask, run, 1))] == ["first.txt"]
    assert [name[2:] for name in tops(unpack(ask, run))] == ["second.txt"]
    github.set_run(run=run, status="in_progress", conclusion=None)
    assert ask((RUNS + "/logs") % run).status == 404


def test_names(github, ask, run):
    for name in ("same", "same", "a/b", "x" * 120):
        add(github, run, name)
    github.archive(run=run, clean="drop", old=True, system=True)
    names = {name.partition("_")[2] for name in tops(unpack(ask, run))}
    assert names == {"same.txt", "same (1).txt", "ab.txt", "x" * 90 + ".txt"}
    assert sum(name.startswith("-") for name in tops(unpack(ask, run))) == 4
    assert "ab/system.txt" in unpack(ask, run).namelist()


def by_name(archive):
    """Whole logs by the name of their job; the last one where it comes twice."""
    return {name.partition("_")[2][:-4]: archive.read(name) for name in tops(archive)}


def b64(data):
    return base64.b64encode(data).decode()


def test_what_goes_wrong(github, ask, run):
    one, two, three = (add(github, run, name) for name in ("one", "two", "three"))
    github.archive(run=run, swap=[one, two], missing=[three], mute=True, bomb=3 << 20, many=5,
                   extra=[["../x", b64(b"x")]], last=[["/y", b64(b"y")]], steps=False)
    archive = unpack(ask, run)
    assert archive.namelist()[0] == "../x" and archive.namelist()[-1] == "/y"
    assert archive.read("../x") == b"x" and archive.read("0_bomb.txt") == bytes(3 << 20)
    assert archive.namelist()[1:6] == ["%d/1_x.txt" % n for n in range(5)]
    logs = by_name(archive)
    assert sorted(logs) == ["bomb", "one", "two"]
    assert not any(b"Complete job" in data for data in logs.values())
    github.archive(run=run, swap=[one, two])
    assert b"Complete job name: two" in by_name(unpack(ask, run))["one"]


def test_entries_whose_content_is_wrong(github, ask, run):
    one, two, three = (add(github, run, name) for name in ("one", "two", "three"))
    github.archive(run=run, empty=[one], half=[two], order=[three, one, two])
    archive = unpack(ask, run)
    assert [name.partition("_")[2] for name in tops(archive)] == ["three.txt", "one.txt", "two.txt"]
    logs = by_name(archive)
    assert logs["one"] == b"" and logs["two"] == (LOG % b"two").split(b"\n")[0] + b"\n"
    steps = [archive.read(name) for name in archive.namelist() if name.startswith("two/")]
    assert b"".join(steps).count(b"\n") == 3
    for choice in ("wrong_crc", "wrong_size"):
        github.archive(run=run, **{choice: two})
        archive = unpack(ask, run)
        bad, good = (next(n for n in tops(archive) if n.endswith(end)) for end in ("two.txt",
                                                                                 "one.txt"))
        assert archive.read(good) == LOG % b"one"
        if choice == "wrong_size":
            assert archive.getinfo(bad).file_size == len(LOG % b"two") + 1
        else:
            with pytest.raises(zipfile.BadZipFile):
                archive.read(bad)


@pytest.mark.parametrize("how, first, second", [
    ("same", b"", b""), ("other", b"", b"again\n"), ("first", b"again\n", b"")])
def test_an_entry_twice(github, ask, run, how, first, second):
    github.archive(run=run, twice=[add(github, run, "one"), how])
    archive = unpack(ask, run)
    want = LOG % b"one"
    assert [archive.read(name) for name in tops(archive)] == [want + first, want + second]


def test_names_that_no_zip_should_have(github, ask, run):
    names = ["../../etc/passwd", "/etc/passwd", "1_a\0b.txt", "x" * 4096, "a\\b.txt", "", "\udcff"]
    github.archive(run=run, extra=[[name, b64(b"x")] for name in names])
    data = fetch(ask, run).body
    for name in names:
        stored = name.encode("utf-8", "surrogateescape")
        assert struct.pack("<H", len(stored)) + b"\0\0" + stored in data
    assert data.count(b"PK\x03\x04") == data.count(b"PK\x01\x02") == len(names)


@pytest.mark.parametrize("sizes", ["behind", "bare", "zip64", "ahead"])
def test_where_sizes_stand(github, ask, run, sizes):
    add(github, run, "one")
    github.archive(run=run, sizes=sizes)
    data = fetch(ask, run).body
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None and by_name(archive) == {"one": LOG % b"one"}
    assert (b"PK\x07\x08" in data) == (sizes in ("behind", "zip64"))
    assert (b"PK\x06\x06" in data) == (sizes == "zip64")
    crc = struct.pack("<L", archive.infolist()[0].CRC)
    assert (data[14:18] == crc) == (sizes == "ahead")
    if sizes == "zip64":
        assert data[18:26] == b"\xff" * 8


def test_more_entries_than_16_bits_count(github, ask, run):
    add(github, run, "one")
    github.archive(run=run, many=66_000)
    archive = unpack(ask, run)
    assert len(archive.namelist()) == 66_004 and by_name(archive) == {"one": LOG % b"one"}


@pytest.mark.parametrize("framing, header", [
    ("chunked", "transfer-encoding"), ("length", "content-length"), ("close", None)])
def test_how_it_is_framed(github, ask, run, framing, header):
    add(github, run, "one")
    github.archive(run=run, framing=framing)
    reply = fetch(ask, run)
    assert {"transfer-encoding", "content-length"} & set(reply.headers) == {header} - {None}
    assert zipfile.ZipFile(io.BytesIO(reply.body)).testzip() is None


def test_one_that_ends_too_soon_in_good_order(github, ask, run):
    one, two = (add(github, run, name) for name in ("one", "two"))
    github.archive(run=run, order=[one, two], ends=two)
    data = fetch(ask, run).body
    assert data.count(b"PK\x03\x04") == 4 and b"_two.txt" not in data and b"PK\x01\x02" not in data


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("what", ["zeros", "noise", "log"])
def test_an_entry_without_an_end(github, ask, run, what, framing):
    one, two = (add(github, run, name) for name in ("one", "two"))
    github.archive(run=run, order=[one, two], endless=[two, what], framing=framing)
    url = ask((RUNS + "/logs") % run).headers["location"]
    packed, unpacked = read_some(url, 256 << 10, b"_two.txt")
    assert unpacked.startswith(LOG % b"two")
    rest = unpacked[len(LOG % b"two"):]
    if what == "noise":
        assert len(rest) >= 0.99 * len(packed) and len(set(rest[:1000])) > 200
    elif what == "zeros":
        assert rest == bytes(len(rest)) and len(rest) > 500 * len(packed)
    else:
        assert rest.startswith(2 * (LOG % b"two"))
    deadline = time.monotonic() + 5
    while not github.log("storage") and time.monotonic() < deadline:
        time.sleep(0.02)
    entry, = github.log("storage")
    assert entry["aborted"] and entry["bytes"] >= 256 << 10


def read_some(url, count, name):
    """So many bytes of an answer, and what the entry of this name has come to by then."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path + "?" + parts.query)
    data = connection.getresponse().read(count)
    connection.close()
    packed = data[data.index(name) + len(name):]
    packer = zlib.decompressobj(-15)
    return packed, packer.decompress(packed, 4 << 30)


def test_a_fault_meets_an_archive(github, ask, run):
    """Such as every test of a bad answer uses: by its path, at one of the two hops."""
    add(github, run, "one")
    github.fault("status", hop="api", path="/attempts/1/logs", status=500,
                 body={"message": "Failed to generate URL to download logs"})
    github.fault("status", hop="storage", path="/rest/runs/", status=200, body="<html>",
                 headers={"Content-Type": "text/html"})
    github.fault("gzip", hop="storage", path="/rest/runs/")
    assert ask((RUNS + "/attempts/1/logs") % run).status == 500
    reply = fetch(ask, run, 1)
    assert (reply.body, reply.headers["content-type"]) == (b"<html>", "text/html")
    reply = fetch(ask, run, 1)
    assert reply.headers["content-encoding"] == "gzip"
    assert zipfile.ZipFile(io.BytesIO(gzip.decompress(reply.body))).testzip() is None


@pytest.mark.parametrize("kind, ending", [("reset", "reset"), ("close", "eof"),
                                          ("stall", "timeout")])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_cut_meets_an_archive(github, ask, run, kind, ending, framing):
    add(github, run, "one")
    github.archive(run=run, framing=framing)
    whole = fetch(ask, run).body
    github.fault(kind, hop="storage", path="/rest/runs/", after=300)
    got, how = raw(ask((RUNS + "/logs") % run).headers["location"], timeout=0.7)
    body = split(got)[1]
    if framing == "chunked":
        body = body.partition(b"\r\n")[2]
    assert how == ending and body[:300] == whole[:300] and len(body) <= 300 + 2


def test_choices_that_are_impossible(github, run):
    one = add(github, run, "one")
    for choices in ({"colour": "red"}, {"sizes": "none"}, {"steps": 2}, {"twice": [one, "thrice"]},
                    {"endless": [one, "ones"]}, {"endless": [one, "log"], "framing": "length"}):
        with pytest.raises(FakeError, match="archive"):
            github.archive(run=run, **choices)


def test_a_file_is_served_as_it_is(github, ask, run, tmp_path):
    add(github, run, "build")
    path, data = tmp_path / "real.zip", b"PK\x03\x04" + bytes(range(256)) * 1000
    path.write_bytes(data)
    github.archive(run=run, file=str(path))
    reply = fetch(ask, run, 1)
    assert reply.body == data and reply.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in reply.headers
    github.archive(run=run)
    assert [name[2:] for name in tops(unpack(ask, run))] == ["build.txt"]


@pytest.mark.parametrize("wrong", ({"file": "/nowhere/real.zip"}, {"file": "/", "mute": True}))
def test_a_file_that_cannot_be_served_is_refused(github, run, wrong):
    with pytest.raises(FakeError):
        github.archive(run=run, **wrong)


def test_made_before_they_are_asked_for(github, ask, run):
    """A run that goes on has none; one that was made stays until something changes."""
    add(github, run, "one")
    going_on = github.add_run("octo/hello", status="in_progress")
    add(github, going_on, "two")
    size = github.make_archives(repo="octo/hello")
    assert size == len(fetch(ask, run).body)
    add(github, run, "three")
    assert github.make_archives(repo="octo/hello") > size
