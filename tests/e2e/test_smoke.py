"""The shortest way through everything: what a run under valgrind shows."""

import pytest

import fake.content
from fake.asking import one_job
from mounting import KIB, fails, traffic

pytestmark = pytest.mark.smoke


def test_a_cold_log_is_read_whole(github, mount):
    job = one_job(github, size=300_000)
    assert mount().log(job).read_bytes() == fake.content.content(job, 0, 300_000)
    assert traffic(github).requests == (1, 1)


def test_its_size_is_known_before_it_is_opened(github, mount):
    job = one_job(github, size=64 * KIB + 1)
    assert mount().log(job).stat().st_size == 64 * KIB + 1


def test_a_job_that_is_not_there(github, mount):
    with fails("ENOENT"):
        mount().log(123456).read_bytes()


def test_the_job_as_json(github, mount):
    job = one_job(github)
    assert b'"id"' in mount().json(job).read_bytes()


def test_a_mount_over_the_same_cache_sends_no_request(github, mount):
    job = one_job(github, size=100_000)
    first = mount()
    first.log(job).read_bytes()
    first.stop()
    seen = traffic(github).requests
    assert mount(cache=first.cache).log(job).read_bytes() == fake.content.content(job, 0, 100_000)
    assert traffic(github).requests == seen


def test_an_unused_mount(github, mount):
    mount().stop("term")
    assert traffic(github).requests == (0, 0)
