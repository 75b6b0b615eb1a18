#!/usr/bin/python3
"""No modules include each other in a circle; name.c and name.h are one module."""

import pathlib

import common


def graph_of(gate):
    """Which module includes which, and where."""
    graph = {}
    for path in gate.files("src"):
        module = str(pathlib.PurePath(*path.parts[1:]).with_suffix(""))
        edges = graph.setdefault(module, {})
        for line, mark, header in common.includes_of(gate.text(path)):
            other = str(pathlib.PurePath(header).with_suffix(""))
            if mark == '"' and other != module:
                edges.setdefault(other, (path, line))
    return graph


def way_back(graph, start):
    """The shortest chain of modules from start to itself, or None."""
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
    gate = common.Gate(__doc__)
    graph = graph_of(gate)
    told = set()
    for module in sorted(graph):
        chain = way_back(graph, module)
        if chain and frozenset(chain) not in told:
            told.add(frozenset(chain))
            path, line = graph[module][chain[1]]
            gate.wrong(path, line, "include cycle: " + " -> ".join(chain))
    gate.finish()


main()
