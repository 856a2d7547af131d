"""Where a page of rows begins."""

from quorate.base.errors import require

ORDER_DIGITS_MAX = 19


def row_before(before: str) -> int:
    """The row that `next` of the page before named; 0: the newest. Raises 1002."""
    fits = not before or (before.isascii() and before.isdecimal() and len(before) <= ORDER_DIGITS_MAX)
    require(fits, f"{before[:40]!r} is no page: take `next` of the page before")
    return int(before or 0)
