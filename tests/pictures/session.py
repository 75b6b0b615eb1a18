#!/usr/bin/python3
"""Draws a session in a terminal: the commands below, run on the demonstration, as they print.

    tests/pictures/session.py docs/session.svg

Mounts the loopback GitHub of contrib/demo.py in a folder of its own, runs each command in bash in
the folder of a repository, and writes what it printed, with its colours, as SVG. Needs Debian's
python3-rich, and the binary: GHLOGFS_BIN, or build/release/ghlogfs.
"""

import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from rich.console import Console
from rich.text import Text

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GHLOGFS_BIN") or str(ROOT / "build" / "release" / "ghlogfs")
COLUMNS = 104
REPO = "octo/parser"
# {run}: the newest run that failed, {commit}: its commit.
SESSION = [
    ("ls", None),
    ("cat reports/{run}.txt", "# what failed, and why"),
    ("grep -rn error: failed/", "# in all failed steps of all recent runs"),
    ("ls commits/{commit}", "# in a checkout: commits/$(git rev-parse HEAD)"),
    ("ls runs/{run}/*", None),
    ("head -n 3 ~/gh/.ghlogfs/stats", "# all of it, in requests to GitHub"),
]


def wait_for(what, process):
    while not what():
        if process.poll() is not None:
            raise SystemExit("%s has ended" % process.args[0])
        time.sleep(0.05)


def run(command, where, mountpoint):
    """What it prints; the mountpoint is shown as ~/gh."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
           "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    aliases = ("shopt -s expand_aliases\nalias grep='grep --color=always'\n"
               "alias ls='ls -C --color=always'\n")
    done = subprocess.run(["bash", "-c", aliases + command.replace("~/gh", str(mountpoint))],
                          cwd=where, env=env, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit("%s: exit %d\n%s" % (command, done.returncode, done.stdout))
    return done.stdout.replace(str(mountpoint), "~/gh")


def newest_failure(repo):
    run_id = sorted(os.listdir(repo / "reports"))[-1].removesuffix(".txt")
    commit = re.search(r"commit (\w{7})", (repo / "reports" / (run_id + ".txt")).read_text())
    return {"run": run_id, "commit": commit.group(1)}


def record(mountpoint):
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True,
                      color_system="truecolor", legacy_windows=False)
    where = mountpoint / REPO
    names = newest_failure(where)
    for command, remark in SESSION:
        command = command.format(**names)
        line = Text("$ ", "green") + Text(command, "bold")
        if remark:
            line += Text(" " * max(1, 40 - len(command)) + remark, "bright_black")
        console.print(line)
        for printed in run(command, where, mountpoint).splitlines():
            text = Text.from_ansi(printed)
            text.truncate(COLUMNS, overflow="ellipsis")
            console.print(text, no_wrap=True)
    svg = console.export_svg(title="~/gh/" + REPO, unique_id="session")
    # No font is fetched from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, ", "").replace("<svg ", '<svg xml:space="preserve" ', 1)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__.split("\n\n")[1].strip())
    with tempfile.TemporaryDirectory(prefix="ghlogfs-session.") as folder:
        folder = pathlib.Path(folder)
        mountpoint = folder / "gh"
        mountpoint.mkdir()
        github = subprocess.Popen(["/usr/bin/python3", str(ROOT / "contrib" / "demo.py"),
                                   str(folder)], stdin=subprocess.DEVNULL)
        try:
            url = folder / "url"
            wait_for(lambda: url.exists() and url.stat().st_size, github)
            options = "api_url=%s,cache_dir=%s" % (url.read_text().strip(), folder / "cache")
            mount = subprocess.Popen([BINARY, "-f", str(mountpoint), "-o", options],
                                     stdin=subprocess.DEVNULL,
                                     env=dict(os.environ, GH_ENTERPRISE_TOKEN="demonstration"))
            try:
                wait_for(lambda: os.path.ismount(mountpoint), mount)
                pathlib.Path(sys.argv[1]).write_text(record(mountpoint))
            finally:
                mount.terminate()       # it unmounts
                mount.wait()
        finally:
            github.terminate()
            github.wait()


if __name__ == "__main__":
    main()
