"""What a name may hold: any script, nothing that a terminal, a log line or a database chokes on."""

from typing import Final
from unicodedata import category

_FORBIDDEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters (NUL, escapes, line breaks), lone surrogates, line and paragraph separators."""


def is_clean(name: str) -> bool:
    """Has it only characters that a name may have?"""
    return name.isprintable() or not any(category(character) in _FORBIDDEN for character in name)
