"""`ghlogfs --check`: a healthy GitHub, and each kind of sick one; what is on this machine.

Each run is made twice, as text and as JSON, which must say the same; and never a secret.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import Github
from fake.asking import one_job
from fake.certificates import Authority
from faulting import made, named_logs
from mounting import (BINARY, MIB, REPO, REPORTS, SLOW, clean_environment, command, fails, forget,
                      option_words, out, traffic, wait_for)
from proxying import Proxy
from sharing import KEY, SECRET, Store

LINE = re.compile(r"(ok|warning|error|skipped) +([a-z_0-9]+) +(.*)")
NETWORK = ("api", "clock", "token", "scopes", "expiry", "quota", "repository", "storage", "archive")
SIZE = 200_000


class Report:
    """What one check printed: report["token"] is (state, what and advice)."""

    def __init__(self, status, text):
        self.status, self.text = status, text
        *lines, self.sum = text.splitlines()
        self.lines = [LINE.fullmatch(line) for line in lines]
        assert None not in self.lines, text
        self.lines = [(name, state, rest) for state, name, rest in
                      (line.groups() for line in self.lines)]

    def __getitem__(self, name):
        ((state, rest),) = [(state, rest) for its, state, rest in self.lines if its == name]
        return state, rest

    def all(self, name):
        return [(state, rest) for its, state, rest in self.lines if its == name]

    def states(self, *names):
        return {state for name, state, _ in self.lines if not names or name in names}

    def expect(self, name, state, *words):
        """The line has this state and all these words, its advice among them."""
        got = self[name]
        assert got[0] == state and all(word in got[1] for word in words), self.text
        return self


def alike(text):
    """Without what differs from one moment to the next."""
    for what in (r"[\d.]+ (bytes|[KMGTP]iB)", r"\d+ (seconds|minutes|hours|days)", r"\d+"):
        text = re.sub(what, "N", text)
    return text


def same(report, printed):
    """The JSON has the same lines in the same order."""
    whole = json.loads(printed)
    lines = [(check["name"], check["state"], check["text"] + "; " * bool(check["advice"])
              + check["advice"]) for check in whole["checks"]]
    assert [(n, s, alike(t)) for n, s, t in lines] == [(n, s, alike(t)) for n, s, t in report.lines]
    assert whole["errors"] == len([1 for _, state, _ in lines if state == "error"])
    assert whole["warnings"] == len([1 for _, state, _ in lines if state == "warning"])
    assert whole["version"] and whole["host"]
    return whole


@pytest.fixture
def check(folder, fuse):
    """check(github, "octo/hello", token=..., env=..., names of -o) -> Report; its .json"""
    secrets = [SECRET]

    def run(github, *arguments, token="env", env=None, json_too=True, cache=None, **options):
        more = dict(env or {})
        if github:
            secrets.append(github.token)
            options = {"api_url": github.api, **options}
        if token:
            more["GH_ENTERPRISE_TOKEN"] = github.token if token == "env" else token
            secrets.append(more["GH_ENTERPRISE_TOKEN"])
        options = {"cache_dir": cache or folder / "cache", **options}
        words = ["--check", *option_words(options), *arguments]
        report = Report(*once(words, more))
        assert report.status == ("error" in report.states())
        if json_too:
            status, printed = once(["--json", *words], more)
            report.json = same(report, printed)
            assert status == report.status
        return report

    def once(words, more):
        done = subprocess.run(command(*words), env=clean_environment(folder, **more), cwd=folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60 * SLOW)
        assert not REPORTS.search(done.stderr + done.stdout), done.stderr
        assert done.returncode in (0, 1) and done.stderr == "", done.stderr
        for secret in secrets:
            assert secret not in done.stdout and secret[4:16] not in done.stdout, "a secret"
        assert not re.search("sig=|[sS]ignature=", done.stdout), "a signed URL was printed"
        return done.returncode, done.stdout

    return run


# --- GitHub, healthy -----------------------------------------------------------------------------

@pytest.mark.smoke
def test_a_healthy_github(github, check):
    github.bulk(REPO, runs=3, jobs=2, size=5050)
    report = check(github, REPO, json_too=False)
    assert report.states() == {"ok", "skipped"} and report.sum == "0 errors, 0 warnings"
    assert report.states(*NETWORK) == {"ok"}
    report.expect("api", "ok", "127.0.0.1 (api_url): status 200")
    report.expect("token", "ok", "GH_ENTERPRISE_TOKEN, classic personal access token (ghp_), acc")
    report.expect("scopes", "ok", "repo").expect("expiry", "ok", "reports none")
    report.expect("storage", "ok", "127.0.0.2: status 206").expect("archive", "ok", "status 200")
    seen = traffic(github)
    assert seen.charged == 4 and seen.api == 5 and seen.storage == 2
    assert seen.bytes < 5050, "a few bytes show what it is"
    assert not any(e["had_authorization"] for e in seen.of("storage"))
    assert not (pathlib.Path(report["cache"][1].split(":")[0])).exists(), "nothing is made"


def test_json_has_members_for_programs(github, check):
    github.bulk(REPO, runs=1, jobs=1, size=5050)
    checks = {c["name"]: c for c in check(github, REPO).json["checks"]}
    assert checks["quota"]["limit"] == 5000 and 4990 <= checks["quota"]["remaining"] <= 5000
    assert abs(checks["quota"]["reset"] - time.time()) < 4000
    assert checks["api"]["url"] == github.api and checks["storage"]["host"] == "127.0.0.2"
    assert checks["cache"]["path"].endswith("/cache") and checks["space"]["free"] > 0


def test_without_a_repository(github, check):
    report = check(github)
    for name in ("repository", "storage", "archive"):
        report.expect(name, "skipped", "OWNER/REPO")
    assert report.status == 0 and traffic(github).charged == 0


def test_an_enterprise_server(make_github, check):
    server = make_github(ghes=True)
    server.bulk(REPO, runs=1, jobs=1, size=5050)
    report = check(server, REPO).expect("quota", "ok", "no limit").expect("api", "ok", "404")
    assert report.states(*NETWORK) == {"ok"}


def test_a_moved_repository(github, check):
    github.bulk(REPO, runs=1, jobs=1, size=5050)
    github.rename_repo(repo=REPO, to="octo/moved")
    assert check(github, REPO).states(*NETWORK) == {"ok"}
    github.remove_repo(repo="octo/moved")


@pytest.mark.parametrize("form", ["legacy", "legacy-close"])
def test_storage_without_ranges(github, check, form):
    one_job(github, size=300_000, form=form)
    check(github, REPO).expect("storage", "ok", "status 200")


def test_an_empty_log(github, check):
    one_job(github, size=0)
    check(github, REPO).expect("storage", "ok", "status")


@pytest.mark.parametrize("log", ["expired", "missing"])
def test_another_run_is_tried_where_a_log_is_gone(github, check, log):
    one_job(github, size=5050)
    one_job(github, size=None, log=log)
    check(github, REPO).expect("storage", "ok", "status 206")


def test_all_logs_are_gone(github, check):
    for _ in range(4):
        one_job(github, size=None, log="expired")
    report = check(github, REPO).expect("storage", "warning", "status 410", "newer runs")
    assert report.status == 0


def test_a_repository_without_runs(github, check):
    report = check(github, REPO).expect("repository", "warning", "no log", "another repository")
    assert report.expect("storage", "skipped").status == 0


# --- the token -----------------------------------------------------------------------------------

def test_no_token(github, check):
    github.bulk(REPO, runs=1, jobs=1, size=5050)
    report = check(github, token=None)
    report.expect("token", "warning", "none found", "GH_ENTERPRISE_TOKEN", "gh auth login")
    assert report.status == 0
    report = check(github, REPO, token=None).expect("storage", "error", "403", "need a token")
    assert report.status == 1


def test_a_token_that_github_refuses(github, check):
    report = check(github, REPO, token="ghp_0123456789abcdefghijklmnop")
    report.expect("token", "error", "401", "Bad credentials", "new token into GH_ENTERPRISE_TOKEN")
    report.expect("api", "ok", "401").expect("storage", "skipped", "token")
    assert report.status == 1 and report.states("scopes", "quota", "repository") == {"skipped"}


@pytest.mark.parametrize("kind", ["github_pat_", "gho_", "ghu_", "ghs_"])
def test_kinds_of_tokens(github, check, kind):
    value = kind + "Ab1." * 150
    github.op("token", value=value)
    check(github, token=value).expect("token", "ok", "(%s)" % kind, "accepted")
    github.remove_token(value=value)


def test_a_token_from_a_file(github, check, folder):
    file = folder / "token"
    file.write_text(github.token)
    file.chmod(0o600)
    check(github, token=None, token_file=file).expect("token", "ok", "token_file")
    file.chmod(0o644)
    report = check(github, token=None, token_file=file)
    report.expect("token", "warning", "read by others", "chmod 600")
    assert report.status == 0
    report = check(github, token=None, token_file=folder / "nothing")
    report.expect("token", "error", "No such file", "leave the option out")
    assert report.status == 1


@pytest.mark.parametrize("when, state, words", [
    ("2020-01-01 00:00:00 UTC", "error", ("has expired", "put a new token")),
    ("2020-01-01 00:00:00 -0700", "error", ("has expired: 2020-01-01 07:00 UTC",)),
    ("in 2 days", "warning", ("in 2 days", "put a new token")),
    ("2999-01-01 00:00:00 UTC", "ok", ("2999-01-01 00:00 UTC",))])
def test_when_the_token_expires(github, check, when, state, words):
    if when == "in 2 days":
        soon = time.gmtime(time.time() + 2.5 * 86400)
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", soon)
    github.fault("header", hop="api", path="/rate_limit", times=-1,
                 headers={"github-authentication-token-expiration": when})
    report = check(github).expect("expiry", state, *words)
    assert report.status == (state == "error")


def test_a_scope_is_missing(github, check):
    github.fault("header", hop="api", times=-1, headers={"X-OAuth-Scopes": "read:org, gist"})
    report = check(github)
    report.expect("scopes", "warning", "read:org, gist: without repo", "settings/tokens")
    assert report.status == 0
    github.add_repo("octo/secret", private=True)
    github.op("token", value=github.token, sees=[])
    report = check(github, "octo/secret").expect("repository", "error", "404", "scope repo")
    assert report.expect("storage", "skipped").status == 1


def test_a_permission_is_missing(github, check):
    github.bulk(REPO, runs=1, jobs=1, size=5050)
    github.op("token", value=github.token, logs=False)
    github.fault("header", hop="api", times=-1, headers={
        "X-OAuth-Scopes": None, "X-Accepted-GitHub-Permissions": "actions=read"})
    report = check(github, REPO)
    report.expect("storage", "error", "403", "permission actions=read")
    assert report.expect("archive", "error", "403").status == 1


def test_single_sign_on(github, check):
    github.fault("status", hop="api", path="/actions/runs", status=403, times=-1, body={
        "message": "Resource protected by organization SAML enforcement."},
        headers={"X-GitHub-SSO": "required; url=https://github.com/orgs/o/sso?request=QSecret"})
    report = check(github, REPO).expect("repository", "error", "SAML", "single sign-on")
    assert "QSecret" not in report.text and report.status == 1


def test_r7_a_server_that_repeats_the_token(github, check):
    """Which `check` would find in what is printed."""
    names = ("X-OAuth-Scopes", "github-authentication-token-expiration", "Content-Type",
             "X-Accepted-GitHub-Permissions", "X-GitHub-SSO")
    github.fault("status", hop="api", path="/actions/runs", status=403, times=-1,
                 body={"message": "no " + github.token})
    github.fault("header", hop="api", times=-1,
                 headers={name: "a %s b" % github.token for name in names})
    check(github, REPO).expect("repository", "error", "403").expect("scopes", "warning", "none")


# --- quota and clock -----------------------------------------------------------------------------

def test_the_quota_is_used_up(github, check):
    github.rate_limit(remaining=0, reset=1830)
    report = check(github, REPO)
    report.expect("quota", "error", "5000 requests of this hour", "wait 30 minutes")
    assert report.expect("repository", "skipped", "quota").status == 1
    github.rate_limit(remaining=100)
    report = check(github).expect("quota", "warning", "less than reserve (500)", "-o reserve=")
    assert report.status == 0
    assert check(github, reserve=50)["quota"][0] == "ok"


def test_secondary_limits(github, check):
    github.secondary(per_minute=0, retry_after=77)
    report = check(github, REPO).expect("quota", "error", "secondary limit", "wait 77 seconds")
    assert report.expect("api", "ok", "403").status == 1


@pytest.mark.parametrize("skew, word", [(3600, "behind"), (-3600, "ahead of")])
def test_the_clock_is_off_by_an_hour(github, check, skew, word):
    github.clock(skew=skew)
    report = check(github).expect("clock", "error", word, "timedatectl set-ntp true")
    assert report.status == 1


def test_the_clock_is_off_by_a_minute(github, check):
    github.clock(skew=100)
    assert check(github).expect("clock", "warning", "behind", "timedatectl").status == 0


# --- the way to the API --------------------------------------------------------------------------

def test_the_api_is_down(github, check):
    github.refuse(hop="api")
    report = check(github, REPO).expect("api", "error", "127.0.0.1: connection refused", "port")
    assert report.states("clock", "quota", "repository", "storage", "archive") == {"skipped"}
    assert report.status == 1


def test_the_api_is_silent(github, check):
    github.block(hop="api")
    report = check(github, REPO, timeout=1).expect("api", "error", "no answer within",
                                                   "-o timeout=")
    assert report.status == 1


def test_an_answer_that_does_not_end(github, check):
    """It moves all the time, so that only the deadline of a question ends it."""
    github.bulk(REPO, runs=30, jobs=1, size=5050)
    github.bandwidth(rate=4000, hop="api")
    report = check(github, REPO, timeout=int(4 * SLOW), json_too=False)
    assert report.expect("repository", "error", "no answer within", "-o timeout=").status == 1


@pytest.mark.parametrize("fault, words", {
    "a body that stalls": (dict(kind="stall", after=10), ("no answer within", "-o timeout=")),
    "a cut": (dict(kind="close", after=10), ("cuts or changes",)),
    "an error": (dict(kind="status", status=503), ("fails with status 503", "githubstatus")),
    "a proxy's page": (dict(kind="json", form="html"), ("in place of JSON", "proxy")),
    "another site": (dict(kind="status", status=404), ("no API at this address", "api_url")),
    "a redirect": (dict(kind="status", status=302, headers={"Location": "https://x.test/"}),
                   ("redirects", "/api/v3")),
    "endless headers": (dict(kind="endless", part="header"), ("no valid answer",))}.values())
def test_the_api_answers_wrongly(github, check, fault, words):
    github.fault(hop="api", times=-1, **fault)
    timeout = 1 if fault["kind"] == "stall" else None
    assert check(github, REPO, timeout=timeout).expect("api", "error", *words).status == 1


def test_the_host_is_unknown(check):
    report = check(None, token=None, api_url="https://nowhere.invalid", timeout=10,
                   env={"RES_OPTIONS": "timeout:1 attempts:1"})
    assert report.expect("api", "error", "nowhere.invalid", "HTTPS_PROXY").status == 1


# --- the way to storage --------------------------------------------------------------------------

def test_storage_is_down(github, check):
    one_job(github, size=5050)
    github.refuse(hop="storage")
    report = check(github, REPO).expect("storage", "error", "127.0.0.2: connection refused", "port")
    assert report.expect("archive", "error", "127.0.0.2", "refused").status == 1
    assert report.states("api", "repository") == {"ok"}


def test_storage_is_silent(github, check):
    one_job(github, size=5050)
    github.block(hop="storage")
    report = check(github, REPO, timeout=int(4 * SLOW), json_too=False)
    assert report.expect("storage", "error", "no answer within", "firewall").status == 1


@pytest.mark.parametrize("fault, words", {
    "a proxy's page": (dict(kind="status", status=200, body="<html>blocked", headers={
        "Content-Type": "text/html"}), ("answers with text/html", "blob.core.windows.net")),
    "a page without a type": (dict(kind="status", status=200, body="blocked by your employer"),
                              ("in place of the log",)),
    "a login": (dict(kind="status", status=302, headers={"Location": "https://login.test/"}),
                ("status 302", "proxy")),
    "a refusal": (dict(kind="xml", status=403, code="AuthenticationFailed"),
                  ("refuses the signed URL: status 403 AuthenticationFailed", "clock")),
    "a failure": (dict(kind="xml"), ("fails with status 503", "githubstatus"))}.values())
def test_storage_answers_wrongly(github, check, fault, words):
    one_job(github, size=5050)
    github.fault(hop="storage", times=-1, **fault)
    assert check(github, REPO).expect("storage", "error", *words).status == 1


def test_r7_a_redirect_that_leads_elsewhere_is_not_followed(github, check):
    one_job(github, size=5050)
    github.fault("location", hop="api", path="/logs", times=-1, value="ftp://{host}{path}")
    report = check(github, REPO).expect("storage", "error", "not allowed", "changes its answers")
    assert report.status == 1 and traffic(github).storage == 0


# --- TLS and proxies -----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(authority):
    with Github(tls=authority.issue("good")) as server:
        yield server


@pytest.fixture
def secure(secured, authority):
    """A loopback GitHub over TLS with one job."""
    for hop in ("api", "storage"):
        show(secured, hop, authority.issue("good"))
    secured.clean()
    one_job(secured, size=5050)
    yield secured
    assert secured.counters()["token_leaks"] == 0, "a token reached storage"


def show(github, hop, certificate):
    github.certificate(hop=hop, cert=str(certificate[0]), key=str(certificate[1]))


def place(url):
    return url.partition("://")[2].partition("/")[0]


def test_over_tls(secure, authority, check):
    report = check(secure, REPO, ca_file=authority.ca)
    report.expect("api", "ok", "certificate verified").expect("storage", "ok", "verified")
    assert report.expect("certificates", "ok", "ca.pem (ca_file)").status == 0


@pytest.mark.parametrize("hop, line, host", [("api", "api", "127.0.0.1"),
                                             ("storage", "storage", "127.0.0.2")])
@pytest.mark.parametrize("why, words", [
    ("expired", ("certificate has expired", "clock")),
    ("elsewhere", ("TLS failed", "something else answers")),
    ("stranger", ("TLS failed", "-o ca_file="))])
def test_a_bad_certificate(secure, authority, check, tmp_path, hop, line, host, why, words):
    bad = {"expired": lambda: authority.issue("expired", days=-1),
           "elsewhere": lambda: authority.issue("elsewhere", ["example.com", "127.0.0.9"]),
           "stranger": lambda: Authority(tmp_path, "Nobody's").issue("stranger")}[why]()
    show(secure, hop, bad)
    report = check(secure, REPO, ca_file=authority.ca).expect(line, "error", host, *words)
    assert report.status == 1


def test_a_file_of_authorities_that_is_none(secure, check, folder):
    report = check(secure, ca_file=folder / "nothing.pem")
    report.expect("certificates", "error", "nothing.pem (ca_file): No such file", "in ca_file")
    assert report.expect("api", "error", "TLS failed").status == 1
    (folder / "empty.pem").write_text("nothing\n")
    report = check(secure, env={"SSL_CERT_FILE": folder / "empty.pem"})
    report.expect("certificates", "error", "SSL_CERT_FILE", "contains no PEM certificate")


def test_through_a_proxy(secure, authority, check):
    with Proxy() as proxy:
        url = proxy.url.replace("//", "//user:PasswordOfProxy@")
        report = check(secure, REPO, ca_file=authority.ca, env={"HTTPS_PROXY": url})
    report.expect("proxy", "ok", proxy.url.replace("//", "//***@") + " (HTTPS_PROXY)", "through it")
    report.expect("api", "ok", "through the proxy").expect("storage", "ok", "through the proxy")
    assert "PasswordOfProxy" not in report.text and report.status == 0
    with Proxy() as proxy:
        report = check(secure, REPO, ca_file=authority.ca, proxy=proxy.url,
                       no_proxy="127.0.0.1")
    report.expect("proxy", "ok", "(proxy), not for 127.0.0.1", "directly")
    assert "proxy" not in report["api"][1] and "through the proxy" in report["storage"][1]


@pytest.mark.parametrize("status, advice", [(403, "allow HTTPS"), (407, "USER:PASSWORD")])
def test_a_proxy_that_refuses_storage(secure, authority, check, status, advice):
    with Proxy(refuse={place(secure.storage): status}) as proxy:
        report = check(secure, REPO, ca_file=authority.ca, proxy=proxy.url)
    words = "127.0.0.2: the proxy refused a tunnel to this host: status %d" % status
    report.expect("api", "ok").expect("storage", "error", words, advice)
    assert report.expect("archive", "error", words).status == 1


def test_a_proxy_that_refuses_the_api(secure, authority, check):
    with Proxy(refuse=502) as proxy:
        report = check(secure, REPO, ca_file=authority.ca, proxy=proxy.url)
    report.expect("api", "error", "127.0.0.1: the proxy refused a tunnel to this host: status 502")
    assert report.status == 1


def test_a_proxy_that_is_not_there(secure, authority, check):
    with Proxy() as proxy:
        pass
    report = check(secure, ca_file=authority.ca, proxy=proxy.url)
    assert report.expect("api", "error", "refused", "that the proxy runs").status == 1


def test_a_malformed_proxy(secure, authority, check):
    report = check(secure, ca_file=authority.ca, proxy="http://user:PasswordOfProxy@[::1")
    report.expect("api", "error", "unsupported proxy", "the proxy's address")
    assert "PasswordOfProxy" not in report.text and report.status == 1


# --- the shared store ----------------------------------------------------------------------------

def test_a_shared_store(github, check, folder):
    store = Store(github, folder)
    report = check(github, REPO, **store.options)
    report.expect("shared", "ok", "127.0.0.3", "may be read (shared_key_file)")
    assert report.status == 0 and not github.store_list()
    report = check(github, shared_write=True, **store.options)
    report.expect("shared_write", "skipped", "not tried: it would leave an object")
    assert not github.store_list(), "nothing is written"
    options = dict(store.options, shared_key_file=None)
    report = check(github, env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
                   **options)
    assert report.expect("shared", "ok", "AWS_ACCESS_KEY_ID").status == 0


def test_the_shared_store_is_down(github, check, folder):
    options = Store(github, folder).options
    github.refuse(hop="store")
    report = check(github, **options).expect("shared", "error", "127.0.0.3", "refused")
    assert report.status == 1
    github.accept(hop="store")
    github.block(hop="store")
    report = check(github, **options)
    assert report.expect("shared", "error", "no answer within", "mounts go on").status == 1


def test_the_shared_store_refuses_the_key(github, check, folder):
    store = Store(github, folder)
    store.key_file.write_text("%s wrong%s\n" % (KEY, SECRET[5:]))
    report = check(github, **store.options)
    report.expect("shared", "error", "403 SignatureDoesNotMatch", "check the key")
    assert report.status == 1
    store.key_file.write_text("only-one-word\n")
    report = check(github, **store.options)
    report.expect("shared", "error", "shared_key_file", "correct it")
    assert report.status == 1
    store.key_file.unlink()
    assert check(github, **store.options).expect("shared", "error", "No such file").status == 1


def test_a_key_that_may_not_list(github, check, folder):
    store = Store(github, folder, lists=False)
    report = check(github, **store.options)
    assert report.expect("shared", "warning", "AccessDenied", "s3:ListBucket").status == 0


def test_the_shared_store_by_http(github, check, folder):
    key = folder / "key"
    key.write_text("user PasswordOfStore\n")
    key.chmod(0o600)
    github.store_setup(mode="http", identities={"user:PasswordOfStore": 1})
    options = {"shared": github.store + "/logs", "shared_key_file": key}
    report = check(github, **options)
    assert report.expect("shared", "ok", "may be read").status == 0
    report = check(github, **dict(options, shared_key_file=None))
    assert report.expect("shared", "error", "no key", "shared_key_file=FILE").status == 1


def test_the_clock_of_the_shared_store(github, check, folder):
    store = Store(github, folder, clock=3600)
    report = check(github, **store.options)
    assert report.expect("shared", "error", "RequestTimeTooSkewed", "timedatectl").status == 1


# --- the cache -----------------------------------------------------------------------------------

def test_nothing_is_requested_offline(github, check):
    report = check(github, REPO, offline=True)
    assert report.states(*NETWORK, "shared") == {"skipped"} and report.status == 0
    assert traffic(github).requests == (0, 0)


def test_nothing_is_kept(github, check):
    report = check(github, no_cache=True).expect("cache", "skipped", "no_cache")
    assert not report.all("logs") and report.status == 0


def test_a_directory_of_another_user(github, check, folder):
    at = pathlib.Path("/usr/lib")
    if os.getuid() == 0:
        at = folder / "another"
        at.mkdir(mode=0o700)
        os.chown(at, 1, 1)
    report = check(github, cache=at)
    report.expect("cache", "error", "belongs to another user", "cache_dir=")
    assert report.expect("logs", "skipped", "line cache").status == 1


def test_a_directory_that_others_may_write(github, check, folder):
    at = folder / "open"
    at.mkdir()
    at.chmod(0o777)
    assert check(github, cache=at).expect("cache", "error", "chmod go-w").status == 1


def test_a_directory_that_cannot_be_written(github, check, folder):
    """By a mount of root's either: it gives the right to do so up."""
    at = folder / "closed"
    at.mkdir(mode=0o500)
    report = check(github, cache=at)
    report.expect("cache", "error", "Permission denied; logs are kept in memory, up to 256.0 MiB",
                  "chmod 700")
    assert report.status == 1
    report = check(github, cache=at / "deeper" / "still")
    assert report.expect("cache", "error", "Permission denied").status == 1


def test_a_directory_that_is_a_file(github, check, folder):
    (folder / "file").write_text("")
    assert check(github, cache=folder / "file").expect("cache", "error", "Not a dir").status == 1


def test_a_full_disk(github, check, disk):
    at = disk("1M")
    with fails("ENOSPC"):
        (at / "all").write_bytes(bytes(2 << 20))
    report = check(github, cache=at / "cache")
    report.expect("cache", "error", "No space left", "free space")
    assert report.expect("space", "error", "5 % stay free", "cache_dir=").status == 1


def test_a_nearly_full_disk(github, check, disk):
    report = check(github, cache=disk("8M") / "cache")
    report.expect("cache", "ok", "does not exist yet", "tmpfs")
    assert report.expect("space", "warning", "left for logs", "cache_dir=").status == 0


def filled(github, mount, count=3):
    """A mount that has so many logs on disk: (mount, {job: file})"""
    jobs = [one_job(github, size=SIZE) for _ in range(count)]
    m = mount()
    for job in jobs:
        assert m.log(job).read_bytes() == made(job, SIZE)
    wait_for(lambda: len(named_logs(m.cache)) == count)
    return m, named_logs(m.cache)


def damage(file, at=100_000):
    with open(file, "r+b") as log:
        log.seek(at)
        byte = log.read(1)
        log.seek(at)
        log.write(bytes([byte[0] ^ 1]))


def test_a_good_cache(github, mount, check):
    m, logs = filled(github, mount)
    m.stop()
    report = check(github, cache=m.cache)
    report.expect("logs", "ok", "%d logs" % len(logs), "as they were written")
    report.expect("cache", "ok", str(m.cache), "(yours)", "mode 0")
    assert report.status == 0 and not report.all("damage")


def test_a_damaged_log_is_found_and_with_repair_deleted(github, mount, check):
    m, logs = filled(github, mount)
    m.stop()
    job, file = logs.popitem()
    damage(file)
    report = check(github, cache=m.cache)
    report.expect("damage", "error", "/%d: damaged: a page" % job, "--repair")
    assert report.status == 1 and file.exists()
    report = check(github, "--repair", cache=m.cache, json_too=False)
    report.expect("damage", "warning", "/%d: damaged" % job, "deleted")
    assert report.status == 0 and not file.exists()
    assert all(other.exists() for other in logs.values())
    report = check(github, cache=m.cache)
    assert report.status == 0 and not report.all("damage")


def test_repair_beside_a_mount(github, mount, check):
    """A mount that has the damaged log open goes on; who reads it later gets it anew."""
    m, logs = filled(github, mount)
    job, file = logs.popitem()
    other = next(iter(logs))
    forget(github)
    with open(m.log(job), "rb") as log, open(m.log(other), "rb") as kept:
        damage(file)
        report = check(github, "--repair", cache=m.cache, json_too=False)
        report.expect("damage", "warning", "/%d: damaged" % job, "deleted")
        assert kept.read() == made(other, SIZE) and len(log.read()) == SIZE
    m.stop()
    again = mount(cache=m.cache)
    assert again.log(job).read_bytes() == made(job, SIZE)
    assert again.log(other).read_bytes() == made(other, SIZE)
    assert traffic(github).storage >= 1
    again.stop()
    assert check(github, cache=m.cache).status == 0


def test_progress_is_for_terminals(github, mount, check):
    """And on standard error, so that the report can be piped on."""
    job = one_job(github, size=40 * MIB)
    m = mount()
    assert m.log(job).read_bytes() == made(job, 40 * MIB)
    m.stop()
    ours, its = os.openpty()
    words = command("--check", "-o", "offline,cache_dir=%s" % m.cache)
    done = subprocess.run(words, env=clean_environment(m.home), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=its, text=True, timeout=60 * SLOW)
    shown = os.read(ours, 1 << 16).decode()
    os.close(its)
    os.close(ours)
    assert re.search(r"logs: [\d.]+ MiB of 40.0 MiB read", shown)
    assert Report(done.returncode, done.stdout).expect("logs", "ok", "1 log ").status == 0


def test_what_is_left_over(github, mount, check):
    m, _ = filled(github, mount, 1)
    m.stop()
    left = m.cache / "v1" / "tmp" / "4711.0"
    left.write_text("left")
    mine = m.cache / "v1" / "mine"
    mine.write_text("not of ghlogfs")
    report = check(github, cache=m.cache)
    report.expect("damage", "warning", "tmp/4711.0: left over", "--repair")
    assert report.status == 0 and left.exists()
    report = check(github, "--repair", cache=m.cache, json_too=False)
    report.expect("damage", "warning", "deleted")
    assert not left.exists() and mine.exists()


# --- this machine, and the command ---------------------------------------------------------------

def test_this_machine(github, check):
    report = check(github).expect("fuse", "ok", "/dev/fuse").expect("libraries", "ok", "libcurl/")
    assert report["fusermount3"][0] == "ok"
    for version in ("libfuse", "libarchive"):
        assert version in report["libraries"][1]


def test_allow_other(github, check):
    allowed = any(line.strip() == "user_allow_other" for line in
                  pathlib.Path("/etc/fuse.conf").read_text().splitlines())
    state = "ok" if allowed or os.getuid() == 0 else "error"
    check(github, allow_other=True).expect("allow_other", state)


def limited(words, files):
    """The command with at most so many open files."""
    return ["sh", "-c", 'ulimit -n %d; exec "$@"' % files, "sh", *words]


@pytest.mark.parametrize("files, state, words", [(30, "error", "too few"),
                                                 (64, "warning", "connections are used, not 32")])
def test_few_open_files(folder, files, state, words):
    done = subprocess.run(limited(command("--check", "-o", "offline"), files), text=True,
                          env=clean_environment(folder), capture_output=True, timeout=60 * SLOW)
    report = Report(done.returncode, done.stdout)
    report.expect("open_files", state, words, "LimitNOFILE=")


@pytest.mark.parametrize("words", [("--repair", "/tmp"), ("--json",), ("--check", "a/b/c"),
                                   ("--check", "x", "y"), ("--check", "-o", "nonsense")])
def test_wrong_usage(folder, words):
    done = subprocess.run(command(*words), env=clean_environment(folder), capture_output=True,
                          text=True, timeout=60 * SLOW)
    assert done.returncode == 2 and done.stdout == "" and "--help" in done.stderr


def test_it_can_be_interrupted(github, folder):
    """While it waits for a server that is silent."""
    github.block(hop="api")
    words = command("--check", *option_words({"api_url": github.api, "timeout": 3600}), REPO)
    with subprocess.Popen(words, env=clean_environment(folder), stdout=subprocess.PIPE,
                          text=True) as process:
        for line in process.stdout:
            if " certificates " in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(30 * SLOW) == -signal.SIGINT


def test_a_reader_that_goes_away(github, folder):
    """No reader for the report: it ends, with a status that shows it."""
    ends = os.pipe()
    os.close(ends[0])
    done = subprocess.run(command("--check", "--json", "-o", "offline"), stdout=ends[1],
                          env=clean_environment(folder), stderr=subprocess.PIPE, timeout=60 * SLOW)
    os.close(ends[1])
    assert done.returncode == 1


def test_the_manual_page_names_every_line(github, check, folder):
    store = Store(github, folder)
    report = check(github, REPO, shared_write=True, **store.options)
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ghlogfs.1"
    told = set(re.findall(r"[a-z_0-9]+", " ".join(
        line for line in page.read_text().splitlines() if line.startswith(".It Cm"))))
    assert {name for name, _, _ in report.lines} <= told


def test_the_help_names_it():
    assert "--check" in out(BINARY, "--help", text=True)
