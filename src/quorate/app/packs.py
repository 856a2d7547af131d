"""Packs: found by entry point, or named on the command line as `module:function`.

Invariant: P1 nothing of one pack takes the place of something of Quorate's own or of another pack.
"""

import importlib
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points

from quorate.base.errors import INVALID, UNSUPPORTED, QuorateError, require
from quorate.dispatch import VALIDATORS
from quorate.ports import Pack
from quorate.ports.packs import PACK_API
from quorate.security import RIGHTS
from quorate.services.coordinator import OPERATIONS, CoordinatorSettings

GROUP = "quorate.packs"
OURS = "quorate"


def load_packs(named: Sequence[str] = ()) -> tuple[Pack, ...]:
    """Every pack that is installed, and those named. Raises 1002, 1008 for one that does not fit."""
    packs = [entry.load()() for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)]
    packs += [_named(name) for name in named]
    taken: dict[tuple[str, str], str] = dict.fromkeys(_names(_ourselves()), OURS)
    for pack in packs:
        require(isinstance(pack, Pack), f"{pack!r} is no pack", UNSUPPORTED)
        require(pack.api == PACK_API, f"pack {pack.name} speaks API {pack.api}, here {PACK_API}", UNSUPPORTED)
        _check(pack)
        for what, name in _names(pack):
            owner = taken.get((what, name))
            require(owner is None, f"pack {pack.name} claims the {what} {name!r} of {owner}")
            taken[what, name] = pack.name
    return tuple(packs)


def _ourselves() -> Pack:
    """Quorate's own names, as if they were a pack's. Kinds are kept apart by their prefix."""
    return Pack(OURS, operations=OPERATIONS)


def _names(pack: Pack) -> Iterator[tuple[str, str]]:
    """Everything that a pack puts a name to."""
    yield "name", pack.name
    yield from (("event kind", kind.name) for kind in pack.kinds)
    yield from (("executor", executor.name) for executor in pack.executors)
    yield from (("validator", validator.name) for validator in pack.validators)
    yield from (("panel", panel.name) for panel in pack.panels)
    for operation in pack.operations:
        yield "operation", operation.name
        yield from (("tool", tool) for tool in operation.mcp)
        routes = (*((operation.rest,) if operation.rest else ()), *operation.aliases)
        yield from (("route", f"{method} {path}") for method, path in routes)
    if pack.name == OURS:
        yield from (("executor", name) for name in CoordinatorSettings().executors)
        yield from (("validator", name) for name in VALIDATORS)


def _check(pack: Pack) -> None:
    """Raise 1002 for what nobody could use."""
    for kind in pack.kinds:
        fits = kind.name.startswith(f"{pack.name}.") and len(kind.name) > len(pack.name) + 1
        require(fits, f"pack {pack.name}: the event kind {kind.name!r} is to be called {pack.name}.<something>")
        require(pack.name not in FAMILIES, f"events called {pack.name}.* are Quorate's own")
    operations = {operation.name: operation for operation in pack.operations}
    for operation in pack.operations:
        right = operation.right
        require(right == "public" or right in RIGHTS, f"pack {pack.name}: no role has the right {right!r}")
        writes = operation.rest is not None and operation.rest[0] != "GET"
        require(right != "public" or not writes, f"pack {pack.name}: {operation.name} would let anybody write")
    for panel in pack.panels:
        shown = operations.get(panel.operation)
        fits = shown is not None and shown.rest is not None and shown.rest[0] == "GET"
        require(fits, f"pack {pack.name}: panel {panel.name} shows {panel.operation!r}, no operation that is read")


FAMILIES = frozenset({"realm", "grant", "node", "job", "lease", "task", "work", "note"})


def _named(name: str) -> Pack:
    module, _, function = name.partition(":")
    try:
        pack = getattr(importlib.import_module(module), function or "pack")()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise QuorateError(INVALID, f"cannot load pack {name!r}: {error}", "Name it as module:function") from None
    require(isinstance(pack, Pack), f"{name!r} made no Pack")
    return pack  # type: ignore[no-any-return]
