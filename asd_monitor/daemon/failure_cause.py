"""Why work has failed: a limit of the computer or the service, or a defect in asd-monitor."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from asd_monitor.errors import OperationError

_NO_THREAD = "can't start new thread"  # RuntimeError of CPython


@dataclass(frozen=True, slots=True)
class FailureCause:
    """What was lacking or wrong, and the remedy."""

    text: str
    remedy: str


class StatedFailureError(Exception):
    """Work has failed for a cause that is known, outside of asd-monitor."""

    def __init__(self, cause: FailureCause) -> None:
        super().__init__(f"{cause.text}: {cause.remedy}")
        self.cause = cause


_NO_MORE_THREADS = FailureCause(
    "no more threads can be started",
    "raise TasksMax= of the service (the control group's pids.max) or `ulimit -u`, or end other"
    " programs of this user",
)
_NO_MEMORY = FailureCause(
    "the memory does not suffice",
    "raise MemoryMax= of the service (the control group's memory.max) or `ulimit -v`, end other"
    " programs, or monitor fewer machines on this box",
)
_SHORTAGES: Mapping[int, FailureCause] = {
    errno.ENOMEM: _NO_MEMORY,
    errno.EMFILE: FailureCause(
        "no more files can be opened by this process",
        "raise LimitNOFILE= of the service or `ulimit -n`",
    ),
    errno.ENFILE: FailureCause(
        "no more files can be opened on this computer",
        "raise fs.file-max by sysctl, or end other programs",
    ),
}


def shortage(error: BaseException) -> FailureCause | None:
    """Return what was lacking where an exception was raised; None: it has another cause."""
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return _NO_MORE_THREADS
    if isinstance(error, OSError) and error.errno is not None:
        return _SHORTAGES.get(error.errno)
    return None


@contextmanager
def shortage_stated() -> Iterator[None]:
    """Raise `OperationError` with the remedy where threads, memory or files do not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        lacking = shortage(error)
        if lacking is None:
            raise
        raise OperationError(f"{lacking.text}: {lacking.remedy}") from error


def failure_cause(error: BaseException) -> FailureCause:
    """Return the cause of an exception; of a group, that of the first one in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StatedFailureError):
        return error.cause
    if (found := shortage(error)) is not None:
        return found
    return FailureCause(
        f"a defect in asd-monitor ({type(error).__name__}: {error})",
        "please report it with the log",
    )
