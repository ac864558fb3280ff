"""What is required of a daemon during a fault: alarms, or the reason why there are none."""

from __future__ import annotations

import time

from experiments.chaos.box import Box
from experiments.chaos.process import ChaosProcess
from experiments.chaos.scenario import Findings

_ALARM_S = 40.0
_MONITORED_S = 20.0
_NEXT_ALARM_S = 30.0


def require_alarms(box: Box, run: ChaosProcess, findings: Findings) -> None:
    """Require that alarms still rise and are published, and that sound is evaluated."""
    now_s = time.monotonic()
    raised_s = box.wait_alarm(now_s, _NEXT_ALARM_S)
    findings.require(raised_s, f"no alarm is published: {run.log[-300:]}")
    findings.require(box.wait_evaluated(now_s, _NEXT_ALARM_S), "no sound is evaluated")


def require_monitored_or_reported(box: Box, run: ChaosProcess, findings: Findings) -> None:
    """Require alarms, or that the state of each machine has the reason why there are none."""
    raised_s = box.wait_alarm(run.started_s, _ALARM_S)
    if raised_s is not None:
        findings.recovered_s.append(raised_s - run.started_s)
        run.wait(_MONITORED_S)
        findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
        findings.notes.append(f"at most {run.peak_mb():.0f} MB")
        box.stop(run, findings)
        box.finish(findings)
        return
    findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
    for machine in box.machines:
        state = box.proxy.newest(box.topic(machine, "state"))
        reason = None if state is None else state.document["reason"]
        if reason is None or state is None or state.document["evaluated"]:
            findings.problems.append(f"{machine} is not monitored, without a reason")
        else:
            findings.seen_s.append(state.at_s - run.started_s)
            findings.notes.append(f"{machine} is not monitored: {reason}")
