"""Log lines by which the daemon reports a fault."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asd_monitor.errors import OperationError
from experiments.chaos.box import until
from experiments.chaos.process import ChaosProcess
from experiments.chaos.scenario import Findings

BROKER = re.compile(r"^\S+ \[(?:warning|error)\] .* broker=localhost", re.MULTILINE)
JOURNAL = re.compile(
    r"^\S+ \[(?:warning|error)\] (?!configuration).*(?:journal|disk|kept in memory)", re.MULTILINE
)
MICROPHONE = re.compile("microphone")


@dataclass(frozen=True, slots=True)
class LogReports:
    """The lines of one kind in the log of a daemon."""

    run: ChaosProcess
    kind: re.Pattern[str]

    def number(self) -> int:
        """Return how many there are so far."""
        return len(self.kind.findall(self.run.log))

    def measure(self, findings: Findings, *, known: int, since_s: float, limit_s: float) -> None:
        """Wait for a line more than those known, and add the time since the fault."""
        try:
            seen_s = until(lambda: self.number() > known, limit_s)
            findings.seen_s.append(seen_s - since_s)
        except OperationError:
            findings.problems.append(f"not reported within {limit_s:g} s")
