"""What the self-test keeps over restarts, and the conditions that follow from it."""

import asyncio
from concurrent.futures import Future
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon.self_test_conditions import conditions_of
from asd_monitor.daemon.self_test_records import BROKER, SelfTestRecords
from asd_monitor.daemon.self_test_state import (
    FILE,
    FirstLevels,
    SelfTestFile,
    SelfTestRecord,
    SelfTestState,
)
from asd_monitor.daemon.self_test_subject import SelfTestSubject
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.publish.messages import CheckResult, SelfTestResult
from asd_monitor.records import MachineState
from asd_monitor.self_test.schedule import OVERDUE_S, TimesOfTests

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATE = SelfTestState(
    machines={"fan": SelfTestRecord(TimesOfTests(12.0), first=FirstLevels("ab", {"tone": 12.5}))},
    since={"disk//": NOW},
)


def result(overall: str, **checks: tuple[str, str | None, str | None]) -> SelfTestResult:
    """Return a result with checks of (result, reason, remedy)."""
    made = {name: CheckResult(*each, numbers={}) for name, each in checks.items()}
    return SelfTestResult(overall, NOW, None, overdue=False, checks=made)


def test_what_is_saved_is_loaded(tmp_path) -> None:
    SelfTestFile(tmp_path).save(STATE)
    assert SelfTestFile(tmp_path).load() == STATE


def test_a_flipped_bit_is_reported_and_nothing_of_the_file_is_used(tmp_path) -> None:
    file = SelfTestFile(tmp_path)
    file.save(STATE)
    intact = (tmp_path / FILE).read_bytes()
    for bit in range(0, 8 * len(intact), 5):
        flipped = bytearray(intact)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE).write_bytes(flipped)
        with capture_logs() as logs:
            assert file.load() == SelfTestState(), bit
        assert [each["log_level"] for each in logs] == ["warning"]


def test_a_number_that_is_not_finite_is_saved_as_unknown(tmp_path) -> None:
    check = CheckResult("failed", "silent", None, {"level_dbfs": float("-inf")})
    newest = SelfTestResult("failed", NOW, NOW, overdue=False, checks={"microphone": check})
    SelfTestFile(tmp_path).save(SelfTestState(machines={"fan": SelfTestRecord(newest=newest)}))
    loaded = SelfTestFile(tmp_path).load().machines["fan"].newest
    assert loaded is not None
    assert loaded.checks["microphone"].numbers == {"level_dbfs": None}


@pytest.mark.parametrize("life_s", [45.0, 200.0, 290.0])
async def test_daemons_that_are_killed_early_save_half_of_their_running_time(
    tmp_path, life_s
) -> None:
    now_s, runs = 0.0, 6

    def clock() -> float:
        return now_s

    for _ in range(runs):
        records = SelfTestRecords(tmp_path, since=dict, monotonic_s=clock)
        await records.load()
        records.keep(["fan"])
        end_s = now_s + life_s
        while now_s < end_s:
            records.count_running_time([])
            records.save_if_due(has_changed=False)
            await asyncio.wrap_future(_written(records))
            now_s += 10.0
    saved_s = SelfTestFile(tmp_path).load().machines["fan"].times.running_s
    assert runs * life_s / 2 <= saved_s <= runs * life_s


def _written(records: SelfTestRecords) -> Future[None]:
    """Return a future of the end of all writes so far."""
    done: Future[None] = Future()
    records.storing.post(lambda: done.set_result(None))
    return done


async def test_time_counts_but_for_those_that_are_exempt(tmp_path) -> None:
    now_s = 0.0
    records = SelfTestRecords(tmp_path, since=dict, monotonic_s=lambda: now_s)
    records.keep(["fan", "pump"])
    now_s = 100.0
    records.count_running_time(["pump"])
    now_s = 130.0
    records.count_running_time([])
    assert records["fan"].times.running_s == records[BROKER].times.running_s == 130.0
    assert records["pump"].times.running_s == 30.0


def test_an_overdue_test_names_what_was_not_possible_and_a_remedy_for_each() -> None:
    newest = result(
        "not_possible",
        sensitivity=("not_possible", "the sound raises an alarm", "inspect the machine"),
        scoring=("not_possible", "no model", "train the machine"),
        microphone=("passed", "the spectrum was not compared", None),
    )
    record = SelfTestRecord(TimesOfTests(OVERDUE_S + 1), newest=newest)
    (condition,) = conditions_of("fan", record, has_stopped=False)
    assert condition.kind == "self_test_overdue"
    assert "(no model; the sound raises an alarm)" in condition.text
    assert condition.remedy == "inspect the machine; train the machine"


def test_an_overdue_test_that_was_not_made_refers_to_the_log() -> None:
    record = SelfTestRecord(TimesOfTests(OVERDUE_S + 1), newest=result("passed"))
    (condition,) = conditions_of(None, record, has_stopped=False)
    assert "of the broker overdue" in condition.text
    assert "log" in (condition.remedy or "")


PASSED, FAILED, OPEN = (
    ("passed", None, None),
    ("failed", "worse", "look"),
    ("not_possible", "the machine is off", "wait"),
)


@pytest.mark.parametrize(
    ("tests", "failed"),
    [
        (
            [
                ("failed", {"microphone": FAILED, "sensitivity": PASSED}),
                ("not_possible", {"microphone": PASSED, "sensitivity": OPEN}),
            ],
            [],
        ),
        (
            [
                ("failed", {"microphone": PASSED, "sensitivity": FAILED}),
                ("failed", {"microphone": FAILED, "sensitivity": OPEN}),
            ],
            ["sensitivity", "microphone"],
        ),
        ([("failed", {"no_longer_made": FAILED}), ("passed", {"microphone": PASSED})], []),
    ],
    ids=["passed", "not possible", "no longer made"],
)
def test_a_condition_ends_when_its_check_has_passed(
    tmp_path, tests: list[tuple[str, dict[str, tuple[str, str | None, str | None]]]], failed
) -> None:
    records = SelfTestRecords(tmp_path, since=dict)
    records.keep(["fan"])
    for overall, checks in tests:
        records.note("fan", result(overall, **checks), day=1)
    found = conditions_of("fan", records["fan"], has_stopped=False)
    assert {each.check for each in found} == set(failed)


def test_scoring_that_has_stopped_is_one_condition_with_that_of_the_test() -> None:
    complete = result("failed", scoring=("failed", "no window", "restart the daemon"))
    for record in (SelfTestRecord(), SelfTestRecord(complete=complete)):
        (condition,) = conditions_of("fan", record, has_stopped=True)
        assert condition.key == "self_test_failed/fan/scoring"


@pytest.mark.parametrize(
    ("running", "state", "outage", "in_service", "exempt"),
    [
        (True, MachineState.NORMAL, False, True, False),
        (True, MachineState.IDLE, False, True, True),
        (True, MachineState.ALARM, False, True, True),
        (True, MachineState.IDLE, True, True, False),  # the state is that before the outage
        (True, MachineState.NO_MODEL, False, True, False),
        (False, MachineState.NORMAL, False, True, True),
        (False, MachineState.NO_MODEL, True, True, True),
        (True, MachineState.WARNING, False, False, True),
        (True, MachineState.NORMAL, True, False, True),
    ],
)
def test_no_test_is_expected_of_a_machine_that_is_off_in_alarm_or_out_of_service(
    running, state, outage, in_service, exempt
) -> None:
    capture = SimpleNamespace(
        outage=SimpleNamespace(reason="unplugged") if outage else None, ended=False
    )
    evaluator = SimpleNamespace(
        monitor=SimpleNamespace(running=running),
        state=state,
        out_of_service=None if in_service else OutOfService(NOW, "ann", "belt"),
    )
    subject = SelfTestSubject("fan", capture, evaluator)  # type: ignore[arg-type]
    assert subject.is_exempt is exempt
