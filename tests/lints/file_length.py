#!/usr/bin/python3
"""No file of the program is over 1,000 lines."""

import common

LONGEST = 1000


def main():
    lint = common.Lint(__doc__)
    for path in lint.files("src"):
        length = len(lint.text(path).splitlines())
        if length > LONGEST:
            lint.wrong(path, length, f"{length} lines, at most {LONGEST} are allowed")
    lint.finish()


main()
