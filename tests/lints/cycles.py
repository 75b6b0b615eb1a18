#!/usr/bin/python3
"""No files include each other or call each other in a circle; name.c and name.h count as one.

Calls are those between the object files of the last build: file A calls file B if A uses a symbol
that B defines. A function pointer set at run time is no call.
"""

import pathlib

import common


def name_of(path):
    """cache/pages of src/cache/pages.c."""
    return str(pathlib.PurePath(*path.parts[1:]).with_suffix(""))


def include_graph(lint):
    """For each file the files it includes, each with path, line and header of the include."""
    graph = {}
    for path in lint.files("src"):
        edges = graph.setdefault(name_of(path), {})
        for line, mark, header in common.includes_of(lint.text(path)):
            other = str(pathlib.PurePath(header).with_suffix(""))
            if mark == '"' and other != name_of(path):
                edges.setdefault(other, (path, line, header))
    return graph


def call_graph(lint):
    """For each file the files it calls, each with the path, 0 and one of the functions called."""
    homes, uses = {}, {}
    for path, object_file in lint.objects():
        if path.parts[0] == "src":
            defined, used = common.symbols_of(object_file)
            homes.update({symbol: name_of(path) for symbol in defined})
            uses[path] = used
    graph = {}
    for path, used in uses.items():
        edges = graph.setdefault(name_of(path), {})
        for symbol in sorted(used & homes.keys()):
            edges.setdefault(homes[symbol], (path, 0, symbol))
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


def check(lint, graph, what):
    reported = set()
    for name in sorted(graph):
        chain = way_back(graph, name)
        if chain and frozenset(chain) not in reported:
            reported.add(frozenset(chain))
            path, line, _ = graph[name][chain[1]]
            steps = [graph[one][two][2] for one, two in zip(chain, chain[1:])]
            lint.wrong(path, line, f"{what} cycle: {' -> '.join(chain)} ({', '.join(steps)})")


def main():
    lint = common.Lint(__doc__)
    check(lint, include_graph(lint), "include")
    check(lint, call_graph(lint), "call")
    lint.finish()


main()
