"""Over TLS the loopback GitHub is the same, and fails only on demand."""

import http.client
import socket
import ssl
import time
import urllib.parse

import pytest

from fake import FakeError, FakeGitHub, content
from fake.asking import AGENT, one_job
from fake.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def github(authority):
    with FakeGitHub(tls=authority.issue("good")) as server:
        server.add_repo("octo/hello")
        yield server


@pytest.fixture(autouse=True)
def fresh(github):
    github.clear_faults()
    github.clear_log()


class Asker:
    """Questions over one TLS connection to each host."""

    def __init__(self, github, ca):
        self.github, self.made = github, {}
        self.context = ssl.create_default_context(cafile=ca)

    def __call__(self, url, **headers):
        parts = urllib.parse.urlsplit(url)
        assert parts.scheme == "https"
        if parts.netloc not in self.made:
            self.made[parts.netloc] = http.client.HTTPSConnection(
                parts.netloc, timeout=10, context=self.context)
        connection = self.made[parts.netloc]
        try:
            connection.request("GET", parts.path + "?" + parts.query, headers={**AGENT, **headers})
            response = connection.getresponse()
            return response, response.read()
        except OSError:
            connection.close()
            raise

    def signed(self, job):
        bearer = "Bearer " + self.github.token
        answer, _ = self(self.github.log_url("octo/hello", job), Authorization=bearer)
        return answer.headers["Location"]


@pytest.fixture
def ask(github, authority):
    asker = Asker(github, authority.ca)
    yield asker
    for connection in asker.made.values():
        connection.close()


def test_both_hops_are_https_and_one_connection_serves_many(github, ask):
    assert github.api.startswith("https://127.0.0.1:")
    assert github.storage.startswith("https://127.0.0.2:")
    for size in (0, 5050, 5 << 20):
        job = one_job(github, size=size)
        location = ask.signed(job)
        assert location.startswith(github.storage + "/")
        answer, body = ask(location)
        assert answer.status == 200 and len(body) == size
        assert content.first_difference(job, 0, body) == -1
    assert len({entry["connection"] for entry in github.log()}) == 2
    assert github.counters()["api"]["handshakes"] == {"good": 1, "bad": 0, "resumed": 0}


def test_a_range_and_a_file_without_sendfile(github, ask, tmp_path):
    file = tmp_path / "log"
    file.write_bytes(content.content(1, 0, 3 << 20))
    job = one_job(github, size=None, file=file)
    answer, body = ask(ask.signed(job), Range="bytes=1000000-1999999")
    assert answer.status == 206
    assert body == content.content(1, 1000000, 1000000)
    assert github.log("storage")[0]["bytes"] == 1000000


def test_links_and_ghes_are_https_too(authority):
    with FakeGitHub(ghes=True, tls=authority.issue("ghes")) as server:
        server.add_repo("octo/hello")
        ask = Asker(server, authority.ca)
        assert server.api.startswith("https://") and server.api.endswith("/api/v3")
        job = one_job(server)
        assert ask.signed(job).startswith(server.root + "/_services/")
        answer, body = ask(server.api + "/repos/octo/hello/actions/jobs/%d" % job,
                           Authorization="Bearer " + server.token)
        assert answer.status == 200 and b'"url":"https://127.0.0.1' in body


@pytest.mark.parametrize("kind, notify, error", [
    ("reset", False, (ConnectionResetError, ssl.SSLEOFError)), ("close", False, ssl.SSLError),
    ("close", True, http.client.IncompleteRead)])
def test_three_ways_to_cut_a_body(github, ask, kind, notify, error):
    ask.context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    location = ask.signed(one_job(github, size=1 << 20))
    github.fault(kind, hop="storage", after=300_000, notify=notify)
    parts = urllib.parse.urlsplit(location)
    connection = http.client.HTTPSConnection(parts.netloc, timeout=10)
    plain = socket.create_connection((parts.hostname, parts.port))
    connection.sock = ask.context.wrap_socket(plain, server_hostname=parts.hostname,
                                              suppress_ragged_eofs=False)
    with pytest.raises(error):
        connection.request("GET", parts.path + "?" + parts.query, headers=AGENT)
        connection.getresponse().read()
    connection.close()
    entry, = github.log("storage")
    assert entry["aborted"] and entry["bytes"] == 300_000


def test_a_stall_ends_when_the_client_leaves(github, ask):
    location = ask.signed(one_job(github))
    github.fault("stall", hop="storage", after=100)
    parts = urllib.parse.urlsplit(location)
    connection = http.client.HTTPSConnection(parts.netloc, context=ask.context, timeout=10)
    connection.request("GET", parts.path + "?" + parts.query, headers=AGENT)
    answer = connection.getresponse()
    assert len(answer.read(100)) == 100
    answer.close()
    connection.close()
    for _ in range(200):
        if github.log("storage"):
            break
        time.sleep(0.01)
    assert github.log("storage")[0]["aborted"]


def test_a_certificate_is_changed_for_new_connections(github, ask, authority):
    job = one_job(github)
    location = ask.signed(job)
    expired = authority.issue("expired", days=-1)
    github.certificate(hop="storage", cert=str(expired[0]), key=str(expired[1]))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        ask(location)
    elsewhere = authority.issue("elsewhere", names=["example.com"])
    github.certificate(hop="storage", cert=str(elsewhere[0]), key=str(elsewhere[1]))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        ask(location)
    assert github.counters()["storage"]["handshakes"]["good"] < 2
    assert github.log("storage") == []
    good = authority.issue("again")
    github.certificate(hop="storage", cert=str(good[0]), key=str(good[1]))
    assert ask(location)[0].status == 200


def test_plain_http_has_no_certificate():
    with FakeGitHub() as server:
        assert server.api.startswith("http://") and server.storage.startswith("http://")
        with pytest.raises(FakeError, match="not served over TLS"):
            server.certificate(cert="x", key="y")
