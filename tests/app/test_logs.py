"""The log: one line a request when asked for, JSON for machines, with the fields that the sources name."""

import json
from pathlib import Path

from live import Live
from processes import Processes, until


def test_a_request_is_a_line_with_the_fields_of_the_sources(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data", "--log-level", "debug", "--log-form", "json")
    task = live.post("/tasks", {"title": "seen"})["id"]
    assert live.request("GET", f"/tasks/{task}", headers={"x-request-id": "mine-1"}).status_code == 200
    assert live.request("GET", "/nodes/" + "0" * 64).status_code == 404
    assert live.request("GET", "/tasks", token="wrong").status_code == 401

    def lines() -> list[dict[str, object]]:
        found = [line for line in live.process.log().splitlines() if line.startswith("{") and '"request"' in line]
        return [json.loads(line) for line in found]

    until(lambda: len([line for line in lines() if line["operation"] == "task_list"]) >= 1, "the last line is there")
    by_operation = {line["operation"]: line for line in lines()}
    seen = by_operation["task_get"]
    assert seen["requestId"] == "mine-1" and seen["taskId"] == task and seen["userId"] == "first admin"
    assert by_operation["node_get"]["nodeId"] == "0" * 64 and by_operation["node_get"]["status"] == 404
    assert by_operation["task_list"]["userId"] == "" and by_operation["task_list"]["status"] == 401
