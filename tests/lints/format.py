#!/usr/bin/python3
"""The C files are as clang-format 14 writes them with the .clang-format of the tree."""

import re
import shutil
import subprocess
import sys

import common


def clang_format():
    """The clang-format of version 14: others lay out some lines differently."""
    for name in ("clang-format-14", "clang-format"):
        path = shutil.which(name)
        if path:
            told = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if re.search(r"version 14\.", told):
                return path
    print("clang-format 14 is missing (Debian package clang-format-14): nothing was checked")
    sys.exit(common.SKIPPED)


def main():
    lint = common.Lint(__doc__)
    files = lint.files("src", "tests/unit", "tests/fuzz")
    if files:
        run = subprocess.run([clang_format(), "--dry-run", "--style=file", *map(str, files)],
                             cwd=lint.root, capture_output=True, text=True)
        for found in re.finditer(r"^([^\s:]+):(\d+):\d+: ", run.stderr, re.MULTILINE):
            lint.wrong(found.group(1), int(found.group(2)), "not as clang-format writes it")
        if lint.findings:
            print("mended by: clang-format-14 -i", *sorted({path for path, _, _ in lint.findings}))
        elif run.returncode:
            lint.wrong(".clang-format", 0, run.stderr.strip())
    lint.finish()


main()
