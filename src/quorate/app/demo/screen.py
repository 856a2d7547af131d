"""What the demo shows: live progress while it runs, a table at the end."""

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from quorate.model.views import JobView, NodeView

QUIET_EVERY_S = 5.0


class Screen:
    """On a terminal a live display; elsewhere a line now and then."""

    def __init__(self, total: int) -> None:
        self._console = Console()
        self._progress = Progress(
            TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        )
        self._bar = self._progress.add_task("tasks", total=total)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._said_at = 0.0
        self._notes: list[str] = []

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def note(self, text: str) -> None:
        """Say something that stays."""
        self._notes.append(text)
        if not self._console.is_terminal:
            self._console.print(text)

    def show(self, job: JobView, nodes: tuple[NodeView, ...], status: dict[str, Any], liar: str) -> None:
        """The present state."""
        done = job.completed + job.failed + job.cancelled
        line = (
            f"{done}/{job.total} tasks  {status['tasksPerSecond']:.0f}/s  "
            f"rejected {status['rejected']}  reassigned {status['reassigned']}  "
            f"queue {status['queueDepth']}  p95 {status['p95Ms'] or 0:.0f} ms"
        )
        if not self._console.is_terminal:
            if time.monotonic() - self._said_at >= QUIET_EVERY_S:
                self._said_at = time.monotonic()
                self._console.print(line)
            return
        self._progress.update(self._bar, completed=done)
        self._live.update(Panel(Group(self._progress, line, _nodes(nodes, liar), *self._notes[-4:]), title="quorate"))

    def end(self, rows: list[tuple[str, str]]) -> None:
        """The last table."""
        table = Table(show_header=False, title="What happened", title_justify="left")
        for name, value in rows:
            table.add_row(name, value)
        self._console.print(table)


def _nodes(nodes: tuple[NodeView, ...], liar: str) -> Table:
    table = Table(box=None)
    for column in ("node", "state", "load", "reputation", "agreed", "differed"):
        table.add_column(column)
    for node in sorted(nodes, key=lambda n: n.name):
        agreed, differed, _ = node.evidence
        name = f"{node.name} (lies)" if node.id == liar else node.name
        style = "red" if differed else "dim" if node.state != "online" else ""
        cells = (name, node.state, f"{node.running}/{node.slots}", f"{node.reputation:.2f}", str(agreed), str(differed))
        table.add_row(*cells, style=style)
    return table
