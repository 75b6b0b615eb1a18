#!/usr/bin/python3
"""No file of the program is over 600 lines."""

import common

LONGEST = 600


def main():
    gate = common.Gate(__doc__)
    for path in gate.files("src"):
        length = len(gate.text(path).splitlines())
        if length > LONGEST:
            gate.wrong(path, length, f"{length} lines, at most {LONGEST} are allowed")
    gate.finish()


main()
