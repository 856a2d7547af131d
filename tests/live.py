"""A coordinator and its nodes as real processes, for tests that need the whole thing: started, asked, restarted.

The coordinator keeps its port and its data when it is restarted, as it would on a machine of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from processes import Process, Processes, until

QUORATE = Path(sys.executable).parent / "quorate"
REQUEST_S = 30.0


class Live:
    """One coordinator, reached over its own doors."""

    def __init__(self, processes: Processes, data: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.processes = processes
        self.data = data
        self.options = options
        self.env = env
        self.port = "0"
        self.nodes: list[Process] = []
        self.start()
        self.http = httpx.Client(base_url=self.url, headers=self.as_admin, timeout=REQUEST_S)

    def start(self) -> None:
        """Start it on its data, and on its port once it has one."""
        self.process = self.processes.start(
            QUORATE, "up", "--data", self.data, "--port", self.port, "--json", *self.options, name="up", env=self.env
        )
        said = json.loads(self.process.line(r'^\{"url".*').group(0))
        self.url, self.token, self.realm, self.authority = (said[k] for k in ("url", "token", "realm", "authority"))
        self.port = self.url.rsplit(":", 1)[1]

    @property
    def as_admin(self) -> dict[str, str]:
        return bearer(self.token)

    def restart(self, *, kill: bool = False) -> None:
        """Stop it (or kill it) and start it again."""
        if kill:
            self.process.kill()
        else:
            assert self.process.stop() == 0, self.process.log()
        self.start()

    def node(self, name: str, *options: str) -> Process:
        """Start a node and wait until it is online."""
        join = self.post("/nodes/register", {"label": name})["token"]
        where = self.data.with_name(f"{self.data.name}-{name}")
        node = self.processes.start(
            QUORATE,
            "node",
            self.url,
            "--token",
            join,
            "--data",
            where,
            "--name",
            name,
            "--json",
            *options,
            name=name,
            env=self.env,
        )
        key = json.loads(node.line(r'^\{"node".*').group(0))["node"]
        until(lambda: self.is_online(key), f"{name} is online")
        self.nodes.append(node)
        return node

    def is_online(self, key: str) -> bool:
        return any(node["id"] == key for node in self.get("/nodes?state=online")["items"])

    def request(self, method: str, path: str, token: str | None = None, **arguments: Any) -> httpx.Response:
        """One request; the path below /api/v1 unless it begins with /api/ or is one of the doors beside it."""
        whole = path if path.startswith(("/api/", "/health", "/ready", "/metrics", "/docs")) else f"/api/v1{path}"
        headers = dict(arguments.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}" if token else ""
        return self.http.request(method, whole, headers=headers, **arguments)

    def get(self, path: str) -> Any:
        response = self.request("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any) -> Any:
        response = self.request("POST", path, json=body)
        assert response.is_success, response.text
        return response.json()

    def grant(self, role: str, ttl_ms: int = 0) -> dict[str, Any]:
        """A new token with a role."""
        made: dict[str, Any] = self.post("/grants", {"role": role, "label": f"test {role}", "ttlMs": ttl_ms})
        return made

    def done(self, job: str) -> dict[str, Any]:
        """A job once it is over."""
        view: dict[str, Any] = {"state": "running"}
        while view["state"] == "running":
            view = self.get(f"/jobs/{job}/wait?timeoutMs=20000")
        return view

    def verify_log(self) -> dict[str, Any]:
        """`quorate log verify`, as a stranger runs it."""
        done = self.command("log", "verify", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["verified"]
        return report

    def command(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """The `quorate` command, told where this coordinator is."""
        whole = [QUORATE, *argv, "--url", self.url, "--token", self.token]
        return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def refused(response: httpx.Response, code: int, status: int) -> str:
    """Assert that an answer is a coded error and say what its message is."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    error = response.json()
    assert error["code"] == code, error
    assert error["name"] and error["message"] and error["whatToDo"] and error["requestId"], error
    return str(error["message"])
