"""One server for all tests of a module, cleaned between them."""

import pytest

from fake import FakeError, FakeGitHub
from fake.asking import Asker


@pytest.fixture(scope="module")
def shared():
    with FakeGitHub() as github:
        yield github


@pytest.fixture
def github(shared):
    """A server of the module's, with every setting and repository of earlier tests gone."""
    shared.clear_faults()
    for name in ("octo/hello", "octo/other", "octo/new", "octo/old", "corp/secret"):
        try:
            shared.remove_repo(repo=name)
        except FakeError:
            pass
    shared.ops([{"op": "latency", "api_ms": 0, "storage_ms": 0}, {"op": "secondary"},
                {"op": "lifetime", "seconds": 60}, {"op": "auth_status", "status": 401},
                {"op": "rate_limit", "limit": 5000, "remaining": 5000, "status": 403},
                {"op": "bandwidth", "rate": None}, {"op": "clear_log"},
                {"op": "rate_limit", "token": None, "limit": 60, "remaining": 60}])
    shared.add_repo("octo/hello")
    return shared


@pytest.fixture
def ask(github):
    return Asker(github)
