"""A source tree as the tidy rules see it: its modules parsed, its imports named, its text files listed.

Knows how to read; judges nothing. A tree may lack any room, and may be a few planted files in a
temporary directory: then there is no git, and every file counts.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "quorate"
NOT_OURS = frozenset({".git", ".venv", "node_modules", "__pycache__", "build", "dist"})
BUNDLE = "src/quorate/edges/http/static/"  # built from web/, read by browsers only


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: `names` are what `from module import ...` binds, empty for `import module`."""

    module: str
    names: tuple[str, ...]
    line: int
    local: bool


@dataclass(frozen=True)
class Module:
    """One Python file. `name` is dotted; a package's is that of its directory."""

    path: str
    name: str
    is_package: bool
    text: str

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self, self.syntax, local=False))

    @property
    def room(self) -> str:
        """The directory below `quorate`, or `quorate` for what lies beside the rooms."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else PACKAGE

    @property
    def unit(self) -> str:
        """The part of a room that this belongs to (`rest` of `edges.rest.routes`), empty for the room's own door."""
        parts = self.name.split(".")
        return parts[2] if len(parts) > 2 else ""

    @cached_property
    def exported(self) -> frozenset[str] | None:
        """What `__all__` lists, None where there is none."""
        for node in self.syntax.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == "__all__":
                return frozenset(ast.literal_eval(node.value))  # type: ignore[attr-defined]
        return None


def _imports(module: Module, node: ast.AST, local: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, (), child.lineno, local)
        elif isinstance(child, ast.ImportFrom):
            names = tuple(alias.name for alias in child.names)
            yield Import(_absolute(module, child), names, child.lineno, local)
        elif not isinstance(child, ast.expr):
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(module, child, local or function)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    base = module.name.split(".")
    up = node.level - 1 if module.is_package else node.level
    return ".".join([*base[: len(base) - up], *([node.module] if node.module else [])])


class Tree:
    """Everything below a root that is ours: tracked by git or about to be."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of files, relative to the root, in order."""
        if (self.root / ".git").exists():
            command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
            listed = subprocess.run(command, cwd=self.root, capture_output=True, check=True, text=True).stdout
            paths = {path for path in listed.split("\0") if path and (self.root / path).is_file()}
        else:
            found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
            paths = {path.as_posix() for path in found if not NOT_OURS & set(path.parts)}
        return tuple(sorted(paths))

    @cached_property
    def texts(self) -> dict[str, str]:
        """Files that are text and written by hand, by path."""
        texts: dict[str, str] = {}
        for path in self.files:
            if path.startswith(BUNDLE):
                continue
            data = (self.root / path).read_bytes()
            if b"\0" in data[:4096]:
                continue
            texts[path] = data.decode("utf-8", errors="replace")
        return texts

    @cached_property
    def python(self) -> dict[str, Module]:
        """Every Python file, by path."""
        return {path: _module(path, text) for path, text in self.texts.items() if path.endswith(".py")}

    @cached_property
    def modules(self) -> dict[str, Module]:
        """The modules of the package itself, by dotted name."""
        inside = (module for path, module in self.python.items() if path.startswith(f"src/{PACKAGE}/"))
        return {module.name: module for module in inside}

    def targets(self, found: Import) -> tuple[str, ...]:
        """The modules of the package that an import reaches: `from quorate.base import codec` reaches the codec."""
        if found.module.split(".")[0] != PACKAGE:
            return ()
        inner = [f"{found.module}.{name}" for name in found.names]
        reached = [name if name in self.modules else found.module for name in inner] or [found.module]
        return tuple(dict.fromkeys(reached))


def _module(path: str, text: str) -> Module:
    parts = path.removeprefix("src/").removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    return Module(path, ".".join(parts[:-1] if is_package else parts), is_package, text)
