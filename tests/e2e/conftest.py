"""Fixtures of the end-to-end tests: a loopback GitHub, and mounts of the real binary."""

import os
import pathlib
import secrets
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import pytest

import mounting
from fake import FakeGitHub

MARKERS = {
    "smoke": "a dozen quick ones, for valgrind and the like",
    "slow": "takes many seconds",
    "real": "needs real logs in ../shared/real",
    "limit(seconds)": "how long the test may take before its mounts are taken away (60)",
}


def pytest_configure(config):
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", "%s: %s" % (name, meaning))


def _missing():
    """Why nothing can be mounted here, or None."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return "FUSE: /dev/fuse: %s" % error.strerror
    if not shutil.which("fusermount3"):
        return "FUSE: there is no fusermount3"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.stash.setdefault(_REPORTS, {})[call.when] = outcome.get_result()


_REPORTS = pytest.StashKey()


def _failed(request):
    report = request.node.stash.get(_REPORTS, {}).get("call")
    return report is not None and report.failed


@pytest.fixture(scope="session")
def fuse():
    why = _missing()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)
    assert os.access(mounting.BINARY, os.X_OK), "there is no binary at " + mounting.BINARY


@pytest.fixture
def folder():
    made = mounting.temporary_folder()
    yield made
    mounting.remove_folder(made)


@pytest.fixture
def make_github(request):
    """Loopback GitHubs with a secret of their own; none may see its token at storage."""
    made = []

    def make(*arguments, **options):
        options.setdefault("token", "ghp_" + secrets.token_hex(18))
        server = FakeGitHub(*arguments, **options).start()
        made.append(server)
        server.add_repo(mounting.REPO)
        return server

    yield make
    leaks = 0
    for server in made:
        try:
            leaks += server.counters()["token_leaks"]
        finally:
            server.stop()
    assert leaks == 0, "a token reached storage"


@pytest.fixture
def github(make_github):
    return make_github()


@pytest.fixture
def mounts(request, fuse, folder):
    """The factory without a server: mount(github=...) or mount(github=None, token=None)."""
    limit = request.node.get_closest_marker("limit")
    factory = mounting.Mounts(None, folder, limit.args[0] if limit else 60)
    yield factory
    factory.finish(_failed(request))


@pytest.fixture
def mount(github, mounts):
    mounts.github = github
    return mounts
