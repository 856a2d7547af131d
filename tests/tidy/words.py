"""What no file of the project says: things left undone, places on one machine, how it came about.

The files of the rules themselves are not read: they hold what they look for.
"""

import re

from tidy.tree import Tree

UNDONE = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
HOSTS = re.compile(
    r"https?://[^/\s\"']*(?:pypi\.org|pythonhosted|npmjs\.|npmmirror|registry[.-]|artifactory|nexus[.-])"
    r"|--?(?:extra-)?index-url|trusted-host"
)
PLACES = re.compile(r"(?<![\w.])/(?:work/(?:main|shared)|(?:home|Users)/[a-z]\w*/|root/(?:\.pyenv|[a-z]\w*/))")
MAKING = re.compile(
    r"\b(?:chatgpt|co-?authored-by|ai-generated|(?:written|generated|made) (?:by|with) (?:an? )?(?:ai|llm|claude|gpt)"
    r"|as an ai|sub-?agents?|coding session|the (?:issue|brief)'s text|this issue|issue (?:#|no\.? ?)?\d+"
    r"|(?:seeds|shared)/[\w-]+\.md|pull request #?\d+)\b",
    re.IGNORECASE,
)
RULES_OWN = "tests/tidy/"


def _lines(tree: Tree, pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}"
        for path, text in tree.texts.items()
        if not path.startswith(RULES_OWN)
        for match in pattern.finditer(text)
    ]


def undone(tree: Tree) -> list[str]:
    """A note to do something later. What is missing is said in a document, or done."""
    return _lines(tree, UNDONE)


def registry_hosts(tree: Tree) -> list[str]:
    """A package registry by name: where packages come from is the reader's configuration."""
    return _lines(tree, HOSTS)


def machine_paths(tree: Tree) -> list[str]:
    """An absolute path that exists on one machine only."""
    return _lines(tree, PLACES)


def how_it_was_made(tree: Tree) -> list[str]:
    """The project speaks of itself, not of how it was written."""
    return _lines(tree, MAKING)
