"""Real ports: disks, clocks, links, sandboxes.

Adapters are imported by module name, so that what one needs (an extra, a platform) is asked for only
where it is used. Nothing is re-exported here.
"""

__all__: list[str] = []
