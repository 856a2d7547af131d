"""Services: each a machine (pure) and a driver (carries its effects out through ports)."""

__all__ = ["coordinator", "node"]
