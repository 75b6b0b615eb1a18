"""What a mount prints: levels for the journal, and debug output that a person can read."""

import os
import re
import subprocess

import pytest

from faulting import one_job
from mounting import (KIB, REPO, clean_environment, command, fails, mounted, option_words, run,
                      unmount, wait_for)

LINE = re.compile(r"ghlogfs: \d\d:\d\d:\d\d\.\d{3} (.*)")
EVENT = re.compile(r"\[\d+\] (?P<what>(?:lookup|stat|read link|get|list|open|read) .*): "
                   r"(?P<result>ok|\d+ bytes|[A-Z][^:]*), \d+ ms")
EXCHANGE = re.compile(r"(?:GET|PUT) (?P<what>\S+(?: \(signed URL\))?(?: bytes=\d+-\d*)?): "
                      r"(?P<result>.+), \d+ bytes, \d+ ms")


def events(m):
    """[(what, result)], in order; each line is one of the known shapes."""
    found = []
    first, *lines = m.stderr.splitlines()
    assert LINE.fullmatch(first)[1].startswith("mounted on %s: " % m.path)
    for line in lines:
        text = LINE.fullmatch(line)[1]
        if text.startswith("API "):         # a message, as without -d
            continue
        event = EVENT.fullmatch(text) or EXCHANGE.fullmatch(text)
        assert event, text
        found.append((event["what"], event["result"]))
    return found


def after(found, count):
    """Those with a path below the repository, without the lookups that lead there."""
    return [one for one in found[count:]
            if not re.fullmatch(r"stat /|lookup octo(/hello(/\w+(/\d+)?)?)?", one[0])]


def test_debug_output_tells_each_event_in_a_line(github, mount):
    """cat, ls, and a read that fails: what, of which path, how much, how long."""
    run_id = github.add_run(REPO)
    job = github.add_job(run_id, size=300 * KIB)
    m = mount(arguments=["-d"])
    at = "octo/hello/jobs/%d/log" % job
    run("cat", m.log(job))
    api, storage = "127.0.0.1", "127.0.0.2 (signed URL)"
    found = after(wait_for(lambda: len(events(m)) > 7 and events(m)), 0)
    assert (api + "/repos/octo/hello/actions/jobs/%d/logs" % job, "302") in found
    assert (storage + " bytes=0-1048575", "206") in found
    asked = [what for what, _ in found if "127.0.0" not in what]
    assert asked[:2] == ["lookup " + at, "open " + at]
    assert ("lookup " + at, "307200 bytes") in found and ("open " + at, "ok") in found
    assert all(re.fullmatch("read %s, \\d+ bytes at \\d+" % at, what) for what in asked[2:])
    assert sum(int(result.split()[0]) for what, result in found if what in asked[2:]) == 307200

    count = len(events(m))
    run("ls", m.repo() / "runs")
    found = after(events(m), count)
    assert found == [(api + "/repos/octo/hello/actions/runs?per_page=30&page=1", "200"),
                     ("list octo/hello/runs", "ok")]

    count = len(events(m))
    with fails("ENOENT"):
        open(m.log(job + 1))
    found = after(events(m), count)
    assert found == [(api + "/repos/octo/hello/actions/jobs/%d/logs" % (job + 1), "404"),
                     ("lookup octo/hello/jobs/%d/log" % (job + 1), "No such file or directory")]


def test_debug_output_tells_why_a_request_had_no_answer(mounts):
    """Nobody listens on this port."""
    m = mounts(github=None, token="some-token", api_url="http://127.0.0.1:1", arguments=["-d"],
               deadline=5)
    with fails("ECONNREFUSED"):
        open(m.log(7))
    *tries, last = after(events(m), 0)
    assert tries and {what for what, _ in tries} == {
        "127.0.0.1/repos/octo/hello/actions/jobs/7/logs"}
    assert all("connect" in result for _, result in tries)
    assert last == ("lookup octo/hello/jobs/7/log", "Connection refused")


def test_debug_output_shows_the_end_of_a_long_path(github, mount):
    m = mount(arguments=["-d"])
    deep = m.repo() / "branches" / "/".join(["a" * 100] * 4)
    os.listdir(deep)
    paths = [what for what, _ in events(m) if "a" * 100 in what and not what.startswith("127.")]
    assert max(map(len, paths)) < 350
    assert any(what.startswith(("lookup .../", "list .../")) for what in paths)


def test_debug_output_has_no_numbers_of_the_protocol(github, mount):
    m = mount(arguments=["-d"])
    m.log(one_job(github)).read_bytes()
    m.stop()
    for word in ("unique", "opcode", "nodeid", "insize", "outsize", "FUSE library"):
        assert word not in m.stderr


def serve(github, folder, journal, *arguments):
    """What it has printed on a pipe that the journal reads, or says it does not."""
    ends, point = os.pipe(), folder / "point"
    point.mkdir()
    stat = os.fstat(ends[0])
    env = clean_environment(folder, GH_ENTERPRISE_TOKEN=github.token, JOURNAL_STREAM="%d:%d" % (
        stat.st_dev, stat.st_ino + (not journal)))
    words = option_words({"api_url": github.api, "cache_dir": folder / "cache", "wait": 1,
                          "deadline": 5})
    process = subprocess.Popen(command("-f", *arguments, *words, point), env=env, cwd=folder,
                               stdin=subprocess.DEVNULL, stderr=ends[1])
    os.close(ends[1])
    try:
        wait_for(lambda: mounted(point) or process.poll() is not None)
        yield point
        unmount(point)
        process.wait(20)
        with open(ends[0]) as output:
            yield output.read()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(20)
            unmount(point, lazy=True)


@pytest.mark.parametrize("journal", [True, False])
def test_lines_tell_the_journal_their_level(github, folder, fuse, journal):
    """A service in the foreground: quota used up is a warning, a list that does not add up a
    notice, a refused token an error, as each is for people to do something about."""
    run_id = github.add_run(REPO)
    job = github.add_job(run_id, size=1000)
    session = serve(github, folder, journal)
    point = next(session)
    github.fault("list", hop="api", path="/actions/runs", total=7, times=-1)
    os.listdir(point / REPO / "runs")
    github.clear_faults()
    github.rate_limit(limit=5000, remaining=0, status=403, reset=3600)
    with fails("EDQUOT"):
        open(point / REPO / "jobs" / str(job) / "log")
    said = next(session)
    session.close()
    found = {word: prefix for prefix, word in re.findall(
        r"^(<\d>)?ghlogfs: API.*?(quota|total_count)", said, re.M)}
    assert found == {"quota": "<4>" if journal else "", "total_count": "<5>" if journal else ""}
    assert all(line.startswith("<") == journal for line in said.splitlines())


def test_a_refused_token_is_an_error_for_the_journal(github, folder, fuse):
    job = one_job(github)
    session = serve(github, folder, True)
    point = next(session)
    github.fault("status", hop="api", status=401, times=-1, body={"message": "Bad credentials"})
    with fails("EACCES"):
        open(point / REPO / "jobs" / str(job) / "log")
    said = next(session)
    session.close()
    assert re.fullmatch(r"<3>ghlogfs: API 127\.0\.0\.1: status 401: Bad credentials .*\n", said)
