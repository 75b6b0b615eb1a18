#!/usr/bin/python3
"""Many runs read as a whole: what that costs where their logs come out of archives.

usage: archives.py [--runs N] [--jobs N] [--dir DIR] [--only TOOL ...]

Prints a table in Markdown: API requests, archives and logs that storage served, time, and the
daemon's peak of resident memory, its processor time and threads. By default 100 runs of 40 jobs,
whose logs are 20 to 98 KB; each tool reads `jobs/` of a new mount with an empty cache, but for
the second `rsync`, to which nothing is new. 50 ms before each API answer and 30 ms before each
storage answer; listings stay fresh all the time (-o fresh). What `rsync` has copied is compared
with the logs, byte by byte.

`under way` is another repository: runs of 4 jobs of 500 KB, so that as many archives as there may
be are fetched at a time (-o prefetch=100), by connections of 500 KB/s each: how much memory that
takes.

Server, logs and machine are those of run.py, whose head tells more.
Environment: GHLOGFS_BIN, the binary (build/release/ghlogfs).
"""
import argparse
import filecmp
import pathlib
import shutil
import tempfile

from run import MIB, REPO, Bench, Mount, Sampler, cpu_of, facts, load, status_of, timed

TOOLS = ("rg", "tar", "rsync", "under way")
HEAD = ("what", "API requests", "archives", "logs by themselves", "archives at a time", "time",
        "memory, peak", "processor time", "threads")


def most_at_once(entries):
    """How many of these requests were under way at the same time."""
    changes = sorted([(e["t"], 1) for e in entries] + [(e["t_end"], -1) for e in entries])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


class Table:
    def __init__(self, bench, github):
        self.bench, self.github = bench, github

    def add(self, m, what, *words, good=(0,)):
        """Runs a tool and prints the row of what it costs, until nothing more happens."""
        self.github.clear_log()
        before = cpu_of(m.pid)
        with Sampler(m.pid, "Threads") as most:
            took = timed(*words, good=good)
        self.bench.quiet(self.github)
        log = self.github.log()
        stored = [e for e in log if e["hop"] == "storage"]
        archives = [e for e in stored if e["path"].startswith("/rest/runs/")]
        cells = [what, len(log) - len(stored), len(archives), len(stored) - len(archives),
                 most_at_once(archives), "%.1f s" % took,
                 "%.1f MiB" % (status_of(m.pid, "VmHWM") / MIB),
                 "%.1f s" % (cpu_of(m.pid) - before), most["Threads"]]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    def rg(self, **options):
        with Mount(self.bench, self.github, fresh=86400, **options) as m:
            self.add(m, "`rg`", "rg", "-c", "not to be found", m.jobs, good=(1,))

    def tar(self, **options):
        with Mount(self.bench, self.github, fresh=86400, **options) as m:
            self.add(m, "`tar cf - jobs \\| cat`", "bash", "-o", "pipefail", "-c",
                     "tar -C \"$0\" -cf - jobs | cat", m.path / REPO)

    def rsync(self, logs, **options):
        copy = self.bench.folder / "copy"
        with Mount(self.bench, self.github, fresh=86400, **options) as m:
            self.add(m, "`rsync -a jobs/ COPY`", "rsync", "-a", "%s/" % m.jobs, copy)
            self.add(m, "the same again", "rsync", "-a", "%s/" % m.jobs, copy)
        for job, log in logs.items():
            if not filecmp.cmp(copy / str(job) / "log", log, shallow=False):
                raise SystemExit("the log of job %d is not what GitHub has" % job)
        self.bench.discard(copy)

    def under_way(self):
        with Mount(self.bench, self.github, fresh=86400, runs=100, prefetch=100) as m:
            self.add(m, "`rg`, 100 runs of 4 jobs of 500 KB, slow connections", "rg", "-c",
                     "not to be found", m.jobs, good=(1,))


def measure(bench, options):
    sizes = [20000 + 2000 * (n % 40) for n in range(options.jobs)]
    if set(options.only) - {"under way"}:
        with bench.github(latency=True) as github:
            jobs, _ = bench.with_archives(github, options.runs, sizes)
            logs = {job: bench.log_file(sizes[i % options.jobs], "job %d" % (i % options.jobs))
                    for i, job in enumerate(jobs)}
            table = Table(bench, github)
            if "rg" in options.only:
                table.rg(runs=options.runs)
            if "tar" in options.only:
                table.tar(runs=options.runs)
            if "rsync" in options.only:
                table.rsync(logs, runs=options.runs)
    if "under way" in options.only:
        with bench.github(latency=True) as github:
            bench.with_archives(github, 100, [500000] * 4)
            github.bandwidth(rate=500000)
            Table(bench, github).under_way()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=40, help="of each run")
    parser.add_argument("--dir", default="/var/tmp", help="where caches and files are put")
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=TOOLS)
    options = parser.parse_args()
    missing = [tool for tool in ("rg", "rsync") if not shutil.which(tool)]
    if missing:
        parser.error("not installed: " + ", ".join(missing))
    options.rounds, options.size, options.follow = 1, MIB, 0
    return options


def main():
    options = parse()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ghlogfs-bench.", dir=options.dir))
    try:
        for name, value in facts(folder):
            print("%-14s %s" % (name, value))
        print("\n%d runs of %d jobs\n\n| %s |\n| %s |" % (
            options.runs, options.jobs, " | ".join(HEAD), " | ".join(["---"] * len(HEAD))))
        measure(Bench(options, folder), options)
        print("\nload at end: " + load())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
