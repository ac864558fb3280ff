"""Which packages are deleted: by size and age of each machine's, and by the free space of the disk.

Whole packages are deleted, the oldest first: those that a person has labelled last, and not for
their age; those of active alarms never.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from asd_monitor.evidence.package_files import StoredPackage

DAY_S = 86_400.0
OLD_FOR_S = 3600.0
"""How long a package has to be too old, in s of running, before it is deleted for that."""
MOST_OLD = 10
"""How many packages are deleted for their age at once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much evidence of one machine is kept."""

    max_bytes: int
    max_age_s: float


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The disk of the packages, and how much of it is to stay free.

    While less than ``least_bytes`` are free, nothing is written.  The oldest packages are deleted
    before, to keep ``share`` of the disk free, ``most_bytes`` at most.
    """

    free_bytes: int
    total_bytes: int
    least_bytes: int = 500_000_000
    share: float = 0.05
    most_bytes: int = 5_000_000_000

    @property
    def reserve_bytes(self) -> int:
        """How much is to stay free."""
        share_bytes = round(self.share * self.total_bytes)
        return max(self.least_bytes, min(share_bytes, self.most_bytes))

    @property
    def is_short(self) -> bool:
        """Whether less is free than is to stay free."""
        return self.free_bytes < self.reserve_bytes

    @property
    def is_exhausted(self) -> bool:
        """Whether so little is free that nothing is written."""
        return self.free_bytes < self.least_bytes


class OldPackages:
    """Which packages are too old, by a wall clock that may be wrong for a while.

    A deletion is final, and a wrong clock is corrected: a package counts as old where it was too
    old in all checks over `OLD_FOR_S`, by a clock that is never set.
    """

    def __init__(self) -> None:
        self._since_s: dict[tuple[str, str], float] = {}

    def update(
        self,
        packages: Sequence[StoredPackage],
        bounds: Callable[[str], Bounds],
        *,
        wall_s: float,
        steady_s: float,
    ) -> frozenset[StoredPackage]:
        """Return the packages that count as old.

        Args:
            packages: all of the box.
            bounds: of a machine.
            wall_s: Unix time, in s.
            steady_s: a clock that is never set, in s.

        """
        beyond = {
            (each.machine, each.alarm_id): each
            for each in packages
            if wall_s - each.written_s > bounds(each.machine).max_age_s
        }
        self._since_s = {key: self._since_s.get(key, steady_s) for key in beyond}
        return frozenset(
            each for key, each in beyond.items() if steady_s - self._since_s[key] >= OLD_FOR_S
        )


class Standing(Enum):
    """How the alarm of a package stands."""

    ACTIVE = auto()
    LABELLED = auto()
    OTHER = auto()


class Cause(Enum):
    """Why a package is deleted."""

    AGE = "too old"
    SIZE = "more than the machine's max_bytes"
    SPACE = "the disk is nearly full"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A package that is to be deleted, and why."""

    package: StoredPackage
    cause: Cause


def deletions(
    packages: Sequence[StoredPackage],
    bounds: Callable[[str], Bounds],
    standing: Callable[[StoredPackage], Standing],
    space: FreeSpace,
    old: Collection[StoredPackage] = (),
) -> list[Deletion]:
    """Return the packages to be deleted, in this order.

    Args:
        packages: all of the box, the oldest first.
        bounds: of a machine.
        standing: of the alarm of a package.
        space: of the disk.
        old: those that are too old; `MOST_OLD` of them are deleted at once.

    """
    standings = {each: standing(each) for each in packages}
    candidates = _in_order(packages, standings)
    aged = [each for each in candidates if each in old and standings[each] is Standing.OTHER]
    found = dict.fromkeys(aged[:MOST_OLD], Cause.AGE)
    for machine in {each.machine for each in packages}:
        excess = sum(each.bytes for each in packages if each.machine == machine)
        excess -= bounds(machine).max_bytes
        own = [each for each in candidates if each.machine == machine]
        _delete_until(excess, own, found, Cause.SIZE)
    others = [each for each in candidates if standings[each] is Standing.OTHER]
    _make_room(space, others, candidates, found)
    return [Deletion(each, found[each]) for each in candidates if each in found]


def _in_order(
    packages: Collection[StoredPackage], standings: Mapping[StoredPackage, Standing]
) -> list[StoredPackage]:
    """Return the packages that may be deleted, the first one first."""
    others = [each for each in packages if standings[each] is Standing.OTHER]
    labelled = [each for each in packages if standings[each] is Standing.LABELLED]
    return others + labelled


def _make_room(
    space: FreeSpace,
    others: Sequence[StoredPackage],
    candidates: Sequence[StoredPackage],
    found: dict[StoredPackage, Cause],
) -> None:
    """Add packages for free space where their size can reach the bound.

    Labelled ones are deleted only so that something can be written again.  A disk that other files
    fill costs no package.
    """
    for bound, own in ((space.reserve_bytes, others), (space.least_bytes, candidates)):
        missing = bound - space.free_bytes
        missing -= sum(each.bytes for each in found if each not in own)
        if sum(each.bytes for each in own) >= missing:
            _delete_until(missing, own, found, Cause.SPACE)
            return


def _delete_until(
    excess: int,
    candidates: Sequence[StoredPackage],
    found: dict[StoredPackage, Cause],
    cause: Cause,
) -> None:
    """Add packages until so many bytes are deleted, those that are found already included."""
    excess -= sum(each.bytes for each in candidates if each in found)
    for each in candidates:
        if excess <= 0:
            return
        if each not in found:
            found[each] = cause
            excess -= each.bytes
