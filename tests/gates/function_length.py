#!/usr/bin/python3
"""Functions are short: none over 60 lines, and most far below."""

import statistics
import subprocess

import common

LONGEST = 60
MEDIAN = 12
P95 = 45


def functions(gate):
    """Each function's file, first line, name and number of lines, as universal-ctags sees them."""
    files = gate.files("src")
    if not files:
        return
    listing = subprocess.run(
        ["ctags", "-x", "--_xformat=%F\t%n\t%N\t%e", "--languages=C", "--langmap=C:.c.h",
         "--kinds-C=f", *map(str, files)],
        cwd=gate.root, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        path, first, name, last = line.split("\t")
        yield path, int(first), name, int(last) - int(first) + 1


def main():
    gate = common.Gate(__doc__)
    lengths = []
    for path, line, name, length in functions(gate):
        lengths.append(length)
        if length > LONGEST:
            gate.wrong(path, line, f"{name} has {length} lines, at most {LONGEST} are allowed")
    if len(lengths) > 1:
        median = statistics.median(lengths)
        p95 = statistics.quantiles(lengths, n=20, method="inclusive")[-1]
        print(f"{len(lengths)} functions: median {median:g}, p95 {p95:g}, longest {max(lengths)}")
        if median > MEDIAN:
            gate.wrong("src", 0, f"the median function has {median:g} lines, not {MEDIAN}")
        if p95 > P95:
            gate.wrong("src", 0, f"the 95th percentile has {p95:g} lines, not {P95}")
    gate.finish()


main()
