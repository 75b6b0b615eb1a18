"""The shared store on servers that people run: Ceph's S3 gateway, and nginx with WebDAV."""

import pytest

import fake.content
from engines import Ceph, Nginx
from mounting import MIB, REPO, forget, run, traffic
from sharing import running, stats, wait_sent


@pytest.fixture(scope="module")
def ceph():
    yield from running(Ceph)


@pytest.fixture(scope="module")
def nginx():
    yield from running(Nginx)


def options(where, folder, identity):
    key = folder / ("key-" + identity[0])
    key.write_text("%s %s\n" % identity)
    key.chmod(0o600)
    return {"shared": where, "shared_key_file": key, "shared_verify": 0}


def check(github, mount, folder, where, engine):
    """A writer brings all logs of a walk, a reader on another machine has them from there."""
    runs = github.bulk(REPO, 5, 4, 100_000)
    large = github.add_job(github.add_run(REPO), size=20 * MIB)
    jobs = [job for one in runs for job in one["jobs"]]
    writer = mount(shared_write=True, secrets=engine.writer[1:],
                   **options(where, folder, engine.writer))
    run("grep", "-rc", "needle", writer.repo() / "jobs", check=False)
    wait_sent(writer, len(jobs) + 1, seconds=60)
    assert stats(writer)["shared_state"] == "up"
    writer.stop()
    forget(github)

    reader = mount(secrets=engine.reader[1:], **options(where, folder, engine.reader))
    run("grep", "-rc", "needle", reader.repo() / "jobs", check=False)
    for job in jobs:
        assert reader.log(job).read_bytes() == fake.content.content(job, 0, 100_000)
    whole = reader.log(large).read_bytes()
    assert len(whole) == 20 * MIB and fake.content.first_difference(large, 0, whole) == -1
    seen = traffic(github)
    assert not seen.of("storage") and seen.charged == 1 + len(runs) + 1
    assert stats(reader)["shared_hits"] == len(jobs) + 1


@pytest.mark.alone
def test_ceph(github, mount, folder, ceph):
    where = "s3://%s/team/ci?endpoint=%s&region=%s" % (ceph.bucket, ceph.url, ceph.region)
    check(github, mount, folder, where, ceph)


@pytest.mark.alone
def test_ceph_refuses_a_reader_that_would_write_and_a_wrong_key(github, mount, folder, ceph):
    where = "s3://%s/refused?endpoint=%s" % (ceph.bucket, ceph.url)
    job = github.add_job(github.add_run(REPO), size=5050)
    m = mount(shared_write=True, **options(where, folder, ceph.reader))
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 5050)
    wait_sent(m, 0, 1)
    assert "cannot store a log: status 403 AccessDenied" in m.stderr
    assert stats(m)["shared_state"] == "up" and stats(m)["shared_misses"] == 1
    n = mount(**options(where, folder, (ceph.reader[0], "wrong")))
    assert n.log(job).read_bytes() == fake.content.content(job, 0, 5050)
    assert stats(n)["shared_state"] == "resting" and "SignatureDoesNotMatch" in n.stderr


@pytest.mark.alone
def test_nginx(github, mount, folder, nginx):
    check(github, mount, folder, nginx.url + "/team/ci", nginx)
