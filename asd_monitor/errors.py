"""Exceptions that are reported to the user.

    AsdMonitorError             message of one line: what, where, remedy
    ├── UsageError              malformed usage, configuration or input: exit code 2
    └── OperationError          well-formed, but it failed: exit code 1

A message is complete by itself: it is printed once and without a traceback.
"""

from __future__ import annotations


class AsdMonitorError(Exception):
    """Base class of the exceptions that are reported to the user."""

    exit_code = 1


class UsageError(AsdMonitorError):
    """The command line, the configuration or an input is malformed (exit code 2)."""

    exit_code = 2


class OperationError(AsdMonitorError):
    """A well-formed request failed (exit code 1)."""
