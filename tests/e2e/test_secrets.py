"""The token is sent to the API's host and nowhere else (R7)."""

import contextlib
import os
import pathlib
import resource

import pytest

from fake.asking import one_job
from mounting import MIB, WRAP, fails, soft_limit, traffic


def _all_names_and_bytes(folder):
    for path in folder.rglob("*"):
        yield os.fsencode(path)
        with contextlib.suppress(FileNotFoundError):    # a temporary file that got its name
            if path.is_file():
                yield path.read_bytes()


def _use(github, m):
    """A bit of everything, failures included."""
    job = one_job(github, size=2 * MIB)
    assert len(m.log(job).read_bytes()) == 2 * MIB
    m.json(job).read_bytes()
    with fails("ENOENT"):
        m.log(4242).stat()
    expired = one_job(github, size=None, log="expired")
    with fails("ENOENT"):
        m.log(expired).stat()
    github.fault("status", hop="storage", status=403, body="no", times=2)
    m.log(one_job(github, size=1000)).read_bytes()
    return job


@pytest.mark.smoke
def test_r7_not_at_storage(github, mount):
    _use(github, mount())
    seen = traffic(github)
    assert seen.storage >= 3
    assert not any(entry["had_authorization"] for entry in seen.of("storage"))
    assert all(entry["authorization_known"] for entry in seen.of("api"))
    assert github.counters()["token_leaks"] == 0


def test_r7_not_at_storage_on_the_apis_own_host(make_github, mounts):
    server = make_github(ghes=True)
    m = mounts(github=server)
    _use(server, m)
    seen = traffic(server)
    assert not any(e["had_authorization"] for e in seen.entries if "_services" in e["path"])
    assert [e for e in seen.entries if "_services" in e["path"]]


def test_r7_not_where_a_redirect_leads(github, mount, make_github):
    """Another host that asks for it: allowed here (loopback to loopback), but without a token."""
    other = make_github(token="ghp_another_servers_own_token")
    job = one_job(github)
    base = other.storage
    github.fault("location", hop="api", value=base + "/elsewhere", times=-1)
    with fails("EIO", "EPROTO", "ENOENT"):
        mount(deadline=10).log(job).read_bytes()
    assert not any(entry["had_authorization"] for entry in traffic(other).entries)


def test_r7_not_after_a_redirect_of_storages(github, mount):
    job = one_job(github)
    github.fault("status", hop="storage", status=302, times=-1,
                 headers={"Location": github.api + "/user"})
    with fails("EIO", "EPROTO"):
        mount(deadline=10).log(job).read_bytes()
    assert not [e for e in traffic(github).entries if e["path"].endswith("/user")]


def _told_by_proc(m, name):
    """Nothing where only root may look (PR_SET_DUMPABLE is 0): then nothing can be read."""
    try:
        return pathlib.Path("/proc/%d/%s" % (m.pid, name)).read_bytes()
    except PermissionError:
        assert os.getuid() != 0
        return b""


@pytest.mark.skipif(bool(WRAP), reason="of valgrind's own start nothing can be erased")
@pytest.mark.parametrize("way", ("env", "file"))
def test_r7_not_in_proc(github, mount, way):
    m = mount(token=way)
    _use(github, m)
    for name in ("cmdline", "environ"):
        got = _told_by_proc(m, name)
        assert github.token.encode() not in got, name
        assert name != "environ" or b"GH_ENTERPRISE_TOKEN=ghp" not in got


@pytest.mark.skipif(bool(WRAP), reason="of valgrind's own start nothing can be erased")
def test_r7_not_in_the_environment_of_anything_it_starts(github, mount):
    """Erased, not only unset: /proc shows the memory as it was at the start."""
    m = mount(env={"GH_TOKEN": github.token, "GITHUB_TOKEN": github.token,
                   "GITHUB_ENTERPRISE_TOKEN": github.token})
    _use(github, m)
    assert github.token.encode() not in _told_by_proc(m, "environ")


def test_r7_not_in_files_names_or_attributes(github, mount):
    m = mount()
    job = _use(github, m)
    secret = github.token.encode()
    for piece in _all_names_and_bytes(m.home):
        assert secret not in piece and b"sig=" not in piece
    for piece in _all_names_and_bytes(m.cache):
        assert secret not in piece and b"sig=" not in piece
    for name in ("state", "status", "name", "html_url", "head_sha", "run_id", "conclusion"):
        for path in (m.folder(job), m.log(job)):
            assert secret not in os.getxattr(path, "user.ghlogfs." + name)


def test_r7_not_in_what_the_mount_tells_of_itself(github, mount):
    m = mount()
    _use(github, m)
    hidden = m.path / ".ghlogfs"
    for name in os.listdir(hidden):
        got = (hidden / name).read_bytes()
        assert got or name == "progress"    # which is empty once nothing is under way
        assert github.token.encode() not in got and b"sig=" not in got
    assert ".ghlogfs" not in os.listdir(m.path)


def test_r7_not_in_debug_output(github, mount):
    """The harness looks for tokens and signed URLs in all output."""
    m = mount(arguments=["-d"])
    _use(github, m)
    m.stop()
    assert m.stderr


def test_r7_no_password_of_a_malformed_proxy_in_debug_output(github, mount):
    """libcurl's own message repeats all of it."""
    m = mount(arguments=["-d"], proxy="http://user:PasswordOfProxy@[::1",
              secrets=["PasswordOfProxy"])
    with fails("EHOSTUNREACH"):
        m.log(one_job(github)).read_bytes()
    m.stop()
    assert "unsupported proxy" in m.stderr


def test_r7_not_in_failures(github, mount):
    """A server that sends the token back."""
    job = one_job(github)
    github.fault("status", hop="api", status=403, times=-1,
                 body={"message": "your token " + github.token + " is not enough"})
    m = mount(deadline=10)
    with fails("EACCES"):
        m.log(job).read_bytes()
    with fails("EACCES"):
        m.json(job).read_bytes()
    m.stop()


def test_r7_the_cache_is_for_its_owner_only(github, mount):
    m = mount()
    _use(github, m)
    assert m.cache.stat().st_mode & 0o077 == 0
    for path in m.cache.rglob("*"):
        with contextlib.suppress(FileNotFoundError):    # it got its name meanwhile
            assert path.stat().st_mode & 0o077 == 0, path


def test_r7_it_cannot_dump_its_memory(github, mount):
    """Whatever it was allowed to when it was started."""
    with soft_limit(resource.RLIMIT_CORE, None):
        m = mount()
    _use(github, m)
    limits = pathlib.Path("/proc/%d/limits" % m.pid).read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0"


def test_r7_every_request_names_its_user_agent(github, mount):
    _use(github, mount())
    assert all("ghlogfs" in entry["user_agent"] for entry in traffic(github).of("api"))


def test_r7_nothing_of_the_callers_leaks(github, mount, folder):
    """A proxy of the tester's, a .netrc, a .curlrc: none of them is used."""
    home = folder / "settings"
    home.mkdir()
    (home / ".netrc").write_text("default login a password b\n")
    (home / ".netrc").chmod(0o600)
    (home / ".curlrc").write_text("header = \"X-Leak: 1\"\n")
    _use(github, mount(env={"HOME": home, "CURL_HOME": home}))
    seen = traffic(github)
    assert all(entry["authorization_known"] for entry in seen.of("api"))
    assert not any(entry["had_authorization"] for entry in seen.of("storage"))
    for entry in seen.entries:
        assert "x-leak" not in {name.lower() for name in entry["headers"]}
