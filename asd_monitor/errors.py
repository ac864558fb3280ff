"""Everything that can go wrong and is told to the user.

    AsdMonitorError             a message of one line: what, where, the mend
    ├── UsageError              wrong usage, malformed configuration or input: exit 2
    └── OperationError          well-formed, but it failed: exit 1

Each message stands by itself, because it is printed once and without a traceback.
"""

from __future__ import annotations


class AsdMonitorError(Exception):
    """Base of all errors that are told to the user."""

    exit_code = 1


class UsageError(AsdMonitorError):
    """The command line, the configuration or an input is malformed (exit code 2)."""

    exit_code = 2


class OperationError(AsdMonitorError):
    """What was asked for could not be done (exit code 1)."""
