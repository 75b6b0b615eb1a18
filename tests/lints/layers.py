#!/usr/bin/python3
"""A module includes only modules of lower layers.

LAYERS lists all modules, the top layer first. A module may include itself and the modules of the
layers below, unless RESTRICTED forbids it; it may not include a neighbour in its own layer. A
folder or file that is not in the table is not a module.
"""

import common

LAYERS = (
    ("main", "options"),
    ("check",),
    ("fs",),
    ("views",),
    ("archive",),
    ("cache", "catalog", "shared"),
    ("store", "text", "pending"),
    ("github",),
    ("net",),
    ("source", "diag", "tasks"),
    ("facts", "hash", "list", "name", "progress"),
)

# Modules that only these may include, from whatever layer. main connects all of them.
RESTRICTED = {
    "options": {"main"},
    "github": {"main"},
    "net": {"main", "github", "shared"},
    "shared": {"main", "options"},
    "check": {"main"},
}

# Headers of restricted modules that others may include as well: their functions are pure.
OPEN = {
    "github/parse.h": {"catalog"},
    "net/url.h": {"options"},
    "github/headers.h": {"shared", "check"},
}


def dependencies():
    """For each module the modules it may include."""
    allowed = {}
    for height, layer in enumerate(LAYERS):
        below = {module for lower in LAYERS[height + 1:] for module in lower}
        for module in layer:
            allowed[module] = {module} | {
                other for other in below if module in RESTRICTED.get(other, {module})}
    allowed["main"].add("options")
    return allowed


def main():
    lint = common.Lint(__doc__)
    allowed = dependencies()
    for path in lint.files("src"):
        module = common.module_of(path)
        if module not in allowed:
            lint.wrong(path, 1, f"{module} is not a module (see LAYERS in layers.py)")
            continue
        for line, mark, header in common.includes_of(lint.text(path)):
            if mark != '"':
                continue
            if not (lint.root / "src" / header).is_file():
                lint.wrong(path, line, f'"{header}" is not found from src/, the include root')
            elif (common.module_of(f"src/{header}") not in allowed[module]
                  and module not in OPEN.get(header, set())):
                lint.wrong(path, line, f'{module} may not include "{header}"')
    lint.finish()


main()
