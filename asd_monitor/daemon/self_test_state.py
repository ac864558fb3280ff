"""What the self-test keeps in the state folder over restarts: ``<state>/self-test.json``.

It is replaced atomically, and ends with its own SHA-256.  Where it is damaged the tests begin anew,
which is logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog
from pydantic import TypeAdapter, ValidationError

from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import sync_folder, write_private_file
from asd_monitor.publish.messages import SelfTestResult
from asd_monitor.sealed_json import seal_of, sealed_json
from asd_monitor.self_test.checks import Result
from asd_monitor.self_test.schedule import TimesOfTests

log = structlog.get_logger()

FILE = "self-test.json"
_MAX_BYTES = 8 << 20  # a thousand machines have 2 MiB


@dataclass(frozen=True, slots=True)
class FirstLevels:
    """The levels at the first self-test of a model that states none of its training."""

    model: str  # hash of the trained model
    levels_db: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class SelfTestCounters:
    """Counts of self-tests since the start of the daemon."""

    made: int = 0
    failed: int = 0
    not_possible: int = 0
    unsaved: int = 0
    """Times that the results could not be saved."""

    def after(self, result: Result) -> SelfTestCounters:
        """Return the counts after another test."""
        return replace(
            self,
            made=self.made + 1,
            failed=self.failed + (result is Result.FAILED),
            not_possible=self.not_possible + (result is Result.NOT_POSSIBLE),
        )


@dataclass(frozen=True, slots=True)
class SelfTestRecord:
    """The tests of a machine, or of the box."""

    times: TimesOfTests = field(default_factory=TimesOfTests)
    newest: SelfTestResult | None = None
    complete: SelfTestResult | None = None
    """The last one that was possible, with the newest possible result of each check."""
    first: FirstLevels | None = None


@dataclass(frozen=True, slots=True)
class SelfTestState:
    """Everything that is kept."""

    format: Literal[1] = 1
    broker: SelfTestRecord = field(default_factory=SelfTestRecord)
    machines: Mapping[str, SelfTestRecord] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)
    """When the conditions of the box began (`asd_monitor.daemon.box_conditions`)."""


_ADAPTER = TypeAdapter(SelfTestState)


class SelfTestFile:
    """The file of one box; its methods block.

    Args:
        state: The state folder.

    """

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._log = log.bind(file=str(self._path))
        self.failed_saves = 0
        """How often the state could not be written."""
        self._failed = False

    def load(self) -> SelfTestState:
        """Return what an earlier run has left; empty where there is none or it is damaged."""
        try:
            return _parsed(read_limited(self._path, _MAX_BYTES))
        except FileNotFoundError:
            return SelfTestState()
        except (OSError, ValidationError, ValueError) as error:
            self._log.warning(
                "the saved self-tests cannot be used: they begin anew",
                reason=str(error).splitlines()[0],
            )
            return SelfTestState()

    def save(self, state: SelfTestState) -> None:
        """Write the state; a failure is logged once until it succeeds again."""
        partial = self._path.with_name(f".{self._path.name}.partial")
        content, _ = sealed_json(json.loads(_ADAPTER.dump_json(state)))
        try:
            write_private_file(partial, content)
            partial.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            if not self._failed:
                self._log.warning(
                    "the self-tests cannot be saved: a restart begins them anew", reason=str(error)
                )
            self._failed = True
            self.failed_saves += 1
        else:
            self._failed = False


def _parsed(content: bytes) -> SelfTestState:
    """Return the state in a file.  Raises ValueError where it was changed or is another one."""
    if seal_of(content) is None:
        raise ValueError("the file does not end with its hash")
    return _ADAPTER.validate_json(content)
