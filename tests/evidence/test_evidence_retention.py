"""Which packages are deleted, and in which order."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.evidence.package_files import StoredPackage
from asd_monitor.evidence.retention import (
    DAY_S,
    MOST_OLD,
    OLD_FOR_S,
    Bounds,
    Cause,
    FreeSpace,
    OldPackages,
    Standing,
    deletions,
)

ROOMY = FreeSpace(10**12, 10**12)
BOUNDS = Bounds(1000, 30 * DAY_S)
NOW_S = 100 * DAY_S


def package(
    number: int, size: int = 100, machine: str = "fan", age_days: float = 1
) -> StoredPackage:
    return StoredPackage(machine, f"{machine}-{number}", size, NOW_S - age_days * DAY_S + number)


def deleted(
    packages: list[StoredPackage],
    standings: Mapping[str, Standing] | None = None,
    space: FreeSpace = ROOMY,
) -> list[tuple[str, Cause]]:
    known = standings or {}
    old = [each for each in packages if NOW_S - each.written_s > BOUNDS.max_age_s]
    found = deletions(
        packages,
        lambda _: BOUNDS,
        lambda each: known.get(each.alarm_id, Standing.OTHER),
        space,
        old,
    )
    return [(each.package.alarm_id, each.cause) for each in found]


def test_nothing_is_deleted_within_the_bounds() -> None:
    assert deleted([package(number) for number in range(10)]) == []


def test_the_oldest_are_deleted_beyond_the_size_of_their_machine() -> None:
    packages = [package(number) for number in range(12)]
    packages += [package(number, machine="pump") for number in range(10)]
    assert deleted(packages) == [("fan-0", Cause.SIZE), ("fan-1", Cause.SIZE)]


def test_labelled_packages_are_deleted_last_and_active_ones_never() -> None:
    packages = [package(number, 400) for number in range(4)]
    standings = {"fan-0": Standing.ACTIVE, "fan-1": Standing.LABELLED}
    assert deleted(packages, standings) == [("fan-2", Cause.SIZE), ("fan-3", Cause.SIZE)]
    larger = [package(number, 800) for number in range(4)]
    names = [name for name, _ in deleted(larger, standings)]
    assert names == ["fan-2", "fan-3", "fan-1"]


def test_old_packages_are_deleted_unless_they_are_labelled_or_active() -> None:
    packages = [package(number, age_days=31) for number in range(3)]
    standings = {"fan-0": Standing.ACTIVE, "fan-1": Standing.LABELLED}
    assert deleted(packages, standings) == [("fan-2", Cause.AGE)]


def test_few_packages_are_deleted_for_their_age_at_once() -> None:
    packages = [package(number, 1, age_days=31) for number in range(3 * MOST_OLD)]
    assert deleted(packages) == [(f"fan-{number}", Cause.AGE) for number in range(MOST_OLD)]


def test_a_package_is_old_where_it_was_too_old_for_an_hour_of_running() -> None:
    packages, old = [package(0, age_days=31), package(1, age_days=1)], OldPackages()

    def names(wall_s: float, steady_s: float) -> list[str]:
        found = old.update(packages, lambda _: BOUNDS, wall_s=wall_s, steady_s=steady_s)
        return sorted(each.alarm_id for each in found)

    assert names(NOW_S, 100.0) == []
    wrong_s = NOW_S + 40 * DAY_S
    assert names(wrong_s, 700.0) == []
    assert names(NOW_S + 1200.0, 1300.0) == []  # the clock was corrected
    assert names(NOW_S + 3600.0, 100.0 + OLD_FOR_S) == ["fan-0"]
    assert names(wrong_s, 4300.0 + OLD_FOR_S) == ["fan-0"]  # it is wrong anew
    assert names(wrong_s, 4300.0 + 2 * OLD_FOR_S) == ["fan-0", "fan-1"]


def test_the_oldest_of_all_machines_are_deleted_where_the_disk_is_nearly_full() -> None:
    packages = [package(0, 500), package(1, 500, "pump"), package(2, 500)]
    space = FreeSpace(10_000 - 700, 100_000, least_bytes=10_000, share=0.05)
    assert deleted(packages, space=space) == [("fan-0", Cause.SPACE), ("pump-1", Cause.SPACE)]
    small = FreeSpace(900, 20_000, least_bytes=500, share=0.05)  # 5 % are more
    assert deleted(packages, space=small) == [("fan-0", Cause.SPACE)]


def test_nothing_is_deleted_for_a_disk_that_other_files_fill() -> None:
    packages = [package(number) for number in range(10)]
    assert deleted(packages, space=FreeSpace(190 * 10**9, 4 * 10**12)) == []
    assert deleted(packages, space=FreeSpace(10**9, 4 * 10**12)) == []
    assert deleted(packages, space=FreeSpace(10**6, 4 * 10**12)) == []


def test_labelled_packages_are_deleted_for_space_only_so_that_something_can_be_written() -> None:
    packages = [package(number) for number in range(3)]
    standings = {"fan-0": Standing.LABELLED, "fan-1": Standing.LABELLED}
    short = FreeSpace(9_700, 200_000, least_bytes=5_000, share=0.05)
    assert deleted(packages, standings, short) == []
    exhausted = FreeSpace(4_850, 200_000, least_bytes=5_000, share=0.05)
    assert deleted(packages, standings, exhausted) == [
        ("fan-2", Cause.SPACE),
        ("fan-0", Cause.SPACE),
    ]


@given(
    sizes=st.lists(st.integers(1, 900), max_size=12),
    standings=st.lists(st.sampled_from(list(Standing)), min_size=12, max_size=12),
    free=st.integers(0, 3000),
)
def test_active_ones_stay_and_the_others_fit(
    sizes: list[int], standings: list[Standing], free: int
) -> None:
    packages = [package(number, size) for number, size in enumerate(sizes)]
    known = {each.alarm_id: standings[at] for at, each in enumerate(packages)}
    space = FreeSpace(free, 10_000, least_bytes=1000, share=0.05)
    gone = {name for name, _ in deleted(packages, known, space)}
    assert all(known[name] is not Standing.ACTIVE for name in gone)
    kept = [each for each in packages if each.alarm_id not in gone]
    deletable = [each for each in kept if known[each.alarm_id] is not Standing.ACTIVE]
    if deletable:
        assert sum(each.bytes for each in kept) <= BOUNDS.max_bytes
    could = [each for each in packages if known[each.alarm_id] is not Standing.ACTIVE]
    if free + sum(each.bytes for each in could) >= 1000:
        assert free + sum(each.bytes for each in packages if each.alarm_id in gone) >= 1000
    if any(known[name] is Standing.LABELLED for name in gone):
        assert all(known[each.alarm_id] is not Standing.OTHER for each in kept)
