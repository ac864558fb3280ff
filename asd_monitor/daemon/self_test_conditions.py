"""The conditions of the box that follow from its self-tests."""

from __future__ import annotations

from asd_monitor.daemon.box_conditions import Condition, ConditionKind
from asd_monitor.daemon.self_test_state import SelfTestRecord
from asd_monitor.publish.messages import SelfTestResult
from asd_monitor.self_test.checks import STALLED_S, Check, Result

_NOT_MADE = "look in the log for why it was not made, then restart the daemon"


def conditions_of(
    machine: str | None, record: SelfTestRecord, *, has_stopped: bool
) -> list[Condition]:
    """Return the conditions of one machine, or of the broker (None).

    The condition of a check that has failed ends when the check has passed.

    Args:
        machine: id of the machine.
        record: its tests.
        has_stopped: whether its scoring has stopped now, whatever its last test has found.

    """
    found = [] if record.complete is None else _failed(machine, record.complete)
    if has_stopped and not any(each.check == "scoring" for each in found):
        found.append(_stopped(machine))
    if record.times.is_overdue:
        found.append(_overdue(machine, record.newest))
    return found


def refusing(publishing: Check) -> list[Condition]:
    """Return the condition of a broker that refuses messages, by the check of that."""
    if publishing.result is not Result.FAILED or publishing.reason is None:
        return []
    return [Condition(ConditionKind.BROKER_REFUSES, publishing.reason, publishing.remedy)]


def _failed(machine: str | None, complete: SelfTestResult) -> list[Condition]:
    return [
        Condition(
            ConditionKind.SELF_TEST_FAILED,
            f"self-test of {machine or 'the broker'} failed: {check.reason}",
            check.remedy,
            machine,
            name,
        )
        for name, check in complete.checks.items()
        if check.result == Result.FAILED
    ]


def _stopped(machine: str | None) -> Condition:
    return Condition(
        ConditionKind.SELF_TEST_FAILED,
        f"self-test of {machine} failed: no window was scored for more than {STALLED_S:.0f} s of "
        "captured sound",
        "restart the daemon if it lasts; if it happens again, report it with the log",
        machine,
        "scoring",
    )


def _overdue(machine: str | None, newest: SelfTestResult | None) -> Condition:
    checks = newest.checks.values() if newest else ()
    obstacles = [check for check in checks if check.result == Result.NOT_POSSIBLE]
    reasons = sorted({check.reason for check in obstacles if check.reason})
    remedies = sorted({check.remedy for check in obstacles if check.remedy})
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Condition(
        ConditionKind.SELF_TEST_OVERDUE,
        f"self-test of {machine or 'the broker'} overdue: not possible for more than 25 h{why}",
        "; ".join(remedies) or _NOT_MADE,
        machine,
    )
