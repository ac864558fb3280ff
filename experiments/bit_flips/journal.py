"""Flip single bits of a journal of alarms, as a failing SD card does.

    python -m experiments.bit_flips.journal --count 600 --seed 0 [--first N]

Half of the cases flip a bit of the database of a stopped daemon, half one of a killed daemon's
database and write-ahead log.  In each the alarms are listed, the daemon's journal is opened and
written, and both are done again.  A case fails if one of these fails, if an alarm differs or is
missing without a report, or if the second start reports anything.  The exit code is 1 then.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from structlog.testing import capture_logs

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.commands import acknowledge_alarm, read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from experiments.command_line import parser_of

MACHINES = 24
_BEGIN = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
_LIFE = (
    (AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED),
    (AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED),
)

Files = dict[str, bytes]
"""The files of a state folder by name."""
Alarms = dict[str, AlarmRecord]


@dataclass(frozen=True, slots=True)
class Case:
    """A journal and the bit of it that is flipped."""

    files: Files
    alarms: Alarms
    name: str
    bit: int

    def write(self, folder: Path) -> None:
        """Write the files, with the bit flipped."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        damaged = bytearray(self.files[self.name])
        damaged[self.bit // 8] ^= 1 << self.bit % 8
        (folder / self.name).write_bytes(damaged)


class CaseFailedError(Exception):
    """A case that fails: its outcome and the reason."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.detail = detail


def main() -> int:
    """Run the command line."""
    parser = parser_of("bit_flips.journal", __doc__)
    parser.add_argument("--count", type=int, default=600, help="number of cases (600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case (0)")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    failed = 0
    journals = write_journals()
    for number in range(arguments.first, arguments.first + arguments.count):
        case = make_case(journals, number, arguments.seed)
        outcome, failure = try_case(case)
        outcomes[outcome] += 1
        if failure:
            failed += 1
            _line(f"case {number}: {case.name}, bit {case.bit}: {outcome}: {failure}")
    for outcome, count in outcomes.most_common():
        _line(f"{count:8d}  {outcome}")
    _line(f"{failed} failed")
    return 1 if failed else 0


def write_journals() -> list[tuple[Files, Alarms]]:
    """Return the files of a stopped and of a killed daemon, and the alarms in each."""
    with tempfile.TemporaryDirectory() as text:
        state = Path(text)
        with Journal(state) as journal:
            for number in range(MACHINES):
                _record(journal, f"fan{number:02}", number)
            acknowledge_alarm(state, journal.alarms()[0].id, "ann", "bearing greased", _BEGIN)
            stopped_alarms = {alarm.id: alarm for alarm in journal.alarms()}
        stopped = {FILE_NAME: (state / FILE_NAME).read_bytes()}
        with Journal(state) as journal:
            for number in range(4):
                _record(journal, f"pump{number:02}", number)
            killed_alarms = {alarm.id: alarm for alarm in journal.alarms()}
            names = (FILE_NAME, f"{FILE_NAME}-wal")
            killed = {name: (state / name).read_bytes() for name in names}
    return [(stopped, stopped_alarms), (killed, killed_alarms)]


def make_case(journals: list[tuple[Files, Alarms]], number: int, seed: int) -> Case:
    """Return the case of a number, the same for the same seed."""
    chance = random.Random(f"{seed} {number}")  # noqa: S311 - no secret
    files, alarms = journals[number % 2]
    names = list(files)
    (name,) = chance.choices(names, [len(files[name]) for name in names])
    return Case(files, alarms, name, chance.randrange(8 * len(files[name])))


def try_case(case: Case) -> tuple[str, str | None]:
    """Return the outcome of a case, and why it fails; None: it does not."""
    with tempfile.TemporaryDirectory() as text:
        state = Path(text)
        case.write(state)
        try:
            _check_list(state, case.alarms)
            found, reported = _check_daemon(state, case.alarms)
            _check_second_start(state, found)
        except CaseFailedError as failure:
            return failure.outcome, failure.detail
    missing = len(case.alarms.keys() - found.keys())
    known = found.keys() & case.alarms.keys()
    wrong = sum(found[id_].condition != case.alarms[id_].condition for id_ in known)
    if found == case.alarms:
        outcome = "reported, every alarm as before" if reported else "without effect on alarms"
    elif missing or wrong:
        outcome = f"reported, {missing} missing, {wrong} in an earlier condition"
    else:
        outcome = "reported, alarms rebuilt from their events"
    return outcome, None


def _check_list(state: Path, expected: Alarms) -> None:
    try:
        listed = read_journal(state)
    except JournalError as error:
        raise CaseFailedError("not listed", str(error)) from error
    if listed is None:
        raise CaseFailedError("not listed", "the folder has no journal")
    found = {alarm.id: alarm for alarm in listed.alarms}
    if found != expected and listed.damage is None:
        raise CaseFailedError("silently different in the list", _difference(expected, found))


def _check_daemon(state: Path, expected: Alarms) -> tuple[Alarms, bool]:
    """Return the alarms of the daemon, and whether it reported damage."""
    with capture_logs() as logs, Journal(state) as journal:
        if journal.fault is not None:
            raise CaseFailedError("not opened", journal.fault)
        found = {alarm.id: alarm for alarm in journal.alarms()}
        _record(journal, "mill", 0)
    reported = any(entry["log_level"] == "error" for entry in logs)
    if found != expected and not reported:
        raise CaseFailedError("silently different in the daemon", _difference(expected, found))
    return found, reported


def _check_second_start(state: Path, expected: Alarms) -> None:
    with capture_logs() as logs, Journal(state) as journal:
        kept = {alarm.id: alarm for alarm in journal.alarms() if alarm.machine != "mill"}
    if logs or kept != expected:
        raise CaseFailedError("not repaired", f"{logs}; {_difference(expected, kept)}")


def _record(journal: Journal, machine: str, number: int) -> None:
    """Write the life of an alarm: active, or returned to normal."""
    fan = MachineJournal(journal, machine)
    time = _BEGIN + timedelta(minutes=number)
    for before, after in _LIFE[: 1 + number % 2]:
        alarm = Alarm(1, after, 6.0 + number / 10)
        why = "alarm score at least 5.42 for 3 s"
        fan.record(Transition(1, TransitionKind.ALARM, before, after, why, alarm=alarm), time, "v1")
        time += timedelta(minutes=1)


def _difference(expected: Alarms, found: Alarms) -> str:
    lost = expected.keys() - found.keys()
    changed = [(expected[i], found[i]) for i in expected.keys() & found.keys()]
    return f"missing: {sorted(lost)}; changed: {[pair for pair in changed if pair[0] != pair[1]]}"


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
