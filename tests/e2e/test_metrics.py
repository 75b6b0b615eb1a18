"""The counters of a mount for monitoring: what they count, that the usual readers read them, and
that the dashboard and the alerts of contrib ask for what there is."""

import json
import os
import pathlib
import re
import time
import urllib.request

import pytest

from engines import Exporter, FileServer, Prometheus, grafana, promtool
from faulting import one_job
from mounting import (KIB, MIB, REPO, ROOT, ended, fails, run, spawn, traffic, wait_active,
                      wait_for)
from sharing import KEY, SECRET, Store, filled

ODD = 'a "mount\\point"'
OUTCOMES = ("ok", "not_modified", "refused", "error", "limited", "lost")
RULES = ROOT / "contrib/prometheus/ghlogfs.rules.yml"
GRID = 24       # columns of a dashboard
OPEN = "application/openmetrics-text; version=1.0.0"


def running(engine):
    missing = engine.missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail("not here: %s" % missing)
    if missing:
        pytest.skip("not here: %s (packages_unpacked of contrib/packages.sh)" % missing)
    with engine() as started:
        yield started


@pytest.fixture(scope="module")
def prometheus():
    yield from running(Prometheus)


@pytest.fixture(scope="module")
def exporter():
    yield from running(Exporter)


@pytest.fixture
def store(github, folder):
    return Store(github, folder)


def metrics(m, name="metrics"):
    """{(sample, its labels as a sorted tuple without the mountpoint): value}, by the parser of
    OpenMetrics' own library, which accepts nothing but what the standard has."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    if name.endswith(".prom"):
        parser = pytest.importorskip("prometheus_client.parser")
    found = {}
    for family in parser.text_string_to_metric_families((m.path / ".ghlogfs" / name).read_text()):
        assert family.documentation.endswith("."), family
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("mount") == str(m.path), sample
            key = sample.name, tuple(sorted(labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(m, name, **labels):
    return metrics(m)["ghlogfs_" + name, tuple(sorted(labels.items()))]


def test_both_formats_are_right_and_tell_the_same(github, mount, folder, store):
    """With all there can be in them: a shared store, a quota, an odd mountpoint."""
    job = one_job(github, size=300 * KIB)
    filled(github, mount, store, [job])
    m = mount(secrets=[KEY, SECRET], path=folder / ODD, **store.options)
    m.log(job).read_bytes()
    found = metrics(m)
    assert metrics(m, "metrics.prom").keys() == found.keys()
    assert found["ghlogfs_shared_hits_total", ()] == 1
    assert found["ghlogfs_shared_state", (("state", "up"),)] == 1
    assert found["ghlogfs_shared_state", (("state", "off"),)] == 0
    names = {name for name, _ in found}
    assert "ghlogfs_quota_remaining" in names and "ghlogfs_build_info" in names


def test_promtool_has_nothing_to_say(github, mount, folder, store, prometheus):
    job = one_job(github)
    filled(github, mount, store, [job])
    m = mount(secrets=[KEY, SECRET], path=folder / ODD, **store.options)
    m.log(job).read_bytes()
    text = (m.path / ".ghlogfs/metrics.prom").read_bytes()
    assert promtool("check", "metrics", text=text) == (0, "")
    status, said = promtool("check", "metrics", text=text.replace(b"_total", b"_count"))
    assert status and said                  # it does look


def test_labels_are_bounded(github, mount):
    """However many repositories, jobs and failures there are: no more lines, and no names."""
    m = mount()
    before = len(metrics(m))
    for name in ("octo/one", "octo/two", "other/three"):
        github.add_repo(name)
        job = github.add_job(github.add_run(name), size=1000)
        m.log(job, name).read_bytes()
        with fails("ENOENT"):
            m.log(job + 100, name).read_bytes()
    after = metrics(m)
    assert len(after) == before + 3         # the quota is known now
    for labels in (str(labels) for _, labels in after):
        assert not any(word in labels for word in ("octo", "other", "three", "127.0.0"))


def test_requests_are_counted_by_outcome(github, mount):
    """As the server counts them itself."""
    run_id = github.add_run(REPO, status="in_progress")
    job = github.add_job(run_id, size=1000)
    m = mount(fresh=0)
    m.log(job).read_bytes()
    os.listdir(m.repo() / "runs")
    os.listdir(m.repo() / "runs")           # 304
    with fails("ENOENT"):
        m.log(job + 1).read_bytes()
    github.fault("status", hop="api", status=502, times=1)
    os.listdir(m.repo() / "jobs")
    github.fault("huge_headers", hop="api", size=100_000, count=1, times=1)    # no answer
    with fails("EPROTO"):
        m.log(job + 7).read_bytes()
    seen = traffic(github)
    statuses = [entry["status"] for entry in seen.of("api")]
    assert len(statuses) == sum(metrics(m)["ghlogfs_api_requests_total", (("outcome", word),)]
                                for word in OUTCOMES)
    expected = {"ok": sum(status < 304 for status in statuses),
                "not_modified": statuses.count(304),
                # The last one was not understood.
                "refused": sum(304 < status < 500 for status in statuses) - 1,
                "error": statuses.count(502), "limited": 0, "lost": 1}
    assert expected["not_modified"] >= 1 and expected["refused"] >= 1 and expected["error"] == 1
    assert {word: value(m, "api_requests_total", outcome=word) for word in expected} == expected
    assert value(m, "storage_requests_total") == seen.storage
    assert value(m, "quota_remaining") == 5000 - (seen.charged - 1)


def test_limits_and_failures_are_counted(github, mount):
    job, other = one_job(github, size=1000), one_job(github, size=1000)
    m = mount(wait=1, deadline=5)
    m.log(other).read_bytes()
    github.rate_limit(limit=5000, remaining=0, status=403, reset=3600)
    with fails("EDQUOT"):
        m.log(job).read_bytes()
    assert value(m, "api_requests_total", outcome="limited") == 1
    assert value(m, "failures_total", errno="EDQUOT") >= 1
    assert value(m, "failures_total", errno="EIO") == 0
    assert value(m, "quota_remaining") == 0
    assert value(m, "quota_reset_timestamp_seconds") > time.time()


def test_bytes_and_logs_are_counted(github, mount):
    job = one_job(github, size=MIB)
    m = mount()
    assert len(m.log(job).read_bytes()) == MIB
    wait_for(lambda: value(m, "logs_published_total") == 1)
    found = metrics(m)
    assert found["ghlogfs_received_bytes_total", ()] == MIB
    assert found["ghlogfs_read_bytes_total", ()] == MIB
    assert found["ghlogfs_cache_used_bytes", ()] >= MIB
    (m.folder(job) / "log.txt").read_bytes()
    assert value(m, "received_bytes_total") == MIB          # a cleaned text comes from nowhere
    assert value(m, "logs_opened_total") == found["ghlogfs_logs_opened_total", ()] + 1 == 2


def test_evicted_logs_are_counted(github, mount):
    jobs = [one_job(github, size=MIB) for _ in range(6)]
    m = mount(cache_size="3M")
    for job in jobs:
        m.log(job).read_bytes()
    wait_for(lambda: value(m, "logs_evicted_total") >= 1)
    found = metrics(m)
    assert found["ghlogfs_evicted_bytes_total", ()] == MIB * found["ghlogfs_logs_evicted_total", ()]
    assert found["ghlogfs_cache_size_bytes", ()] == 3 * MIB


def test_readers_that_wait_are_counted_while_they_do(github, mount):
    jobs = [one_job(github, size=1000) for _ in range(3)]
    github.fault("stall", hop="api", after=-1, times=-1)
    m = mount()
    assert value(m, "readers_waiting") == 0
    with ended([spawn("cat", m.log(job)) for job in jobs]):
        wait_active(github, 3, "api")
        wait_for(lambda: value(m, "readers_waiting") == 3)
    wait_for(lambda: value(m, "readers_waiting") == 0)


def test_reading_them_sends_no_request_and_curl_can(mount, github):
    m = mount()
    for name in ("metrics", "metrics.prom"):
        path = m.path / ".ghlogfs" / name
        text = path.read_bytes()
        assert run("curl", "-sS", "file://%s" % path).stdout.count(b"\n") == text.count(b"\n")
    assert traffic(github).requests == (0, 0)


# --- Prometheus ----------------------------------------------------------------------------------

def exported(exporter):
    with urllib.request.urlopen(exporter.url, timeout=60) as got:
        return got.read().decode()


def read_by(exporter, folder):
    """Its text once it reads this folder."""
    os.symlink(folder, exporter.texts + ".new")
    os.rename(exporter.texts + ".new", exporter.texts)
    return exported(exporter)


def test_node_exporter_reads_the_directory_itself(github, mount, exporter):
    m = mount()
    m.log(one_job(github)).read_bytes()
    text = read_by(exporter, m.path / ".ghlogfs")
    assert "\n# TYPE ghlogfs_logs_opened_total counter\n" in text
    assert "# HELP ghlogfs_logs_opened_total How often a log" in text
    assert 'ghlogfs_storage_requests_total{mount="%s"} 1\n' % m.path in text
    assert "\nnode_textfile_scrape_error 0\n" in text
    os.unlink(exporter.texts)               # lets go of the mount
    os.symlink(m.home, exporter.texts)


def test_node_exporter_reads_two_mounts_through_links(github, mount, exporter, folder):
    links = folder / "links"
    links.mkdir()
    mounts = [mount(), mount()]
    for number, m in enumerate(mounts):
        (links / ("gh%d.prom" % number)).symlink_to(m.path / ".ghlogfs/metrics.prom")
    text = read_by(exporter, links)
    for m in mounts:
        assert 'ghlogfs_logs_opened_total{mount="%s"} ' % m.path in text
    assert "\nnode_textfile_scrape_error 0\n" in text


@pytest.mark.parametrize("name,kind", [("metrics", OPEN),
                                       ("metrics.prom", "text/plain; version=0.0.4")])
def test_prometheus_scrapes_both(github, mount, folder, prometheus, name, kind):
    m = mount(path=folder / ODD)
    m.log(one_job(github)).read_bytes()
    with FileServer(m.path / ".ghlogfs" / name, kind) as server:
        prometheus.scrape(server.url)
        asked = 'ghlogfs_storage_requests_total{mount=%s}' % json.dumps(str(m.path))
        ((labels, count),) = wait_for(lambda: prometheus.query(asked), 60, 0.1, "no scrape")
        assert count == 1 and labels["mount"] == str(m.path)
        with urllib.request.urlopen(prometheus.url + "/api/v1/targets/metadata?metric="
                                    "ghlogfs_failures%s" % ("" if kind == OPEN else "_total"),
                                    timeout=60) as got:
            (told,) = json.load(got)["data"]
        assert told["type"] == "counter" and told["help"].startswith("Requests of the kernel")
        prometheus.scrape()


# --- the dashboard and the alerts of contrib ------------------------------------------------------

@pytest.fixture
def scraped(github, mount, folder, prometheus):
    """Prometheus has looked several times at a mount that has been used."""
    store = Store(github, folder)
    job = one_job(github, size=300_000)
    filled(github, mount, store, [job])
    m = mount(secrets=[KEY, SECRET], **store.options)
    m.log(job).read_bytes()
    with FileServer(m.path / ".ghlogfs/metrics", OPEN) as server:
        prometheus.scrape(server.url)
        looks = 'count_over_time(ghlogfs_quota_limit{mount="%s"}[1m]) >= 3' % m.path
        wait_for(lambda: prometheus.query(looks), 60, 0.1, "it is not scraped")
        yield prometheus, m
        prometheus.scrape()


def test_each_query_of_the_dashboard_has_data(scraped):
    asked, m = scraped
    texts = [(panel["title"], text) for panel in grafana.load()["panels"]
             for text, _ in grafana.queries(panel, "1m", str(m.path))]
    assert len(texts) >= 20
    empty = [(title, text) for title, text in texts if not asked.query(text)]
    assert not empty
    assert not asked.query(texts[0][1].replace("ghlogfs_quota", "ghlogfs_kuota"))


def test_each_query_of_the_alerts_is_about_metrics_that_exist(scraped):
    asked, m = scraped
    names = set(re.findall(r"ghlogfs_\w+", " ".join(
        re.findall(r"expr: ((?:>-\n)?.*?)\n +(?:for|labels):", RULES.read_text(), re.S))))
    assert len(names) >= 8
    assert not [name for name in names if not asked.query('%s{mount="%s"}' % (name, m.path))]


def test_the_dashboard_is_one_that_grafana_imports():
    """Its ids differ, nothing overlaps or sticks out, and every source of data is a variable."""
    board = grafana.load()
    assert board["uid"] == "ghlogfs" and board["schemaVersion"] >= 36 and "id" not in board
    variables = {one["name"]: one["type"] for one in board["templating"]["list"]}
    assert variables == {"datasource": "datasource", "mount": "query"}
    ids, taken = set(), set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert panel["id"] not in ids and not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < GRID
        ids.add(panel["id"])
        taken |= cells
        assert panel["type"] in ("timeseries", "stat", "gauge") and panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(set(references)) == len(references)
        for source in (panel["datasource"], *(one["datasource"] for one in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            selectors = re.findall(r"ghlogfs_\w+(\{[^}]*\})?", target["expr"])
            assert all('mount=~"$mount"' in selector for selector in selectors), target["expr"]


def test_the_dashboard_shows_every_metric(scraped):
    """One that is added is shown, or left out knowingly."""
    _, m = scraped
    exposed = set(re.findall(r"^(ghlogfs_\w+)\{", (m.path / ".ghlogfs/metrics").read_text(), re.M))
    shown = set(re.findall(r"ghlogfs_\w+", grafana.DASHBOARD.read_text()))
    assert shown <= exposed
    assert exposed - shown == {"ghlogfs_build_info", "ghlogfs_evicted_bytes_total",
                               "ghlogfs_shared_sent_bytes_total"}


def test_the_picture_of_the_dashboard_is_of_this_one():
    """tests/bench/dashboard.py draws it again."""
    texts = re.findall(r">([^<>]+)</tspan>", (ROOT / "docs/dashboard.svg").read_text())
    assert not [panel["title"] for panel in grafana.load()["panels"] if panel["title"] not in texts]
    assert "no data" not in texts


@pytest.mark.parametrize("words", [("check", "rules", RULES),
                                   ("test", "rules", pathlib.Path(__file__).parent / "alerts.yml")])
def test_promtool_finds_the_alerts_right(words, prometheus):
    status, said = promtool(*words)
    assert status == 0, said
