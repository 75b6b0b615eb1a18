"""A shared store beside the loopback GitHub: filled from the cache of a mount, and asked by others.

    store = Store(github, folder)       # S3, with a key of its own
    store.fill(m)                       # all logs that m has on disk
    mount(**store.options)              # another machine
"""

import base64
import os
import shutil
import urllib.parse

import pytest

from faulting import named_logs
from mounting import forget, wait_for

KEY, SECRET = "AKIAGHLOGFSTEST", "sec/ret+of=the/store"


class Store:
    def __init__(self, github, folder, prefix="/ci", **setup):
        self.github, self.prefix = github, prefix
        self.key_file = folder / "key"
        self.key_file.write_text("%s %s\n" % (KEY, SECRET))
        self.key_file.chmod(0o600)
        github.store_setup(identities={KEY: SECRET}, **setup)

    @property
    def options(self):
        return {"shared": "s3://logs%s?endpoint=%s&region=eu-test-1" % (
            self.prefix, self.github.store), "shared_key_file": self.key_file, "shared_verify": 0}

    def path(self, job, repo="octo/hello"):
        host = urllib.parse.urlsplit(self.github.api).netloc.replace(":", "~")
        return "/logs%s/v1/%s/%s/%d" % (self.prefix, host, repo.lower(), job)

    def put(self, path, data):
        self.github.store_put(path=path, log={"text": base64.b64encode(data).decode()})

    def get(self, path):
        return base64.b64decode(self.github.store_get(path=path))

    def fill(self, m, repo="octo/hello"):
        """The jobs whose log and .meta were put."""
        logs = named_logs(m.cache)
        for job, file in logs.items():
            self.put(self.path(job, repo), file.read_bytes())
            self.put(self.path(job, repo) + ".meta",
                     file.with_name(file.name + ".meta").read_bytes())
        return sorted(logs)


def filled(github, mount, store, jobs):
    """What another machine has brought into the store; the server's log is empty again."""
    first = mount()
    for job in jobs:
        first.log(job).read_bytes()
    first.stop()
    assert store.fill(first) == sorted(jobs)
    forget(github)


def stats(m):
    """{name: number or word} of .ghlogfs/stats"""
    words = (line.split() for line in (m.path / ".ghlogfs/stats").read_text().splitlines())
    return {name: int(value) if value.lstrip("-").isdigit() else value for name, value in words}


def wait_sent(m, done, dropped=0, queued=0, seconds=20):
    """Until so many logs were stored, or were dropped, and so many wait for it."""
    def ended():
        now = stats(m)
        uploads = [now["shared_uploads_" + name] for name in ("queued", "done", "dropped")]
        return uploads == [queued, done, dropped] or None
    wait_for(ended, seconds, 0.02, "uploads: %s" % {
        name: value for name, value in stats(m).items() if "upload" in name})


def need(engine, *programs):
    """It is here, and so is what Debian has for it besides (packages_store)."""
    missing = engine.missing() + [program for program in programs
                                  if not shutil.which(program, path="/usr/bin:/bin")]
    if missing and os.environ.get("CI") == "true":
        pytest.fail("not installed: %s" % missing)
    if missing:
        pytest.skip("not installed: %s (packages_store of contrib/packages.sh)" % missing)


def running(engine, *programs):
    """For a fixture: a real server (see engines), as long as it is used."""
    need(engine, *programs)
    with engine() as started:
        yield started
