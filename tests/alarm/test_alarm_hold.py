"""A suspected fault of the microphone delays an alarm, and never suppresses it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.state import Alarm, AlarmCondition, AlarmRule, Transition, TransitionKind
from asd_monitor.alarm.state_machine import MAX_HOLD_S, AlarmStateMachine
from asd_monitor.records import MachineState, Thresholds, WhenQuiet

RATE_HZ = 100
HOP = 50
RULE = AlarmRule(Thresholds(warning=4.0, alarm=6.0), hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0)
HIGH, LOW = 9.0, 0.5


def raised(transitions: list[Transition]) -> list[float]:
    """Return when alarms were raised, in s."""
    return [
        each.sample / RATE_HZ
        for each in transitions
        if each.kind is TransitionKind.ALARM and each.after == AlarmCondition.UNACKNOWLEDGED
    ]


def run(
    machine: AlarmStateMachine, seconds: float, score: float, *, suspected: bool, start: float = 0.0
) -> list[Transition]:
    """Return the transitions of windows with this score, from a time on."""
    first = round(start * RATE_HZ) + HOP
    found: list[Transition] = []
    for at in range(first, first + round(seconds * RATE_HZ), HOP):
        found += machine.observe(at, score, suspected=suspected)
    return found


def test_an_alarm_is_held_while_a_fault_is_suspected() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    assert raised(run(machine, 20.0, HIGH, suspected=True)) == []
    assert machine.state is MachineState.WARNING
    assert raised(run(machine, 1.0, HIGH, suspected=False, start=20.0)) == [20.5]


def test_a_suspicion_that_lasts_does_not_hold_it_for_longer() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    (at,) = raised(run(machine, 120.0, HIGH, suspected=True))
    assert 20.0 < at <= 3.5 + MAX_HOLD_S
    assert machine.state is MachineState.ALARM


def test_it_is_raised_though_the_sound_is_normal_again() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    assert raised(run(machine, 2.0, LOW, suspected=True, start=5.0)) == []
    assert raised(run(machine, 1.0, LOW, suspected=False, start=7.0)) == [7.5]
    assert machine.alarm is not None
    assert machine.alarm.peak_score == HIGH


def test_a_recognised_fault_of_the_microphone_discards_it() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    machine.restart_delays()
    machine.discard_held(0)
    assert raised(run(machine, 60.0, LOW, suspected=False, start=5.0)) == []


def test_an_alarm_that_was_due_before_the_fault_is_not_discarded() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)  # due at 3.5 s
    machine.discard_held(350 + 1)
    assert raised(run(machine, 1.0, LOW, suspected=False, start=5.0)) == [5.5]


def test_an_interruption_discards_it() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    machine.interrupt()
    assert machine.held is None
    assert raised(list(machine.raise_held())) == []
    assert raised(run(machine, 60.0, LOW, suspected=False, start=5.0)) == []


def test_a_fault_that_goes_on_after_an_interruption_is_raised_after_the_on_delay() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    machine.interrupt()
    assert raised(run(machine, 5.0, HIGH, suspected=False, start=10.0)) == [13.5]


def test_an_alarm_after_an_interruption_is_held_for_the_rest_of_the_time() -> None:
    machine, undivided = AlarmStateMachine(RULE, RATE_HZ), AlarmStateMachine(RULE, RATE_HZ)
    (longest,) = raised(run(undivided, 60.0, HIGH, suspected=True))
    run(machine, 13.5, HIGH, suspected=True)  # held for 10 s
    machine.interrupt()
    (at,) = raised(run(machine, 60.0, HIGH, suspected=True, start=100.0))
    assert at - 100.0 == longest - 10.0


def test_normal_sound_after_an_interruption_restores_the_whole_time() -> None:
    machine, undivided = AlarmStateMachine(RULE, RATE_HZ), AlarmStateMachine(RULE, RATE_HZ)
    (longest,) = raised(run(undivided, 60.0, HIGH, suspected=True))
    run(machine, 13.5, HIGH, suspected=True)
    machine.interrupt()
    run(machine, 10.0, LOW, suspected=False, start=90.0)
    (at,) = raised(run(machine, 60.0, HIGH, suspected=True, start=100.0))
    assert at - 100.0 == longest


def test_an_alarm_that_is_raised_outlives_an_interruption() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=False)
    machine.interrupt()
    assert machine.state is MachineState.ALARM
    assert run(machine, 5.0, LOW, suspected=True, start=10.0) == []
    assert machine.state is MachineState.ALARM


def test_the_next_state_machine_of_the_stream_takes_it_up() -> None:
    earlier = AlarmStateMachine(RULE, RATE_HZ)
    run(earlier, 5.0, HIGH, suspected=True)
    machine = AlarmStateMachine(RULE, RATE_HZ, earlier.alarm, earlier.held)
    assert raised(run(machine, 2.0, LOW, suspected=True, start=5.0)) == []
    assert raised(run(machine, 1.0, LOW, suspected=False, start=7.0)) == [7.5]
    assert machine.alarm is not None
    assert machine.alarm.peak_score == HIGH


def test_the_time_for_which_it_was_held_counts_for_the_next_state_machine() -> None:
    earlier, undivided = AlarmStateMachine(RULE, RATE_HZ), AlarmStateMachine(RULE, RATE_HZ)
    run(earlier, 20.0, HIGH, suspected=True)
    machine = AlarmStateMachine(RULE, RATE_HZ, earlier.alarm, earlier.held)
    (at,) = raised(run(machine, 60.0, LOW, suspected=True, start=20.0))
    assert [at] == raised(run(undivided, 80.0, HIGH, suspected=True))


def test_it_is_raised_at_the_end() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    assert raised(list(machine.raise_held())) == [5.0]
    assert (machine.state, machine.held) == (MachineState.ALARM, None)
    assert machine.raise_held() == ()


def test_the_end_raises_nothing_where_nothing_is_held() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 2.0, HIGH, suspected=True)
    assert machine.raise_held() == ()


def test_it_is_raised_in_a_pause_as_well() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    found: list[Transition] = []
    for at in range(550, 6000, HOP):
        found += machine.pause(at, suspected=True)
    (at_s,) = raised(found)
    assert at_s <= 3.5 + MAX_HOLD_S


def test_it_is_raised_while_nothing_is_evaluated_when_the_time_is_up() -> None:
    machine = AlarmStateMachine(RULE, RATE_HZ)
    run(machine, 5.0, HIGH, suspected=True)
    assert machine.suspend(2800) == ()
    changes = list(machine.suspend(9000))
    (at_s,) = raised(changes)
    assert 28.0 < at_s <= 3.5 + MAX_HOLD_S
    assert machine.state is MachineState.ALARM
    assert machine.suspend(9100) == ()


def test_a_standing_alarm_is_not_affected() -> None:
    standing = Alarm(1, AlarmCondition.ACKNOWLEDGED, HIGH)
    machine = AlarmStateMachine(RULE, RATE_HZ, standing)
    assert raised(run(machine, 60.0, HIGH, suspected=True)) == []
    cleared = run(machine, 20.0, LOW, suspected=True, start=60.0)
    assert [each.after for each in cleared if each.kind is TransitionKind.ALARM] == ["normal"]


def test_the_alarm_of_a_machine_that_has_to_run_is_held_too() -> None:
    rule = AlarmRule(RULE.thresholds, hop_s=0.5, when_quiet=WhenQuiet.ALARM)
    machine = AlarmStateMachine(rule, RATE_HZ)
    found: list[Transition] = []
    for at in range(HOP, 1000, HOP):
        found += machine.observe_quiet(at, suspected=True)[1]
    assert raised(found) == []
    found += machine.observe_quiet(1000, suspected=False)[1]
    assert raised(found) == [10.0]


WINDOWS = st.lists(
    st.tuples(
        st.sampled_from([HIGH, HIGH, HIGH, 5.0, LOW]),  # score
        st.booleans(),  # whether a fault is suspected
        st.sampled_from(["run", "run", "run", "pause"]),
        st.integers(1, 30),  # windows of this kind
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=200)
@given(WINDOWS, st.booleans())
def test_no_sequence_of_suspicions_delays_an_alarm_by_more_than_the_limit(
    parts: list[tuple[float, bool, str, int]], latch: bool
) -> None:
    rule = AlarmRule(RULE.thresholds, hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0, latch=latch)
    subject, prompt = AlarmStateMachine(rule, RATE_HZ), AlarmStateMachine(rule, RATE_HZ)
    held: list[Transition] = []
    due: list[Transition] = []
    at = 0
    for score, suspected, kind, count in [*parts, (LOW, True, "run", 80)]:
        for _ in range(count):
            at += HOP
            if kind == "pause":
                held += subject.pause(at, suspected=suspected)
                due += prompt.pause(at)
            else:
                held += subject.observe(at, score, suspected=suspected)
                due += prompt.observe(at, score)
    for first in raised(due)[:1]:  # with a standing alarm the later ones are other ones
        (at_s, *_) = raised(held)
        assert first <= at_s <= first + MAX_HOLD_S
    assert bool(raised(held)) == bool(raised(due))


@settings(deadline=None, max_examples=200)
@given(WINDOWS, WINDOWS)
def test_an_interruption_leaves_no_alarm_that_the_sound_after_it_does_not_raise(
    before: list[tuple[float, bool, str, int]], after: list[tuple[float, bool, str, int]]
) -> None:
    subject = AlarmStateMachine(RULE, RATE_HZ)
    prompt = AlarmStateMachine(RULE, RATE_HZ)
    at = play(subject, before, 0)[1]
    if subject.alarm is not None:
        return  # raised before it
    subject.interrupt()
    held, _ = play(subject, after, at)
    due, _ = play(prompt, [(score, False, kind, count) for score, _, kind, count in after], at)
    if raised(held):
        assert raised(due)
        assert raised(due)[0] <= raised(held)[0]


def play(
    machine: AlarmStateMachine, parts: list[tuple[float, bool, str, int]], at: int
) -> tuple[list[Transition], int]:
    """Return the transitions of these parts, and the sample index of their end."""
    found: list[Transition] = []
    for score, suspected, kind, count in parts:
        for _ in range(count):
            at += HOP
            if kind == "pause":
                found += machine.pause(at, suspected=suspected)
            else:
                found += machine.observe(at, score, suspected=suspected)
    return found, at
