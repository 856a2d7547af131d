"""What a coordinator says about itself: counts and rates for metrics and logs."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from quorate.base.errors import QuorateError
from quorate.base.limits import MS_NS, SECOND_NS
from quorate.model import TaskSettled, TaskState
from quorate.services.coordinator.feed import Published
from quorate.services.coordinator.watch import Watch

LATENCIES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SYNC_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
GROUP_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

Say = Callable[..., Any]


class Observer:
    """Metrics of one coordinator, in a registry of its own. `say(event, **fields)` is the log."""

    def __init__(self, now: Callable[[], int], say: Say) -> None:
        self._now = now
        self.say = say
        self.watch = Watch()
        self.watch.started_ns = now()
        self.reloads = 0
        self.registry = registry = CollectorRegistry()
        self.http = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request, by operation and status",
            ["operation", "status"],
            buckets=LATENCIES_S,
            registry=registry,
        )
        self.agent_requests = Counter(
            "agent_requests_total",
            "Results that nodes returned, by node and status",
            ["agent", "status"],
            registry=registry,
        )
        self.agent_errors = Counter(
            "agent_errors_total", "Results that failed, by node and error", ["agent", "error_type"], registry=registry
        )
        self.agent_latency = Histogram(
            "agent_latency_seconds",
            "Wall time that a node reports for a task",
            ["agent"],
            buckets=LATENCIES_S,
            registry=registry,
        )
        self.tasks_failed = Counter(
            "tasks_failed_total", "Tasks that ended without an agreed result", registry=registry
        )
        self.tasks_completed = Counter(
            "tasks_completed_total", "Tasks that ended with an agreed result", registry=registry
        )
        self.task_latency = Histogram(
            "task_latency_seconds", "From submission to settlement", buckets=LATENCIES_S, registry=registry
        )
        self.tasks = Gauge("quorate_tasks", "Tasks by state", ["state"], registry=registry)
        self.nodes = Gauge("quorate_nodes", "Nodes by state", ["state"], registry=registry)
        self.queue_depth = Gauge("quorate_queue_depth", "Tasks ready and waiting for a node", registry=registry)
        self.followers = Gauge("quorate_followers", "Subscribers of the event stream", registry=registry)
        self.commit_events = Histogram(
            "quorate_commit_events", "Events in one group commit", buckets=GROUP_EVENTS, registry=registry
        )
        self.commit_seconds = Histogram(
            "quorate_commit_seconds", "Time of one group commit, its fsync included", buckets=SYNC_S, registry=registry
        )
        self.log_events = Gauge("quorate_log_events", "Events in the log", registry=registry)
        self.rejected = Gauge(
            "quorate_results_rejected", "Results that differed from the agreed one", registry=registry
        )
        self.reassigned = Gauge("quorate_tasks_reassigned", "Leases granted again after a loss", registry=registry)
        self.failures = Counter("quorate_failures_total", "Failures beside the machine", ["what"], registry=registry)
        self.reload_count = Counter(
            "quorate_reloads_total", "Times the state was read again from disk", registry=registry
        )

    def committed(self, events: int, took_ns: int) -> None:
        """A group is on disk."""
        self.commit_events.observe(events)
        self.commit_seconds.observe(took_ns / SECOND_NS)

    def published(self, events: Sequence[Published]) -> None:
        """These events may be seen now."""
        now = self._now()
        for published in events:
            if published.settled is not None:
                self._settled(published.settled, now)
        if events:
            self.log_events.set(events[-1].position)

    def _settled(self, body: TaskSettled, now: int) -> None:
        created_ms = int.from_bytes(body.task[:6], "big")  # a task's id is a UUIDv7: its birth is in it
        latency_ns = max(0, now - created_ms * MS_NS)
        self.watch.settled(latency_ns, now)
        self.task_latency.observe(latency_ns / SECOND_NS)
        done = body.state == TaskState.COMPLETED
        (self.tasks_completed if done else self.tasks_failed).inc()
        for results, status in ((body.agreed, "agreed"), (body.dissent, "differed")):
            for result in results:
                node = result.node.hex()[:16]
                self.agent_requests.labels(node, status).inc()
                if status == "differed":
                    self.agent_errors.labels(node, "differed").inc()
                if result.usage:
                    self.agent_latency.labels(node).observe(result.usage[0] / 1000)

    def reloading(self, error: BaseException) -> None:
        """The state is given up and read from disk again."""
        self.reloads += 1
        self.reload_count.inc()
        self.say("reloading", error=str(error), kind=type(error).__name__)

    def failed(self, what: str, error: QuorateError) -> None:
        """Something beside the machine failed; the coordinator goes on."""
        self.failures.labels(what).inc()
        self.say("failed", what=what, error=str(error))
