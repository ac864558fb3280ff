"""Mutated packets of a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.chaos.child_result import child_result
from experiments.chaos.scenario import Findings, Place, Scenario

_CHILD = Path(__file__).with_name("packets_child.py")
_HANG_S = 10.0
_GROWTH_MB = 200.0


@dataclass(frozen=True, slots=True)
class MutatedPackets:
    """CONNACK, PUBACK, SUBACK, PUBLISH, DISCONNECT and PINGRESP with mutations."""

    name: str = "packets"
    fault: str = "mutated packets of a broker"
    times: int = 1_000_000
    seconds_each: float = 0.0006

    def run(self, place: Place, times: int) -> Findings:
        """Send so many packets to a session with the broker in a process of its own."""
        findings = Findings(times)
        found = child_result(
            *(place.product, _CHILD, (times, place.seed), findings),
            usual_s=times * self.seconds_each,
        )
        if found is not None:
            self._judge(found, findings)
        return findings

    def _judge(self, found: Mapping[str, Any], findings: Findings) -> None:
        findings.times = found["packets"]
        findings.recovered_s.append(found["longest_s"])
        findings.require(not found["hung"], "the session hangs")
        findings.require(
            found["longest_s"] <= _HANG_S, f"{found['longest_s']:.1f} s between two connections"
        )
        findings.require(
            found["growth_mb"] <= _GROWTH_MB, f"{found['growth_mb']:.0f} MB more than before"
        )
        findings.problems += [f"raised past the thread: {text}" for text in found["raised"]]
        healthy = (found["healthy"], found["expected_healthy"])
        findings.require(
            healthy[0] >= healthy[1] - 1,
            f"only {healthy[0]} of {healthy[1]} correct connections got every message",
        )
        findings.notes.append(
            f"{found['connects']} connections, {found['growth_mb']:.1f} MB more than before, "
            f"{found['unexpected_count']} exceptions caught and logged as unexpected"
        )
        for text, number in found["unexpected"].items():
            last = [line.strip() for line in text.strip().splitlines() if line.strip()][-3:]
            findings.notes.append(f"{number} times unexpected: {' | '.join(last)}")


SCENARIOS: tuple[Scenario, ...] = (MutatedPackets(),)
