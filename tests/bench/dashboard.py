#!/usr/bin/python3
"""Draws docs/dashboard.svg: the dashboard of contrib/grafana with the figures of a real run.

usage: dashboard.py [docs/dashboard.svg]

Grafana is not in Debian, so this is no screenshot of it: Debian's Prometheus scrapes two mounts
for one and a half minutes, and gnuplot draws the answers to the queries of each panel, in the
layout of the dashboard. The mounts share a store, and read the loopback GitHub of
tests/fake, which answers late, fails, runs out of quota and comes back (`play`, below). All that is
faster than in life: the quota comes back after 14 seconds, the cache holds 64 MiB.

Needs packages_pictures and the programs of packages_unpacked (contrib/packages.sh), which
tests/run.sh has put into build/tools; takes two minutes.
Environment: GHLOGFS_BIN, the binary (build/release/ghlogfs).
"""
import contextlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from engines import FileServer, Prometheus, grafana     # noqa: E402 (the path comes first)
from fake import FakeGitHub     # noqa: E402

BINARY = os.environ.get("GHLOGFS_BIN") or str(ROOT / "build" / "release" / "ghlogfs")
REPO, OTHER = "octo/parser", "../website/runs"
KEY, SECRET = "AKIADASHBOARD", "secret-of-the-store"
RATE, STEP = "8s", 1.5          # of Grafana's $__rate_interval; seconds between two points
CELL_W, CELL_H, HEAD = 50, 26, 34       # pixels of a column, of a row, of the title
COLORS = ("#3274d9", "#37872d", "#e0b400", "#c4162a", "#8f3bb8", "#fa6400", "#1f9ea3", "#a0522d",
          "#707070", "#b877d9", "#5794f2", "#73bf69")
# What gnuplot states for each line although SVG has it so by itself: half of the file.
DEFAULTS = (' stroke-linecap="butt" stroke-linejoin="miter"', ' stroke-width="1.00"',
            ' color="black"', ' color="gray"')
STATES = {0: "up", 1: "resting", 2: "off", 3: "off"}


# --- the run -------------------------------------------------------------------------------------

class Mount:
    def __init__(self, github, folder, name, **options):
        self.path, self.cache = folder / name, folder / (name + ".cache")
        self.path.mkdir()
        options = dict(options, api_url=github.api, cache_dir=self.cache, cache_size="64M", wait=4,
                       fresh=3, runs=100)
        words = ",".join("%s=%s" % pair if pair[1] is not True else pair[0]
                         for pair in options.items())
        env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "GH_ENTERPRISE_TOKEN": github.token}
        self.errors = open(folder / (name + ".err"), "wb")
        self.process = subprocess.Popen([BINARY, "-f", "-o", words, self.path], env=env,
                                        stderr=self.errors)

    def __enter__(self):
        end = time.monotonic() + 10
        while not os.path.ismount(self.path):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("the mount failed: " + pathlib.Path(self.errors.name).read_text())
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.errors.close()

    def read(self, *words):
        """A tool in the repository, whose output and errors nobody reads."""
        return subprocess.Popen(words, cwd=self.path / REPO, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def use(m, jobs, stop, pause):
    """What people do all day: now and then a log, often one that was read before."""
    chance = random.Random(str(m.path))
    while not stop.is_set():
        job = jobs[min(int(chance.expovariate(1 / 25)), len(jobs) - 1)]
        with contextlib.suppress(OSError):
            (m.path / REPO / "jobs" / str(job) / "log").read_bytes()
        stop.wait(chance.random() * pause)


def play(github, writer, reader, jobs, failed):
    """What happens, and in which second."""
    tools = []

    def broken():
        github.fault("status", hop="api", status=502, times=-1)

    script = (
        (8, lambda: tools.append(writer.read("grep", "-rc", "needle", "jobs"))),
        (22, lambda: tools.append(reader.read("tar", "-cf", "/dev/null", "jobs"))),
        (36, broken), (37, lambda: tools.append(reader.read("grep", "-rc", "needle", OTHER))),
        (44, github.clear_faults),
        (46, lambda: tools.append(writer.read("cat", *("reports/%d.txt" % run for run in failed)))),
        (54, lambda: github.rate_limit(limit=1000, remaining=0, status=403, reset=14)),
        (56, lambda: tools.append(writer.read("grep", "-rc", "needle", OTHER))),
        (68, lambda: tools.append(reader.read("tar", "-cf", "/dev/null", OTHER))),
        (76, lambda: github.refuse(hop="store", seconds=30, drop=True)),
    )
    stop, begun = threading.Event(), time.monotonic()
    people = [threading.Thread(target=use, args=(m, jobs[at:], stop, 1.2))
              for m, at in ((writer, 0), (writer, 40), (reader, 0), (reader, 20))]
    for one in people:
        one.start()
    try:
        for at, act in script:
            time.sleep(max(0, begun + at - time.monotonic()))
            act()
        time.sleep(max(0, begun + 90 - time.monotonic()))
    finally:
        stop.set()
        for tool in tools:
            tool.kill()
            tool.wait()
        for one in people:
            one.join()


def run(folder, prometheus):
    """(begin, end) of what was played, as Prometheus' time."""
    with contextlib.ExitStack() as stack:
        github = stack.enter_context(FakeGitHub())
        github.add_repo(REPO)
        github.add_repo("octo/website")
        runs = github.bulk(REPO, 60, 6, 400_000)
        github.bulk("octo/website", 40, 3, 400_000)
        failed = [github.add_run(REPO, conclusion="failure") for _ in range(8)]
        for number in failed:
            github.add_job(number, size=300_000, conclusion="failure")
        github.latency(api_ms=60, storage_ms=40, store_ms=5)
        github.rate_limit(limit=1000, remaining=1000, status=403, reset=600)
        github.bandwidth(rate=1 << 20, hop="storage")
        github.store_setup(identities={KEY: SECRET})
        key = folder / "key"
        key.write_text("%s %s\n" % (KEY, SECRET))
        key.chmod(0o600)
        shared = {"shared": "s3://logs/ci?endpoint=%s&region=eu-1" % github.store,
                  "shared_key_file": key}
        writer = stack.enter_context(Mount(github, folder, "gh", shared_write=True, **shared))
        reader = stack.enter_context(Mount(github, folder, "gh2", **shared))
        servers = [stack.enter_context(FileServer(m.path / ".ghlogfs/metrics.prom"))
                   for m in (writer, reader)]
        prometheus.scrape(*(server.url for server in servers))
        while len(prometheus.query("ghlogfs_start_time_seconds")) < 2:
            time.sleep(0.2)
        begin = time.time()
        play(github, writer, reader, [job for one in runs for job in one["jobs"]], failed)
        end = time.time()
        prometheus.scrape()
        return begin, end


# --- the picture ---------------------------------------------------------------------------------

def short(folder, text):
    return text.replace(str(folder), "/mnt")


def series_of(prometheus, panel, folder, begin, end):
    """[(legend, [(second, value)])]"""
    found = []
    for text, form in grafana.queries(panel, RATE):
        for labels, values in prometheus.query(text, start=begin, end=end, step=STEP):
            found.append((short(folder, grafana.legend(form, labels)),
                          [(at - begin, value) for at, value in values]))
    return found


def words_of(value, unit):
    if unit == "percentunit":
        return "%.0f %%" % (100 * value)
    return "%.0f s" % value if unit == "s" else "%g" % value


FORMATS = {"bytes": "%.0b%BB", "Bps": "%.0s%cB/s", "reqps": "%g/s", "ops": "%g/s"}


def quote(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"').replace("_", "\\\\_")


def draw_value(panel, values, out):
    """A panel of one number: what it was in the end, large, and its course behind."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    last = values[0][1][-1][1] if values else None
    text = "no data" if last is None else words_of(last, unit)
    if panel["fieldConfig"]["defaults"].get("mappings") and last is not None:
        text = STATES[int(last)]
    out.append("unset border; unset xtics; unset ytics; unset key; unset grid; set yrange [0:*]")
    out.append('set label 1 %s at graph 0.5,0.55 center font "sans,22" front' % quote(text))
    points = values[0][1] if values else [(0, 0), (1, 0)]
    draw_lines([("", points, "filledcurves y1=0 fs solid 0.15 noborder")], out)
    out.append("unset label 1; set border 3; set xtics; set ytics; set key; set grid")


def draw_lines(lines, out):
    for number, (_, points, _) in enumerate(lines):
        out.append("$d%d << E" % number)
        out += ["%.0f %.4g" % point for point in points]
        out.append("E")
    out.append("plot " + ", ".join(
        '$d%d with %s lc rgb "%s" title %s' % (number, style, COLORS[number % len(COLORS)],
                                               quote(legend))
        for number, (legend, _, style) in enumerate(lines)))


def stacked(values):
    """Each on top of those before it; the topmost is drawn first, and covered by the others."""
    sums, lines = {}, []
    for legend, points in values:
        for at, value in points:
            sums[at] = sums.get(at, 0) + value
        lines.append((legend, [(at, sums[at]) for at, _ in points]))
    return lines[::-1]


def draw_series(panel, values, out):
    defaults = panel["fieldConfig"]["defaults"]
    values = [one for one in values if any(value for _, value in one[1])] or values[:1]
    out.append('set format y "%s"; set yrange [0:*]' % FORMATS.get(defaults["unit"], "%g"))
    if defaults["custom"]["stacking"]["mode"] == "normal":
        draw_lines([(legend, points, "filledcurves y1=0 fs solid 0.8 noborder")
                    for legend, points in stacked(values)], out)
    else:
        draw_lines([(legend, points, "lines lw 1.5") for legend, points in values], out)


def draw(board, drawn, path):
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    width, height = 24 * CELL_W, rows * CELL_H + HEAD
    out = ['set terminal svg size %d,%d font "sans,11" background "#ffffff"' % (width, height),
           'set multiplot title "ghlogfs: a run of 90 seconds, two mounts; drawn by gnuplot from '
           'Prometheus" font "sans,14"',
           "set border 3 lc rgb '#999999'; set tics nomirror textcolor rgb '#444444'; "
           "set grid lc rgb '#dddddd'; set xrange [0:90]; set key below samplen 1 spacing 0.9 "
           "maxrows 2; set style fill solid 0.2; set title offset 0,-0.8; set tmargin 2"]
    for panel, values in drawn:
        at = panel["gridPos"]
        out.append("set origin %.4f,%.4f; set size %.4f,%.4f" % (
            at["x"] / 24, 1 - (HEAD + (at["y"] + at["h"]) * CELL_H) / height,
            at["w"] / 24, at["h"] * CELL_H / height))
        out.append("set title %s" % quote(panel["title"]))
        if panel["type"] == "timeseries":
            draw_series(panel, values, out)
        else:
            draw_value(panel, values, out)
    out.append("unset multiplot")
    svg = subprocess.run(["gnuplot"], input="\n".join(out).encode(), stdout=subprocess.PIPE,
                         check=True).stdout.decode()
    for default in DEFAULTS:
        svg = svg.replace(default, "")
    path.write_text(re.sub(r"[ \t]+\n", "\n", svg))


def main():
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/dashboard.svg")
    missing = Prometheus.missing() + [name for name in ("gnuplot",) if not shutil.which(name)]
    if missing:
        sys.exit("dashboard.py: not here: %s (see contrib/packages.sh)" % ", ".join(missing))
    board = grafana.load()
    with tempfile.TemporaryDirectory(prefix="ghlogfs-dashboard-") as made, \
            Prometheus() as prometheus:
        folder = pathlib.Path(made)
        begin, end = run(folder, prometheus)
        drawn = [(panel, series_of(prometheus, panel, folder, begin, end))
                 for panel in board["panels"]]
    draw(board, drawn, path)
    empty = [panel["title"] for panel, values in drawn if not values]
    if empty:
        sys.exit("dashboard.py: without data: %s" % ", ".join(empty))


if __name__ == "__main__":
    main()
