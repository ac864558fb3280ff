"""Damages copies of a small journal with waiting events, and opens them as the daemon does.

    python -P journal_child.py cut|bits COUNT SEED

It is run by its path, so that `asd_monitor` is that of an earlier checkout.  A case fails where
opening or writing raises, where an alarm or a waiting event is missing or different without a
report, or where the second start reports anything.  A write-ahead log that is cut is like one that
was not written to its end, and may give an earlier state of the journal.  Prints a line of JSON.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal

MACHINES = ("fan01", "pump02")
_BEGIN = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
_LIFE = (
    (AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED),
    (AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED),
    (AlarmCondition.RETURNED, AlarmCondition.UNACKNOWLEDGED),
)
_ALARMS = 3
_TAKEN = 1000

Files = dict[str, bytes]
State = dict[str, Any]


class CaseError(Exception):
    """Why a case fails."""


def write_life(journal: Journal, machine: str) -> Iterator[None]:
    """Write alarms that rise and return to normal; yield after each transaction."""
    writer = MachineJournal(journal, machine)
    yield
    time = _BEGIN
    for number in range(1, _ALARMS + 1):
        for before, after in _LIFE[: 1 if number == _ALARMS else 2]:
            alarm = Alarm(number, after, 6.0 + number / 10)
            transition = Transition(
                number, TransitionKind.ALARM, before, after, "score at least 5.42", alarm=alarm
            )
            writer.record(transition, time, "v1")
            time += timedelta(minutes=1)
            yield


def content(journal: Journal) -> State:
    """Return alarms and waiting events, as far as this version has an outbox."""
    found: State = {
        alarm.id: [alarm.condition.value, alarm.raised.isoformat()] for alarm in journal.alarms()
    }
    # `take_events` is that of earlier versions
    outbox = getattr(journal, "outbox", None)
    take = getattr(journal, "take_events", None) if outbox is None else outbox.take
    if take is not None:
        for machine in MACHINES:
            for waiting in take(machine, _TAKEN):
                event = waiting.event
                found[event.id] = [machine, event.seq, event.before, event.after, event.alarm_id]
    return found


@dataclass(frozen=True, slots=True)
class Specimens:
    """Intact journals: the files of a stopped and of a killed daemon, and what is in each."""

    variants: list[Files]
    content: State
    earlier: list[State]
    """What was in the journal after each transaction before the last."""


def make_specimens() -> Specimens:
    """Write the journals."""
    with tempfile.TemporaryDirectory() as text:
        state = Path(text)
        with Journal(state) as journal:
            written = [read(state)]
            for machine in MACHINES:
                written += [read(state) for _ in write_life(journal, machine)]
        variants = [read(state), written[-1]]
    *earlier, last = (content_of(files) for files in written)
    return Specimens(variants, last, earlier)


def content_of(files: Files) -> State:
    """Return what is in an intact journal."""
    with tempfile.TemporaryDirectory() as text:
        write(files, Path(text))
        with Journal(Path(text)) as journal:
            return content(journal)


def write(files: Files, state: Path) -> None:
    """Write the files of a journal."""
    for name, data in files.items():
        (state / name).write_bytes(data)


def read(state: Path) -> Files:
    """Return the files of the journal."""
    names = ("alarms.db", "alarms.db-wal")
    return {name: (state / name).read_bytes() for name in names if (state / name).exists()}


def cases(mode: str, variants: list[Files], count: int, seed: int) -> Iterator[tuple[str, Files]]:
    """Yield damaged files, evenly over all offsets or at random bits."""
    sizes = [(files, name, len(files[name])) for files in variants for name in files]
    total = sum(size for _, _, size in sizes)
    if mode == "cut":
        step = max(1, total // count)
        for files, name, size in sizes:
            for offset in range(0, size, step):
                yield f"{name} cut at {offset}", files | {name: files[name][:offset]}
        return
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(count):
        ((files, name, size),) = chance.choices(sizes, [size for _, _, size in sizes])
        bit = chance.randrange(8 * size)
        damaged = bytearray(files[name])
        damaged[bit // 8] ^= 1 << bit % 8
        yield f"{name}, bit {bit}", files | {name: bytes(damaged)}


class Reports:
    """Log lines of level warning or above."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, _logger: object, method: str, entry: MutableMapping[str, Any]) -> Any:
        """Keep a line; write nothing."""
        if method in ("warning", "error", "critical", "exception"):
            self.texts.append(str(entry.get("event")))
        raise structlog.DropEvent


def try_case(files: Files, specimens: Specimens, reports: Reports, *, cut_log: bool) -> str:
    """Return the outcome of a case.  Raises `CaseError`."""
    expected = specimens.content
    with tempfile.TemporaryDirectory() as text:
        state = Path(text)
        write(files, state)
        reports.texts.clear()
        found = _open(state)
        reported = bool(reports.texts)
        missing = [id_ for id_ in expected if id_ not in found]
        changed = [id_ for id_ in expected if id_ in found and found[id_] != expected[id_]]
        if (missing or changed) and not reported:
            if cut_log and found in specimens.earlier:
                return "an earlier state, as if the end had not been written"
            kind = "silently lost" if missing else "silently changed"
            raise CaseError(f"{kind}: {(missing or changed)[:3]}")
        reports.texts.clear()
        _open(state)
        if reports.texts:
            raise CaseError(f"not repaired: {reports.texts[:2]}")
        if not missing and not changed:
            return "reported, all there" if reported else "without effect"
        return "reported, some missing" if missing else "reported, some in another condition"


def _open(state: Path) -> State:
    """Open and write; return what was found.  Raises `CaseError`."""
    try:
        with Journal(state) as journal:
            fault = journal.fault
            found = content(journal)
            MachineJournal(journal, "mill").record(
                Transition(1, TransitionKind.STATE, "normal", "warning", "test"), _BEGIN, "v1"
            )
            fault = fault or journal.fault
    except Exception as error:
        raise CaseError(f"raised {type(error).__name__}: {error}") from error
    if fault is not None:
        raise CaseError(f"not opened or not written: {fault}")
    return found


def run(mode: str, count: int, seed: int) -> dict[str, Any]:
    """Try all cases; return the counts."""
    reports = Reports()
    structlog.configure(processors=[reports])
    specimens = make_specimens()
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    for description, files in cases(mode, specimens.variants, count, seed):
        try:
            cut_log = mode == "cut" and "-wal" in description
            outcomes[try_case(files, specimens, reports, cut_log=cut_log)] += 1
        except CaseError as error:
            failures.append(f"{description}: {error}")
            outcomes["failed"] += 1
    return {
        "cases": sum(outcomes.values()),
        "outcomes": dict(outcomes.most_common()),
        "failures": failures,
        "silently_lost": sum("silently lost" in text for text in failures),
        "silently_changed": sum("silently changed" in text for text in failures),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))) + "\n")
