"""Packs: found by entry point, or named on the command line as `module:function`."""

import importlib
from collections.abc import Sequence
from importlib.metadata import entry_points

from quorate.base.errors import INVALID, UNSUPPORTED, QuorateError, require
from quorate.model import KINDS
from quorate.ports import Pack
from quorate.ports.packs import PACK_API
from quorate.services.coordinator import OPERATIONS

GROUP = "quorate.packs"


def load_packs(named: Sequence[str] = ()) -> tuple[Pack, ...]:
    """Every pack that is installed, and those named. Raises 1002, 1008 for one that does not fit."""
    packs = [entry.load()() for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)]
    packs += [_named(name) for name in named]
    taken: dict[str, str] = {operation.name: "quorate" for operation in OPERATIONS}
    for pack in packs:
        require(isinstance(pack, Pack), f"{pack!r} is no pack", UNSUPPORTED)
        require(pack.api == PACK_API, f"pack {pack.name} speaks API {pack.api}, here {PACK_API}", UNSUPPORTED)
        for kind in pack.kinds:
            require(kind.name not in KINDS, f"pack {pack.name} claims the kind {kind.name} of Quorate itself")
        for operation in pack.operations:
            owner = taken.setdefault(operation.name, pack.name)
            require(owner == pack.name, f"packs {owner} and {pack.name} both have an operation {operation.name}")
    return tuple(packs)


def _named(name: str) -> Pack:
    module, _, function = name.partition(":")
    try:
        pack = getattr(importlib.import_module(module), function or "pack")()
    except (ImportError, AttributeError, TypeError) as error:
        raise QuorateError(INVALID, f"cannot load pack {name!r}: {error}", "Name it as module:function") from None
    require(isinstance(pack, Pack), f"{name!r} made no Pack")
    return pack  # type: ignore[no-any-return]
