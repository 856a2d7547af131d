"""The ground floor: ids, clocks, limits, codec, errors, dice, signing. Import its modules by name."""

__all__ = ["codec", "dice", "envelope", "errors", "hlc", "ids", "limits", "signing"]
