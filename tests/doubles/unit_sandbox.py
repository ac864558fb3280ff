"""Runs a command under the restrictions of a unit file: system calls, addresses, memory.

    python unit_sandbox.py UNIT COMMAND…

It stands in for systemd where that is not process 1: the same lists of system calls
(`systemd-analyze syscall-filter`) by the same library (libseccomp), address families, and no
memory that is both writable and executable.  Users, mounts and devices are not restricted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_EQUAL = 4  # SCMP_CMP_EQ
_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 38, 65


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def system_calls(unit: Path) -> set[str]:
    """Return the system calls that the `SystemCallFilter=` lines of the unit allow, in order."""
    allowed = _expand("@default")
    for words in _values(unit, "SystemCallFilter"):
        remove = words.startswith("~")
        for word in words.removeprefix("~").split():
            names = _expand(word)
            allowed = allowed - names if remove else allowed | names
    return allowed


def _values(unit: Path, key: str) -> list[str]:
    lines = unit.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def _expand(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    names = [line.strip() for line in listed[1:] if line.strip() and "#" not in line]
    return {each for name in names for each in _expand(name)}


def enter(unit: Path) -> None:
    """Apply the restrictions of the unit to this process and its children."""
    names = system_calls(unit)
    (families,) = _values(unit, "RestrictAddressFamilies")
    libc = ctypes.CDLL(None, use_errno=True)
    if _values(unit, "MemoryDenyWriteExecute") == ["yes"] and libc.prctl(_PR_SET_MDWE, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
    )  # fmt: skip
    context = ctypes.c_void_p(seccomp.seccomp_init(_REFUSE))
    for name in sorted(names - {"socket"}):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            seccomp.seccomp_rule_add_array(context, _ALLOW, number, 0, None)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families.split():
        is_family = _Comparison(0, _EQUAL, getattr(socket, family), 0)
        seccomp.seccomp_rule_add_array(context, _ALLOW, number, 1, ctypes.byref(is_family))
    if seccomp.seccomp_load(context):
        raise OSError("seccomp_load")


if __name__ == "__main__":
    enter(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted
