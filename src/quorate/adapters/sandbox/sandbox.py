"""Runs one command for somebody nobody trusts. Composes the policy, what the probe found, and the process.

Where the host cannot confine, it can still run bare: a clean environment, limits, and the end of its process group, but
the files, the network and the rights of the node's own user. Whether that is allowed is for its caller to say.
"""

import itertools
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from quorate.adapters.sandbox.filter_fd import filter_fd
from quorate.adapters.sandbox.policy import Bounds, Launch, clean_environment, confined, limited
from quorate.adapters.sandbox.probe import (
    FIRST_USER,
    LAST_USER,
    Findings,
    hard_limits,
    probe,
    python_prefixes,
    python_version,
)
from quorate.adapters.sandbox.process import Outcome, Spawn, execute


class Sandbox:
    """Made once for a node. Use `Sandbox.probed()`."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._hard = hard_limits()
        # Two nodes of one machine start at different users; sharing one would only share the count of its processes.
        self._users = itertools.count(secrets.randbelow(LAST_USER - FIRST_USER))

    @classmethod
    def probed(cls, opened: Iterable[Path] = ()) -> "Sandbox":
        """What this host can do. `opened`: paths that the owner opens to every task, read only. Blocks some 10 ms."""
        return cls(probe(opened))

    @property
    def isolation(self) -> bool:
        """Are tasks confined?"""
        return self.findings.host is not None

    @property
    def seccomp(self) -> bool:
        """Is there a filter of system calls too?"""
        return self.findings.host is not None and bool(self.findings.host.filter)

    @property
    def python(self) -> str:
        """The version of `python3` that a task finds, or empty."""
        return self.findings.python if self.isolation else python_version()

    @property
    def words(self) -> str:
        """What is missing and why, for whoever runs the node; empty when nothing is."""
        return self.findings.absent or self.findings.unfiltered

    async def run(
        self,
        argv: Sequence[str],
        inputs: Path,
        *,
        timeout_s: float,
        bounds: Bounds | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: Path | None = None,
        network: bool = False,
    ) -> Outcome:
        """Run `argv` with the files of `inputs` at `in/` of its working directory.

        Raises `OSError` when nothing can be started; a program that is not there is exit status 127.

        Bare, the working directory is the one that holds `inputs`, which must then be called `in`, and `network` is
        always there.
        """
        bounds = bounds or Bounds()
        host = self.findings.host
        user = FIRST_USER + next(self._users) % (LAST_USER - FIRST_USER + 1)
        launch = Launch(argv, inputs, environment or {}, bounds, network, user)
        if host is None:
            home = inputs.parent
            clean = clean_environment(python_prefixes(), str(home))
            bare = limited(launch, self._hard, counted=False)
            return await execute(Spawn(bare, clean, bounds, confined=False, cwd=home, stdin=stdin), timeout_s)
        with filter_fd(host.filter) as fd:
            line = confined(host, replace(launch, filter_fd=fd), self._hard)
            passed = (fd,) if fd >= 0 else ()
            spawn = Spawn(line, clean_environment(()), bounds, confined=True, stdin=stdin, pass_fds=passed)
            return await execute(spawn, timeout_s)
