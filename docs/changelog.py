"""Assembles CHANGELOG.md from the fragments in changelog.d/.

A fragment is one file a change, `<what>.<kind>.md`, one or two sentences for whoever uses Quorate. Two
changes never meet in one file, so they never conflict. `changelog.py 0.2.0` moves all fragments into a
section; without a version it prints what that section would say.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

KINDS = {"added": "Added", "changed": "Changed", "fixed": "Fixed", "removed": "Removed", "security": "Security"}
NAME = re.compile(rf"[a-z0-9][a-z0-9-]*\.({'|'.join(KINDS)})\.md")
VERSION = re.compile(r"\d+\.\d+\.\d+")
MARK = "<!-- sections begin here -->\n"


def fragments(folder: Path) -> list[Path]:
    """The fragments in order of name. Raises `ValueError` for a file that is none, or says nothing."""
    found = sorted(path for path in folder.iterdir() if path.name != "README.md")
    for path in found:
        if not NAME.fullmatch(path.name):
            raise ValueError(f"{path.name}: not <what>.<{'|'.join(KINDS)}>.md")
        if not path.read_text().strip():
            raise ValueError(f"{path.name}: says nothing")
    return found


def section(paths: Sequence[Path]) -> str:
    """What a section says, by kind."""
    parts = []
    for kind, title in KINDS.items():
        texts = [" ".join(path.read_text().split()) for path in paths if path.name.endswith(f".{kind}.md")]
        if texts:
            parts.append(f"### {title}\n\n" + "".join(f"- {text}\n" for text in texts))
    return "\n".join(parts)


def release(root: Path, version: str) -> None:
    """Write the section of `version` on top, and remove its fragments. Raises `ValueError`."""
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a version such as 0.2.0")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text()
    paths = fragments(root / "changelog.d")
    if MARK not in text or f"## {version}\n" in text or not paths:
        raise ValueError(f"nothing to do for {version}: no fragments, no mark, or a section already")
    head, rest = text.split(MARK, 1)
    changelog.write_text(f"{head}{MARK}\n## {version}\n\n{section(paths)}{rest}")
    for path in paths:
        path.unlink()


def main(arguments: Sequence[str]) -> int:
    root = Path(__file__).parents[1]
    try:
        if arguments:
            release(root, arguments[0])
        else:
            sys.stdout.write(section(fragments(root / "changelog.d")))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
