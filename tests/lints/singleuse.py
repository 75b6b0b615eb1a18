#!/usr/bin/python3
"""Each exported symbol has a user outside its own file, else it is static. Tests count as users."""

import re

import common


def main():
    lint = common.Lint(__doc__)
    exported = {}
    users = set()
    for source, path in lint.objects():
        defined, used = common.symbols_of(path)
        users |= used
        if source.parts[0] == "src" and source.name != "main.c":
            exported.update({name: source for name in defined})
    # Fuzz drivers and benchmarks are built apart: their text is asked instead.
    for path in lint.files("tests/fuzz", "tests/bench"):
        users |= set(re.findall(r"\w+", common.code_of(lint.text(path))))
    for name, source in exported.items():
        if name not in users:
            lint.wrong(source, 0, f"{name} is exported but nobody outside its file uses it")
    lint.finish()


main()
