#!/usr/bin/python3
"""No line of C, Python, shell or CMake is over 100 columns, comments included."""

import common

LONGEST = 100
SUFFIXES = (".c", ".h", ".py", ".sh", ".bash", ".postinst", ".prerm", ".postrm")
OTHERS = (".ci/run", "contrib/gh-logfs/gh-logfs", "contrib/ghlogfs-fill", "CMakeLists.txt",
          "contrib/debian/rules", "contrib/debian/tests/demonstration", "contrib/arch/PKGBUILD")


def main():
    lint = common.Lint(__doc__)
    others = [path for path in OTHERS if (lint.root / path).is_file()]
    for path in [*lint.files("src", "tests", "contrib", suffixes=SUFFIXES), *others]:
        for number, line in enumerate(lint.text(path).splitlines(), 1):
            if len(line) > LONGEST:
                lint.wrong(path, number, f"{len(line)} columns, at most {LONGEST} are allowed")
    lint.finish()


main()
