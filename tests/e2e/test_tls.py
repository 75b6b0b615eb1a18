"""What every user has: https to the API and to storage, authorities, proxies (1, 2, R1, R7)."""

import urllib.parse

import pytest

from conftest import Github
from fake.asking import one_job
from fake.certificates import Authority
from faulting import made, outcomes, right
from mounting import BINARY, MIB, REPO, fails, out, read_at, traffic, wait_for
from proxying import Proxy

API, STORAGE = "127.0.0.1", "127.0.0.2"
GITHUB, BLOBS = "api.github.com", "productionresultssa0.blob.core.windows.net"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "Authority of nobody")


@pytest.fixture(scope="session")
def good(authority):
    return authority.issue("good", [API, STORAGE, "localhost", GITHUB, BLOBS])


@pytest.fixture(scope="session")
def shared(good):
    with Github(tls=good) as server:
        yield server


@pytest.fixture
def github(shared, good):
    """The fixture of this name elsewhere, over TLS."""
    show(shared, "api", good)
    show(shared, "storage", good)
    yield shared.clean()
    assert shared.counters()["token_leaks"] == 0, "a token reached storage"


@pytest.fixture
def mount(mounts, github, authority):
    def make(**options):
        return mounts(**{"github": github, "ca_file": authority.ca, **options})
    return make


def place(url):
    return urllib.parse.urlsplit(url).netloc


def show(github, hop, certificate):
    """From now on this hop shows that certificate."""
    github.certificate(hop=hop, cert=str(certificate[0]), key=str(certificate[1]))


def handshakes(github, hop):
    return github.counters()[hop]["handshakes"]


def connections(entries, hop):
    return {entry["connection"] for entry in entries if entry["hop"] == hop}


# --- the same as over http -----------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("form", ["block", "append-sealed"])
def test_s1_s3_a_log_byte_for_byte_for_two_requests(github, mount, form):
    job = one_job(github, size=5050, form=form)
    m = mount()
    assert m.log(job).read_bytes() == made(job, 5050)
    assert m.log(job).read_bytes() == made(job, 5050)
    seen = traffic(github)
    assert seen.requests == (1, 1)
    assert all(e["authorization_known"] for e in seen.of("api"))
    assert not any(e["had_authorization"] for e in seen.of("storage"))
    assert handshakes(github, "api")["good"] == handshakes(github, "storage")["good"] == 1


@pytest.mark.parametrize("size", [5 * MIB, 20 * MIB + 17])
def test_s3_a_large_log(github, mount, size):
    job = one_job(github, size=size)
    assert mount().log(job).read_bytes() == made(job, size)
    seen = traffic(github)
    assert seen.api == 1 and seen.storage <= 1 + -(-(size - MIB) // (4 * MIB))
    assert len(connections(seen.entries, "storage")) <= seen.storage
    assert all(e["status"] == 206 for e in seen.of("storage"))


def test_s5_ranges_and_the_end_first(github, mount):
    size = 20 * MIB
    job = one_job(github, size=size)
    m = mount()
    want = made(job, size)
    assert out("tail", "-c", 5000, m.log(job)) == want[-5000:]
    assert traffic(github).bytes < 8 * MIB
    for offset, length in ((0, 1), (MIB - 1, 2), (13 * MIB + 7, 100_000), (size - 1, 10)):
        assert read_at(m.log(job), offset, length) == want[offset:offset + length]


@pytest.mark.parametrize("form", ["legacy", "legacy-close"])
def test_s4_without_a_length(github, mount, form):
    job = one_job(github, size=300_000, form=form)
    m = mount()
    assert m.log(job).stat().st_size == 300_000
    assert m.log(job).read_bytes() == made(job, 300_000)


def test_ghes_with_storage_on_the_apis_host(make_github, mounts, authority, good):
    server = make_github(ghes=True, tls=good)
    job = one_job(server, size=3 * MIB)
    for how in ({"host": place(server.root)}, {"api_url": server.api}):
        m = mounts(github=server, ca_file=authority.ca, **how)
        assert m.log(job).read_bytes() == made(job, 3 * MIB)
    seen = traffic(server)
    assert seen.storage >= 2 and not any(e["had_authorization"] for e in seen.of("storage"))
    assert all(e["authorization_known"] for e in seen.of("api"))


def test_a_kept_connection_serves_many_logs(github, mount):
    jobs = github.bulk(REPO, runs=25, jobs=4, size=20_000)
    m = mount(prefetch=0)
    for job in [job for run in jobs for job in run["jobs"]]:
        assert m.log(job).read_bytes() == made(job, 20_000)
    seen = traffic(github)
    assert seen.requests == (100, 100)
    assert len(connections(seen.entries, "api")) <= 2
    assert len(connections(seen.entries, "storage")) <= 2


def test_many_readers_keep_their_connections(github, mount):
    github.bulk(REPO, runs=25, jobs=4, size=20_000)
    m = mount(archive_jobs=0)
    lines = out("grep", "-rc", "line 0000000000", m.path / REPO / "jobs")
    assert lines.count(b":1\n") == 100, lines
    seen = traffic(github)
    assert seen.storage == 100
    assert len(connections(seen.entries, "api")) <= 48
    assert len(connections(seen.entries, "storage")) <= 48


# --- trusted authorities -------------------------------------------------------------------------

def test_ca_file_precedes_ssl_cert_file(github, mount, authority, stranger):
    job = one_job(github)
    by_environment = mount(ca_file=None, env={"SSL_CERT_FILE": authority.ca})
    assert by_environment.log(job).read_bytes() == made(job, 5050)
    by_option = mount(env={"SSL_CERT_FILE": stranger.ca})
    assert by_option.log(job).read_bytes() == made(job, 5050)
    by_neither = mount(ca_file=None)
    with fails("EPROTO"):
        by_neither.log(job).read_bytes()


def test_a_ca_file_that_is_not_there(github, mount, folder):
    m = mount(ca_file=folder / "nothing.pem")
    with fails("EPROTO"):
        m.log(one_job(github)).read_bytes()
    assert "nothing.pem" in m.stderr
    assert traffic(github).requests == (0, 0)


def test_authorities_are_read_once_and_not_for_each_connection(github, mount, authority, stranger,
                                                               good, folder):
    """The usual ones are 140: read anew each time they cost more than the logs."""
    file = folder / "ca.pem"
    file.write_bytes(authority.ca.read_bytes())
    m = mount(ca_file=file)
    m.log(one_job(github)).read_bytes()
    if "OpenSSL" not in out(BINARY, "-V", text=True):
        pytest.skip("only with OpenSSL does curl keep them")
    file.write_bytes(stranger.ca.read_bytes())
    for hop in ("api", "storage"):
        show(github, hop, good)         # so that no session is resumed
        github.drop(hop=hop)
    job = one_job(github)
    assert m.log(job).read_bytes() == made(job, 5050)
    for hop in ("api", "storage"):
        assert handshakes(github, hop) == {"good": 2, "bad": 0, "resumed": 0}


def test_an_unknown_authority_is_logged_and_held_for_five_seconds(github, mount, stranger, good):
    show(github, "api", stranger.issue("good"))
    job = one_job(github)
    m = mount()
    with fails("EPROTO"):
        m.log(job).read_bytes()
    assert API in m.stderr and "certificate" in m.stderr
    tried = handshakes(github, "api")["bad"]
    for _ in range(20):
        with fails("EPROTO"):
            m.log(job).read_bytes()
    assert handshakes(github, "api")["bad"] == tried == 1
    show(github, "api", good)
    assert wait_for(lambda: _bytes(m.log(job)), 8, 0.2) == made(job, 5050)
    assert all(e["authorization_known"] for e in traffic(github).of("api"))


def _bytes(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


@pytest.mark.parametrize("hop, host", [("api", API), ("storage", STORAGE)])
@pytest.mark.parametrize("why", ["expired", "elsewhere", "stranger"])
def test_a_bad_certificate_at_either_hop(github, mount, authority, stranger, hop, host, why):
    bad = {"expired": lambda: authority.issue("expired", days=-1),
           "elsewhere": lambda: authority.issue("elsewhere", ["example.com", "127.0.0.9"]),
           "stranger": lambda: stranger.issue("stranger")}[why]()
    show(github, hop, bad)
    m = mount()
    with fails("EPROTO"):
        m.log(one_job(github)).read_bytes()
    assert traffic(github).requests == ((0, 0) if hop == "api" else (1, 0))
    assert [line for line in m.stderr.splitlines() if host in line and (
        "certificate" in line or "does not match" in line)], m.stderr


# --- R1: cut in the middle -----------------------------------------------------------------------

CUTS = {
    "reset": dict(kind="reset"),
    "close without a word": dict(kind="close"),
    "close with close_notify": dict(kind="close", notify=True),
}


@pytest.mark.parametrize("how", CUTS)
def test_r1_a_cut_body_is_taken_up_again(github, mount, how):
    size = 6 * MIB
    jobs = {at: one_job(github, size=size) for at in (-1, 0, 1, 100_000, MIB - 1)}
    for at, job in jobs.items():
        github.fault(hop="storage", job=job, after=at, times=3, **CUTS[how])
    later = jobs["a later range"] = one_job(github, size=size)
    github.fault(hop="storage", job=later, after=2 * MIB, nth=2, times=2, **CUTS[how])
    got = outcomes(mount(), jobs, size)
    assert got == right(got)
    assert all(fault["hits"] >= 2 for fault in github.faults())


@pytest.mark.parametrize("how", CUTS)
def test_r1_a_cut_answer_of_the_api(github, mount, how):
    job = one_job(github)
    github.fault(hop="api", after=-1, times=2, **CUTS[how])
    assert mount().log(job).read_bytes() == made(job, 5050)


def test_r1_a_body_without_length_that_is_reset(github, mount):
    job = one_job(github, size=300_000, form="legacy-close")
    github.fault("reset", hop="storage", after=100_000, times=2)
    assert mount().log(job).read_bytes() == made(job, 300_000)


def test_r1_a_handshake_that_is_cut(github, mount):
    job = one_job(github)
    with Proxy(cuts=[0, 1, 200]) as proxy:
        assert mount(proxy=proxy.url).log(job).read_bytes() == made(job, 5050)
    assert len(proxy.asked) >= 5


# --- R7: where a redirect may lead ---------------------------------------------------------------

def test_r7_not_from_https_to_plain_storage(github, mount, make_github):
    plain = make_github()
    for value in ("http://{host}{path}", plain.storage + "{path}"):
        github.clear_faults()
        github.fault("location", hop="api", value=value, times=-1)
        m = mount()
        with fails("EPROTO"):
            m.log(one_job(github)).read_bytes()
        assert STORAGE in m.stderr and "redirect" in m.stderr
    assert traffic(plain).requests == (0, 0) and traffic(github).storage == 0
    assert handshakes(github, "storage") == {"good": 0, "bad": 0, "resumed": 0}


def test_r7_a_moved_repository_is_not_followed_to_plain_http(github, mount, make_github):
    plain = make_github(token="ghp_the_plain_servers_own_token")
    github.fault("status", hop="api", status=301, times=-1,
                 headers={"Location": plain.api + "/repositories/1/actions/jobs/1/logs"})
    with fails("EPROTO"):
        mount().log(one_job(github)).read_bytes()
    assert traffic(plain).requests == (0, 0)


def test_r7_a_loopback_api_may_lead_to_another_loopback_server(github, mount, make_github, good):
    other = make_github(tls=good, token="ghp_another_servers_own_token")
    job = one_job(github)
    github.fault("location", hop="api", value=other.storage + "/elsewhere", times=-1)
    with fails("EIO", "EPROTO", "ENOENT"):
        mount(deadline=10).log(job).read_bytes()
    seen = traffic(other).of("storage")
    assert seen and not any(e["had_authorization"] for e in seen)
    assert github.token not in str(seen)


# --- through a proxy -----------------------------------------------------------------------------

def targets(github):
    return {place(github.api), place(github.storage)}


@pytest.mark.parametrize("how", ["option", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_for_both_hops(github, mount, how):
    job = one_job(github, size=3 * MIB)
    with Proxy() as proxy:
        given = {"proxy": proxy.url} if how == "option" else {"env": {how: proxy.url}}
        assert mount(**given).log(job).read_bytes() == made(job, 3 * MIB)
    assert set(proxy.asked) == targets(github) and not proxy.plain
    assert len(proxy.asked) == len({e["connection"] for e in traffic(github).entries})
    assert github.token not in "".join(proxy.seen)


@pytest.mark.parametrize("exceptions, proxied", [
    (STORAGE, {"api"}), (API + "," + STORAGE, set()), ("*", set()), ("127.0.0.0/8", set()),
    ("example.com", {"api", "storage"})])
def test_no_proxy(github, mount, exceptions, proxied):
    job = one_job(github)
    with Proxy() as proxy:
        m = mount(env={"HTTPS_PROXY": proxy.url, "NO_PROXY": exceptions})
        assert m.log(job).read_bytes() == made(job, 5050)
    assert set(proxy.asked) == {place(getattr(github, hop)) for hop in proxied}


def test_http_proxy_is_not_for_https(github, mount):
    job = one_job(github)
    with Proxy() as proxy:
        m = mount(env={"http_proxy": proxy.url, "HTTP_PROXY": proxy.url})
        assert m.log(job).read_bytes() == made(job, 5050)
    assert not proxy.seen


def test_a_proxy_with_a_password(github, mount):
    job = one_job(github)
    with Proxy(need="Basic dXNlcjpwYXNzd29yZC1vZi1wcm94eQ==") as proxy:
        url = proxy.url.replace("//", "//user:password-of-proxy@")
        m = mount(proxy=url, secrets=["password-of-proxy"])
        assert m.log(job).read_bytes() == made(job, 5050)
        without = mount(proxy=proxy.url)
        with fails("ECONNREFUSED"):
            without.log(job).read_bytes()
        assert "407" in without.stderr
        assert "password-of-proxy" not in (m.path / ".ghlogfs" / "options").read_text()


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses(github, mount, status):
    with Proxy(refuse=status) as proxy:
        m = mount(proxy=proxy.url)
        with fails("ECONNREFUSED"):
            m.log(one_job(github)).read_bytes()
        tries = len(proxy.asked)
        with fails("ECONNREFUSED"):
            m.log(one_job(github)).read_bytes()
        assert len(proxy.asked) <= tries + 1, "remembered for the host"
    output = [line for line in m.stderr.splitlines() if API in line]
    assert any("proxy" in line.lower() and str(status) in line for line in output), m.stderr
    assert traffic(github).requests == (0, 0)


def test_ca_file_is_for_an_https_proxy_too(github, mount, stranger):
    """The server stands in for one; it has no tunnels to offer."""
    m = mount(proxy=github.root)
    with fails("ECONNREFUSED"):
        m.log(one_job(github)).read_bytes()
    assert "tunnel" in m.stderr
    m = mount(proxy=github.root, ca_file=stranger.ca)
    with fails("EPROTO"):
        m.log(one_job(github)).read_bytes()
    assert "certificate" in m.stderr


def test_a_proxy_that_is_not_there(github, mount):
    with Proxy() as proxy:
        pass
    m = mount(proxy=proxy.url)
    with fails("ECONNREFUSED"):
        m.log(one_job(github)).read_bytes()
    assert API in m.stderr


def github_com(mounts, github, proxy, authority, **more):
    """As its users have it: no option but a mountpoint, everything else from the environment."""
    return mounts(github=github, host="github.com", token=None,
                  env={"GH_TOKEN": github.token, "HTTPS_PROXY": proxy.url,
                       "SSL_CERT_FILE": authority.ca}, **more)


def test_github_com_by_its_name(github, mounts, authority):
    job = one_job(github, size=3 * MIB)
    github.fault("location", hop="api", path="/logs", times=-1, value="https://" + BLOBS + "{path}")
    routes = {GITHUB + ":443": place(github.api), BLOBS + ":443": place(github.storage)}
    with Proxy(routes) as proxy:
        m = github_com(mounts, github, proxy, authority)
        assert m.log(job).read_bytes() == made(job, 3 * MIB)
        assert b'"id":%d' % job in m.json(job).read_bytes().replace(b" ", b"")
    assert set(proxy.asked) == set(routes)
    assert {e["headers"]["host"] for e in traffic(github).of("api")} == {GITHUB}


def test_r7_github_com_must_not_lead_to_loopback(github, mounts, authority):
    """That the proxy is on loopback shows nothing about the API."""
    job = one_job(github)
    with Proxy({GITHUB + ":443": place(github.api)}) as proxy:
        m = github_com(mounts, github, proxy, authority)
        with fails("EPROTO"):
            m.log(job).read_bytes()
    assert proxy.asked == [GITHUB + ":443"] and STORAGE in m.stderr
    assert traffic(github).requests == (1, 0)
