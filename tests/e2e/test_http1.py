"""HTTP/1.1 for storage, also where h2 is offered first: some of libcurl's call a cut body whole."""

import http.client
import ssl
import urllib.parse

import pytest

from fake.asking import one_job
from fake.certificates import Authority
from faulting import made, outcomes, right
from mounting import MIB, REPO, out, traffic


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def github(make_github, authority):
    return make_github(tls=authority.issue("good"))


@pytest.fixture
def mount(mounts, github, authority):
    return lambda **options: mounts(**{"github": github, "ca_file": authority.ca, **options})


def protocols(github, hop="storage"):
    return github.counters()[hop]["protocols"]


def test_h2_is_offered_first(github, authority):
    """Else the tests below prove nothing: a client that can do both gets h2, and is cut off."""
    parts = urllib.parse.urlsplit(github.storage)
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["http/1.1", "h2"])
    connection = http.client.HTTPSConnection(parts.netloc, timeout=10, context=context)
    connection.connect()
    assert connection.sock.selected_alpn_protocol() == "h2"
    with pytest.raises(OSError):        # http.client's "closed without response" is one
        connection.request("GET", "/")
        connection.getresponse()
    assert protocols(github)["h2"] == 1


def test_a_log_comes_over_http_1(github, mount):
    jobs = {size: one_job(github, size=size) for size in (5050, 9 * MIB + 17)}
    m = mount()
    for size, job in jobs.items():
        assert m.log(job).read_bytes() == made(job, size)
    assert traffic(github).storage >= 3
    got = protocols(github)
    assert got["h2"] == got["none"] == 0 < got["http/1.1"]
    assert protocols(github, "api")["h2"] == 0


def test_also_for_many_at_once(github, mount):
    github.bulk(REPO, 10, 4, 20_000)
    assert out("grep", "-rc", "line 0000000000", mount().path / REPO / "jobs").count(b":1\n") == 40
    assert protocols(github)["h2"] == 0 < protocols(github)["http/1.1"]


def test_r1_a_cut_body_is_never_called_whole(github, mount):
    jobs = {name: one_job(github, size=3 * MIB) for name in ("reset", "close", "notify")}
    for name, job in jobs.items():
        how = {"kind": "close", "notify": True} if name == "notify" else {"kind": name}
        github.fault(hop="storage", job=job, after=500_000, times=2, **how)
    assert outcomes(mount(), jobs, 3 * MIB) == right(jobs)
    assert all(fault["hits"] == 2 for fault in github.faults())
    assert protocols(github)["h2"] == 0
