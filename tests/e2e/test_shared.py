"""The shared store (T1 to T5, T7): logs that somebody in the team has fetched before."""

import pathlib

import pytest

import fake.content
from fake.asking import one_job
from fake.certificates import Authority
from faulting import each, made, outcome, right
from mounting import KIB, MIB, REPO, forget, run, traffic, wait_for
from sharing import KEY, SECRET, Store, filled, stats, wait_sent
from test_reports import failed_job, failed_run


@pytest.fixture
def store(github, folder):
    return Store(github, folder)


@pytest.mark.smoke
def test_a_log_comes_from_the_store_once_github_has_answered_for_its_job(github, mount, store):
    job = one_job(github, size=300 * KIB)
    filled(github, mount, store, [job])
    m = mount(**store.options, secrets=[KEY, SECRET])
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 300 * KIB)
    seen = traffic(github)
    assert seen.charged == 1 and not seen.of("storage")
    asked = [(e["hop"], e["path"].rpartition("/")[2]) for e in seen.entries]
    assert asked[0] == ("api", str(job)) and sorted(asked[1:]) == [
        ("store", str(job)), ("store", str(job) + ".meta")]
    assert stats(m)["shared_hits"] == 1 and stats(m)["shared_state"] == "up"
    m.stop()
    forget(github)
    again = mount(cache=m.cache, **store.options)
    assert again.log(job).read_bytes() == fake.content.content(job, 0, 300 * KIB)
    assert traffic(github).requests == (0, 0) and not github.log(hop="store")


def test_p14_a_walk_on_a_second_machine_costs_the_lists_only(github, mount, store):
    runs = github.bulk(REPO, 25, 4, 60_000)
    jobs = [job for one in runs for job in one["jobs"]]
    filled(github, mount, store, jobs)
    m = mount(**store.options)
    counted = run("grep", "-rc", "needle", m.repo() / "jobs", text=True).stdout
    assert sum(line.endswith("/log:1") for line in counted.splitlines()) == len(jobs)
    seen = traffic(github)
    assert seen.charged == 1 + len(runs) and not seen.of("storage")
    for job in jobs:
        assert m.log(job).read_bytes() == fake.content.content(job, 0, 60_000)
    assert stats(m)["shared_hits"] == len(jobs)


def test_reports_and_failed_steps_are_made_of_what_the_store_has(github, mount, store):
    made_runs = [failed_run(github) for _ in range(3)]
    jobs = [failed_job(github, one, name="job %d" % n) for one in made_runs for n in range(4)]

    def texts(m):
        return [run("sh", "-c", "cd %s && cat %s" % (m.repo(), which)).stdout
                for which in ("reports/*", "failed/*/*/*.txt")]

    first = mount(archive_jobs=0)
    seen = texts(first)
    first.stop()
    assert all(seen) and set(jobs) <= set(store.fill(first))
    forget(github)
    m = mount(**store.options)
    assert texts(m) == seen
    assert not traffic(github).of("storage") and stats(m)["archives_requested"] == 0
    assert stats(m)["shared_hits"] == len(jobs)


def test_what_the_store_lacks_comes_from_github(github, mount, store):
    job = one_job(github, size=200_000)
    m = mount(**store.options)
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 200_000)
    assert stats(m)["shared_misses"] == 1 and stats(m)["shared_state"] == "up"
    assert len(traffic(github).of("storage")) == 1


def test_p6_the_end_of_a_large_log_is_a_range_of_it(github, mount, store):
    job = one_job(github, size=64 * MIB)
    filled(github, mount, store, [job])
    m = mount(**store.options)
    tail = run("tail", "-c", "4096", m.log(job)).stdout
    assert tail == fake.content.content(job, 64 * MIB - 4096, 4096)
    seen = traffic(github)
    assert not seen.of("storage")
    assert sum(e["bytes"] for e in seen.of("store")) < 1.3 * MIB
    whole = m.log(job).read_bytes()
    assert len(whole) == 64 * MIB and fake.content.first_difference(job, 0, whole) == -1
    assert not traffic(github).of("storage")


def test_t1_without_the_right_or_without_a_token_nothing_is_asked_of_the_store(
        github, mount, store):
    github.add_repo("corp/secret", private=True)
    job = github.add_job(github.add_run("corp/secret"), size=5050)
    first = mount()
    first.log(job, "corp/secret").read_bytes()
    first.stop()
    store.fill(first, "corp/secret")
    forget(github)
    github.op("token", value="ghp_stranger_stranger", login="stranger", sees=[])
    for how in ({"token": "ghp_stranger_stranger"}, {"token": None}):
        m = mount(**store.options, **how)
        with pytest.raises(OSError):
            m.log(job, "corp/secret").read_bytes()
        assert not github.log(hop="store")


def test_t1_a_list_that_everybody_gets_proves_nothing(github, mount, store):
    """Of a public repository GitHub lists jobs to anybody, and gives logs to those with a token."""
    job = one_job(github, size=5050)
    filled(github, mount, store, [job])
    m = mount(**store.options, token=None)
    assert [line.name for line in (m.repo() / "jobs").iterdir()] == [str(job)]
    with pytest.raises(OSError):
        m.log(job).read_bytes()
    assert not github.log(hop="store")


def test_t3_an_expired_log_is_there_while_its_job_is(github, mount, store):
    job = one_job(github, size=200_000)
    filled(github, mount, store, [job])
    github.set_job(job, log="expired")
    m = mount(**store.options)
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 200_000)
    assert not traffic(github).of("storage")


def test_t3_a_log_that_had_expired_before_there_was_a_store(github, mount, store):
    """That GitHub has it no more is on disk (410), and does not hide what the store has."""
    kept, lost = one_job(github, size=200_000), one_job(github, size=5050)
    filled(github, mount, store, [kept])
    for job in (kept, lost):
        github.set_job(job, log="expired")
    before = mount()
    for job in (kept, lost):
        with pytest.raises(FileNotFoundError):
            before.log(job).stat()
    before.stop()
    forget(github)
    m = mount(cache=before.cache, **store.options)
    assert m.log(kept).read_bytes() == fake.content.content(kept, 0, 200_000)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            m.log(lost).stat()
    # One question for each job; none about a log that GitHub is known to have no more.
    seen = traffic(github)
    assert seen.charged == 2 and not [e for e in seen.entries if e["path"].endswith("/logs")]
    assert stats(m)["shared_hits"] == 1 and stats(m)["shared_misses"] == 1


def test_t3_while_github_is_away(github, mount, store):
    """Its storage, or all of it once it has answered for the jobs; before that nothing is shown,
    nor asked of the store."""
    jobs = [job for one in github.bulk(REPO, 1, 3, 60_000) for job in one["jobs"]]
    filled(github, mount, store, jobs)
    github.refuse(hop="storage")
    m = mount(**store.options)
    assert m.log(jobs[0]).read_bytes() == fake.content.content(jobs[0], 0, 60_000)
    assert len(list((m.repo() / "jobs").iterdir())) == 3
    github.refuse(hop="api", drop=True)
    for job in jobs[1:]:
        assert m.log(job).read_bytes() == fake.content.content(job, 0, 60_000)
    forget(github)
    strict = mount(**store.options, deadline=10)
    with pytest.raises(OSError):
        strict.log(jobs[0]).read_bytes()
    assert not github.log(hop="store")
    trusting = mount(**store.options, deadline=10, shared_trust="bucket")
    assert trusting.log(jobs[0]).read_bytes() == fake.content.content(jobs[0], 0, 60_000)


def test_t3_what_github_does_not_know_any_more_needs_trust_in_the_bucket(github, mount, store):
    job = one_job(github, size=200_000)
    filled(github, mount, store, [job])
    github.remove_repo(repo=REPO)
    strict = mount(**store.options)
    with pytest.raises(FileNotFoundError):
        strict.log(job).read_bytes()
    assert not github.log(hop="store")
    for how in ({}, {"token": None}):
        m = mount(**store.options, shared_trust="bucket", **how)
        assert m.log(job).read_bytes() == fake.content.content(job, 0, 200_000)


def test_without_the_option_there_is_nothing_of_it(github, mount):
    job = one_job(github, size=5050)
    m = mount()
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 5050)
    names = m.threads()
    assert "ghlogfs-net" in names and "ghlogfs-store" not in names and "ghlogfs-put" not in names
    assert not [name for name in stats(m) if name.startswith("shared")]
    assert not github.log(hop="store") and traffic(github).charged == 1


def test_over_tls_only_a_server_that_is_known(make_github, mounts, folder):
    """With GitHub's authority, and without: the store's certificate is checked as GitHub's is."""
    authority, other = Authority(folder / "authority"), Authority(folder / "other")
    github = make_github(tls=authority.issue("good"))
    store, job = Store(github, folder), one_job(github, size=200_000)
    assert store.options["shared"].startswith("s3://logs/ci?endpoint=https://")
    filled(github, lambda **how: mounts(github=github, ca_file=authority.ca, **how), store, [job])
    m = mounts(github=github, ca_file=authority.ca, **store.options)
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 200_000)
    assert not traffic(github).of("storage") and stats(m)["shared_hits"] == 1

    plain = make_github()
    strange = make_github(tls=other.issue("strange"))
    job, elsewhere = one_job(plain, size=200_000), Store(strange, folder)
    n = mounts(github=plain, ca_file=authority.ca, secrets=[KEY, SECRET], **elsewhere.options)
    assert n.log(job).read_bytes() == fake.content.content(job, 0, 200_000)
    assert stats(n)["shared_state"] == "resting" and not strange.log(hop="store")
    told = [line for line in n.stderr.splitlines() if "certificate" in line]
    assert len(told) == 1 and "logs come from GitHub" in told[0], n.stderr


def test_plain_http_with_a_bearer(github, mount, store):
    job = one_job(github, size=200_000)
    filled(github, mount, store, [job])
    github.store_setup(mode="http", identities={"bearer word-of-the-team": 1})
    store.key_file.write_text("bearer word-of-the-team\n")
    m = mount(shared=github.store + "/logs/ci", shared_key_file=store.key_file, shared_verify=0)
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 200_000)
    assert not traffic(github).of("storage")


def test_a_key_that_was_renewed_is_read_again(github, mount, store):
    """Whatever renews it writes the file; the mount notices at the next refusal, and goes on."""
    jobs = [one_job(github, size=5050) for _ in range(3)]
    filled(github, mount, store, jobs)
    m = mount(**store.options)
    github.store_setup(identities={KEY: "renewed"})
    assert m.log(jobs[0]).read_bytes() == fake.content.content(jobs[0], 0, 5050)
    assert stats(m)["shared_state"] == "resting"
    assert "status 403 SignatureDoesNotMatch" in m.stderr
    store.key_file.write_text("%s renewed\n" % KEY)
    n = mount(**store.options)
    github.store_setup(identities={KEY: "again"})
    store.key_file.write_text("%s again\n" % KEY)
    assert n.log(jobs[1]).read_bytes() == fake.content.content(jobs[1], 0, 5050)
    wait_for(lambda: stats(n)["shared_state"] == "up", 10, 0.02)
    assert n.log(jobs[2]).read_bytes() == fake.content.content(jobs[2], 0, 5050)
    assert stats(n)["shared_hits"] == 1
    told = [line for line in n.stderr.splitlines() if "shared store 127.0.0.3" in line]
    assert len(told) == 2 and "has a new key, and is asked again" in told[1]


def test_a_session_that_has_ended_is_read_again(github, mount, store):
    """Amazon's answer to that is 400, not 403."""
    jobs = [one_job(github, size=5050) for _ in range(2)]
    filled(github, mount, store, jobs)
    github.fault("status", hop="store", status=400, times=2, body="<Code>ExpiredToken</Code>")
    store.key_file.write_text("%s %s ended\n" % (KEY, SECRET))
    m = mount(**store.options)
    store.key_file.write_text("%s %s begun\n" % (KEY, SECRET))
    assert m.log(jobs[0]).read_bytes() == fake.content.content(jobs[0], 0, 5050)
    assert "status 400 ExpiredToken" in m.stderr
    wait_for(lambda: stats(m)["shared_state"] == "up", 10, 0.02)
    assert m.log(jobs[1]).read_bytes() == fake.content.content(jobs[1], 0, 5050)
    assert stats(m)["shared_hits"] == 1


def test_t7_the_keys_of_github_and_of_the_store_never_meet(github, mount, store):
    job = one_job(github, size=5050)
    filled(github, mount, store, [job])
    m = mount(secrets=[KEY, SECRET], env={"AWS_ACCESS_KEY_ID": KEY,
                                          "AWS_SECRET_ACCESS_KEY": SECRET},
              shared=store.options["shared"], shared_verify=0)
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 5050)
    assert stats(m)["shared_hits"] == 1
    assert github.counters()["token_leaks"] == 0
    limits = pathlib.Path("/proc/%d/limits" % m.pid).read_text()
    assert [line.split()[4] for line in limits.splitlines() if "core file" in line] == ["0"]
    for name in ("environ", "cmdline"):
        told = open("/proc/%d/%s" % (m.pid, name), "rb").read()
        assert KEY.encode() not in told and SECRET.encode() not in told
    told = (m.path / ".ghlogfs/options").read_text() + (m.path / ".ghlogfs/stats").read_text()
    assert "shared=s3://logs" in told and KEY not in told and SECRET not in told


def test_t5_samples_are_compared_with_github(github, mount, store):
    jobs = [one_job(github, size=size) for size in (5050, 300 * KIB, 5 * MIB)]
    filled(github, mount, store, jobs)
    m = mount(**dict(store.options, shared_verify=100))
    for count, job in enumerate(jobs, 1):
        whole = m.log(job).read_bytes()
        assert fake.content.first_difference(job, 0, whole) == -1
        wait_for(lambda count=count: stats(m)["shared_verified"] == count, 10, 0.02)
    assert stats(m)["shared_state"] == "up" and stats(m)["shared_hits"] == len(jobs)
    # Each sample is one API request, and no more than a stretch.
    seen = traffic(github)
    assert seen.charged == 2 * len(jobs) and seen.bytes < 2 * MIB


def test_t5_a_store_that_has_other_logs_is_turned_off_loudly(github, mount, store):
    jobs = [one_job(github, size=300 * KIB) for _ in range(3)]
    filled(github, mount, store, jobs)
    github.set_job(jobs[0], text=b"2026-01-01T00:00:00.0000000Z what GitHub has\n")
    m = mount(**dict(store.options, shared_verify=100, shared_write=True))
    m.log(jobs[0]).read_bytes()
    wait_for(lambda: stats(m)["shared_state"] == "off", 10, 0.02)
    assert "its log of job %d of %s is not GitHub's" % (jobs[0], REPO) in m.stderr
    forget(github)
    for job in jobs[1:]:
        assert m.log(job).read_bytes() == fake.content.content(job, 0, 300 * KIB)
    wait_for(lambda: stats(m)["shared_uploads_dropped"] == 2, 10, 0.02)
    assert not github.log(hop="store")
    assert m.stderr.count("is not GitHub's") == 1


def test_t5_what_github_no_longer_has_proves_nothing(github, mount, store):
    job = one_job(github, size=300 * KIB)
    filled(github, mount, store, [job])
    github.set_job(job, log="expired")
    m = mount(**dict(store.options, shared_verify=100))
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 300 * KIB)
    wait_for(lambda: any(e["status"] == 410 for e in github.log(hop="api")), 10, 0.02)
    traffic(github)
    assert stats(m)["shared_state"] == "up" and stats(m)["shared_verified"] == 0


def test_t7_a_redirect_is_not_followed(github, mount, store):
    """301 and 307 are what Amazon answers for another region: a signature is for one host."""
    jobs = [one_job(github, size=5050) for _ in range(2)]
    filled(github, mount, store, jobs)
    for status, job in zip((301, 307), jobs):
        github.clear_faults()
        github.fault("status", hop="store", times=-1, status=status,
                     headers={"Location": github.api + "/elsewhere"})
        m = mount(secrets=[KEY, SECRET], **store.options)
        assert m.log(job).read_bytes() == fake.content.content(job, 0, 5050)
        assert "status %d (is its region or address another?)" % status in m.stderr
    assert not [e for e in github.log() if e["path"].endswith("/elsewhere")]


def test_t7_debug_output_has_no_key(github, mount, store):
    job = one_job(github, size=5050)
    m = mount(secrets=[KEY, SECRET], debug=True, shared_write=True, **store.options)
    assert m.log(job).read_bytes() == fake.content.content(job, 0, 5050)
    wait_sent(m, 1)
    m.stop()
    assert "Signature" not in m.stderr and "AWS4" not in m.stderr


def test_ten_readers_of_one_log_ask_the_store_once(github, mount, store):
    """Single flight is the cache's."""
    job = one_job(github, size=900 * KIB)
    filled(github, mount, store, [job])
    github.latency(store_ms=100)
    m = mount(**store.options)
    got = each(lambda _: outcome(m.log(job), made(job, 900 * KIB)), dict.fromkeys(range(10)))
    assert got == right(got)
    assert len(github.log(hop="store")) == 2 and traffic(github).charged == 1
