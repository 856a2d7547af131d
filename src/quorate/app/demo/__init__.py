"""`quorate demo`: a swarm of real processes on real files, with a liar and a crash, and a receipt at the end."""

from quorate.app.demo.story import main

__all__ = ["main"]
