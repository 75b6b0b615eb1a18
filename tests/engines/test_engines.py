"""The real servers start, do what a shared store needs, and end with whoever started them."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from engines import Ceph, Exporter, Nginx, Prometheus
from engines.client import TESTS

PATH = "/v1/github.com/octo/hello/42"
UNSIGNED = ("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
ONCE = ("-H", "If-None-Match: *")


def need(engine):
    missing = engine.missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail("not here: %s" % missing)
    if missing:
        pytest.skip("not here: %s (contrib/packages.sh has the packages)" % missing)


@pytest.fixture(scope="module")
def ceph():
    need(Ceph)
    with Ceph() as engine:
        yield engine


@pytest.fixture(scope="module")
def nginx():
    need(Nginx)
    with Nginx() as engine:
        yield engine


@pytest.fixture(scope="module")
def prometheus():
    need(Prometheus)
    with Prometheus() as engine:
        yield engine


@pytest.fixture(scope="module")
def exporter():
    need(Exporter)
    with Exporter() as engine:
        yield engine


def curl(url, user, *words):
    """(HTTP status, body)"""
    identity = ["--user", "%s:%s" % user] if user else []
    done = subprocess.run(["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", *identity,
                           *words, url], stdout=subprocess.PIPE, check=True, timeout=90)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def s3(ceph, user, *words, path=PATH):
    return curl("%s/%s%s" % (ceph.url, ceph.bucket, path), user, *UNSIGNED, "--aws-sigv4",
                "aws:amz:%s:s3" % ceph.region, *words)


def put(text, *words):
    return ("-X", "PUT", "--data-binary", text, *words)


def test_ceph_keeps_checks_and_writes_once(ceph):
    assert s3(ceph, ceph.writer)[0] == 404
    assert s3(ceph, ceph.reader)[0] == 403      # it may not list, so it is not told more
    assert s3(ceph, ceph.writer, *put("first", *ONCE))[0] == 200
    assert s3(ceph, ceph.writer, *put("second", *ONCE))[0] == 412
    for user in (ceph.writer, ceph.reader):
        assert s3(ceph, user) == (200, b"first")
        assert s3(ceph, user, "-r", "1-2") == (206, b"ir")
        assert s3(ceph, user, "-r", "-2") == (206, b"st")
    assert s3(ceph, ceph.reader, *put("other"))[0] == 403
    wrong = s3(ceph, (ceph.writer[0], "wrong"))
    assert wrong[0] == 403 and b"SignatureDoesNotMatch" in wrong[1]
    assert curl("%s/%s%s" % (ceph.url, ceph.bucket, PATH), None)[0] == 403


def test_of_eight_puts_at_once_ceph_takes_one(ceph):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda n: s3(ceph, ceph.writer, *put("text %d" % n, *ONCE),
                                          path=PATH + "-eight")[0], range(8)))
    assert sorted(took) == [200] + [412] * 7
    assert s3(ceph, ceph.writer, path=PATH + "-eight")[1] == b"text %d" % took.index(200)


def test_nginx_keeps_and_checks_users(nginx):
    url = nginx.url + PATH
    assert curl(url, nginx.reader)[0] == 404
    assert curl(url, nginx.reader, *put("text"))[0] == 401
    assert curl(url, None)[0] == 401
    assert curl(url, nginx.writer, *put("text"))[0] == 201
    assert curl(url, nginx.writer, *put("text again", *ONCE))[0] == 204     # it knows no condition
    assert curl(url, nginx.reader) == (200, b"text again")
    assert curl(url, nginx.reader, "-r", "5-") == (206, b"again")
    assert (pathlib.Path(nginx.root) / PATH[1:]).read_text() == "text again"


def listening():
    """[(address, process id)] of this machine."""
    done = subprocess.run(["ss", "-Hltnp"], stdout=subprocess.PIPE, check=True, timeout=10)
    found = []
    for line in done.stdout.decode().splitlines():
        words = line.split()
        found += [(words[3].rpartition(":")[0], int(part.split(",")[0]))
                  for part in line.split("pid=")[1:]]
    return found


@pytest.mark.parametrize("name", ["ceph", "nginx", "prometheus", "exporter"])
def test_they_listen_on_loopback_only(name, request):
    engine = request.getfixturevalue(name)
    addresses = {address for address, pid in listening() if pid in engine.pids}
    assert len(addresses) == 1 and addresses.pop().startswith("127.")


def alive(pid):
    """Whether there is such a process that has not ended."""
    try:
        state = pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until_gone(pids, seconds=20):
    end = time.monotonic() + seconds
    while any(map(alive, pids)):
        assert time.monotonic() < end, [pid for pid in pids if alive(pid)]
        time.sleep(0.02)


STARTER = """
import json, sys, time
from engines import Ceph, Nginx
engine = {"ceph": Ceph, "nginx": Nginx}[sys.argv[1]]().start()
print(json.dumps([engine.process.pid, engine.pids, engine.folder]), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("engine", [Ceph, Nginx])
def test_a_killed_test_leaves_nothing_behind(engine):
    need(engine)
    with subprocess.Popen([sys.executable, "-c", STARTER, engine.NAME], stdout=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=TESTS)) as starter:
        own, pids, folder = json.loads(starter.stdout.readline())
        assert pids and all(map(alive, pids))
        starter.send_signal(signal.SIGKILL)
    wait_until_gone([own, *pids])
    assert not os.path.exists(folder)


def test_an_engine_that_is_killed_itself_takes_its_programs_along():
    need(Nginx)
    engine = Nginx().start()
    engine.process.kill()
    engine.process.communicate()
    wait_until_gone(engine.pids)
    shutil.rmtree(engine.folder)    # which nobody else does then
