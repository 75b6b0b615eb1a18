"""Options and variables that are seen in what the kernel, a proxy or the server gets to see."""

import os
import re
import subprocess

import pytest

from conftest import Github
from fake.asking import one_job
from fake.certificates import Authority
from faulting import made
from mounting import BINARY, SLOW, clean_environment, command, fails, mounted, traffic
from proxying import Proxy

DOTCOM, BLOBS = "api.github.com", "productionresultssa0.blob.core.windows.net"
CORP = "api.corp.ghe.com"
GHES = "git.example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def github(authority):
    names = ["127.0.0.1", "127.0.0.2", DOTCOM, BLOBS, CORP, GHES]
    with Github(tls=authority.issue("good", names)) as server:
        yield server


@pytest.fixture(autouse=True)
def clean(github):
    github.clean()


@pytest.fixture
def named(github, mounts, authority):
    """named(host, env) -> (what a log's reading came to, targets): GitHub by a public name, which
    a proxy leads to the loopback; storage too."""
    def read(api, env, **options):
        job = one_job(github, size=5050)
        github.fault("location", hop="api", path="/logs", times=-1,
                     value="https://" + BLOBS + "{path}")
        with Proxy({api + ":443": github.api.rpartition("/")[2],
                    BLOBS + ":443": github.storage.rpartition("/")[2]}) as proxy:
            m = mounts(github=github, token=None, api_url=None, ca_file=authority.ca,
                       proxy=proxy.url, env=env, **options)
            try:
                good = m.log(job).read_bytes() == made(job, 5050)
            except PermissionError:
                good = False
            m.stop()
        return good, proxy.asked
    return read


def authorized(github):
    return [e["authorization_known"] for e in traffic(github).of("api")]


# --- which server --------------------------------------------------------------------------------

@pytest.mark.parametrize("host,api", (("github.com", DOTCOM), ("corp.ghe.com", CORP)))
def test_gh_host_is_asked(github, named, host, api):
    good, asked = named(api, {"GH_HOST": host, "GH_TOKEN": github.token}, host=None)
    assert good and set(asked) == {api + ":443", BLOBS + ":443"}


def test_host_before_gh_host(github, named):
    good, asked = named(CORP, {"GH_HOST": "github.com", "GH_TOKEN": github.token},
                        host="corp.ghe.com")
    assert good and CORP + ":443" in asked


# --- which token ---------------------------------------------------------------------------------

@pytest.mark.parametrize("host,api", (("github.com", DOTCOM), ("corp.ghe.com", CORP)))
def test_github_token_is_for_github(github, named, host, api):
    good, _ = named(api, {"GITHUB_TOKEN": github.token}, host=host)
    assert good and all(authorized(github))


def test_gh_token_before_github_token(github, named):
    good, _ = named(DOTCOM, {"GH_TOKEN": github.token, "GITHUB_TOKEN": "ghp_another"},
                    host="github.com")
    assert good and all(authorized(github))


@pytest.mark.parametrize("name", ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"))
def test_enterprise_tokens_are_not_for_github(github, named, name):
    good, _ = named(DOTCOM, {name: github.token}, host="github.com")
    assert not good
    assert not any(e["had_authorization"] for e in traffic(github).entries)


def test_gh_enterprise_token_before_github_enterprise_token(github, mounts, authority):
    job = one_job(github, size=5050)
    for first, second, good in ((github.token, "ghp_another", True),
                                ("ghp_another", github.token, False)):
        m = mounts(github=github, ca_file=authority.ca, token=None,
                   env={"GH_ENTERPRISE_TOKEN": first, "GITHUB_ENTERPRISE_TOKEN": second})
        if good:
            assert m.log(job).read_bytes() == made(job, 5050)
        else:
            with fails("EACCES"):
                m.log(job).read_bytes()


# --- the network ---------------------------------------------------------------------------------

@pytest.mark.parametrize("exceptions,proxied", (
    (None, {"api", "storage"}), ("127.0.0.2", {"api"}), ("127.0.0.1", {"storage"}),
    ("127.0.0.1,127.0.0.2", set()), ("*", set()), ("example.com", {"api", "storage"})))
def test_no_proxy(github, mounts, authority, exceptions, proxied):
    job = one_job(github, size=5050)
    with Proxy() as proxy:
        m = mounts(github=github, ca_file=authority.ca, proxy=proxy.url, no_proxy=exceptions)
        assert m.log(job).read_bytes() == made(job, 5050)
    assert set(proxy.asked) == {getattr(github, hop).rpartition("/")[2] for hop in proxied}


def test_no_proxy_before_the_environment(github, mounts, authority):
    job = one_job(github, size=5050)
    with Proxy() as proxy:
        m = mounts(github=github, ca_file=authority.ca, no_proxy="127.0.0.2",
                   env={"HTTPS_PROXY": proxy.url, "NO_PROXY": "*"})
        assert m.log(job).read_bytes() == made(job, 5050)
    assert set(proxy.asked) == {github.api.rpartition("/")[2]}


# --- the mount -----------------------------------------------------------------------------------

def test_subtype(mounts):
    m = mounts(github=None, token=None, offline=True, subtype="logs")
    assert mounted(m.path)[1] == "fuse.logs"
    assert mounted(mounts(github=None, token=None, offline=True).path)[1] == "fuse.ghlogfs"


# --- the version ---------------------------------------------------------------------------------

@pytest.mark.parametrize("word", ("-V", "--version"))
def test_what_the_version_tells(folder, word):
    """Its own, those of the libraries in use, the kernel's; nothing has to be mounted for it."""
    done = subprocess.run(command(word), env=clean_environment(folder), text=True,
                          capture_output=True, timeout=20 * SLOW)
    assert (done.returncode, done.stderr) == (0, "")
    own, fuse, curl, kernel = done.stdout.splitlines()
    assert re.fullmatch(r"ghlogfs \d+\.\d+\.\d+", own), BINARY
    assert re.fullmatch(r"libfuse 3\.\d+(\.\d+)?", fuse)
    assert re.match(r"libcurl/\d+\.\d+\.\d+ ", curl)
    device = "present" if os.path.exists("/dev/fuse") else "missing"
    assert kernel == "Linux %s, /dev/fuse %s" % (os.uname().release, device)
