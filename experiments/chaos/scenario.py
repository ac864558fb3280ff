"""What a fault is, and what is measured of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from experiments.chaos.product import Product


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

    def leave_out(self, times: int, reason: str) -> None:
        """Note that the fault was not injected so many times."""
        self.times -= times
        self.notes.append(f"not injected: {reason}")

    def add_loss(self, loss: SampleLoss) -> None:
        """Add the lost samples of one run."""
        before = self.loss or SampleLoss(0, 0)
        self.loss = SampleLoss(
            before.counted + loss.counted,
            before.true + loss.true,
            before.tolerance + loss.tolerance,
        )

    def add_events(self, unacknowledged: int, equal_id: int, other_id: int) -> None:
        """Add the events of one box."""
        self.unacknowledged = (self.unacknowledged or 0) + unacknowledged
        self.equal_id = (self.equal_id or 0) + equal_id
        self.other_id = (self.other_id or 0) + other_id


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


@dataclass(frozen=True, slots=True)
class RepeatedFault:
    """A fault that is injected each time in a folder of its own; a `Scenario`."""

    name: str
    fault: str
    inject: Callable[[Place, Findings], None]
    """Injects it once."""
    seconds_each: float
    times: int = 1

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault so many times."""
        findings = Findings(times)
        for number in range(times):
            self.inject(replace(place, folder=place.folder / str(number)), findings)
        return findings
