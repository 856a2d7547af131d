"""The whole swarm on virtual time, from a seed: real drivers, virtual world, checkers from outside."""

__all__: list[str] = []
