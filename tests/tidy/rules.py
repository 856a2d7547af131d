"""Every rule of the house, in one list."""

from collections.abc import Callable

from tidy import purity, rooms, shape, words
from tidy.tree import Tree

Rule = Callable[[Tree], list[str]]

RULES: tuple[Rule, ...] = (
    rooms.unknown_rooms,
    rooms.forbidden_rooms,
    rooms.neighbours,
    rooms.third_party,
    rooms.hidden_names,
    rooms.circles,
    purity.impure_imports,
    purity.impure_calls,
    purity.unsorted_sets,
    purity.signed_floats,
    shape.long_files,
    shape.long_functions,
    shape.nameless,
    shape.missing_docstrings,
    shape.missing_doors,
    shape.local_imports,
    words.undone,
    words.registry_hosts,
    words.machine_paths,
    words.how_it_was_made,
)
"""Each takes a tree and returns its violations, one line each."""
