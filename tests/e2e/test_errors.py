"""Each row of the error table: the errno, how long it is remembered, and the line that explains."""

import contextlib
import json
import os
import socket
import ssl
import threading
import time

import pytest

import fake.content
from fake.asking import one_job
from faulting import each, faulty_jobs, names_of, outcome, outcomes
from mounting import (MIB, REPO, SLOW, ended, fails, forget, run, spawn, there, traffic,
                      wait_active, wait_for)


def made(job, size):
    return fake.content.content(job, 0, size)


def remembered(github, path, *names):
    """It fails so, and a second time without another request; the requests of the first."""
    with fails(*names):
        path.read_bytes()
    seen = traffic(github)
    with fails(*names):
        path.read_bytes()
    assert traffic(github).requests == seen.requests, "it was asked again at once"
    return seen


def logged(m, *words):
    """One line on stderr has all of these words, case-insensitively; maybe a moment after the
    errno, which a reader whose deadline is over gets by itself."""

    def is_logged():
        lines = m.stderr.lower().splitlines()
        return any(all(str(word).lower() in line for word in words) for line in lines)

    wait_for(is_logged, 3, why="%s are not logged" % (words,))


# --- absent --------------------------------------------------------------------------------------

def test_no_such_job(github, mount):
    assert remembered(github, mount().log(4242), "ENOENT").requests == (1, 0)


def test_no_such_job_as_json(github, mount):
    assert remembered(github, mount().json(4242), "ENOENT").requests == (1, 0)


def test_no_such_repository(github, mount):
    assert remembered(github, mount().log(4242, "octo/nowhere"), "ENOENT").requests == (1, 0)


def test_no_right_to_see_it(github, mount):
    github.add_repo("corp/secret", private=True)
    job = github.add_job(github.add_run("corp/secret"))
    github.op("token", value=github.token, sees=["octo"])
    seen = remembered(github, mount().log(job, "corp/secret"), "ENOENT")
    assert seen.requests == (1, 0)


def test_absence_in_one_repository_is_not_that_of_another(github, mount):
    github.add_repo("octo/other")
    job = one_job(github, size=1000)
    m = mount()
    with fails("ENOENT"):
        m.log(job, "octo/other").stat()
    assert m.log(job).read_bytes() == made(job, 1000)


def test_no_log_yet(github, mount):
    """Absent for 3 s; then asked again, and there it is."""
    job = one_job(github, size=None, status="in_progress", log="missing")
    m = mount()
    seen = remembered(github, m.log(job), "ENOENT")
    assert seen.api <= 2 and seen.storage == 1
    started = time.monotonic()
    github.complete_job(job, size=4000)
    wait_for(lambda: there(m.log(job)), 20, 0.2)
    assert time.monotonic() - started < 6 * SLOW
    assert m.log(job).read_bytes() == made(job, 4000)


def test_no_log_yet_is_asked_less_and_less_often(github, mount):
    job = one_job(github, size=None, status="queued", log="missing")
    m = mount()
    end = time.monotonic() + 11
    while time.monotonic() < end:
        assert not m.log(job).exists()
        time.sleep(0.1)
    seen = traffic(github)
    assert 2 <= seen.storage <= 3, "after 3 s and then after 6 s, not every 3 s"
    assert seen.charged <= 6


def test_completed_without_a_log(github, mount):
    job = one_job(github, size=None, log="missing", completed_at="2026-01-02T00:00:00Z")
    m = mount()
    with fails("ENOENT"):
        m.log(job).stat()
    seen = traffic(github).requests
    time.sleep(3.5)
    with fails("ENOENT"):
        m.log(job).stat()
    assert traffic(github).requests == seen, "this absence lasts for a day"


def test_an_empty_log_is_a_file(github, mount):
    job = one_job(github, size=0)
    m = mount()
    assert m.log(job).read_bytes() == b""
    seen = traffic(github).requests
    assert m.log(job).read_bytes() == b""
    assert traffic(github).requests == seen


@pytest.mark.smoke
def test_expired(github, mount):
    """For good, also after a remount."""
    job = one_job(github, size=None, log="expired")
    m = mount()
    seen = remembered(github, m.log(job), "ENOENT")
    assert seen.api <= 2 and seen.storage == 0
    m.stop()
    forget(github)
    with fails("ENOENT"):
        mount(cache=m.cache).log(job).stat()
    assert traffic(github).requests == (0, 0)


def test_deleted(github, mount):
    job = one_job(github, size=None, log="deleted")
    seen = remembered(github, mount().log(job), "ENOENT")
    assert seen.storage == 0


def test_the_job_of_an_expired_log_is_still_shown(github, mount):
    job = one_job(github, size=None, log="expired")
    m = mount()
    with fails("ENOENT"):
        m.log(job).stat()
    assert m.json(job).read_bytes()


# --- no right ------------------------------------------------------------------------------------

def test_a_bad_token(github, mount):
    job = one_job(github)
    m = mount(token="ghp_nobody_knows_this_one", secrets=["ghp_nobody_knows_this_one"])
    remembered(github, m.log(job), "EACCES")
    logged(m, "api", "401", "127.0.0.1")


def test_a_token_file_that_is_replaced(github, mount):
    """The file is read again after a 401; the reader notices nothing."""
    job = one_job(github, size=1000)
    m = mount(token="file")
    github.op("token", value="ghp_the_next_one_is_this")
    m.secrets.append("ghp_the_next_one_is_this")
    m.token_file.write_text("ghp_the_next_one_is_this\n")
    github.remove_token(value=github.token)
    try:
        assert m.log(job).read_bytes() == made(job, 1000)
    finally:
        github.op("token", value=github.token)
        github.remove_token(value="ghp_the_next_one_is_this")


def test_a_bad_token_file(github, mount):
    job = one_job(github, size=1000)
    m = mount(token="file")
    github.remove_token(value=github.token)
    try:
        remembered(github, m.log(job), "EACCES")
    finally:
        github.op("token", value=github.token)


def test_no_token(github, mount):
    job = one_job(github)
    m = mount(token=None)
    remembered(github, m.log(job), "EACCES")
    logged(m, "token")


def test_a_job_can_be_seen_without_a_token(github, mount):
    job = one_job(github)
    assert mount(token=None).json(job).read_bytes()


@pytest.mark.smoke
def test_no_right(github, mount):
    job = one_job(github)
    github.op("token", value=github.token, logs=False)
    m = mount()
    assert remembered(github, m.log(job), "EACCES").requests == (1, 0)
    logged(m, "api", "403", "127.0.0.1")


# --- quota ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", (403, 429))
def test_quota_used_up(github, mount, status):
    first, second = one_job(github), one_job(github)
    github.rate_limit(remaining=0, reset=3000, status=status)
    m = mount(wait=1)
    with fails("EDQUOT"):
        m.log(first).read_bytes()
    seen = traffic(github)
    assert seen.api == 1
    with fails("EDQUOT"):
        m.log(second).read_bytes()
    assert traffic(github).api == 1, "asked although it is known until when there is none"
    logged(m, "quota")


def test_quota_that_comes_back_within_wait(github, mount):
    job = one_job(github, size=1000)
    github.rate_limit(remaining=0, reset=3)
    started = time.monotonic()
    assert mount(wait=20).log(job).read_bytes() == made(job, 1000)
    assert time.monotonic() - started < 12 * SLOW
    assert traffic(github).api <= 3


def test_the_last_of_the_quota_is_used(github, mount):
    job, second = one_job(github, size=1000), one_job(github)
    github.rate_limit(remaining=1, reset=3000)
    m = mount(wait=1)
    assert m.log(job).read_bytes() == made(job, 1000)
    with fails("EDQUOT"):
        m.log(second).read_bytes()
    assert traffic(github).api == 1, "the answer had said that nothing was left"


def test_a_secondary_limit_is_waited_for(github, mount):
    job = one_job(github, size=1000)
    github.fault("status", hop="api", status=403, headers={"Retry-After": "2"},
                 body={"message": "You have exceeded a secondary rate limit."})
    started = time.monotonic()
    assert mount(wait=20).log(job).read_bytes() == made(job, 1000)
    assert 1.9 < time.monotonic() - started < 10 * SLOW


def test_a_secondary_limit_longer_than_wait(github, mount):
    job = one_job(github)
    github.fault("status", hop="api", status=429, times=-1, headers={"Retry-After": "600"},
                 body={"message": "You have exceeded a secondary rate limit."})
    m = mount(wait=2)
    with fails("EDQUOT"):
        m.log(job).read_bytes()
    with fails("EDQUOT"):
        m.log(job).read_bytes()
    assert traffic(github).api == 1


def test_without_quota_cached_logs_are_read(github, mount):
    job = one_job(github, size=1000)
    m = mount(wait=1)
    m.log(job).read_bytes()
    m.stop()
    github.rate_limit(remaining=0, reset=3000)
    again = mount(cache=m.cache, wait=1)
    with fails("EDQUOT"):
        again.log(one_job(github)).read_bytes()
    assert again.log(job).read_bytes() == made(job, 1000)


# --- the network ---------------------------------------------------------------------------------

def test_host_not_found(mounts):
    m = mounts(github=None, api_url="http://api.nowhere.invalid", token="ghp_x", deadline=10,
               env={"RES_OPTIONS": "timeout:1 attempts:1"})
    with fails("EHOSTUNREACH"):
        m.log(1).read_bytes()
    started = time.monotonic()
    with fails("EHOSTUNREACH"):
        m.log(2).read_bytes()
    assert time.monotonic() - started < 1 * SLOW, "remembered for the host"
    logged(m, "api.nowhere.invalid")


def test_refused_by_the_api(github, mount):
    job = one_job(github, size=1000)
    github.refuse(hop="api", drop=True)
    m = mount(deadline=10)
    with fails("ECONNREFUSED"):
        m.log(job).read_bytes()
    logged(m, "api", "127.0.0.1")
    github.accept(hop="api")
    wait_for(lambda: there(m.log(job)), 15, 0.3)
    assert m.log(job).read_bytes() == made(job, 1000)


def test_refused_by_storage(github, mount):
    job = one_job(github, size=1000)
    github.refuse(hop="storage", drop=True)
    m = mount(deadline=10)
    with fails("ECONNREFUSED"):
        m.log(job).read_bytes()
    logged(m, "storage", "127.0.0.2")
    github.accept(hop="storage")
    wait_for(lambda: there(m.log(job)), 15, 0.3)
    assert m.log(job).read_bytes() == made(job, 1000)


def test_refused_for_a_second_is_not_noticed(github, mount):
    job = one_job(github, size=1000)
    m = mount()
    github.refuse(hop="api", seconds=0.7, drop=True)
    assert m.log(job).read_bytes() == made(job, 1000)


@pytest.mark.parametrize("hop", ("api", "storage"))
def test_silence(github, mount, hop):
    job = one_job(github)
    github.fault("stall", hop=hop, after=-1, times=-1)
    m = mount(timeout=1, deadline=3)
    started = time.monotonic()
    with fails("ETIMEDOUT"):
        m.log(job).read_bytes()
    assert time.monotonic() - started < 8 * SLOW
    logged(m, hop, "127.0.0." + ("1" if hop == "api" else "2"))


@pytest.mark.parametrize("hop", ("api", "storage"))
def test_silence_is_remembered_for_the_host(github, mount, hop):
    """Who asks for another log does not wait as long again; a moment later it is asked."""
    silent, other = one_job(github), one_job(github, size=1000)
    where = {"path": "/jobs/%d" % silent} if hop == "api" else {"job": silent}
    github.fault("stall", hop=hop, after=-1, times=-1, **where)
    m = mount(timeout=1, deadline=3)
    with fails("ETIMEDOUT"):
        m.log(silent).read_bytes()
    logged(m, hop, "127.0.0." + ("1" if hop == "api" else "2"))
    before = getattr(traffic(github, settle=False), hop)
    with fails("ETIMEDOUT"):
        m.log(other).read_bytes()
    assert getattr(traffic(github, settle=False), hop) == before, "it was asked all the same"
    wait_for(lambda: there(m.log(other)), 8 * SLOW, 0.3)
    assert m.log(other).read_bytes() == made(other, 1000)


def test_silence_about_one_log_is_not_the_hosts(github, mount):
    """A host that answers others meanwhile is not down."""
    silent, other, third = one_job(github), one_job(github, size=1000), one_job(github, size=1000)
    github.fault("stall", hop="storage", after=-1, times=-1, job=silent)
    m = mount(timeout=1, deadline=3)
    with ended([spawn("cat", m.log(silent))]) as (reader,):
        wait_active(github, 1)
        assert m.log(other).read_bytes() == made(other, 1000)
        assert reader.wait(20 * SLOW) == 1
    logged(m, "storage", "127.0.0.2")
    assert m.log(third).read_bytes() == made(third, 1000)


@pytest.mark.parametrize("hop", ("api", "storage"))
def test_headers_that_drip_are_not_the_hosts_silence(github, mount, hop):
    """Their own reader does not wait for ever, and the next one asks the host."""
    slow, other = one_job(github), one_job(github, size=1000)
    where = {"path": "/jobs/%d" % slow} if hop == "api" else {"job": slow}
    github.fault("drip", hop=hop, head=True, bytes=1, every=0.5, times=-1, **where)
    m = mount(timeout=1, deadline=3)
    with fails("ETIMEDOUT"):
        m.log(slow).read_bytes()
    logged(m, hop, "127.0.0." + ("1" if hop == "api" else "2"))
    assert m.log(other).read_bytes() == made(other, 1000)


def test_silence_in_the_middle(github, mount):
    job = one_job(github, size=800_000)
    github.fault("stall", hop="storage", after=300_000, times=-1)
    m = mount(timeout=1, deadline=3)
    with open(m.log(job), "rb", buffering=0) as file:
        with fails("ETIMEDOUT", "EIO"):
            os.pread(file.fileno(), 1000, 700_000)


# --- malformed answers ---------------------------------------------------------------------------

@contextlib.contextmanager
def listener(talk):
    """A server on 127.0.0.1 that does talk(connection) for each; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with contextlib.suppress(OSError), connection:
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_tls_with_one_who_speaks_none(mounts):
    def talk(connection):
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listener(talk) as port:
        m = mounts(github=None, api_url="https://127.0.0.1:%d" % port, token="ghp_x", deadline=10)
        with fails("EPROTO"):
            m.log(1).read_bytes()
        logged(m, "api", "127.0.0.1", "tls")


def test_tls_with_an_unknown_certificate(mounts, folder):
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key",
        "-out", folder / "cert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    asked = []

    def talk(connection):
        with context.wrap_socket(connection, server_side=True) as wrapped:
            asked.append(wrapped.recv(10000))
            wrapped.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")

    with listener(talk) as port:
        url = "https://127.0.0.1:%d" % port
        m = mounts(github=None, api_url=url, token="ghp_x", deadline=10)
        with fails("EPROTO"):
            m.log(1).read_bytes()
        assert not asked, "the token went to whoever it was"
        trusting = mounts(github=None, api_url=url, token="ghp_x", deadline=10,
                          ca_file=folder / "cert")
        with fails("ENOENT"):
            trusting.log(1).read_bytes()
        assert asked


@pytest.mark.parametrize("location", (
    None, "file:///etc/passwd", "ftp://127.0.0.2/x", "http://user:pass@{host}{path}", "http://",
    "//", "gopher://127.0.0.2:1/x", "http://[::1", "javascript:1", "http://127.0.0.2:0/x",
    "http://127.0.0.2:99999/x", "http://a b/x", ""))
def test_a_redirect_that_is_not_allowed(github, mount, location):
    job = one_job(github)
    github.fault("location", hop="api", times=-1, value=location)
    m = mount(deadline=10)
    with fails("EPROTO"):
        m.log(job).read_bytes()
    assert traffic(github).storage == 0


def test_json_that_is_none(github, mount):
    jobs = {form: one_job(github)
            for form in ("malformed", "truncated", "deep", "html", "empty", "huge")}
    for form, job in jobs.items():
        size = {"size": 40 * MIB} if form == "huge" else {}
        github.fault("json", hop="api", path="/jobs/%d" % job, times=-1, form=form, **size)
    m = mount(deadline=10)
    got = each(lambda job: outcome(m.json(job), b""), jobs)
    assert got == dict.fromkeys(jobs, "EPROTO after 0")
    github.clear_faults()
    for job in jobs.values():
        wait_for(lambda job=job: there(m.json(job)), 12, 0.3)
        assert json.loads(m.json(job).read_bytes())["id"] == job


def test_a_success_that_is_no_redirect(github, mount):
    job = one_job(github)
    github.fault("status", hop="api", status=200, times=-1, body={"hello": 1})
    with fails("EPROTO"):
        mount(deadline=10).log(job).read_bytes()


def test_an_unknown_status_of_the_api(github, mount):
    job = one_job(github)
    github.fault("status", hop="api", status=418, times=-1, body="no")
    m = mount(deadline=10)
    with fails("EPROTO"):
        m.log(job).read_bytes()
    logged(m, "api", 418)


# --- too large, failing, offline -----------------------------------------------------------------

@pytest.mark.smoke
def test_too_large_for_memory(github, mount):
    small, large = one_job(github, size=200_000), one_job(github, size=3 * MIB)
    m = mount(no_cache=True, memory="1M")
    with fails("EFBIG"):
        m.log(large).read_bytes()
    assert m.log(small).read_bytes() == made(small, 200_000)


def test_anything_else(github, mount):
    """Each with a job of its own; the line shows which is the API's and which is storage's."""
    answers = {"%s %d" % (hop, status): {"kind": "status", "hop": hop, "status": status,
                                         "times": -1, "body": "no"}
               for hop, status in (("api", 500), ("api", 502), ("storage", 500), ("storage", 503),
                                   ("storage", 403), ("storage", 418))}
    jobs = faulty_jobs(github, answers, 1000)
    m = mount(deadline=10)
    assert names_of(outcomes(m, jobs, 1000)) == dict.fromkeys(jobs, "EIO")
    for name in answers:
        hop, status = name.split()
        logged(m, hop, status, "127.0.0." + ("1" if hop == "api" else "2"))
    asked = traffic(github).of("api")
    for job in jobs.values():
        mine = [e for e in asked if "/jobs/%d" % job in e["path"]]
        assert 0 < len(mine) < 30, "it was tried too often"
    github.clear_faults()
    m.stop()
    again = mount(cache=m.cache)        # what was refused is not remembered beyond the mount
    for job in jobs.values():
        assert again.log(job).read_bytes() == made(job, 1000)


@pytest.mark.parametrize("hop", ("api", "storage"))
@pytest.mark.parametrize("times", (1, 3))
def test_faults_that_pass_are_not_noticed(github, mount, hop, times):
    job = one_job(github, size=1000)
    github.fault("status", hop=hop, status=503, times=times, body="no")
    assert mount().log(job).read_bytes() == made(job, 1000)


def test_offline_and_not_cached(github, mount):
    job = one_job(github)
    m = mount(offline=True)
    for path in (m.log(job), m.json(job)):
        with fails("EHOSTUNREACH"):
            path.read_bytes()
    assert traffic(github).requests == (0, 0)


def test_unmounting(github, mount):
    """A reader that waits when the mount is taken down gets ECONNABORTED."""
    job = one_job(github)
    github.fault("stall", hop="api", after=-1, times=-1)
    m = mount()
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_active(github, 1, "api")
        m.stop("term", within=2)
        assert reader.wait(5 * SLOW) == 1
        assert b"Software caused connection abort" in reader.stderr.read()


# --- the line ------------------------------------------------------------------------------------

def test_the_same_line_once_a_minute(github, mount):
    jobs = [one_job(github) for _ in range(5)]
    github.op("token", value=github.token, logs=False)
    m = mount()
    for job in jobs:
        with fails("EACCES"):
            m.log(job).read_bytes()
    lines = [line for line in m.stderr.splitlines() if "403" in line]
    assert len(lines) == len(set(lines)) and 1 <= len(lines) <= len(jobs)


def test_a_success_prints_nothing(github, mount):
    job = one_job(github)
    m = mount()
    m.log(job).read_bytes()
    run("ls", "-l", m.folder(job))
    m.stop()
    assert m.stderr == "" and m.stdout == ""


def test_hostile_words_are_not_passed_on(github, mount):
    """Control characters of the server's never reach a terminal."""
    job = one_job(github)
    github.fault("status", hop="api", status=403, times=-1,
                 body={"message": "no\x1b]0;title\x07\nghlogfs: forged line\r"})
    m = mount(deadline=10)
    with fails("EACCES"):
        m.log(job).read_bytes()
    assert not [c for c in m.stderr if ord(c) < 32 and c != "\n"]
    assert not [line for line in m.stderr.splitlines() if line.startswith("ghlogfs: forged")]


@pytest.mark.parametrize("repo", (REPO,))
def test_errors_do_not_hide_other_jobs(github, mount, repo):
    good, bad = one_job(github, size=1000), one_job(github)
    github.fault("status", hop="storage", job=bad, status=500, times=-1)
    m = mount(deadline=10)
    with ended([spawn("cat", m.log(bad, repo))]) as (reader,):
        assert m.log(good, repo).read_bytes() == made(good, 1000)
        assert reader.wait(20 * SLOW) == 1
