"""What the self-test reads of a monitor session; nothing of it is changed."""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.monitor import DEAD_CHANNEL
from asd_monitor.records import Block, MachineState
from asd_monitor.self_test.live_trial import SOUND_S
from asd_monitor.self_test.recent_scores import RecentScores


@dataclass(frozen=True, slots=True, eq=False)
class SelfTestSubject:
    """One machine that is monitored now."""

    machine: str
    capture: CaptureLoop
    evaluator: Evaluator

    @property
    def obstacle(self) -> str | None:
        """Why the machine cannot be tested now; None: it can."""
        return self._no_sound or self._not_scored

    @property
    def _no_sound(self) -> str | None:
        if self.capture.outage is not None:
            return f"no signal: {self.capture.outage.reason}"
        if self.capture.ended:
            return "the recording has ended"
        if self.evaluator.microphone is DEAD_CHANNEL:
            return DEAD_CHANNEL.reason
        return None

    @property
    def _not_scored(self) -> str | None:
        if self.evaluator.no_model_reason is not None:
            return f"no model: {self.evaluator.no_model_reason}"
        if not self.evaluator.monitor.running:
            return "the machine is off by the signal of the plant's controls"
        if self.evaluator.state is MachineState.IDLE:
            return "the machine is off"
        return None

    @property
    def microphone(self) -> MicrophoneCondition:
        """Condition of the microphone by its sound."""
        return self.evaluator.microphone

    @property
    def bundle(self) -> Bundle | None:
        """The model in use."""
        return self.evaluator.bundle

    @property
    def rule(self) -> AlarmRule:
        """The alarm rule in use."""
        return self.evaluator.monitor.rule

    @property
    def recent_scores(self) -> RecentScores:
        """The scores of the last hours."""
        return self.evaluator.recent_scores

    @property
    def captured_s(self) -> float:
        """Time of the stream that has been captured, in s."""
        ring = self.capture.ring
        return 0.0 if ring is None else ring.end / ring.stream.rate_hz

    def sound(self) -> Block | None:
        """Return a copy of the newest sound that has been evaluated."""
        ring = self.capture.ring
        if ring is None:
            return None
        return ring.newest_before(self.capture.position, round(SOUND_S * ring.stream.rate_hz))
