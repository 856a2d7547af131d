"""Finds out, once at start and by really trying, whether this host can confine a task.

Knows the host. What it answers is a `Host` for the policy and, where there is none, the reason in words.
"""

import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from os import geteuid
from pathlib import Path

from quorate.adapters.sandbox import syscalls
from quorate.adapters.sandbox.filter_fd import filter_fd
from quorate.adapters.sandbox.policy import WORK, Host, Launch, clean_environment, confined
from quorate.base.limits import SANDBOX_PROBE_MS

_TRUSTED_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_LIMITS = {
    "c": ("RLIMIT_CORE", 512),
    "n": ("RLIMIT_NOFILE", 1),
    "f": ("RLIMIT_FSIZE", 512),
    "v": ("RLIMIT_AS", 1024),
    "t": ("RLIMIT_CPU", 1),
}
FIRST_USER = 61_184
LAST_USER = 65_519
"""Ids that no account has, as systemd gives them to services for as long as they run."""


@dataclass(frozen=True, slots=True)
class Findings:
    """`host` None: tasks cannot be confined, and `absent` says why. `unfiltered`: why there is no filter, or empty.

    `python`: the version that `python3` is inside, such as 3.11; empty when it does not start there.
    """

    host: Host | None
    absent: str = ""
    unfiltered: str = ""
    python: str = ""


def probe(opened: Iterable[Path] = ()) -> Findings:
    """Look for bubblewrap and run a program in it. Blocks for some 10 ms. `opened`: what the owner opens, read only."""
    if not sys.platform.startswith("linux"):
        return Findings(None, "there is no bubblewrap for this system")
    bwrap = shutil.which("bwrap", path=_TRUSTED_PATH)
    if bwrap is None:
        return Findings(None, "bubblewrap is not installed (bwrap)")
    setpriv = shutil.which("setpriv", path=_TRUSTED_PATH) if geteuid() == 0 else ""
    if setpriv is None:
        return Findings(None, "the node is root and setpriv (util-linux) is not installed")
    filter, unfiltered = _filter()
    links, system = _system_folders()
    owners = tuple(str(path.resolve()) for path in opened)
    host = Host(bwrap, setpriv, system, links, python_prefixes(), owners, filter)
    covering = [path for path in (*host.prefixes, *owners) if Path(WORK).is_relative_to(path)]
    if covering:
        return Findings(None, f"{covering[0]} would cover {WORK}")
    wrong = _try(host, "true").stderr
    if wrong and filter:
        host, unfiltered = replace(host, filter=b""), f"bubblewrap does not take the filter: {wrong}"
        wrong = _try(host, "true").stderr
    if wrong:
        return Findings(None, f"bubblewrap does not work here: {wrong}")
    return Findings(host, "", unfiltered, _version(_try(host, "python3", "-V").stdout))


def python_prefixes() -> tuple[str, ...]:
    """Where the node's interpreter and its packages lie, outside what the system row opens; the first has `bin`."""
    places = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        place = sysconfig.get_path(name)
        if not any(Path(place).is_relative_to(prefix) for prefix in places):
            places.append(place)
    both = [path for place in places for path in (place, str(Path(place).resolve()))]
    return tuple(path for path in dict.fromkeys(both) if not Path(path).is_relative_to("/usr"))


def hard_limits() -> dict[str, int]:
    """What this process may at most ask for, by the letter and in the unit of `ulimit`."""
    found = {}
    for letter, (name, unit) in _LIMITS.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        if hard != resource.RLIM_INFINITY:
            found[letter] = hard // unit
    return found


def python_version() -> str:
    """Of the interpreter that runs the node."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _filter() -> tuple[bytes, str]:
    try:
        return syscalls.compiled(), ""
    except (ImportError, OSError) as error:
        return b"", f"no filter of system calls: {error}"


def _system_folders() -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    links = tuple((path, str(Path(path).readlink())) for path in _SYSTEM if Path(path).is_symlink())
    linked = dict(links)
    return links, tuple(path for path in _SYSTEM if path not in linked and Path(path).is_dir())


@dataclass(frozen=True, slots=True)
class _Tried:
    stdout: str
    stderr: str


def _try(host: Host, *argv: str) -> _Tried:
    """Run a program under the policy. `stderr` is empty when, and only when, it succeeded."""
    with tempfile.TemporaryDirectory() as inputs, filter_fd(host.filter) as fd:
        launch = Launch(argv, Path(inputs), user=FIRST_USER, filter_fd=fd)
        try:
            done = subprocess.run(  # noqa: S603 - our own arguments
                confined(host, launch, hard_limits()),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SANDBOX_PROBE_MS / 1000,
                env=clean_environment(()),
                pass_fds=(fd,) if fd >= 0 else (),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return _Tried("", str(error))
    words = done.stderr.strip() or f"exit status {done.returncode}"
    return _Tried(done.stdout, words[:500] if done.returncode else "")


def _version(words: str) -> str:
    """`Python 3.11.7` -> `3.11`, nothing else."""
    name, _, version = words.strip().partition(" ")
    return ".".join(version.split(".")[:2]) if name == "Python" else ""
