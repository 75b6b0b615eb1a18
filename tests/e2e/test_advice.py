"""What a mount prints when GitHub, its storage or a proxy refuses: one line with the hop, the host,
the cause and the next step."""

import os
import re
import signal
import socket
import stat
import subprocess

import pytest

from conftest import Github
from fake.asking import one_job
from fake.certificates import Authority
from mounting import (REPO, SLOW, WRAP, clean_environment, command, daemons_of, fails,
                      option_words, unmount, wait_for)
from private import mount_at, private
from proxying import Proxy

API, STORAGE = "ghlogfs: API 127.0.0.1: ", "ghlogfs: storage 127.0.0.2: "
HOSTS = ("logs come from this host, those of github.com from "
         "productionresultssa*.blob.core.windows.net: ")
NOT_TOLD = "authorization_request=AAAAsecret"
PAGE = {"body": "<!DOCTYPE html><html>Blocked</html>", "headers": {"Content-Type": "text/html"}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def github(authority):
    with Github(tls=authority.issue("good", ["127.0.0.1", "127.0.0.2"])) as server:
        yield server


@pytest.fixture(autouse=True)
def clean(github):
    github.clean()


@pytest.fixture
def said(github, mounts, authority):
    """said(error, ...): the lines of a mount where reading a log fails with this error."""
    def read(*errors, path=None, **how):
        job = one_job(github)
        options = {"token": github.token, "ca_file": authority.ca, "timeout": 2, "deadline": 8}
        m = mounts(github=github, **{**options, **how})
        with fails(*errors):
            os.listdir(m.repo() / path) if path else m.log(job).read_bytes()
        m.stop()
        return m.stderr.splitlines()
    return read


# --- the token -----------------------------------------------------------------------------------

def test_no_token(github, said):
    """At the start where it was looked for, what works and what to do; then at each refusal."""
    first, second = said("EACCES", token=None)
    assert first == (
        "ghlogfs: no token for %s (not in GH_ENTERPRISE_TOKEN, GITHUB_ENTERPRISE_TOKEN, systemd's "
        "credential or `gh auth token`): logs in the cache can be read, and runs and jobs of "
        "public repositories be listed; for other logs run `gh auth login`, set "
        "GH_ENTERPRISE_TOKEN or use -o token_file=FILE" % github.api.rpartition("/")[2])
    assert second == API + (
        "status 403: Must have admin rights to Repository. (there is no token: run `gh auth login` "
        "or give token_file=FILE, and mount again)")


def test_no_token_for_github(folder, fuse):
    point = folder / "point"
    point.mkdir()
    done = subprocess.run(command("-o", "no_cache", "github.com", point), text=True,
                          env=clean_environment(folder), capture_output=True, timeout=20 * SLOW)
    assert unmount(point).returncode == 0
    assert (done.returncode, done.stderr) == (0, (
        "ghlogfs: no token for github.com (not in GH_TOKEN, GITHUB_TOKEN, systemd's credential or "
        "`gh auth token`): logs in the cache can be read, and runs and jobs of public "
        "repositories be listed; for other logs run `gh auth login`, set GH_TOKEN or use -o "
        "token_file=FILE\n"))


def test_cached_logs_need_no_token(github, mounts, authority):
    job = one_job(github)
    m = mounts(github=github, ca_file=authority.ca)
    text = m.log(job).read_bytes()
    m.stop()
    again = mounts(github=github, cache=m.cache, token=None, ca_file=authority.ca)
    assert again.log(job).read_bytes() == text and "no token" in again.stderr


def test_a_wrong_token(said):
    assert said("EACCES", token="ghp_wrong") == [API + (
        "status 401: Bad credentials (the token is wrong, has expired or was revoked: put another "
        "one into token_file; without that, `gh auth login`, and mount again)")]


def refuse(github, status, message, **headers):
    github.fault("status", hop="api", status=status, times=-1, body={"message": message},
                 headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("path", (None, "runs"))
def test_a_classic_token_without_the_scope(github, said, path):
    """What is private is not found, and the headers tell why."""
    refuse(github, 404, "Not Found", X_OAuth_Scopes="gist, read:org",
           X_Accepted_OAuth_Scopes="repo")
    assert said("ENOENT", path=path) == [API + (
        "status 404: Not Found (if it is private, the token has the scopes gist, read:org and "
        "needs the scope repo: make another one, or `gh auth refresh -s repo`, and mount again)")]


@pytest.mark.parametrize("scopes", ({"X_OAuth_Scopes": "repo", "X_Accepted_OAuth_Scopes": "repo"},
                                    {"X_OAuth_Scopes": "gist", "X_Accepted_OAuth_Scopes": ""}))
def test_what_is_not_found_for_no_known_reason_is_not_logged(github, said, scopes):
    refuse(github, 404, "Not Found", **scopes)
    assert said("ENOENT") == []


def test_a_fine_grained_token_without_the_permission(github, said):
    refuse(github, 403, "Resource not accessible by personal access token",
           X_Accepted_GitHub_Permissions="actions=read", X_OAuth_Scopes=None,
           X_Accepted_OAuth_Scopes=None)
    assert said("EACCES") == [API + (
        "status 403: Resource not accessible by personal access token (the token needs the "
        "permission actions=read for this repository: see its settings)")]


@pytest.mark.parametrize("status,error,lead", ((403, "EACCES", ""),
                                               (404, "ENOENT", "if it is private, ")))
def test_single_sign_on(github, said, status, error, lead):
    """With the organization's page, without the secret in its URL."""
    refuse(github, status, "Resource protected by organization SAML enforcement.",
           X_GitHub_SSO="required; url=https://github.com/orgs/octo/sso?" + NOT_TOLD)
    assert said(error, secrets=[NOT_TOLD]) == [API + (
        "status %d: Resource protected by organization SAML enforcement. (%sthe organization wants "
        "single sign-on: authorize the token for it, by Configure SSO in the token's settings; the "
        "organization's page is https://github.com/orgs/octo/sso)" % (status, lead))]


def test_single_sign_on_for_some_of_a_list(github, mounts, authority):
    github.fault("header", hop="api", times=-1,
                 headers={"X-GitHub-SSO": "partial-results; organizations=21955855,20582480"})
    m = mounts(github=github, ca_file=authority.ca)
    assert "octo" in os.listdir(m.path)
    assert m.stderr == API + (
        "a list lacks what is of organizations that want single sign-on: authorize the token for "
        "them, by Configure SSO in its settings\n")


def test_headers_that_repeat_the_token(github, said):
    refuse(github, 403, "No", X_OAuth_Scopes="gist", X_Accepted_OAuth_Scopes=github.token)
    assert said("EACCES") == [API + "status 403: No"]


def test_a_quota_without_a_token(github, said):
    github.rate_limit(token=None, limit=60, remaining=0, status=403, reset=3600)
    _, line = said("EDQUOT", token=None, wait=1)
    assert re.fullmatch(API + r"request quota used up, it returns by \d\d:\d\d UTC \(there is no "
                        r"token: 60 requests an hour\)", line)


# --- the way there -------------------------------------------------------------------------------

def test_a_proxy_blocks_the_host_of_storage(said):
    with Proxy(refuse=403) as proxy:
        assert said("ECONNREFUSED", proxy=proxy.url, no_proxy="127.0.0.1") == [STORAGE + (
            "the proxy refused a tunnel to this host: status 403 (" + HOSTS + "have the proxy let "
            "it through, or name it in no_proxy)")]


def test_a_proxy_blocks_the_api(said):
    with Proxy(refuse=403) as proxy:
        assert said("ECONNREFUSED", proxy=proxy.url) == [API + (
            "the proxy refused a tunnel to this host: status 403 (have the proxy let this host "
            "through, or name it in no_proxy)")]


def test_a_proxy_wants_a_password(said):
    with Proxy(need="Basic x") as proxy:
        assert said("ECONNREFUSED", proxy=proxy.url) == [API + (
            "the proxy refused a tunnel to this host: status 407 (give its user and password: "
            "HTTPS_PROXY or proxy=http://USER:PASSWORD@HOST:PORT)")]


@pytest.mark.parametrize("status,error,text", (
    (200, "EPROTO", "the response (text/html) is not a log: check whether a proxy answers instead"),
    (403, "EIO", "status 403: check whether a proxy answers instead (the same answer each time: "
                 "not requested again for a minute or more)")))
def test_a_page_of_a_proxy_in_place_of_a_log(github, said, status, error, text):
    github.fault("status", hop="storage", status=status, times=-1, **PAGE)
    assert said(error) == [STORAGE + text]


@pytest.mark.parametrize("status,error", ((200, "EPROTO"), (404, "ENOENT")))
def test_a_page_in_place_of_the_apis_answer(github, said, status, error):
    """Of a proxy, or of a server whose API is elsewhere."""
    github.fault("status", hop="api", status=status, times=-1, **PAGE)
    assert said(error, path="runs")[0] == (
        API + "the answer is a web page: check api_url, and whether a proxy answers instead")


def test_storage_is_not_reached(github, said):
    github.refuse(hop="storage")
    assert said("ECONNREFUSED") == [STORAGE + (
        "connection refused (" + HOSTS + "a firewall has to let it through, or a proxy is needed)")]


def test_the_api_is_not_reached(github, said):
    github.refuse(hop="api")
    assert said("ECONNREFUSED") == [API + (
        "connection refused (is the network there? If it needs a proxy: HTTPS_PROXY or "
        "proxy=URL)")]


def test_a_name_that_is_not_found(mounts):
    m = mounts(github=None, token="ghp_x", host="git.nowhere.invalid",
               env={"RES_OPTIONS": "timeout:1 attempts:1"})
    with fails("EHOSTUNREACH"):
        m.log(1).read_bytes()
    assert m.stderr == ("ghlogfs: API git.nowhere.invalid: host not found or not reachable (is the "
                        "network there? If it needs a proxy: HTTPS_PROXY or proxy=URL)\n")


def test_an_authority_that_is_not_known(said):
    (line,) = said("EPROTO", ca_file=None)
    assert line.startswith(API) and "certificate" in line and line.endswith(
        " (where the server, or a proxy, has an authority of its own: ca_file=FILE)")


# --- in the background ---------------------------------------------------------------------------

@pytest.mark.skipif(os.getuid() != 0 or bool(WRAP), reason="needs root for a namespace")
def test_in_the_background_it_is_in_the_journal(github, folder, fuse, authority):
    """As one message with its priority (/dev/log, by a socket that stands for the journal's)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(folder / "log"))
        journal.settimeout(10 * SLOW)

        def own_dev():
            mount_at("tmpfs", "/dev", "tmpfs")
            for name, *number in (("null", 1, 3), ("urandom", 1, 9), ("fuse", 10, 229)):
                os.mknod("/dev/" + name, 0o600 | stat.S_IFCHR, os.makedev(*number))
            os.symlink(folder / "log", "/dev/log")

        point = folder / "point"
        point.mkdir()
        job = one_job(github)
        words = option_words({"api_url": github.api, "ca_file": authority.ca, "no_cache": True})
        done = subprocess.run(command(*words, point), preexec_fn=private(own_dev), text=True,
                              env=clean_environment(folder, GH_ENTERPRISE_TOKEN="ghp_wrong"),
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=20 * SLOW)
        assert (done.returncode, done.stderr) == (0, "")
        (pid,) = daemons_of(point)
        try:
            path = "/proc/%d/root%s/%s/jobs/%d/log" % (pid, point, REPO, job)
            with fails("EACCES"):
                open(path, "rb")
            line = journal.recv(4096).decode()
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not daemons_of(point), why="the daemon did not end")
        assert re.fullmatch(r"<27>.* ghlogfs\[%d\]: API 127\.0\.0\.1: status 401: Bad credentials "
                            r"\(the token is wrong, .*\)\n?" % pid, line), line
