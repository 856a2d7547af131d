"""How files look: sizes, names, docstrings, doors, and where an import may hide in a function."""

import ast
from collections.abc import Iterator

from tidy.tree import PACKAGE, Module, Tree

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
DRIVER_LINES_MAX = 299
DOCUMENT_LINES_MAX = {"README.md": 149, "ARCHITECTURE.md": 299}
NAMELESS = frozenset(["util", "utils", "common", "commons", "helper", "helpers", "manager", "managers", "misc"])
LAZY_ROOMS = frozenset({"adapters", "app", PACKAGE})  # optional dependencies, quick starts


def long_files(tree: Tree) -> list[str]:
    """A Python file, a driver or one of the two opening documents that grew too long."""
    found: list[str] = []
    for path, text in tree.texts.items():
        lines = text.count("\n")
        limit = FILE_LINES_MAX if path.endswith(".py") else DOCUMENT_LINES_MAX.get(path)
        if path.startswith(f"src/{PACKAGE}/services/") and path.endswith("/driver.py"):
            limit = DRIVER_LINES_MAX
        if limit is not None and lines > limit:
            found.append(f"{path}: {lines} lines, at most {limit}")
    return found


def long_functions(tree: Tree) -> list[str]:
    """A function that does not fit on a screen."""
    found: list[str] = []
    for path, module in tree.python.items():
        for node in _functions(module.syntax):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    return found


def _functions(syntax: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(syntax):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def nameless(tree: Tree) -> list[str]:
    """A room or module named after nothing: whatever is put there has no owner."""
    found: list[str] = []
    for path in tree.python:
        parts = path.removesuffix(".py").split("/")
        found.extend(f"{path}: {part!r} names nothing" for part in parts if part in NAMELESS)
    return found


def missing_docstrings(tree: Tree) -> list[str]:
    """A module that does not begin by saying what it knows."""
    modules = tree.modules.values()
    return [f"{module.path}: no docstring" for module in modules if not ast.get_docstring(module.syntax)]


def missing_doors(tree: Tree) -> list[str]:
    """A package without an `__init__.py`, or one that does not list what it offers."""
    found: list[str] = []
    for name in sorted({parent for module in tree.modules.values() for parent in _packages(module)}):
        door = tree.modules.get(name)
        if door is None:
            found.append(f"src/{name.replace('.', '/')}: no __init__.py")
        elif door.exported is None and name != PACKAGE:
            found.append(f"{door.path}: no __all__")
    return found


def _packages(module: Module) -> Iterator[str]:
    parts = module.name.split(".")
    for depth in range(1, len(parts) + module.is_package):
        yield ".".join(parts[:depth])


def local_imports(tree: Tree) -> list[str]:
    """An import inside a function: it hides a circle. Adapters and the app may, to start without an extra."""
    found: list[str] = []
    for module in tree.modules.values():
        lazy = module.room in LAZY_ROOMS or (module.room == "packs" and ".adapters" in module.name)
        lines = [imported.line for imported in module.imports if imported.local and not lazy]
        found.extend(f"{module.path}:{line}: import inside a function" for line in lines)
    return found
