#!/usr/bin/python3
"""No file of the program is over 1,000 lines."""

import common

LONGEST = 1000


def main():
    gate = common.Gate(__doc__)
    for path in gate.files("src"):
        length = len(gate.text(path).splitlines())
        if length > LONGEST:
            gate.wrong(path, length, f"{length} lines, at most {LONGEST} are allowed")
    gate.finish()


main()
