#!/usr/bin/python3
"""How times grow with the size of a log, the number of readers, of runs, and with latency.

usage: growth.py [size readers runs latency ...] [--rounds N] [--size BYTES] [--dir DIR]
                 [--svg FILE] [--markdown FILE]

ghlogfs and its peers take turns, as in run.py, whose head tells what everything runs on; each
point is the median. --svg draws the points with gnuplot, --markdown writes them as a table. The
figure in docs is made by

    tests/bench/growth.py --svg docs/growth.svg --markdown FILE

Environment: GHLOGFS_BIN, the binary (build/release/ghlogfs).
"""
import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import urllib.request

from run import (API_MS, CLEAN_ENV, GIB, MIB, REPO, STORAGE_MS, Bench, Mount, finished, go,
                 read_all, timed)

GREP = ("grep", "-r", "-c", "not to be found")
CURL = "curl --parallel-max 32"


@dataclasses.dataclass
class Panel:
    """One diagram: for each program its points (x, seconds)."""

    title: str
    x: str
    lines: dict
    logscale: str = "xy"
    requests: dict = dataclasses.field(default_factory=dict)    # (program, x): to the API

    def rows(self):
        """For each x what the programs took, as text."""
        for x in sorted({x for points in self.lines.values() for x, _ in points}):
            cells = []
            for name, points in self.lines.items():
                took, requests = dict(points).get(x), self.requests.get((name, x))
                cells.append(("" if took is None else "%.3f s" % took)
                             + (", %d requests" % requests if requests else ""))
            yield x, cells


class Growth(Bench):
    """Each method measures one panel."""

    def compare(self, panel, x, programs, github=None):
        """One point for each program, by turns, and what it asked of this server."""
        programs = dict(zip(panel.lines, programs))
        took = {name: [] for name in programs}
        for _ in range(self.rounds):
            for name, run in programs.items():
                if github:
                    github.clear_log()
                took[name].append(run())
                if github:
                    panel.requests[name, x] = self.quiet(github)["api"]["requests"]
        for name, times in took.items():
            panel.lines[name].append((x, statistics.median(times)))
        print("%-8g %s" % (x, "   ".join(dict(panel.rows())[x])), flush=True)

    def size(self):
        panel = Panel("cold `cat` of one log", "MiB", {"ghlogfs": [], "curl -L -o FILE": []})
        with self.github() as github:
            for mib in (1, 4, 16, 64, 256, 1024):
                job = self.job(github, self.scaled(mib * MIB))
                self.compare(panel, mib, [lambda: self.cat(github, job),
                                          lambda: self.curl(github, [job])])
        return panel

    def readers(self):
        panel = Panel("as many readers as cold logs of 100 KB", "readers",
                      {"ghlogfs": [], CURL: []})
        with self.github() as github:
            jobs = self.many(github, 200, 4, 100000)
            for count in (1, 8, 32, 100, 400, 800):
                some = jobs[:count]
                self.compare(panel, count, [lambda: self.read(github, some),
                                            lambda: self.curl(github, some, 32)])
        return panel

    def runs(self):
        panel = Panel("`grep -r` over cold runs of 4 logs of 100 KB, %d + %d ms"
                      % (API_MS, STORAGE_MS), "runs",
                      {"ghlogfs": [], CURL + ", URLs known": [], "gh run view --log, in turn": []})
        for count in (1, 5, 25, 100, 400):
            with self.github(latency=True) as github:
                jobs, _ = self.with_archives(github, count, [100000] * 4)
                runs = self.ids_of_runs(github) if count <= 100 else []
                programs = [lambda: self.grep_all(github, count),
                            lambda: self.curl(github, jobs, 32)]
                if runs and shutil.which("gh"):
                    programs.append(lambda: self.view(github, runs))
                self.compare(panel, count, programs, github)
        return panel

    def latency(self):
        panel = Panel("`grep -r` over 25 cold runs of 4 logs of 100 KB",
                      "ms before each API answer; storage: 0.6 of it",
                      {"ghlogfs": [], CURL + ", URLs known": []}, "y")
        with self.github() as github:
            jobs, _ = self.with_archives(github, 25, [100000] * 4)
            for ms in (0, 50, 100, 200, 400):
                github.latency(api_ms=ms, storage_ms=ms * 0.6)
                self.compare(panel, ms, [lambda: self.grep_all(github, 25),
                                         lambda: self.curl(github, jobs, 32)])
        return panel

    # --- what is timed ---

    def cat(self, github, job):
        with Mount(self, github) as m:
            return timed("cat", m.log(job))

    def read(self, github, jobs):
        with Mount(self, github) as m:
            readers = read_all([m.log(job) for job in jobs], len(jobs))
            go(readers)
            return finished(readers)

    def grep_all(self, github, runs):
        with Mount(self, github, runs=max(runs, 30)) as m:
            return timed(*GREP, m.jobs, good=(1,))

    def view(self, github, runs):
        env = dict(CLEAN_ENV, HOME=str(self.folder), TMPDIR=str(self.fresh_folder()),
                   GH_HOST="github.localhost", GH_TOKEN=github.token, HTTP_PROXY=github.root)
        words = "".join("gh run view --log -R github.localhost/%s %d | grep -c 'cc -O2' || exit\n"
                        % (REPO, run) for run in runs)
        return timed("env", "-i", *("%s=%s" % pair for pair in env.items()), "sh", "-c", words)

    @staticmethod
    def ids_of_runs(github):
        request = urllib.request.Request(
            github.api + "/repos/%s/actions/runs?per_page=100" % REPO,
            headers={"Authorization": "Bearer " + github.token})
        with urllib.request.urlopen(request) as answer:
            return [run["id"] for run in json.load(answer)["workflow_runs"]]

    def fresh_folder(self):
        """gh keeps the archives that it has fetched in the folder for temporary files."""
        return tempfile.mkdtemp(dir=self.folder)


GNUPLOT = """\
set terminal svg size 960,860 font "sans-serif,13" background "#ffffff"
set output "%s"
set multiplot layout 2,2
set key above left Left reverse samplen 2 vertical maxrows 3
set grid back lc rgb "#dddddd"
set border 3
set tics nomirror out
set ylabel "seconds"
set linetype 1 lc rgb "#1f77b4" lw 2 pt 7 ps 0.6
set linetype 2 lc rgb "#d62728" lw 2 pt 5 ps 0.6
set linetype 3 lc rgb "#888888" lw 2 pt 9 ps 0.6
"""


def draw(panels, path):
    """Writes the panels as one SVG."""
    script = GNUPLOT % path
    for panel in panels:
        script += "unset logscale\nset logscale %s\n" % panel.logscale
        script += "set title '%s' noenhanced\nset xlabel '%s' noenhanced\n" % (
            panel.title, panel.x)
        ticks = ", ".join("%g" % x for x, _ in panel.rows())
        script += "set xtics (%s)\nset autoscale\n" % ticks
        script += "plot " + ", ".join('"-" title "%s" noenhanced with linespoints' % name
                                      for name in panel.lines) + "\n"
        for points in panel.lines.values():
            script += "".join("%g %g\n" % point for point in points) + "e\n"
    subprocess.run(["gnuplot"], input=script + "unset multiplot\n", text=True, check=True)


def markdown(panels):
    text = []
    for panel in panels:
        text += ["", panel.title + ":", "", "| %s | %s |" % (panel.x, " | ".join(panel.lines)),
                 "| --- " * (len(panel.lines) + 1) + "|"]
        text += ["| %g | %s |" % (x, " | ".join(cells)) for x, cells in panel.rows()]
    return "\n".join(text[1:]) + "\n"


def main():
    names = ["size", "readers", "runs", "latency"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("panels", nargs="*", choices=[*names, []], metavar="PANEL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=GIB, metavar="BYTES", help="as in run.py")
    parser.add_argument("--dir", default="/var/tmp", help="where caches and files are put")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    options.follow = 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ghlogfs-bench.", dir=options.dir))
    try:
        bench = Growth(options, folder)
        panels = [getattr(bench, name)() for name in options.panels or names]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.svg:
        draw(panels, os.path.abspath(options.svg))
    if options.markdown:
        options.markdown.write_text(markdown(panels))


if __name__ == "__main__":
    main()
