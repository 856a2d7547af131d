"""The composition root and the `quorate` command: the only room that builds everything."""

__all__: list[str] = []
