#!/usr/bin/python3
"""Includes go down only, and neighbours have no door.

FLOORS is the house, top floor first. A room may include itself and the rooms named below it, as
far as DOORS does not say less. What is not in the table is not a room.
"""

import common

FLOORS = (
    ("main", "options"),
    ("fs",),
    ("views",),
    ("cache", "catalog"),
    ("store", "text", "pending"),
    ("github",),
    ("net",),
    ("source", "diag", "tasks"),
    ("facts", "hash", "list", "name"),
)

# Rooms that only these may enter, whatever their floor. main introduces everybody.
DOORS = {
    "options": {"main"},
    "github": {"main"},
    "net": {"main", "github"},
}

# Single headers behind such a door that others may include: what is pure has nothing to hide.
OPEN = {
    "github/parse.h": {"catalog"},
}


def allowed():
    """For each room the rooms it may include."""
    doors = {}
    for height, floor in enumerate(FLOORS):
        below = {room for lower in FLOORS[height + 1:] for room in lower}
        for room in floor:
            doors[room] = {room} | {
                other for other in below if room in DOORS.get(other, {room})}
    doors["main"].add("options")
    return doors


def main():
    gate = common.Gate(__doc__)
    doors = allowed()
    for path in gate.files("src"):
        room = common.room_of(path)
        if room not in doors:
            gate.wrong(path, 1, f"{room} is not a room of the house (see FLOORS in layers.py)")
            continue
        for line, mark, header in common.includes_of(gate.text(path)):
            if mark != '"':
                continue
            if not (gate.root / "src" / header).is_file():
                gate.wrong(path, line, f'"{header}" is not found from src/, the include root')
            elif (common.room_of(f"src/{header}") not in doors[room]
                  and room not in OPEN.get(header, set())):
                gate.wrong(path, line, f'{room} has no door to "{header}"')
    gate.finish()


main()
