#!/usr/bin/python3
"""Text files have no trailing blanks, no carriage returns, no tabs in C, and end in one newline."""

import common

SUFFIXES = (".c", ".h", ".py", ".sh", ".md", ".txt", ".json", ".1", ".service", ".mount",
            ".automount", ".bash", ".fish", ".toml", ".yml", ".ini", ".cmake", ".conf", "")
FOLDERS = ("src", "tests", "contrib", "docs", ".ci")
# Recorded answers and fuzzers' seeds are kept byte for byte.
DATA = {"data", "seeds", "samples", "__pycache__", ".pytest_cache"}


def files(lint):
    for path in lint.files(*FOLDERS, suffixes=SUFFIXES):
        if not DATA & set(path.parts):
            yield path
    for path in sorted(lint.root.iterdir()):
        if path.is_file() and path.suffix in SUFFIXES and path.name != ".git":
            yield path.relative_to(lint.root)


def check(lint, path, data):
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.endswith(b"\r"):
            lint.wrong(path, number, "carriage return at the end of the line")
        elif line != line.rstrip():
            lint.wrong(path, number, "blanks at the end of the line")
        if b"\t" in line and path.suffix in (".c", ".h", ".py"):
            lint.wrong(path, number, "a tab")
    if data and (not data.endswith(b"\n") or data.endswith(b"\n\n")):
        lint.wrong(path, data.count(b"\n") + 1, "does not end in one newline")


def main():
    lint = common.Lint(__doc__)
    for path in files(lint):
        data = (lint.root / path).read_bytes()
        if b"\0" not in data:
            check(lint, path, data)
    lint.finish()


main()
