#!/usr/bin/python3
"""The version of CMakeLists.txt is also that of the change logs and of the packages' recipes."""

import re

import common

SOURCE = ("CMakeLists.txt", r"^project\(\w+ VERSION (\S+)")
# The first match in each: a change log has the newest version first.
OTHERS = (
    ("docs/CHANGELOG.md", r"^## (\S+)"),
    ("contrib/debian/changelog", r"^\S+ \((\S+)-\d+\)"),
    ("contrib/rpm/ghlogfs.spec", r"^Version: +(\S+)"),
    ("contrib/rpm/ghlogfs.spec", r"^\* .* (\S+)-\d+$"),
    ("contrib/arch/PKGBUILD", r"^pkgver=(\S+)"),
)


def version_in(lint, path, pattern):
    """The line and the version, or None if the file names none."""
    text = lint.text(path)
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        lint.wrong(path, 0, "no version was found")
        return None
    return text.count("\n", 0, found.start()) + 1, found.group(1)


def main():
    lint = common.Lint(__doc__)
    source = version_in(lint, *SOURCE)
    for path, pattern in OTHERS:
        found = version_in(lint, path, pattern)
        if source and found and found[1] != source[1]:
            lint.wrong(path, found[0], f"{found[1]} is not {source[1]}, the version of {SOURCE[0]}")
    lint.finish()


main()
