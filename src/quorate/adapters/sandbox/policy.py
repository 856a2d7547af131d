"""The policy of the sandbox is its arguments: one table of what is closed, what is opened, and why.

Default deny. A sandbox starts as an empty, read-only root without processes, network, users or names of the host;
each row of `POLICY` opens, or shuts for good, one thing, and has an escape test by its name. Knows no process:
it turns facts about the host and one launch into an argument list.

Invariants: P1 nothing of the host is writable. P2 nothing a task names reaches an argument before `--`, nor the
environment of a program that still has a right the task has not (`setpriv`). P3 every place a task may write to has
a size and is gone with the task.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quorate.base import limits

WORK = "/work"
INPUTS = "/work/in"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one task may use. `memory_bytes` is of all its processes, `output_bytes` of stdout."""

    memory_bytes: int = limits.SANDBOX_MEMORY_BYTES
    cpu_seconds: int = limits.SANDBOX_CPU_S
    output_bytes: int = limits.SANDBOX_OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class Host:
    """What the probe found. `system`: folders opened whole, `links` the ones that are links (to where)."""

    bwrap: str = ""
    setpriv: str = ""  # set when this process is root: a task then runs as a user of its own
    system: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    prefixes: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    filter: bytes = b""


@dataclass(frozen=True, slots=True)
class Launch:
    """One task. `user`: the id it runs as when the node is root. `filter_fd`: where the filter can be read, or -1."""

    argv: Sequence[str]
    inputs: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    network: bool = False
    user: int = 0
    filter_fd: int = -1


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that the policy decides."""

    name: str
    why: str
    arguments: Callable[[Host, Launch], Iterable[str]]


def _user(host: Host, launch: Launch) -> Iterable[str]:
    yield from ("--cap-drop", "ALL")
    if host.setpriv:
        # Only to become nobody: `setpriv` uses them up, see `_privilege_drop`.
        for right in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            yield from ("--cap-add", right)
    else:
        yield from ("--unshare-user", "--disable-userns")


def _environment(host: Host, launch: Launch) -> Iterable[str]:
    yield "--clearenv"
    for name, value in clean_environment(host.prefixes).items():
        yield from ("--setenv", name, value)


def _system(host: Host, launch: Launch) -> Iterable[str]:
    for path in host.system:
        yield from ("--ro-bind", path, path)
    for path, target in host.links:
        yield from ("--symlink", target, path)


def _names(host: Host, launch: Launch) -> Iterable[str]:
    files = ("resolv.conf", "hosts", "nsswitch.conf", "services", "gai.conf", "ssl/certs", "ssl/openssl.cnf", "pki/tls")
    return _opened(f"/etc/{name}" for name in files) if launch.network else ()


def _scratch(path: str, size: int) -> tuple[str, ...]:
    return ("--size", str(size), "--perms", "1777", "--tmpfs", path)


def _opened(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        # bubblewrap makes the folders above for itself alone; who runs inside may be another user.
        for above in reversed(Path(path).parents[:-1]):
            yield from ("--perms", "0755", "--dir", str(above))
        yield from ("--ro-bind-try", path, path)


POLICY: tuple[Row, ...] = (
    Row(
        "processes",
        "own process ids: nothing outside can be seen or signalled, and what a task leaves behind dies with its first",
        lambda host, launch: ("--unshare-pid", "--as-pid-1", "--die-with-parent"),
    ),
    Row("user", "no rights to use: a user namespace that cannot be nested, or (as root) a user id of its own", _user),
    Row("ipc", "own queues and semaphores", lambda host, launch: ("--unshare-ipc",)),
    Row("hostname", "the same name on every node", lambda host, launch: ("--unshare-uts", "--hostname", "quorate")),
    Row("cgroup", "the host's control groups stay unseen", lambda host, launch: ("--unshare-cgroup-try",)),
    Row("terminal", "no terminal to type into", lambda host, launch: ("--new-session",)),
    Row(
        "network",
        "none, not even the host's loopback, unless task and owner both say so",
        lambda host, launch: () if launch.network else ("--unshare-net",),
    ),
    Row("environment", "the node's holds secrets; equal on every node, so that results are", _environment),
    # Folders that can be written come before what is opened: a Python below one of them is mounted over it.
    Row("tmp", "programs expect it; bounded", lambda host, launch: _scratch("/tmp", limits.SANDBOX_SCRATCH_BYTES)),  # noqa: S108
    Row("work", "where a task works; bounded", lambda host, launch: _scratch(WORK, limits.SANDBOX_SCRATCH_BYTES)),
    Row("system", "programs and libraries, as the distribution ships them; read only", _system),
    Row(
        "linker",
        "where libraries lie, and which of several programs a name means",
        lambda host, launch: _opened(("/etc/ld.so.cache", "/etc/alternatives")),
    ),
    Row("python", "the node's interpreter with its packages; read only", lambda host, launch: _opened(host.prefixes)),
    Row("opened", "what the node's owner opens; read only", lambda host, launch: _opened(host.opened)),
    Row("names", "with the network: names, certificates", _names),
    Row("inputs", "the task's own files; read only", lambda host, launch: ("--ro-bind", str(launch.inputs), INPUTS)),
    Row(
        "proc",
        "the task's own processes; read only, for it is where the kernel of the host is set",
        lambda host, launch: ("--proc", "/proc", "--remount-ro", "/proc"),
    ),
    Row(
        "devices",
        "null, zero, full, random, urandom, tty and shared memory; bounded, and no other can be made",
        lambda host, launch: (
            "--dev",
            "/dev",
            *_scratch("/dev/shm", limits.SANDBOX_SHM_BYTES),  # noqa: S108
            "--remount-ro",
            "/dev",
        ),
    ),
    Row("root", "the rest is empty and stays so", lambda host, launch: ("--remount-ro", "/", "--chdir", WORK)),
    Row(
        "calls",
        "the kernel's doors that tasks do not need: see the table of system calls",
        lambda host, launch: ("--seccomp", str(launch.filter_fd)) if launch.filter_fd >= 0 else (),
    ),
)


def clean_environment(prefixes: Iterable[str], home: str = WORK) -> dict[str, str]:
    """The environment of every task, before its own: nothing of the node's, the same bytes from the same program."""
    path = (*(f"{prefix}/bin" for prefix in prefixes), "/usr/local/bin", "/usr/bin", "/bin")
    return {
        "PATH": ":".join(dict.fromkeys(path)),
        "HOME": home,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",  # sums of floats come out the same on machines with more cores
    }


def confined(host: Host, launch: Launch, hard: Mapping[str, int]) -> list[str]:
    """The whole command line in the sandbox. `hard`: see `limited`.

    The first process inside is a shell that only waits: it adopts and reaps, and its end is the end of all. It stays
    the user that bubblewrap is, else bubblewrap, which has given up its rights too, could not take it along when the
    node is killed.
    """
    policy = (argument for row in POLICY for argument in row.arguments(host, launch))
    first = ("/bin/sh", "-c", '"$@"; exit $?', "first")
    return [host.bwrap, *policy, "--", *first, *_privilege_drop(host, launch), *limited(launch, hard, counted=True)]


def _privilege_drop(host: Host, launch: Launch) -> Sequence[str]:
    """As root: become a user that owns nothing, and give up every capability."""
    if not host.setpriv:
        return ()
    user = str(launch.user)
    ids = ("--reuid", user, "--regid", user, "--clear-groups")
    return (host.setpriv, *ids, "--inh-caps=-all", "--bounding-set=-all", "--")


def limited(launch: Launch, hard: Mapping[str, int], counted: bool) -> list[str]:
    """A shell that sets the limits and the task's own environment, then becomes the task.

    `counted`: processes are limited too; not so bare, where everything that the node's user runs would be counted.
    `hard`: limits that this process is itself under, by their letter of `ulimit`: one cannot ask for more.
    """
    bounds = launch.bounds
    wanted = {
        "c": 0,
        "n": limits.SANDBOX_OPEN_FILES,
        "f": limits.SANDBOX_FILE_BYTES // 512,
        "v": bounds.memory_bytes // 1024,
    }
    within = {letter: min(value, hard.get(letter, value)) for letter, value in wanted.items()}
    cpu = min(bounds.cpu_seconds, hard.get("t", bounds.cpu_seconds + 1) - 1)
    steps = ["set -e", *(f"ulimit -{letter} {value}" for letter, value in within.items())]
    # The soft limit says why (SIGXCPU), the hard one a second later does not ask.
    steps += [f"ulimit -t {cpu + 1}", f"ulimit -S -t {cpu}"]
    if counted:
        # dash says p, other shells u.
        steps.append(f"ulimit -p {limits.SANDBOX_PROCESSES} 2>/dev/null || ulimit -u {limits.SANDBOX_PROCESSES}")
    steps += ['while [ "$1" != -- ]; do export "$1"; shift; done', "shift", 'exec "$@"']
    pairs = (f"{name}={value}" for name, value in sorted(launch.environment.items()))
    return ["/bin/sh", "-c", "; ".join(steps), "task", *pairs, "--", *launch.argv]
