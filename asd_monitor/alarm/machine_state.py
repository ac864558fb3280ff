"""The state of a machine as its alarm and its delays give it, and the reasons for its changes."""

from __future__ import annotations

from asd_monitor.alarm.delays import Delays
from asd_monitor.alarm.state import Alarm, AlarmRule, Transition, TransitionKind
from asd_monitor.alarm.window_level import QUIET
from asd_monitor.records import MachineState


def state_of(alarm: Alarm, delays: Delays, *, warning: bool) -> MachineState:
    """Return the state of a machine.

    It is `alarm` while an alarm is active, also while that is shelved.  Out of service it is what
    the sound is below the alarm: `warning` at most.
    """
    if alarm.active and not alarm.out_of_service:
        return MachineState.ALARM
    if delays.is_idle:
        return MachineState.IDLE
    return MachineState.WARNING if warning else MachineState.NORMAL


def state_transition(
    at: int, before: MachineState, after: MachineState, rule: AlarmRule, *, quiet: bool
) -> Transition:
    """Return a change of state with its reason.

    ``quiet`` is whether the sound has been far quieter than ever in training for the on-delay.
    """
    why = {
        MachineState.ALARM: "an alarm is active",
        MachineState.IDLE: f"{QUIET}: taken to be off"
        if quiet
        else f"the machine is off for {rule.on_delay_s:g} s",
        MachineState.WARNING: QUIET
        if quiet
        else f"alarm score at least {rule.thresholds.warning:.2f}",
        MachineState.NORMAL: "the sound is normal",
    }[after]
    return Transition(at, TransitionKind.STATE, before, after, why)
