"""What a fault is, what is measured of it, and the table of all measurements."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from experiments.chaos.product import Product
from experiments.markdown import table

HEAD = (
    "fault",
    "times",
    "seen within",
    "recovered within",
    "samples lost (counted, true)",
    "events never acknowledged",
    "duplicates, equal id",
    "duplicates, another id",
)
NOT_MEASURED = "–"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault is injected."""

    product: Product
    folder: Path  # empty, of this fault alone
    seed: int

    def chance(self, *parts: object) -> random.Random:
        """Return the random generator of a part of this fault, the same for the same seed."""
        return random.Random(" ".join(map(str, (self.seed, *parts))))  # noqa: S311 - no secret


@dataclass(slots=True)
class SampleLoss:
    """Lost samples as the daemon has counted them, and as the source of the sound knows."""

    counted: int
    true: int
    tolerance: int = 0

    @property
    def is_right(self) -> bool:
        """Whether both are equal within the tolerance."""
        return abs(self.counted - self.true) <= self.tolerance


@dataclass(slots=True)
class Findings:
    """What was measured of one fault; None: it does not apply."""

    times: int = 0
    seen_s: list[float] = field(default_factory=list)
    """From each fault to the message or log line that reports it, in s."""
    recovered_s: list[float] = field(default_factory=list)
    """From the end of each fault to the evaluated state or the last event, in s."""
    loss: SampleLoss | None = None
    unacknowledged: int | None = None  # events of the journal that no broker has acknowledged
    equal_id: int | None = None  # acknowledged once more with the same id
    other_id: int | None = None  # a transition, or an alarm, under two ids
    problems: list[str] = field(default_factory=list)
    """What must not happen, one line each."""
    notes: list[str] = field(default_factory=list)
    """What the figures leave out, such as a fault that cannot be injected on this computer."""

    def require(self, holds: object, problem: str) -> None:
        """Add a problem unless a condition holds."""
        if not holds:
            self.problems.append(problem)

    def add_loss(self, counted: int, true: int, tolerance: int = 0) -> None:
        """Add the lost samples of one run."""
        before = self.loss or SampleLoss(0, 0)
        self.loss = SampleLoss(
            before.counted + counted, before.true + true, before.tolerance + tolerance
        )

    def add_events(self, unacknowledged: int, equal_id: int, other_id: int) -> None:
        """Add the events of one box."""
        self.unacknowledged = (self.unacknowledged or 0) + unacknowledged
        self.equal_id = (self.equal_id or 0) + equal_id
        self.other_id = (self.other_id or 0) + other_id

    def row(self, fault: str) -> tuple[str, ...]:
        """Return the row of the table."""
        loss = NOT_MEASURED
        if self.loss is not None:
            relation = "≈" if self.loss.is_right else "≠"
            loss = f"{self.loss.counted} {relation} {self.loss.true}"
        counts = (self.unacknowledged, self.equal_id, self.other_id)
        return (
            fault,
            str(self.times),
            _longest(self.seen_s),
            _longest(self.recovered_s),
            loss,
            *(NOT_MEASURED if number is None else str(number) for number in counts),
        )


class Scenario(Protocol):
    """A fault that can be injected a number of times."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def fault(self) -> str:
        """What breaks, in the words of the table."""

    @property
    def times(self) -> int:
        """How often it is injected unless another number is given."""

    @property
    def seconds_each(self) -> float:
        """How long one time takes, about, on an idle computer with two cores."""

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault; raises what ends the experiment, never a finding.

        Every process that it starts has ended when it returns or raises.
        """


def report(results: Iterable[tuple[Scenario, Findings]]) -> str:
    """Return the table, and below it problems and notes."""
    found = list(results)
    text = table(HEAD, [findings.row(scenario.fault) for scenario, findings in found])
    text += _lines("Problems", [(s.name, line) for s, f in found for line in f.problems])
    return text + _lines("Notes", [(s.name, line) for s, f in found for line in f.notes])


def _lines(title: str, lines: Sequence[tuple[str, str]]) -> str:
    if not lines:
        return ""
    return f"\n{title}:\n\n" + "".join(f"- {name}: {line}\n" for name, line in lines)


def _longest(seconds: Sequence[float]) -> str:
    if not seconds:
        return NOT_MEASURED
    longest = max(seconds)
    return "never" if math.isinf(longest) else f"{longest:.1f} s"
