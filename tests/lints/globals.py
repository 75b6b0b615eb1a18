#!/usr/bin/python3
"""The program has no writable globals: nothing of ours in .data, .bss or thread-local storage.

Tables of pointers that are const in C lie in .data.rel.ro, which is read-only once loaded.
"""

import re
import subprocess

import common

SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(.+)$")
WRITABLE = re.compile(r"^(\.data|\.bss|\.tdata|\.tbss|\.sdata|\.sbss|\.lbss|\.ldata|\*COM\*)")


def main():
    lint = common.Lint(__doc__)
    for source, path in lint.objects():
        if source.parts[0] != "src":
            continue
        table = subprocess.run(["objdump", "-t", path], check=True, capture_output=True,
                               text=True).stdout
        for line in table.splitlines():
            symbol = SYMBOL.match(line)
            if not symbol:
                continue
            flags, section, size, name = symbol.groups()
            # A section's own symbol carries the flag d and has no size.
            if ("d" in flags or int(size, 16) == 0) and section != "*COM*":
                continue
            if WRITABLE.match(section) and not section.startswith(".data.rel.ro"):
                lint.wrong(source, 0, f"{name} is writable ({section})")
    lint.finish()


main()
