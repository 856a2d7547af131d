"""What keeps a core the same on every machine: no clock, socket, file, dice or unsorted set; no float that is signed.

Holds for the pure rooms, `numerics`, `model`, and for every machine with the modules it is made of.
"""

import ast
import sys
from collections.abc import Iterator

from tidy.rooms import PURE, machines
from tidy.tree import Module, Tree

PURE_STDLIB = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "cmath",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "enum",
        "fractions",
        "functools",
        "graphlib",
        "hashlib",
        "hmac",
        "heapq",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "re",
        "string",
        "struct",
        "textwrap",
        "types",
        "typing",
        "unicodedata",
        "zlib",
    }
)
"""What of the standard library can reach nothing outside its arguments; all else is refused."""
IMPURE_CALLS = frozenset({"open", "input", "print", "hash", "exec", "eval", "__import__", "breakpoint", "globals"})
PURE_ROOMS = PURE | {"numerics", "model"}
SET_TYPES = frozenset({"set", "frozenset", "Set", "AbstractSet", "MutableSet"})
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
ORDER_FREE = frozenset({"sorted", "set", "frozenset", "any", "all", "len", "min", "max", "sum"})
ORDERING = frozenset({"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter", "reversed", "bytes"})
UNSIGNED_MODELS = frozenset({"views"})  # what the edges show; nobody signs it


def pure_modules(tree: Tree) -> list[Module]:
    """The modules that the rules of this file hold for."""
    inside = machines(tree)
    return [m for m in tree.modules.values() if m.room in PURE_ROOMS or m.name in inside]


def impure_imports(tree: Tree) -> list[str]:
    """A pure module that could read a clock, a socket, a file, a thread, the environment or dice."""
    found: list[str] = []
    for module in pure_modules(tree):
        for imported in module.imports:
            dice = imported.module.startswith("numpy.random") or (
                imported.module == "numpy" and "random" in imported.names
            )
            library = imported.module.split(".")[0]
            if dice or (library in sys.stdlib_module_names and library not in PURE_STDLIB):
                found.append(f"{module.path}:{imported.line}: imports {imported.module}, which is not pure")
    return found


def impure_calls(tree: Tree) -> list[str]:
    """A pure module that opens, prints, or asks for what differs between runs (`hash` of text, NumPy's dice)."""
    found: list[str] = []
    for module in pure_modules(tree):
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                found.append(f"{module.path}:{node.lineno}: calls {node.func.id}()")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("np.random", "numpy.random"):
                found.append(f"{module.path}:{node.lineno}: uses {ast.unparse(node)}")
    return found


def unsorted_sets(tree: Tree) -> list[str]:
    """A pure module that walks a set in the order of its hashes. `sorted(...)` is the remedy."""
    return [f"{module.path}:{line}: walks an unsorted set" for module in pure_modules(tree) for line in _walks(module)]


def _walks(module: Module) -> Iterator[int]:
    known = _set_names(module.syntax)
    free = {id(arg) for arg in _order_free_arguments(module.syntax)}
    for node in ast.walk(module.syntax):
        if isinstance(node, ast.For | ast.AsyncFor) and _is_set(node.iter, known):
            yield node.lineno
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and id(node) not in free:
            yield from (node.lineno for part in node.generators if _is_set(part.iter, known))
        elif isinstance(node, ast.Call) and _orders(node) and any(_is_set(arg, known) for arg in node.args):
            if id(node) not in free:
                yield node.lineno
        elif isinstance(node, ast.Starred) and _is_set(node.value, known):
            yield node.lineno


def _order_free_arguments(syntax: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(syntax):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE:
            yield from node.args


def _orders(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id in ORDERING
    return isinstance(call.func, ast.Attribute) and call.func.attr == "join"


def _is_set(node: ast.expr, known: frozenset[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node) in known
    if isinstance(node, ast.Call):
        named = isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
        method = isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS
        return named or (method and _is_set(node.func.value, known))  # type: ignore[attr-defined]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, known) or _is_set(node.right, known)
    return False


def _set_names(syntax: ast.AST) -> frozenset[str]:
    """Names and `self.` attributes that are sets wherever the module binds them, by annotation or by value."""
    sets: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(syntax):
        if isinstance(node, ast.AnnAssign):
            (sets if _annotates_set(node.annotation) else others).add(ast.unparse(node.target))
        elif isinstance(node, ast.arg) and node.annotation:
            (sets if _annotates_set(node.annotation) else others).add(node.arg)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                (sets if _is_set(node.value, frozenset()) else others).add(ast.unparse(target))
        elif isinstance(node, ast.For | ast.comprehension):
            others.add(ast.unparse(node.target))
    return frozenset(sets - others)


def _annotates_set(annotation: ast.expr) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return ast.unparse(outer).split(".")[-1] in SET_TYPES


def signed_floats(tree: Tree) -> list[str]:
    """A float in a type that is signed: two machines may print or round it differently."""
    found: list[str] = []
    for module in tree.modules.values():
        if module.room != "model" or module.unit in UNSIGNED_MODELS:
            continue
        fields = (node for node in ast.walk(module.syntax) if isinstance(node, ast.AnnAssign))
        floats = (field for field in fields if _names_float(field.annotation))
        found.extend(f"{module.path}:{field.lineno}: {ast.unparse(field.target)} is a float" for field in floats)
    return found


def _names_float(annotation: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "float" for part in ast.walk(annotation))
