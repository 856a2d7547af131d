"""The system calls that no task may make, compiled once to the filter that bubblewrap loads.

Knows libseccomp through pyseccomp, an extra: without it there is no filter, and the node does not offer
`isolation:seccomp`. A deny list: a task is an arbitrary program, and what it may reach is decided by the policy
of the namespaces; the filter takes away the kernel's doors that programs do not need and exploits like.
Calls of a foreign architecture (32-bit, x32) end the process: the list would not cover them.
"""

import os
import tempfile
from functools import cache
from typing import Any

DENIED: dict[str, tuple[str, ...]] = {
    "look into or steer another process": (
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "process_madvise",
        "pidfd_getfd",
        "kcmp",
    ),
    "change what is mounted": (
        "mount",
        "umount",
        "umount2",
        "pivot_root",
        "chroot",
        "open_tree",
        "move_mount",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "mount_setattr",
    ),
    "make or enter namespaces": ("unshare", "setns"),
    "open files past the mounts": ("open_by_handle_at", "name_to_handle_at"),
    "reach keys kept by the kernel": ("keyctl", "add_key", "request_key"),
    "run code in the kernel": (
        "bpf",
        "init_module",
        "finit_module",
        "delete_module",
        "create_module",
        "kexec_load",
        "kexec_file_load",
    ),
    "use what exploits of the kernel start from": (
        "userfaultfd",
        "perf_event_open",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "personality",
        "modify_ldt",
        "vmsplice",
        "lookup_dcookie",
        "uselib",
    ),
    # Memory that belongs to no process is counted by nobody here: a task must not leave any.
    "keep memory outside its processes": ("memfd_create", "memfd_secret", "shmget", "msgget"),
    "govern the machine": (
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "quotactl",
        "quotactl_fd",
        "settimeofday",
        "stime",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "syslog",
        "iopl",
        "ioperm",
        "vhangup",
        "sethostname",
        "setdomainname",
        "fanotify_init",
    ),
}

NEW_NAMESPACES = {
    "CLONE_NEWTIME": 0x00000080,
    "CLONE_NEWNS": 0x00020000,
    "CLONE_NEWCGROUP": 0x02000000,
    "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWIPC": 0x08000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"""Socket families that a network namespace holds in. Others reach past it (AF_VSOCK: to the machine's own host)."""

TIOCSTI = 0x5412
TIOCLINUX = 0x541C
EPERM = 1
ENOSYS = 38
_LOW_32_BITS = 0xFFFFFFFF


@cache
def compiled() -> bytes:
    """The filter as BPF. Raises `ImportError` without pyseccomp or libseccomp, `OSError` when it cannot be built."""
    try:
        import pyseccomp
    except RuntimeError as error:  # libseccomp itself is not there
        raise ImportError(str(error)) from error
    chosen = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for calls in DENIED.values():
        for call in calls:
            _deny(pyseccomp, chosen, call)
    _deny_namespaces(pyseccomp, chosen)
    _deny_families(pyseccomp, chosen)
    # Typing into the terminal that a session was started from (CVE-2017-5226).
    for request in (TIOCSTI, TIOCLINUX):
        _deny(pyseccomp, chosen, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _LOW_32_BITS, request))
    with tempfile.TemporaryFile() as file:
        chosen.export_bpf(file)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return file.read(size)


def _deny(lib: Any, chosen: Any, call: str, *arguments: Any, errno: int = EPERM) -> None:
    number = lib.resolve_syscall(lib.Arch.NATIVE, call)
    if number >= 0:  # below: this architecture, or this libseccomp, knows no such call
        chosen.add_rule(lib.ERRNO(errno), number, *arguments)


def _deny_namespaces(lib: Any, chosen: Any) -> None:
    for flag in NEW_NAMESPACES.values():
        # CLONE_NEWTIME lies in the byte that clone takes as the signal of the child: only unshare and clone3 know it.
        if flag > 0xFF:
            _deny(lib, chosen, "clone", lib.Arg(0, lib.MASKED_EQ, flag, flag))
    # A filter cannot look at the flags of clone3, which lie in memory: the C library then falls back to clone.
    _deny(lib, chosen, "clone3", errno=ENOSYS)


def _deny_families(lib: Any, chosen: Any) -> None:
    last = max(FAMILIES.values())
    for family in range(last):
        if family not in FAMILIES.values():
            _deny(lib, chosen, "socket", lib.Arg(0, lib.MASKED_EQ, _LOW_32_BITS, family))
    # Two rules that together say "greater": libseccomp compares 64 bits, the kernel takes 32.
    for bit in range(32):
        if 1 << bit > last:
            _deny(lib, chosen, "socket", lib.Arg(0, lib.MASKED_EQ, 1 << bit, 1 << bit))
    for family in range(last + 1, 1 << last.bit_length()):
        _deny(lib, chosen, "socket", lib.Arg(0, lib.MASKED_EQ, _LOW_32_BITS, family))
