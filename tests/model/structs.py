"""Every Struct of the model, and arbitrary values of it, built from its annotations alone."""

import importlib
import pkgutil
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

import quorate.model

MODULES = tuple(
    importlib.import_module(f"quorate.model.{info.name}") for info in pkgutil.iter_modules(quorate.model.__path__)
)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),
    str: st.text(st.characters(codec="utf-8"), max_size=8),
    bytes: st.binary(max_size=40),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    Any: st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
}


def structs() -> Iterator[type[Struct]]:
    """In the order of modules, then of definition."""
    for module in MODULES:
        named = {value: None for value in vars(module).values() if isinstance(value, type)}  # `Draft` is `Sealed`
        yield from (kind for kind in named if issubclass(kind, Struct) and kind.__module__ == module.__name__)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation. An annotation that is not known here fails the test that meets it."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and parts[-1] is Ellipsis:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, parts))
    if origin is frozenset:
        return st.frozensets(values(parts[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(values, parts))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, Struct):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})
    raise TypeError(f"no values known for {kind}")
