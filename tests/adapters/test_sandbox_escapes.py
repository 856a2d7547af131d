"""Attempts to get out of the sandbox, or to see out of it: at least one for each row of its policy.

Each runs a real program in a real bubblewrap, in both ways that tasks can lose their rights.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.confinement import SMALL, python, run, running, sandboxes
from quorate.adapters.sandbox import POLICY, Sandbox
from quorate.base import limits

pytestmark = pytest.mark.skipif(not sandboxes(), reason="no working bubblewrap: nothing of the sandbox's policy")
Test = Callable[..., Any]


def escape(*rows: str) -> Callable[[Test], Test]:
    """Says which rows of the policy a test attacks."""

    def mark(test: Test) -> Test:
        test.rows = rows  # type: ignore[attr-defined]
        return test

    return mark


@pytest.fixture(params=sandboxes() or ["none"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandboxes()[request.param]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "in"
    folder.mkdir(parents=True)
    (folder / "given").write_text("given")
    return folder


ATTEMPT = """
import json, os, sys
def attempt(do):
    try:
        return do() or "done"
    except OSError as error:
        import errno
        return errno.errorcode.get(error.errno, str(error))
"""


def attempts(sandbox: Sandbox, inputs: Path, source: str, **options: object) -> Any:
    """Run a program that prints JSON; `attempt(f)` in it gives the name of the error that the system answers with."""
    return json.loads(python(sandbox, inputs, ATTEMPT + source, bounds=SMALL, **options))


def test_every_row_of_the_policy_is_attacked() -> None:
    attacked = {row for test in globals().values() for row in getattr(test, "rows", ())}
    assert attacked == {row.name for row in POLICY}


# What the host has is not there


@escape("root", "inputs")
def test_files_of_the_host_cannot_be_read(sandbox: Sandbox, inputs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (inputs.parent / "beside").write_text("secret")
    wanted = [
        str(secret),
        str(inputs.parent / "beside"),
        "in/../../secret",
        str(Path(__file__)),
        str(Path.home() / ".bashrc"),
        str(Path.home() / ".ssh"),
        "/etc/passwd",
        "/etc/shadow",
        "/etc/machine-id",
        "/run",
        "/var",
        "/sys",
        "/boot",
        "/mnt",
        "/proc/1/root/etc/passwd",
        "/proc/self/root/etc/passwd",
        "/proc/1/cwd/beside",
    ]
    found = attempts(sandbox, inputs, f"print(json.dumps([attempt(lambda: str(os.stat(p))) for p in {wanted}]))")
    # The first process of the sandbox may be another user's, and then its folder is shut as well.
    expected = {path: ("ENOENT", "EACCES") if path.startswith("/proc/1/") else ("ENOENT",) for path in wanted}
    assert [path for path, error in zip(wanted, found, strict=True) if error not in expected[path]] == []
    listed = attempts(sandbox, inputs, "print(json.dumps(os.listdir('in')))")
    assert listed == ["given"]


@escape("root")
def test_a_link_in_the_inputs_leads_to_the_sandbox_and_not_to_the_host(
    sandbox: Sandbox, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (inputs / "link").symlink_to(tmp_path / "secret")
    assert attempts(sandbox, inputs, "print(json.dumps(attempt(lambda: open('in/link').read())))") == "ENOENT"


@escape("environment")
def test_the_environment_of_the_node_is_not_there(
    sandbox: Sandbox, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORATE_SECRET", "secret")
    mine = {"MINE": "a b"}
    found = attempts(sandbox, inputs, "print(json.dumps(dict(os.environ)))", environment=mine)
    everywhere = attempts(
        sandbox,
        inputs,
        """
import glob
seen = {}
for path in glob.glob("/proc/*/environ"):
    seen[path] = attempt(lambda: open(path).read())
print(json.dumps(seen))""",
    )
    assert "secret" not in json.dumps([found, everywhere])
    assert set(found) == {
        *("HOME", "LANG", "MINE", "OMP_NUM_THREADS", "PATH", "PWD"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "TZ"),
    } | ({"LC_CTYPE"} & set(found))
    assert (found["HOME"], found["MINE"], found["TZ"]) == ("/work", "a b", "UTC")


@escape("processes", "proc")
def test_other_processes_are_neither_seen_nor_signalled(sandbox: Sandbox, inputs: Path) -> None:
    found = attempts(
        sandbox,
        inputs,
        f"""
import signal
print(json.dumps({{
    "seen": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
    "signal": attempt(lambda: os.kill({os.getpid()}, 0)),
    "own init": attempt(lambda: os.kill(1, signal.SIGKILL)),
    "all": attempt(lambda: os.kill(-1, 0)),
    "names": [open(f"/proc/{{p}}/comm").read().strip() for p in os.listdir("/proc") if p.isdigit()],
}}))""",
    )
    assert os.getpid() > 20, "else the test cannot tell"
    assert found["seen"][0] == 1 and len(found["seen"]) == 2
    assert sorted(found["names"]) == ["python3", "sh"]
    assert found["signal"] == "ESRCH"
    # Where it is allowed it is without effect: this answer could still be written.
    assert found["own init"] in ("EPERM", "done")


@escape("proc")
def test_settings_of_the_kernel_cannot_be_changed(sandbox: Sandbox, inputs: Path) -> None:
    files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/shmmax",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/self/oom_score_adj",
        "/proc/self/uid_map",
        "/proc/1/mem",
        "/proc/kcore",
        "/proc/kmsg",
    ]
    source = f"print(json.dumps([attempt(lambda: os.close(os.open(p, os.O_WRONLY))) for p in {files}]))"
    found = dict(zip(files, attempts(sandbox, inputs, source), strict=True))
    assert set(found.values()) <= {"EROFS", "EACCES", "EPERM", "ENOENT"}
    # Its own score is its to change anywhere else: here it shows that nothing rests on rights alone.
    assert found["/proc/self/oom_score_adj"] == "EROFS"


@escape("hostname", "cgroup", "ipc")
def test_names_and_queues_of_the_host_are_not_there(sandbox: Sandbox, inputs: Path) -> None:
    kinds = ("uts", "ipc", "cgroup", "pid", "mnt", "net")
    found = attempts(
        sandbox,
        inputs,
        f"""
import socket
print(json.dumps({{
    "name": socket.gethostname(),
    "rename": attempt(lambda: socket.sethostname("other")),
    "spaces": [os.readlink(f"/proc/self/ns/{{kind}}") for kind in {kinds}],
    "groups": open("/proc/self/cgroup").read(),
    "queues": open("/proc/sysvipc/shm").read().count(chr(10)),
}}))""",
    )
    assert found["name"] == "quorate" != socket.gethostname()
    assert found["rename"] == "EPERM"
    outside = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert not set(found["spaces"]) & set(outside)
    assert all(line.endswith(":/") for line in found["groups"].splitlines())
    assert found["queues"] == 1


@escape("terminal")
def test_there_is_no_terminal_to_type_into(sandbox: Sandbox, inputs: Path) -> None:
    """The task leads, or is in, a session that has no terminal, and may not put characters into one it opens."""
    found = attempts(
        sandbox,
        inputs,
        """
import fcntl, termios
primary, secondary = os.openpty() if os.path.exists("/dev/ptmx") else (0, 0)
print(json.dumps({
    "session": os.getsid(0),
    "terminal": attempt(lambda: os.open("/dev/tty", os.O_RDWR)),
    "type": attempt(lambda: fcntl.ioctl(secondary, termios.TIOCSTI, b"x")),
    "paste": attempt(lambda: fcntl.ioctl(secondary, 0x541C, b"x")),  # TIOCLINUX; the kernel alone would say ENOTTY
}))""",
    )
    assert found == {"session": 1, "terminal": "ENXIO", "type": "EPERM", "paste": "EPERM"}


# The network


@pytest.fixture
def listener() -> Iterator[int]:
    """A server on the host's loopback that says hello."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


CONNECT = """
import socket
def connect(address):
    with socket.create_connection(address, timeout=2) as s:
        return s.recv(5).decode()
"""


@escape("network")
def test_the_network_is_there_only_when_allowed(sandbox: Sandbox, inputs: Path, listener: int) -> None:
    source = CONNECT + f"print(json.dumps(attempt(lambda: connect(('127.0.0.1', {listener})))))"
    assert attempts(sandbox, inputs, source) == "ECONNREFUSED"
    assert attempts(sandbox, inputs, source, network=True) == "hello"


@escape("network")
def test_sockets_of_the_host_cannot_be_reached(sandbox: Sandbox, inputs: Path) -> None:
    """Abstract names belong to the network's namespace; the host of a virtual machine to no namespace at all."""
    name = f"\0quorate-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        found = attempts(
            sandbox,
            inputs,
            f"""
import socket
print(json.dumps({{
    "abstract": attempt(lambda: socket.socket(socket.AF_UNIX).connect({name!r})),
    "outside": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))),
    "families": {{f: attempt(lambda: socket.socket(f, socket.SOCK_STREAM).close()) for f in (15, 17, 38, 40, 44, 77)}},
    "allowed": attempt(lambda: socket.socketpair()[0].close()),
}}))""",
        )
    assert found["abstract"] == "ECONNREFUSED"
    assert found["outside"] == "ENETUNREACH"
    assert set(found["families"].values()) == {"EPERM"}
    assert found["allowed"] == "done"


@escape("names")
def test_names_and_certificates_come_with_the_network_alone(sandbox: Sandbox, inputs: Path) -> None:
    source = "print(json.dumps(sorted(os.listdir('/etc'))))"
    without = attempts(sandbox, inputs, source)
    extra = set(attempts(sandbox, inputs, source, network=True)) - set(without)
    assert set(without) <= {"ld.so.cache", "alternatives"}
    possible = {"resolv.conf", "hosts", "nsswitch.conf", "services", "gai.conf", "ssl", "pki"}
    there = {name for name in possible if Path("/etc", name).exists()}
    assert extra - {"ssl", "pki"} == there - {"ssl", "pki"}


# Nothing can be changed


@escape("system", "linker", "python", "opened", "inputs", "root", "devices")
def test_nothing_that_is_opened_can_be_written(sandbox: Sandbox, inputs: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "model").write_text("weights")
    host = sandbox.findings.host
    assert host is not None
    opened = Sandbox(replace(sandbox.findings, host=replace(host, opened=(str(shown),))))
    places = ["/", "/usr", "/usr/bin", "/usr/lib", "/etc", "/etc/alternatives", "in", "/dev", "/proc", str(shown)]
    places += [sys.prefix, sys.base_prefix]
    found = attempts(
        opened,
        inputs,
        f"""
def plant(path):
    open(path, "x").close()
    os.unlink(path)  # a test that fails does no harm
print(json.dumps({{
    "made": [attempt(lambda: plant(os.path.join(p, "planted"))) for p in {places}],
    "changed": [attempt(lambda: open(p, "r+")) for p in ("in/given", "/etc/ld.so.cache", sys.executable, os.__file__)],
    "removed": [attempt(lambda: os.unlink(p)) for p in ("in/given", {str(shown / "model")!r})],
    "mode": attempt(lambda: os.chmod("in/given", 0o777)),
    "device": attempt(lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(254, 0))),
    "read": open({str(shown / "model")!r}).read() + open("in/given").read(),
}}))""",
    )
    refused = {"EROFS", "EACCES", "EPERM", "ENOENT", "ETXTBSY"}
    assert set(found["made"]) <= refused and set(found["changed"]) <= refused and set(found["removed"]) <= refused
    assert found["mode"] in refused and found["device"] in refused
    assert found["read"] == "weightsgiven"
    assert (inputs / "given").read_text() == "given"


@escape("devices")
def test_only_harmless_devices_are_there(sandbox: Sandbox, inputs: Path) -> None:
    found = attempts(sandbox, inputs, "print(json.dumps(sorted(os.listdir('/dev'))))")
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "fd", "core"}
    assert set(found) <= harmless | {"stdin", "stdout", "stderr", "console"}


@escape("tmp", "work", "devices")
def test_the_disk_cannot_be_filled(sandbox: Sandbox, inputs: Path) -> None:
    """Neither by one file nor by many: and what is written is never on the host's disk."""
    found = attempts(
        sandbox,
        inputs,
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
block = bytes(1 << 22)
def fill(path):
    size = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                size += file.write(block)
        except OSError as error:
            import errno
            return size, errno.errorcode[error.errno]
def flood(folder):
    total = 0
    for number in range(100):
        size, why = fill(f"{folder}/{number}")
        total += size
        if why == "ENOSPC":
            break
    for number in range(100):
        if os.path.exists(f"{folder}/{number}"): os.unlink(f"{folder}/{number}")
    return total, why
print(json.dumps({
    "one": fill("/tmp/one"),
    "many": {folder: flood(folder) for folder in ("/tmp", "/work", "/dev/shm")},
    "disks": sorted({line.split()[1] for line in open("/proc/mounts") if "rw" in line.split()[3].split(",")}),
}))""",
    )
    assert found["one"] == [limits.SANDBOX_FILE_BYTES, "EFBIG"]
    for folder, (total, why) in found["many"].items():
        most = limits.SANDBOX_SHM_BYTES if folder == "/dev/shm" else limits.SANDBOX_SCRATCH_BYTES
        assert why == "ENOSPC" and total <= most, folder
    writable = {path for path in found["disks"] if not path.startswith(("/dev/", "/proc"))}
    assert writable == {"/tmp", "/work"}
    assert [path.name for path in inputs.parent.iterdir()] == ["in"]


# No rights, and no calls to get any


@escape("user")
def test_the_task_has_no_rights(sandbox: Sandbox, inputs: Path) -> None:
    found = attempts(
        sandbox,
        inputs,
        """
import glob
def fields(path):
    return dict(line.split(":\\t", 1) for line in open(path).read().splitlines() if ":\\t" in line)
def rights(one):
    return sorted({one[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb")})
first, own = fields("/proc/1/status"), fields("/proc/self/status")
print(json.dumps({
    "own": rights(own) + [own["CapBnd"]],
    "first": rights(first),
    "nnp": [first["NoNewPrivs"], own["NoNewPrivs"]],
    "filtered": [first["Seccomp"], own["Seccomp"]],
    "groups": os.getgroups(),
    "root": attempt(lambda: os.setuid(0)) if os.getuid() else "EPERM",
    "uids": own["Uid"].split(),
    "into the first": attempt(lambda: open("/proc/1/mem").close()),
}))""",
    )
    nothing = "0000000000000000"
    assert found["own"] == [nothing, nothing]
    assert found["nnp"] == ["1", "1"] and found["filtered"] == ["2", "2"]
    assert found["root"] in ("EPERM", "EINVAL")
    host = sandbox.findings.host
    if host is not None and host.setpriv:
        assert found["groups"] == [] and "0" not in found["uids"]
        assert found["into the first"] == "EACCES"
        # It has what it takes to become a task, and nothing to do with it but wait.
        assert found["first"] == [f"{1 << 6 | 1 << 7 | 1 << 8:016x}"]
    else:
        assert found["first"] == [nothing]


@escape("user")
def test_variables_of_the_task_reach_no_program_that_still_has_rights(sandbox: Sandbox, inputs: Path) -> None:
    """A library named by the task is loaded by its own program alone, not by those that take the rights away."""
    given = {"LD_PRELOAD": "/work/in/evil.so", "BASH_ENV": "/work/in/evil", "ENV": "/work/in/evil"}
    outcome = run(sandbox, inputs, "true", environment=given)
    assert outcome.status == 0
    # The loader of `true` complains; shells and `setpriv` before it would have complained too.
    assert outcome.stderr.decode().count("evil") == 1


CALLS = {
    "ptrace": "ptrace(0, 0, 0, 0)",
    "process_vm_readv": "process_vm_readv(1, None, 0, None, 0, 0)",
    "mount": "mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "umount": "umount2(b'/tmp', 0)",
    "chroot": "chroot(b'/tmp')",
    "unshare user": "unshare(0x10000000)",
    "unshare mount": "unshare(0x00020000)",
    "setns": "setns(0, 0)",
    "personality": "personality(0xffffffff)",
    "shmget": "shmget(0, 4096, 0o1600)",
    "memfd_create": "memfd_create(b'x', 0)",
}
NUMBERS = {  # x86-64 and those that are the same everywhere
    "keyctl": 250,
    "add_key": 248,
    "bpf": 321,
    "perf_event_open": 298,
    "kexec_load": 246,
    "init_module": 175,
    "finit_module": 313,
    "userfaultfd": 323,
    "open_by_handle_at": 304,
    "pivot_root": 155,
    "reboot": 169,
    "swapon": 167,
    "io_uring_setup": 425,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "mount_setattr": 442,
    "pidfd_getfd": 438,
}


@escape("calls")
def test_calls_that_lead_out_are_refused(sandbox: Sandbox, inputs: Path) -> None:
    """Refused by the filter whatever their arguments: EPERM, where the kernel itself would answer something else."""
    numbers = NUMBERS if os.uname().machine == "x86_64" else {}
    calls = {**CALLS, **{name: f"syscall({number}, -1, 0, 0, 0, 0)" for name, number in numbers.items()}}
    body = ",".join(f"{name!r}: call(lambda: libc.{call})" for name, call in calls.items())
    found = attempts(
        sandbox,
        inputs,
        f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(do):
    return errno.errorcode.get(ctypes.get_errno()) if do() == -1 else "done"
print(json.dumps({{{body}}}))""",
    )
    assert found == dict.fromkeys(calls, "EPERM")


@escape("calls")
def test_new_namespaces_are_refused_also_through_clone(sandbox: Sandbox, inputs: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of calls are of x86-64")
    found = attempts(
        sandbox,
        inputs,
        """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def clone(flags):
    pid = libc.syscall(56, flags | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return errno.errorcode.get(ctypes.get_errno()) if pid == -1 else "done"
print(json.dumps({
    "with": [clone(1 << bit) for bit in (17, 25, 26, 27, 28, 29, 30)],
    "without": clone(0),
    "clone3": [libc.syscall(435, ctypes.create_string_buffer(88), 88), ctypes.get_errno() == errno.ENOSYS],
}))""",
    )
    assert found == {"with": ["EPERM"] * 7, "without": "done", "clone3": [-1, True]}


@escape("calls")
def test_a_foreign_set_of_calls_is_deadly(sandbox: Sandbox, inputs: Path) -> None:
    """On x86-64 the x32 numbers would pass by a list of the native ones."""
    if os.uname().machine != "x86_64":
        pytest.skip("only x86-64 has such a set")
    source = "import ctypes; print(ctypes.CDLL(None).syscall(0x40000000 + 39))"
    outcome = run(sandbox, inputs, "python3", "-c", source)
    assert (outcome.status, outcome.stdout) == (128 + 31, b"")


@escape("processes")
def test_descriptors_of_the_node_are_closed(sandbox: Sandbox, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    fd = os.open(tmp_path / "secret", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        found = attempts(
            sandbox,
            inputs,
            """
import glob
open_fds = {}
for pid in (p for p in os.listdir("/proc") if p.isdigit()):
    at = f"/proc/{pid}/fd/"
    open_fds[pid] = attempt(lambda: {fd: attempt(lambda: os.readlink(at + fd)) for fd in os.listdir(at)})
print(json.dumps([open_fds[str(os.getpid())], sys.stdin.read(), open_fds]))""",
        )
    finally:
        os.close(fd)
    own = {fd: target for fd, target in found[0].items() if not target.startswith("/proc/")}
    assert set(own) <= {"0", "1", "2", "3"}  # 3: the folder that is being listed
    assert own["0"] == "/dev/null" and found[1] == ""
    assert own["1"].startswith("pipe:") and own["2"].startswith("pipe:")
    assert "secret" not in json.dumps(found[2]) and "memfd" not in json.dumps(found[2])


@escape("processes")
def test_daemons_do_not_outlive_the_task(sandbox: Sandbox, inputs: Path) -> None:
    mark = f"7777.{os.getpid()}"
    daemon = f"(setsid sh -c 'setsid sleep {mark} >/dev/null 2>&1 </dev/null &' &)"
    outcome = run(sandbox, inputs, "sh", "-c", f"{daemon}; until pidof sleep; do :; done")
    assert outcome.stdout.strip().isdigit(), "it was there while the task ran"
    assert running(mark) == []
