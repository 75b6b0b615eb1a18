"""What a user sees of jobs/<id>, sentence by sentence of the semantics (S-numbers)."""

import datetime
import errno
import json
import os
import time

import pytest

import fake.content
from fake.asking import Asker, one_job
from mounting import (MIB, REPO, fails, forget, fork_all, out, read_at, run, traffic, wait_for)

ODD = (b"\xef\xbb\xbf2026-01-01T00:00:00.0000000Z first\r\n"
       b"\x1b[36;1mcolour\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\r\n"
       b"\xef\xbb\xbf2026-01-01T00:00:01.0000000Z a BOM in the middle\n"
       b"NUL \x00 and \xff\xfe not UTF-8, \r a lone CR, no newline at the end")


def made(job, size):
    return fake.content.content(job, 0, size)


# --- S1: byte for byte ---------------------------------------------------------------------------

@pytest.mark.smoke
def test_s1_all_bytes_are_kept(github, mount):
    job = one_job(github, size=None, text=ODD)
    assert mount().log(job).read_bytes() == ODD


@pytest.mark.parametrize("form", ("block", "append", "append-sealed", "legacy", "legacy-close"))
@pytest.mark.parametrize("size", (1, 300_000, 3_000_000))
def test_s1_whatever_kind_of_storage(github, mount, form, size):
    job = one_job(github, size=size, form=form)
    assert mount().log(job).read_bytes() == made(job, size)


def test_s1_the_job_as_the_api_gives_it(github, mount):
    job = one_job(github, name="build (ünïcode, \"quoted\")")
    asked = Asker(github)("/repos/%s/actions/jobs/%d" % (REPO, job)).json
    path = mount().json(job)
    got = path.read_bytes()
    assert json.loads(got) == asked
    assert path.stat().st_size == len(got)


# --- S2: once ------------------------------------------------------------------------------------

def test_s2_a_second_open_costs_nothing(github, mount):
    job = one_job(github, size=200_000)
    log = mount().log(job)
    for _ in range(3):
        assert log.read_bytes() == made(job, 200_000)
    assert traffic(github).requests == (1, 1)


def test_s2_neither_does_a_new_mount(github, mount):
    job = one_job(github, size=2 * MIB)
    first = mount()
    first.log(job).read_bytes()
    first.stop()
    forget(github)
    second = mount(cache=first.cache)
    assert second.log(job).stat().st_size == 2 * MIB
    assert second.log(job).read_bytes() == made(job, 2 * MIB)
    assert traffic(github).requests == (0, 0)


def test_s2_ten_openers_share_one_fetch(github, mount):
    github.latency(api_ms=150, storage_ms=150)
    job = one_job(github, size=900_000)
    log, expected = mount().log(job), made(job, 900_000)
    assert fork_all(10, lambda _: log.read_bytes() != expected) == [0] * 10
    assert traffic(github).requests == (1, 1)


def test_s2_two_mounts_that_both_fetch(github, mount):
    github.latency(storage_ms=200)
    job = one_job(github, size=2 * MIB)
    first = mount()
    logs = [first.log(job), mount(cache=first.cache).log(job)]
    expected = made(job, 2 * MIB)
    assert fork_all(2, lambda i: logs[i].read_bytes() != expected) == [0, 0]
    assert traffic(github).api <= 2
    forget(github)
    assert mount(cache=first.cache).log(job).read_bytes() == expected
    assert traffic(github).requests == (0, 0)


# --- S3: requests --------------------------------------------------------------------------------

def test_s3_the_first_storage_request(github, mount):
    job = one_job(github, size=5 * MIB)
    mount().log(job).stat()
    seen = traffic(github)
    assert seen.requests == (1, 1)
    assert seen.of("storage")[0]["range"] == "bytes=0-1048575"


@pytest.mark.parametrize("size", (2 * MIB, 12 * MIB + 7))
def test_s3_further_ranges(github, mount, size):
    job = one_job(github, size=size)
    assert mount().log(job).read_bytes() == made(job, size)
    seen = traffic(github)
    assert seen.api == 1
    assert seen.storage <= 1 + -(-(size - MIB) // (4 * MIB))
    assert seen.bytes == size, "bytes were fetched twice"


def test_s3_further_ranges_of_a_log_read_backwards(github, mount):
    """As tac and some copies of mapped memory do."""
    size = 12 * MIB
    job = one_job(github, size=size)
    log = mount().log(job)
    with open(log, "rb", buffering=0) as file:
        for at in range(size - 64 * 1024, -1, -64 * 1024):
            assert os.pread(file.fileno(), 64 * 1024, at) == \
                fake.content.content(job, at, 64 * 1024)
    seen = traffic(github)
    assert seen.storage <= 1 + -(-(size - MIB) // (4 * MIB))
    assert seen.bytes == size


@pytest.mark.parametrize("form,asked", (("block", 1), ("append-sealed", 1), ("append", 2),
                                        ("legacy", 2)))
def test_s3_the_status_is_asked_only_where_storage_does_not_tell(github, mount, form, asked):
    job = one_job(github, size=200_000, form=form)
    assert mount().log(job).read_bytes() == made(job, 200_000)
    assert traffic(github).api == asked


def test_s3_nothing_is_looked_up_that_was_not_requested(github, mount):
    job = one_job(github)
    m = mount()
    for path in (m.path, m.path / "octo", m.repo(), m.repo() / "jobs", m.folder(job)):
        assert path.is_dir()
    os.statvfs(m.path)
    time.sleep(0.3)
    assert traffic(github).requests == (0, 0)


def test_s3_the_job_costs_one_request(github, mount):
    job = one_job(github)
    m = mount()
    m.json(job).read_bytes()
    m.json(job).read_bytes()
    assert traffic(github).requests == (1, 0)


# --- S4: sizes -----------------------------------------------------------------------------------

@pytest.mark.parametrize("form", ("block", "append-sealed", "legacy", "legacy-close"))
def test_s4_exact_before_open(github, mount, form):
    job = one_job(github, size=3_333_333, form=form)
    assert mount().log(job).stat().st_size == 3_333_333


def test_s4_kept_on_disk_though_the_log_was_not_read(github, mount):
    job = one_job(github, size=5 * MIB)
    first = mount()
    assert first.log(job).stat().st_size == 5 * MIB
    first.stop()
    forget(github)
    second = mount(cache=first.cache)
    assert second.log(job).stat().st_size == 5 * MIB
    assert traffic(github).requests == (0, 0)
    assert second.log(job).read_bytes() == made(job, 5 * MIB)


def test_s4_never_shrinks(github, mount):
    """The server reports less when it is asked again: the reported size stays."""
    job = one_job(github, size=5 * MIB)
    log = mount(deadline=10).log(job).open("rb", buffering=0)
    with log:
        assert os.fstat(log.fileno()).st_size == 5 * MIB
        github.set_job(job, size=2 * MIB)
        with fails("EIO", "ETIMEDOUT", "EPROTO"):
            os.pread(log.fileno(), 1000, 3 * MIB)
        assert os.fstat(log.fileno()).st_size == 5 * MIB


@pytest.mark.smoke
def test_s4_an_empty_log(github, mount):
    job = one_job(github, size=0)
    log = mount().log(job)
    assert log.stat().st_size == 0
    assert log.read_bytes() == b""


# --- S5: as soon as it is there ------------------------------------------------------------------

def test_s5_first_bytes_while_the_rest_is_missing(github, mount):
    job = one_job(github, size=900_000)
    github.fault("stall", hop="storage", after=300_000, times=-1)
    log = mount().log(job)
    assert log.stat().st_size == 900_000
    assert read_at(log, 0, 100_000) == made(job, 100_000)
    assert traffic(github, settle=False).requests == (1, 1)


def test_s5_the_end_of_a_large_cold_log(github, mount):
    job = one_job(github, size=100 * MIB)
    expected = fake.content.content(job, 100 * MIB - 5000, 5000)
    assert out("tail", "-c", "5000", mount().log(job)) == expected
    assert traffic(github).bytes <= 4 * MIB


def test_s5_the_middle_of_a_large_cold_log(github, mount):
    job = one_job(github, size=100 * MIB)
    assert read_at(mount().log(job), 50 * MIB + 77, 300) == \
        fake.content.content(job, 50 * MIB + 77, 300)
    assert traffic(github).bytes < 50 * MIB


def test_s5_looking_brings_the_first_mib_at_most(github, mount):
    job = one_job(github, size=50 * MIB)
    log = mount().log(job)
    log.stat()
    os.close(os.open(log, os.O_RDONLY))
    time.sleep(0.5)
    seen = traffic(github)
    assert seen.bytes <= MIB
    assert seen.requests == (1, 1)


# --- S6: every byte or an error ------------------------------------------------------------------

@pytest.mark.parametrize("fault", (
    {"kind": "close", "after": 150_000}, {"kind": "reset", "after": 150_000},
    {"kind": "content_length", "delta": -50_000}, {"kind": "content_length", "delta": 50_000},
    {"kind": "content_range", "start_delta": 100}, {"kind": "gzip"},
    {"kind": "short_range", "bytes": 1000}), ids=lambda f: f["kind"] + str(f.get("delta", "")))
def test_s6_a_fault_that_lasts_is_an_error_and_one_that_passes_is_none(github, mount, fault):
    job = one_job(github, size=300_000)
    m = mount(deadline=3)
    number = github.fault(hop="storage", times=-1, **fault)
    assert number
    got = None
    try:
        got = m.log(job).read_bytes()
    except OSError as error:
        assert error.errno in (errno.EIO, errno.EPROTO, errno.ETIMEDOUT), error
    # Some of these can be overcome by asking for the rest; none may give anything but the log.
    assert got is None or got == made(job, 300_000)
    github.clear_faults()
    wait_for(lambda: _reads(m.log(job), made(job, 300_000)), 12, 0.5)


def _reads(path, expected):
    try:
        assert path.read_bytes() == expected
        return True
    except OSError:
        return False


# --- S7: times -----------------------------------------------------------------------------------

DONE = "2026-03-04T05:06:07Z"
DONE_SECONDS = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.timezone.utc).timestamp()


def _changed_later(github):
    """A job's log whose storage reports another time than the job does."""
    job = one_job(github, size=1000, completed_at=DONE)
    github.grow(job, size=1000)
    return job


def test_s7_the_end_of_the_job(github, mount):
    job = one_job(github, size=1000, completed_at=DONE)
    assert mount().log(job).stat().st_mtime == DONE_SECONDS


def test_s7_the_end_of_the_job_where_the_job_is_known(github, mount):
    job = _changed_later(github)
    m = mount()
    m.json(job).read_bytes()
    assert m.log(job).stat().st_mtime == DONE_SECONDS


def test_s7_else_the_time_of_storage_and_once_shown_it_stays(github, mount):
    job = _changed_later(github)
    m = mount()
    got = m.log(job).stat().st_mtime
    assert abs(got - time.time()) < 120
    m.json(job).read_bytes()
    m.log(job).read_bytes()
    assert m.log(job).stat().st_mtime == got
    m.stop()
    assert mount(cache=m.cache).log(job).stat().st_mtime == got


# --- S8: final -----------------------------------------------------------------------------------

def _cached(github, mount, size=300_000, **how):
    """A log in a cache, its mount ended: job and mount."""
    job = one_job(github, size=size, **how)
    m = mount()
    assert m.log(job).read_bytes() == made(job, size)
    m.stop()
    forget(github)
    return job, m


def test_s8_offline(github, mount):
    job, m = _cached(github, mount)
    again = mount(cache=m.cache, offline=True)
    assert again.log(job).stat().st_size == 300_000
    assert again.log(job).read_bytes() == made(job, 300_000)
    assert traffic(github).requests == (0, 0)


def test_s8_without_a_token(github, mount):
    job, m = _cached(github, mount)
    assert mount(cache=m.cache, token=None).log(job).read_bytes() == made(job, 300_000)
    assert traffic(github).requests == (0, 0)


def test_s8_after_github_has_expired_it(github, mount):
    job, m = _cached(github, mount)
    github.set_job(job, log="expired")
    assert mount(cache=m.cache).log(job).read_bytes() == made(job, 300_000)


def test_s8_while_github_is_down(github, mount):
    job, m = _cached(github, mount)
    github.refuse(hop="api", drop=True)
    github.refuse(hop="storage", drop=True)
    assert mount(cache=m.cache).log(job).read_bytes() == made(job, 300_000)


def test_s8_what_grew_before_the_job_ended_is_not_final(github, mount):
    job = one_job(github, size=3 * MIB, status="in_progress")
    m = mount()
    assert m.log(job).read_bytes()[:100] == made(job, 100)
    github.complete_job(job, size=5 * MIB)
    wait_for(lambda: m.log(job).stat().st_size == 5 * MIB, 40, 0.5)
    assert m.log(job).read_bytes() == made(job, 5 * MIB)
    m.stop()
    forget(github)
    assert mount(cache=m.cache, offline=True).log(job).read_bytes() == made(job, 5 * MIB)


def test_s8_an_unsealed_log_of_a_completed_job_is_kept(github, mount):
    job, m = _cached(github, mount, form="append")
    assert mount(cache=m.cache, offline=True).log(job).read_bytes() == made(job, 300_000)


# --- S13: grammar --------------------------------------------------------------------------------

BAD_IDS = ("007", "x", "0", "-1", "+1", "1x", " 1", "1 ", "0x10", "1.0", "9007199254740992",
           "99999999999999999999999", "१")
BAD_OWNERS = ("a b", "-a", ".a", "a:b", "ü", "a" * 101, "a%2fb", "a?b", "a#b", "*")
BAD_REPOS = ("x.git", "a b", "ü", "a" * 101, "a:b", "a?b", "a#b", "a%00b", "@{x}")


def test_s13_ids(github, mount):
    m = mount()
    for name in BAD_IDS:
        for path in (m.folder(name), m.log(name)):
            with fails("ENOENT"):
                path.stat()
    assert traffic(github).requests == (0, 0)


def test_s13_owners_and_repositories(github, mount):
    job = one_job(github)
    m = mount()
    for name in [owner + "/hello" for owner in BAD_OWNERS] + ["octo/" + r for r in BAD_REPOS]:
        with fails("ENOENT", "ENAMETOOLONG"):
            m.log(job, name).stat()
    assert traffic(github).requests == (0, 0)


def test_s13_the_largest_id(make_github, mounts):
    server = make_github()
    job = one_job(server, size=None, id=9007199254740991, text=b"the last one\n")
    assert mounts(github=server).log(job).read_bytes() == b"the last one\n"


def test_s13_names_of_every_allowed_kind(github, mount):
    for repo in ("o/r", "A-b/c.d_e-F", "octo/.github", "1/2", "octo/a.git.b"):
        github.add_repo(repo)
        job = github.add_job(github.add_run(repo), size=1000)
        m = mount()
        assert m.log(job, repo).read_bytes() == made(job, 1000)
        m.stop()


def test_s13_other_names_in_a_job_are_absent(github, mount):
    job = one_job(github)
    m = mount()
    for name in ("log2", "LOG", ".git", "log.gz", "job", "nothing"):
        with fails("ENOENT"):
            (m.folder(job) / name).stat()
    assert traffic(github).requests == (0, 0)


def test_s13_a_listing_of_what_does_not_exist(github, mount):
    with fails("ENOENT"):
        os.listdir(mount().folder(999))


def test_s13_the_listing_of_a_job(github, mount):
    job = one_job(github)
    m = mount()
    assert sorted(os.listdir(m.folder(job))) == ["job.json", "log"]
    assert traffic(github).api <= 1


# --- S14: names ----------------------------------------------------------------------------------

def test_s14_a_cached_log_is_not_shown_in_a_repository_that_it_is_not_of(github, mount):
    github.add_repo("octo/other")
    job = one_job(github, size=1000)
    m = mount()
    m.log(job).read_bytes()
    with fails("ENOENT"):
        m.log(job, "octo/other").read_bytes()
    assert m.log(job).read_bytes() == made(job, 1000), "absence there hides it here"
    m.stop()
    forget(github)
    again = mount(cache=m.cache)
    assert again.log(job).read_bytes() == made(job, 1000)
    with fails("ENOENT"):
        again.log(job, "octo/other").stat()
    assert traffic(github).requests in ((0, 0), (1, 0))


def test_s14_case_is_folded(github, mount):
    job = one_job(github, size=1000)
    m = mount()
    m.log(job).read_bytes()
    assert m.log(job, "OCTO/Hello").read_bytes() == made(job, 1000)
    assert traffic(github).requests == (1, 1)


def test_s14_another_name_costs_one_api_request(github, mount):
    job = one_job(github, size=2 * MIB)
    m = mount()
    m.log(job).read_bytes()
    github.rename_repo(repo=REPO, to="octo/new")
    forget(github)
    assert m.log(job, "octo/new").read_bytes() == made(job, 2 * MIB)
    assert traffic(github).requests == (1, 0)
    m.stop()
    assert mount(cache=m.cache, offline=True).log(job, "octo/new").read_bytes() == \
        made(job, 2 * MIB)


def test_s14_a_listing_proves_the_names_of_its_jobs(github, mount):
    """A walk over cached logs under another name costs its listings only."""
    runs = github.bulk(REPO, 3, 4, 1000)
    jobs = [job for one in runs for job in one["jobs"]]
    m = mount()
    for job in jobs:
        m.log(job).read_bytes()
    m.stop()
    github.rename_repo(repo=REPO, to="octo/new")
    forget(github)
    again = mount(cache=m.cache)
    assert sorted(os.listdir(again.repo("octo/new") / "jobs")) == sorted(map(str, jobs))
    asked = traffic(github).requests
    for job in jobs:
        assert again.log(job, "octo/new").read_bytes() == made(job, 1000)
    assert traffic(github).requests == asked == (1 + len(runs), 0)


def test_s14_offline_only_proven_names(github, mount):
    github.add_repo("octo/other")
    job, m = _cached(github, mount, size=1000)
    again = mount(cache=m.cache, offline=True)
    with fails("EHOSTUNREACH"):
        again.log(job, "octo/other").read_bytes()
    assert again.log(job).read_bytes() == made(job, 1000)


def test_s14_a_410_proves_no_name(github, mount):
    github.add_repo("octo/other")
    job, m = _cached(github, mount, size=1000)
    github.fault("status", hop="api", path="/octo/other/", status=410, times=-1,
                 body={"message": "Server Error", "status": "410"})
    again = mount(cache=m.cache)
    with fails("ENOENT"):
        again.log(job, "octo/other").read_bytes()
    assert again.log(job).read_bytes() == made(job, 1000)


# --- S15: renamed repositories -------------------------------------------------------------------

@pytest.mark.smoke
def test_s15_a_renamed_repository_is_followed(github, mount):
    job = one_job(github, size=1000)
    github.rename_repo(repo=REPO, to="octo/new")
    m = mount()
    assert m.log(job).read_bytes() == made(job, 1000)
    seen = traffic(github)
    assert seen.requests == (2, 1)
    assert all(entry["had_authorization"] for entry in seen.of("api"))
    assert json.loads(m.json(job).read_bytes())["id"] == job


@pytest.mark.parametrize("where", ("storage", "name"))
def test_s15_but_never_to_another_host(github, mount, where):
    job = one_job(github)
    port = github.api.rpartition(":")[2]
    base = github.storage if where == "storage" else "http://localhost:" + port
    github.fault("status", hop="api", status=301, times=-1,
                 headers={"Location": base + "/repositories/1/elsewhere"})
    with fails("EPROTO"):
        mount(deadline=10).log(job).read_bytes()
    seen = traffic(github)
    assert not [e for e in seen.entries if "elsewhere" in e["path"] and e["had_authorization"]]
    assert not seen.storage


def test_s15_nor_for_ever(github, mount):
    job = one_job(github)
    github.fault("status", hop="api", status=301, times=-1,
                 headers={"Location": github.log_url(REPO, job)})
    with fails("EPROTO", "EIO"):
        mount(deadline=10).log(job).read_bytes()
    assert traffic(github).api < 60


# --- S16: read-only ------------------------------------------------------------------------------

def test_s16_nothing_can_be_changed(github, mount):
    job = one_job(github)
    m = mount()
    log, folder = m.log(job), m.folder(job)
    attempts = (
        lambda: open(log, "r+b"), lambda: open(log, "ab"), lambda: open(folder / "new", "wb"),
        lambda: os.truncate(log, 0), lambda: os.unlink(log), lambda: os.mkdir(folder / "new"),
        lambda: os.rmdir(folder), lambda: os.rename(log, folder / "new"),
        lambda: os.chmod(log, 0o777), lambda: os.utime(log), lambda: os.link(log, folder / "new"),
        lambda: os.symlink("x", folder / "new"), lambda: os.mkfifo(folder / "new"),
        lambda: os.setxattr(log, "user.x", b"1"), lambda: os.mkdir(m.path / "a new one"),
        lambda: os.chown(log, 1, 1), lambda: os.removexattr(log, "user.ghlogfs.state"),
        lambda: os.mknod(folder / "new"), lambda: os.utime(folder, (1, 1)),
        lambda: os.rename(log, log), lambda: os.open(log, os.O_RDONLY | os.O_TRUNC),
        lambda: os.open(folder / "new", os.O_RDONLY | os.O_CREAT))
    for attempt in attempts:
        with fails("EROFS"):
            attempt()
    assert log.read_bytes() == made(job, 5050)


def test_s16_modes_owner_links_and_blocks(github, mount):
    job = one_job(github, size=70_001)
    m = mount()
    got = m.log(job).stat()
    assert oct(got.st_mode) == oct(0o100444)
    assert (got.st_uid, got.st_gid) == (os.getuid(), os.getgid())
    assert got.st_nlink == 1
    assert got.st_blocks * 512 >= got.st_size and got.st_blocks <= 70_001 // 512 + 8
    for path in (m.path, m.path / "octo", m.repo(), m.repo() / "jobs", m.folder(job)):
        got = path.stat()
        assert oct(got.st_mode) == oct(0o040555), path
        assert (got.st_uid, got.st_gid) == (os.getuid(), os.getgid())
    assert oct(m.json(job).stat().st_mode) == oct(0o100444)


def test_s16_seeking_for_holes(github, mount):
    job = one_job(github, size=100_000)
    with open(mount().log(job), "rb") as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 100_000
        assert os.lseek(file.fileno(), -10, os.SEEK_END) == 99_990


def test_s16_statfs_and_cached_answers_need_no_network(github, mount):
    job, m = _cached(github, mount)
    github.refuse(hop="api", drop=True)
    github.refuse(hop="storage", drop=True)
    again = mount(cache=m.cache)
    started = time.monotonic()
    got = os.statvfs(again.path)
    assert got.f_namemax >= 255 and got.f_flag & os.ST_RDONLY
    assert again.log(job).stat().st_size == 300_000
    assert again.log(job).read_bytes() == made(job, 300_000)
    assert time.monotonic() - started < 5


def test_s16_df_of_the_mountpoint_needs_none_either(github, mount):
    """df opens what it is given, as no listing would."""
    m = mount()
    run("df", m.path)
    assert traffic(github).requests == (0, 0)


def test_s16_one_file_has_one_number(github, mount):
    """Two names of the tree for one file never differ from one look to the next."""
    jobs = [one_job(github, size=1000) for _ in range(3)]
    m = mount()
    numbers = [m.log(job).stat().st_ino for job in jobs]
    assert len(set(numbers)) == 3 and 0 not in numbers
    m.stop()
    again = mount(cache=m.cache)
    assert [again.log(job).stat().st_ino for job in jobs] == numbers


def test_s16_the_parent_of_a_job(github, mount):
    job = one_job(github)
    m = mount()
    m.log(job).read_bytes()
    assert os.path.samefile(m.folder(job) / "..", m.repo() / "jobs")
    assert out("sh", "-c", "cd '%s' && cd ../../.. && pwd -P" % m.folder(job)).strip() == \
        bytes(m.path / "octo")


# --- S17: extended attributes --------------------------------------------------------------------

def _attribute(path, name):
    return os.getxattr(path, "user.ghlogfs." + name).decode()


@pytest.mark.smoke
def test_s17_from_what_is_known(github, mount):
    job = one_job(github, size=1000, name="build it", conclusion="failure")
    m = mount()
    got = json.loads(m.json(job).read_bytes())
    m.log(job).read_bytes()
    forget(github)
    for path in (m.folder(job), m.log(job)):
        assert _attribute(path, "state") == "available"
        assert _attribute(path, "status") == "completed"
        assert _attribute(path, "conclusion") == "failure"
        assert _attribute(path, "name") == "build it"
        assert _attribute(path, "run_id") == str(got["run_id"])
        assert _attribute(path, "html_url") == got["html_url"]
        assert _attribute(path, "head_sha") == got["head_sha"]
        assert os.listxattr(path) == []
    assert traffic(github).requests == (0, 0)


def test_s17_a_get_never_asks(github, mount):
    job = one_job(github)
    m = mount()
    assert _attribute(m.folder(job), "state") == "unknown"
    for name in ("status", "conclusion", "name", "run_id", "html_url", "head_sha", "nothing"):
        with fails("ENODATA"):
            _attribute(m.folder(job), name)
    for name in ("user.other", "security.capability", "system.posix_acl_access"):
        with fails("ENODATA", "EOPNOTSUPP"):
            os.getxattr(m.folder(job), name)
    assert traffic(github).requests == (0, 0)


def test_s17_what_is_on_disk_is_known(github, mount):
    """Also where nothing has looked the log up: after a remount, or when it was forgotten."""
    job = one_job(github, size=1000)
    m = mount()
    m.log(job).read_bytes()
    m.stop()
    forget(github)
    again = mount(cache=m.cache)
    assert _attribute(again.folder(job), "state") == "available"
    assert traffic(github).requests == (0, 0)


def test_s17_states(github, mount):
    run_id = github.add_run(REPO, status="in_progress")
    expired = github.add_job(run_id, log="expired")
    running = github.add_job(run_id, status="in_progress", log={"size": 3000}, form="append")
    pending = github.add_job(run_id, status="queued", log="missing")
    never = github.add_job(run_id, log="missing", completed_at="2026-01-02T00:00:00Z")
    m = mount()
    for job, state in ((expired, "expired"), (running, "running"), (pending, "pending"),
                       (never, "never")):
        try:
            m.log(job).read_bytes()
        except FileNotFoundError:
            pass
        assert _attribute(m.folder(job), "state") == state


def test_s17_states_of_refusals(github, mount):
    job = one_job(github)
    github.op("token", value=github.token, logs=False)
    m = mount()
    with fails("EACCES"):
        m.log(job).read_bytes()
    assert _attribute(m.folder(job), "state") == "forbidden"
    github.op("token", value=github.token)
    github.rate_limit(remaining=0, reset=3600)
    limited = one_job(github)
    again = mount(wait=0)
    with fails("EDQUOT"):
        again.log(limited).read_bytes()
    assert _attribute(again.folder(limited), "state") == "limited"
    github.refuse(hop="api", drop=True)
    gone = mount(deadline=10)
    with fails("ECONNREFUSED"):
        gone.log(limited).read_bytes()
    assert _attribute(gone.folder(limited), "state") == "unreachable"


def test_s17_a_value_into_a_buffer_too_small(github, mount):
    job = one_job(github, size=1000)
    m = mount()
    m.log(job).read_bytes()
    assert out("getfattr", "--only-values", "-n", "user.ghlogfs.state", m.log(job)) == b"available"
    assert b"user.ghlogfs" not in out("getfattr", "-d", "-m", "-", m.log(job))
