"""Work nodes (projects, tasks, agents, documents) as CRDTs folded from events; the human status of a task.

Import from here only. What the authority must call, and when, is said in `WorkTree`.
"""

from quorate.work.history import HistoryGone
from quorate.work.projection import WorkNode
from quorate.work.worktree import WorkTree

__all__ = ["HistoryGone", "WorkNode", "WorkTree"]
