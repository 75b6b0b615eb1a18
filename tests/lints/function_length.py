#!/usr/bin/python3
"""No function is over 60 lines."""

import subprocess

import common

LONGEST = 60


def functions(lint):
    """Each function's file, first line, name and number of lines, as universal-ctags sees them."""
    files = lint.files("src")
    if not files:
        return
    listing = subprocess.run(
        ["ctags", "-x", "--_xformat=%F\t%n\t%N\t%e", "--languages=C", "--langmap=C:.c.h",
         "--kinds-C=f", *map(str, files)],
        cwd=lint.root, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        path, first, name, last = line.split("\t")
        yield path, int(first), name, int(last) - int(first) + 1


def main():
    lint = common.Lint(__doc__)
    for path, line, name, length in functions(lint):
        if length > LONGEST:
            lint.wrong(path, line, f"{name} has {length} lines, at most {LONGEST} are allowed")
    lint.finish()


main()
