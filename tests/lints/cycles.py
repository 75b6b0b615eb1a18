#!/usr/bin/python3
"""No files include each other in a circle; name.c and name.h count as one."""

import pathlib

import common


def graph_of(lint):
    """Which file includes which, and where."""
    graph = {}
    for path in lint.files("src"):
        name = str(pathlib.PurePath(*path.parts[1:]).with_suffix(""))
        edges = graph.setdefault(name, {})
        for line, mark, header in common.includes_of(lint.text(path)):
            other = str(pathlib.PurePath(header).with_suffix(""))
            if mark == '"' and other != name:
                edges.setdefault(other, (path, line))
    return graph


def way_back(graph, start):
    """The shortest chain of files from start to itself, or None."""
    chains = [[start]]
    seen = set()
    for chain in chains:
        for other in graph.get(chain[-1], {}):
            if other == start:
                return chain + [start]
            if other not in seen:
                seen.add(other)
                chains.append(chain + [other])
    return None


def main():
    lint = common.Lint(__doc__)
    graph = graph_of(lint)
    reported = set()
    for name in sorted(graph):
        chain = way_back(graph, name)
        if chain and frozenset(chain) not in reported:
            reported.add(frozenset(chain))
            path, line = graph[name][chain[1]]
            lint.wrong(path, line, "include cycle: " + " -> ".join(chain))
    lint.finish()


main()
