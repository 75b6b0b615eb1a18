"""The loopback GitHub's shared store answers as S3 and as nginx do, and fails on demand.

The requests are curl's: its signatures are others' work.
"""

import base64
import datetime
import socket
import subprocess
import time
import urllib.parse

import pytest

from fake import sigv4

KEY, SECRET, PATH = "AKIAEXAMPLE", "secret/with+both=", "/logs/v1/github.com/octo/hello/42"
READER = ("AKIAREADER", "another-secret")
UNSIGNED = ("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")


@pytest.fixture
def store(github):
    github.ops([{"op": "accept", "hop": "store"},
                {"op": "store_setup", "identities": dict([(KEY, SECRET), READER]),
                 "readers": [READER[0]]}])
    for path in github.store_list():
        github.store_remove(path=path)
    return github


def curl(github, *words, user=(KEY, SECRET), path=PATH, service="aws:amz:us-east-1:s3",
         timeout="60"):
    """(exit status, HTTP status, body)"""
    identity = ["--user", "%s:%s" % user] if user else []
    signing = ["--aws-sigv4", service] if user and service else []
    done = subprocess.run(["curl", "-s", "--max-time", timeout, "-o", "-", "-w",
                           "\n%{http_code}", *identity, *signing, *words, github.store + path],
                          stdout=subprocess.PIPE, timeout=90)
    body, _, status = done.stdout.rpartition(b"\n")
    return done.returncode, int(status), body


def put(github, data, *words, **how):
    """The body comes from a file, because curl 7.88 signs one of its command line as text."""
    return curl(github, "-X", "PUT", "--data-binary", data, *UNSIGNED, *words, **how)


def get(github, *words, **how):
    return curl(github, *UNSIGNED, *words, **how)


def test_the_signature_of_the_specification():
    """The first example of the S3 documentation's "Signature Calculations"."""
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9",
               "x-amz-content-sha256":
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
               "x-amz-date": "20130524T000000Z"}
    made = sigv4.signature("GET", "/test.txt", headers, sorted(headers),
                           headers["x-amz-content-sha256"],
                           "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524T000000Z",
                           "us-east-1")
    assert made == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def test_what_was_put_is_got_whole_and_in_ranges(store, tmp_path):
    data = bytes(range(256)) * 1000
    (tmp_path / "data").write_bytes(data)
    assert curl(store, "-T", tmp_path / "data", *UNSIGNED)[:2] == (0, 200)
    assert get(store) == (0, 200, data)
    assert get(store, "-r", "1000-1999") == (0, 206, data[1000:2000])
    assert get(store, "-r", "-5") == (0, 206, data[-5:])
    assert get(store, "-r", "256000-")[1] == 416
    assert store.store_list() == {PATH: [len(data), 1]}
    assert base64.b64decode(store.store_get(path=PATH)) == data


def test_what_is_not_there_needs_the_right_to_list(store):
    assert get(store)[1:] == (404, get(store)[2]) and b"NoSuchKey" in get(store)[2]
    store.store_setup(identities={KEY: SECRET}, lists=False)
    status, body = get(store)[1:]
    assert status == 403 and b"AccessDenied" in body


def test_write_once_where_the_server_knows_it(store):
    once = ("-H", "If-None-Match: *")
    assert [put(store, text, *once)[1] for text in ("one", "two")] == [200, 412]
    assert get(store)[2] == b"one"
    store.store_setup(identities={KEY: SECRET}, conditions="ignored")
    assert put(store, "two", *once)[1] == 200
    assert get(store)[2] == b"two" and store.store_list() == {PATH: [3, 2]}


def code_of(answer):
    return answer[1], answer[2].partition(b"<Code>")[2].partition(b"<")[0].decode()


def test_what_proves_nothing_is_refused(store):
    put(store, "text")
    assert code_of(get(store, user=(KEY, "wrong"))) == (403, "SignatureDoesNotMatch")
    assert code_of(get(store, user=("AKIAOTHER", SECRET))) == (403, "InvalidAccessKeyId")
    assert code_of(get(store, user=None)) == (403, "AccessDenied")
    assert code_of(put(store, "x", user=READER)) == (403, "AccessDenied")
    assert get(store, user=READER)[1:] == (200, b"text")
    store.store_setup(identities={KEY: SECRET}, clock=20 * 60)
    assert code_of(get(store)) == (403, "RequestTimeTooSkewed")
    store.store_setup(identities={KEY: SECRET}, region="eu-central-1")
    assert code_of(get(store)) == (400, "AuthorizationHeaderMalformed")


def test_a_header_that_is_not_signed_is_refused(store):
    now = datetime.datetime.now(datetime.timezone.utc)
    host = urllib.parse.urlsplit(store.store).netloc
    headers = sigv4.sign("GET", PATH, {"Host": host}, b"", KEY, SECRET, "us-east-1", now)
    words = [word for pair in headers.items() for word in ("-H", "%s: %s" % pair)]
    assert curl(store, *words, user=None)[1] == 404
    assert code_of(curl(store, *words, "-H", "x-amz-acl: public-read", user=None)) == (
        403, "AccessDenied")
    assert code_of(curl(store, *words, user=None, path=PATH + "3")) == (
        403, "SignatureDoesNotMatch")


def test_a_body_must_have_a_length_and_not_too_much_of_it(store, tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 1000)
    chunked = curl(store, "-T", tmp_path / "data", "-H", "Transfer-Encoding: chunked", *UNSIGNED)
    assert code_of(chunked) == (411, "MissingContentLength")
    (tmp_path / "huge").touch()
    with open(tmp_path / "huge", "wb") as file:
        file.truncate((5 << 30) + 1)
    huge = ("-T", tmp_path / "huge", *UNSIGNED)
    assert code_of(curl(store, *huge)) == (400, "EntityTooLarge")
    sent = curl(store, *huge, "-w", "\n%{size_upload}")[1]
    assert sent < 1 << 30 and store.store_list() == {}      # it is not read


def test_plain_http_with_users(store):
    store.store_setup(mode="http", identities={"writer:word": 1, "bearer abc": 1,
                                               "reader:word": 1}, readers=["reader:word"])
    plain = {"service": None}
    assert put(store, "text", user=("writer", "word"), **plain)[1] == 201
    assert put(store, "text", user=("writer", "word"), **plain)[1] == 204
    assert get(store, user=("reader", "word"), **plain)[1:] == (200, b"text")
    assert put(store, "text", user=("reader", "word"), **plain)[1] == 403
    assert get(store, "-H", "Authorization: Bearer abc", user=None, **plain)[1] == 200
    assert get(store, user=None, **plain)[1] == 403


def test_an_upload_stops_where_it_is_told(store, tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 2_000_000)
    send = ("-T", tmp_path / "data", *UNSIGNED)
    for after in (-1, 0, 1_000_000):
        store.fault("upload", hop="store", after=after, how="reset")
        status, code, _ = curl(store, *send)
        assert status in (52, 55, 56) and code in (0, 100), (after, status, code)
    store.fault("upload", hop="store", after=1_000_000, how="stall")
    assert curl(store, *send, timeout="3")[0] == 28
    assert store.store_list() == {}
    store.drop(hop="store")     # its end may be behind data that is not read
    end = time.monotonic() + 60
    while len(entries := store.log(hop="store")) < 4:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert [entry["aborted"] for entry in entries] == [True] * 4
    assert curl(store, *send)[1] == 200


def test_the_other_faults(store):
    put(store, "x" * 1000)
    store.fault("damage", hop="store", at=500, xor=1)
    assert get(store)[2] == b"x" * 500 + b"y" + b"x" * 499
    store.fault("endless", hop="store", part="header")
    assert get(store, timeout="5")[0] in (26, 56, 27)       # it gives up by itself
    store.fault("endless", hop="store")
    assert len(get(store, timeout="3")[2]) > 100_000
    store.fault("close", hop="store", after=500)
    assert get(store)[0] == 18
    assert get(store)[1:] == (200, b"x" * 1000)


def test_connections_can_hang_or_be_refused(store):
    store.block(hop="store")
    address = urllib.parse.urlsplit(store.store)
    with socket.socket() as sock:
        sock.settimeout(1)
        with pytest.raises(socket.timeout):
            sock.connect((address.hostname, address.port))
    store.refuse(hop="store")
    assert curl(store, *UNSIGNED)[0] == 7
    store.accept(hop="store")
    assert get(store)[1] == 404


def test_what_the_store_must_not_see_and_others_must_not_either(store):
    get(store)
    assert store.counters()["token_leaks"] == 0
    get(store, "-H", "X-Extra: " + store.token + "-long-enough")
    leaks = store.counters()["token_leaks"]
    assert leaks == (1 if len(store.token) > 8 else 0)
    subprocess.run(["curl", "-s", "-o", "/dev/null", "-H", "X-Key: " + KEY, store.api], timeout=60)
    assert store.counters()["token_leaks"] == leaks + 1
