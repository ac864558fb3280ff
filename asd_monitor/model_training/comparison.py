"""Two models of a machine compared, for a person who decides which one is used; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from asd_monitor.self_test.detected_levels import DetectedLevels
from asd_monitor.synthesis.added_faults import FaultKind
from asd_monitor.wording import count

MAX_LOSS_DB = 6.0
"""A fault that must be louder by more than this to be detected is a warning."""
SHORTEST_S = 20.0
"""In shorter sound the score over ten seconds may not reach the threshold for the on-delay."""
VALID, INVALID = "valid", "invalid"
_KIND_NAMES = {FaultKind.TONE: "an added tone", FaultKind.IMPACTS: "added impacts"}


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One of the models."""

    version: str
    sha256: str | None  # of its manifest; None: it is not written yet
    hours: int  # different hours that its sound is from
    budget: str  # of false alarms, that it supports


@dataclass(frozen=True, slots=True)
class ComparedAlarm:
    """The kept sound of a past alarm, monitored with both models."""

    alarm_id: str
    label: str | None  # valid or invalid; None: not labelled
    seconds: float  # of its sound
    before: float  # highest alarm score
    after: float
    rises_before: bool
    rises_after: bool

    @property
    def is_lost(self) -> bool:
        """Whether the alarm would not rise any more."""
        return self.rises_before and not self.rises_after

    @property
    def is_hidden(self) -> bool:
        """Whether a lost fault may not show: it rises with neither, and is short or scores less."""
        if self.rises_before or self.rises_after:
            return False
        return self.seconds < SHORTEST_S or self.after < self.before


@dataclass(frozen=True, slots=True)
class UncomparedAlarm:
    """A past alarm whose sound was not monitored again."""

    alarm_id: str
    label: str | None  # valid or invalid; None: not labelled
    reason: str


@dataclass(frozen=True, slots=True)
class HeldOutAlarms:
    """Blocks of normal sound that were held out, and how many raise an alarm."""

    blocks: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ComparedLevels:
    """The levels down to which known faults are detected in the same normal sound."""

    before: DetectedLevels
    after: DetectedLevels

    def lost(self) -> list[FaultKind]:
        """Return the kinds that must be louder by more than `MAX_LOSS_DB`, or are missed."""
        found = []
        for kind in FaultKind:
            before, after = self.before.by_kind.get(kind), self.after.by_kind.get(kind)
            if before is not None and (after is None or after - before > MAX_LOSS_DB):
                found.append(kind)
        return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """What another model changes."""

    machine: str
    before: ComparedModel
    after: ComparedModel
    alarms: tuple[ComparedAlarm, ...] = ()
    uncompared: tuple[UncomparedAlarm, ...] = ()
    """Alarms that have a package or are labelled valid, and were not monitored again."""
    held_out: HeldOutAlarms | None = None
    levels: ComparedLevels | None = None
    not_measured: str | None = None
    """Why there are no levels."""
    notes: tuple[str, ...] = field(default=())

    def with_labels(self, labels: Mapping[str, str]) -> Comparison:
        """Return it with the labels of alarms by id as they are now."""
        alarms = tuple(
            replace(each, label=labels.get(each.alarm_id, each.label)) for each in self.alarms
        )
        uncompared = [
            replace(each, label=labels.get(each.alarm_id, each.label)) for each in self.uncompared
        ]
        known = {each.alarm_id for each in self.alarms}
        known |= {each.alarm_id for each in uncompared}
        uncompared += [
            UncomparedAlarm(each, label, "it was labelled after the comparison")
            for each, label in labels.items()
            if label == VALID and each not in known
        ]
        return replace(self, alarms=alarms, uncompared=tuple(uncompared))

    @property
    def rising(self) -> list[ComparedAlarm]:
        """The alarms that rise with the model before."""
        return [each for each in self.alarms if each.rises_before]

    def warnings(self) -> list[str]:
        """Return why the model after must not be used unseen, one sentence each; none: nothing."""
        found = []
        lost = [each for each in self.alarms if each.is_lost and each.label == VALID]
        if lost:
            ids = ", ".join(each.alarm_id for each in lost)
            found.append(
                f"{count(len(lost), 'alarm')} labelled valid would not rise any more ({ids})"
            )
        hidden = [each for each in self.alarms if each.is_hidden and each.label == VALID]
        found += [
            f"{each.alarm_id}, labelled valid, rises with neither model in the "
            f"{each.seconds:.0f} s of sound that are kept of it; its score was {each.before:.1f} "
            f"and is {each.after:.1f}"
            for each in hidden
        ]
        found += [
            f"{each.alarm_id}, labelled valid, cannot be compared: {each.reason}"
            for each in self.uncompared
            if each.label == VALID
        ]
        if self.levels is not None:
            for kind in self.levels.lost():
                before = self.levels.before.by_kind[kind]
                after = level_text(self.levels.after, kind)
                found.append(
                    f"{_KIND_NAMES[kind]} would be detected from {after} on, and is from "
                    f"{before:+.1f} dB on with {self.before.version}"
                )
        return found

    def decision(self, command: str) -> str:
        """Return the decision to make, in one sentence.

        ``command`` puts the model after into use.
        """
        before, after = self.before.version, self.after.version
        if self.warnings():
            return (
                f"{self._summary()}: do not promote {after}, or look at the sound first and label "
                f"the alarm anew; `{command} --anyway` promotes it nevertheless."
            )
        unlabelled = [each for each in self.alarms if each.is_lost and each.label is None]
        if unlabelled:
            verb = "has" if len(unlabelled) == 1 else "have"
            return (
                f"{self._summary()}, of which {len(unlabelled)} {verb} no label: label each first "
                f"(`asd-monitor alarms label ID valid|invalid`), then promote {after} with "
                f"`{command}`, or keep {before}."
            )
        return f"{self._summary()}: promote {after} with `{command}`, or keep {before}."

    def _summary(self) -> str:
        newly = [
            each.alarm_id for each in self.alarms if each.rises_after and not each.rises_before
        ]
        if newly:
            ids = ", ".join(newly)
            return f"{self._summary_of_rising()}, and {len(newly)} would rise newly ({ids})"
        return self._summary_of_rising()

    def _summary_of_rising(self) -> str:
        if not self.rising:
            return "there is no kept alarm to compare"
        lost = [each for each in self.alarms if each.is_lost]
        valid = sum(each.label == VALID for each in lost)
        verb = "would not rise any more" if lost else "would rise as before"
        number = len(lost) or len(self.rising)
        of_valid = f", {valid or 'none'} of them labelled valid" if lost else ""
        return f"{number} of {count(len(self.rising), 'kept alarm')} {verb}{of_valid}"

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json`` and a manifest."""
        document = asdict(replace(self, levels=None))
        document["levels_db"] = self.levels and {
            "before": self.levels.before.to_json(),
            "after": self.levels.after.to_json(),
        }
        del document["levels"]
        return document


def comparison_of(document: Mapping[str, Any]) -> Comparison:
    """Return the comparison in a manifest.  Raises KeyError, TypeError, ValueError."""
    levels, held_out = document["levels_db"], document["held_out"]
    return Comparison(
        machine=str(document["machine"]),
        before=ComparedModel(**document["before"]),
        after=ComparedModel(**document["after"]),
        alarms=tuple(ComparedAlarm(**each) for each in document["alarms"]),
        uncompared=tuple(UncomparedAlarm(**each) for each in document["uncompared"]),
        held_out=None if held_out is None else HeldOutAlarms(**held_out),
        levels=None
        if levels is None
        else ComparedLevels(
            DetectedLevels.from_json(levels["before"]), DetectedLevels.from_json(levels["after"])
        ),
        not_measured=document["not_measured"],
        notes=tuple(map(str, document["notes"])),
    )


def level_text(levels: DetectedLevels, kind: FaultKind) -> str:
    """Return the level from which a fault is detected."""
    level_db = levels.by_kind.get(kind)
    return "no level" if level_db is None else f"{level_db:+.1f} dB"


def rows(comparison: Comparison) -> list[Sequence[str]]:
    """Return the figures of both models as rows: what, before, after."""
    before, after = comparison.before, comparison.after
    found: list[Sequence[str]] = [
        ("budget supported", before.budget, after.budget),
        ("sound from different hours", str(before.hours), str(after.hours)),
    ]
    if (held_out := comparison.held_out) is not None:
        of = f"of {count(held_out.blocks, 'block')} of ten seconds"
        found.append(
            ("alarms in held-out sound", f"{held_out.before} {of}", f"{held_out.after} {of}")
        )
    if (levels := comparison.levels) is not None:
        found += [
            (
                f"{_KIND_NAMES[kind]} detected from",
                level_text(levels.before, kind),
                level_text(levels.after, kind),
            )
            for kind in FaultKind
        ]
    return found
