"""Who may import whom: the house's table, and the rules that walk it.

The tables are data; ARCHITECTURE.md says the same in words. A room that is not in `MAY_IMPORT` is an error.
"""

import sys
from collections.abc import Iterator

from tidy.tree import PACKAGE, Import, Module, Tree

GROUND = frozenset({"model", "base"})
PURE = frozenset({"protocols", "work", "dispatch", "economy", "learning", "memory", "vision"})
LOGIC = PURE | GROUND | {"security", "numerics"}

MAY_IMPORT: dict[str, frozenset[str]] = {
    "packs": LOGIC | {"services", "client", "ports"},
    "edges": GROUND | {"services", "security"},
    "client": GROUND | {"protocols", "work", "security", "ports"},
    "services": LOGIC | {"ports"},
    "sim": LOGIC | {"services", "ports"},
    "adapters": GROUND | {"ports", "security"},
    **dict.fromkeys(PURE, GROUND | {"security", "numerics"}),
    **dict.fromkeys(("security", "numerics", "ports"), GROUND),
    "model": frozenset({"base"}),
    "base": frozenset(),
}
MAY_IMPORT["app"] = frozenset(MAY_IMPORT) | {"app"}
MAY_IMPORT[PACKAGE] = frozenset({"client"})  # `from quorate import Client`
MAY_IMPORT["__main__"] = frozenset({"app"})  # `python -m quorate`
MACHINE_MAY_IMPORT = LOGIC

_NUMERIC = frozenset({"numpy", "msgspec"})
THIRD_PARTY: dict[str, frozenset[str]] = {
    "base": frozenset({"msgspec", "blake3", "nacl"}),
    "model": frozenset({"msgspec"}),
    "ports": frozenset({"msgspec"}),
    "numerics": _NUMERIC,
    **dict.fromkeys(PURE, _NUMERIC),
    **dict.fromkeys(("vision", "learning"), _NUMERIC | {"scipy"}),
}
MACHINE_THIRD_PARTY = _NUMERIC

OPEN_ROOMS = GROUND | {"ports"}  # their modules may be imported by name
HOUSES = frozenset(
    {"app", "packs", "edges", "services", "adapters", "protocols"}
)  # rooms made of units, each with a door
SHARED_EDGE = "http"


def machines(tree: Tree) -> frozenset[str]:
    """Every `machine` of the services, and the modules of the services that it is made of."""
    waiting = [name for name in tree.modules if name.startswith(f"{PACKAGE}.services.") and name.endswith(".machine")]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        reached = (target for imported in tree.modules[name].imports for target in tree.targets(imported))
        waiting.extend(t for t in reached if t.startswith(f"{PACKAGE}.services.") and t in tree.modules)
    return frozenset(found)


def _crossings(tree: Tree) -> Iterator[tuple[Module, Import, str]]:
    for module in tree.modules.values():
        for imported in module.imports:
            for target in tree.targets(imported):
                # The version is no dependency on what the facade offers.
                if target != PACKAGE or imported.names != ("__version__",):
                    yield module, imported, target


def _room(target: str) -> str:
    return [*target.split("."), PACKAGE][1]


def unknown_rooms(tree: Tree) -> list[str]:
    """A directory or module beside the rooms that the table does not know."""
    rooms = {module.room: module.path for module in tree.modules.values()}
    return [
        f"{path}: room {room!r} is not in the table" for room, path in sorted(rooms.items()) if room not in MAY_IMPORT
    ]


def forbidden_rooms(tree: Tree) -> list[str]:
    """An import that the table does not allow."""
    found: list[str] = []
    pure = machines(tree)
    for module, imported, target in _crossings(tree):
        room = _room(target)
        allowed = MACHINE_MAY_IMPORT if module.name in pure else MAY_IMPORT.get(module.room, frozenset())
        if module.room in MAY_IMPORT and room != module.room and room not in allowed:
            who = "a machine" if module.name in pure else module.room
            remedy = "; say `from quorate import __version__`" if target == imported.module == PACKAGE else ""
            found.append(f"{module.path}:{imported.line}: {who} may not import {room} ({target}){remedy}")
    return found


def neighbours(tree: Tree) -> list[str]:
    """A pack that imports another pack, or an edge another edge than what the web ones share."""
    found: list[str] = []
    for module, imported, target in _crossings(tree):
        unit = [*target.split("."), "", ""][2]
        same_room = module.room == _room(target) and module.room in ("packs", "edges")
        shared = module.room == "edges" and unit == SHARED_EDGE
        if same_room and module.unit and unit and unit != module.unit and not shared:
            found.append(f"{module.path}:{imported.line}: {module.room}.{module.unit} may not import {target}")
    return found


def third_party(tree: Tree) -> list[str]:
    """A library that a room may not depend on."""
    found: list[str] = []
    pure = machines(tree)
    for module in tree.modules.values():
        allowed = MACHINE_THIRD_PARTY if module.name in pure else THIRD_PARTY.get(module.room)
        for imported in module.imports if allowed is not None else ():
            library = imported.module.split(".")[0]
            if library not in sys.stdlib_module_names and library not in (allowed or ()) and library != PACKAGE:
                found.append(f"{module.path}:{imported.line}: {module.room} may not depend on {library}")
    return found


def hidden_names(tree: Tree) -> list[str]:
    """An import from another room that goes past its door: only what `__all__` lists is for others."""
    found: list[str] = []
    for module in tree.modules.values():
        for imported in module.imports:
            room = _room(imported.module)
            ours = imported.module.split(".")[0] == PACKAGE and imported.module != PACKAGE
            facade = module.room == PACKAGE and imported.local  # what it offers is loaded when asked for
            if not ours or room == module.room or facade:
                continue
            past = _past_the_door(tree, imported, room)
            if past:
                found.append(f"{module.path}:{imported.line}: {past}")
    return found


def _past_the_door(tree: Tree, imported: Import, room: str) -> str:
    if not imported.names:
        return f"say `from {imported.module} import ...`"
    depth = len(imported.module.split("."))
    door = tree.modules.get(imported.module)
    if depth > (3 if room in HOUSES else 2) and room not in OPEN_ROOMS:
        return f"{imported.module} is inside its room; import from the door"
    if depth == 3 and room not in OPEN_ROOMS | HOUSES:
        return f"{imported.module} is inside its room; import from {PACKAGE}.{room}"
    if door is None:
        return ""  # not written yet, or removed: mypy says so
    private = [name for name in imported.names if not _offers(tree, door, name)]
    return f"{imported.module} does not offer {', '.join(private)}" if private else ""


def _offers(tree: Tree, door: Module, name: str) -> bool:
    if door.is_package:
        inner = f"{door.name}.{name}" in tree.modules and door.room in OPEN_ROOMS | HOUSES
        return name in (door.exported or ()) or (inner and door.name.count(".") == 1)
    listed = door.exported
    return name in listed if listed is not None else name != "*" and not name.startswith("_")


def circles(tree: Tree) -> list[str]:
    """Modules that import each other, directly or through others, also where a function hides it."""
    edges: dict[str, set[str]] = {name: set() for name in tree.modules}
    for module, _, target in _crossings(tree):
        if target in tree.modules:
            edges[module.name].add(target)
    done: set[str] = set()
    found: list[str] = []
    for start in sorted(edges):
        path = _circle(edges, start, done)
        if path:
            found.append(" -> ".join(path))
    return found


def _circle(edges: dict[str, set[str]], start: str, done: set[str]) -> list[str]:
    """The first circle reachable from `start` among modules not yet done."""
    trail: list[str] = []
    pending = [(start, iter(sorted(edges[start])))] if start not in done else []
    while pending:
        name, rest = pending[-1]
        if not trail or trail[-1] != name:
            trail.append(name)
        following = next(rest, None)
        if following is None:
            pending.pop()
            trail.pop()
            done.add(name)
        elif following in trail:
            done.update(trail)
            return [*trail[trail.index(following) :], following]
        elif following not in done:
            pending.append((following, iter(sorted(edges[following]))))
    return []
