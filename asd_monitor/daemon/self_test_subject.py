"""What the self-test reads of a monitor session; nothing of it is changed."""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.records import Block, MachineState
from asd_monitor.self_test.live_trial import SOUND_S
from asd_monitor.self_test.obstacle import Obstacle
from asd_monitor.self_test.recent_scores import RecentScores
from asd_monitor.wording import rfc3339

_TESTED_ON = "it is tested within half an hour once it runs"


@dataclass(frozen=True, slots=True, eq=False)
class SelfTestSubject:
    """One machine that is monitored now."""

    machine: str
    capture: CaptureLoop
    evaluator: Evaluator

    @property
    def no_sound(self) -> Obstacle | None:
        """Why no sound is captured now; None: it is."""
        if self.capture.outage is not None:
            return Obstacle(
                f"no signal: {self.capture.outage.reason}",
                "connect the microphone: the state of the machine has the reason",
            )
        if self.capture.ended:
            return Obstacle("the recording has ended", "monitor a microphone in its place")
        return None

    @property
    def not_scored(self) -> Obstacle | None:
        """Why captured sound is not scored now; None: it is, but for a fault of the microphone."""
        if self.evaluator.model.missing_reason is not None:
            return Obstacle(
                f"no model: {self.evaluator.model.missing_reason}",
                "train the machine, or correct what the state of the machine says",
            )
        if not self.evaluator.monitor.running:
            return Obstacle("the machine is off by the signal of the plant's controls", _TESTED_ON)
        if self.evaluator.state is MachineState.IDLE:
            return Obstacle("the machine is off", _TESTED_ON)
        return None

    @property
    def is_scored(self) -> bool:
        """Whether windows are evaluated now, if scoring has not stopped."""
        return not (self.no_sound or self.not_scored or self.microphone.is_fault)

    @property
    def out_of_service(self) -> Obstacle | None:
        """Since when the machine is out of service; None: it is in service."""
        found = self.evaluator.out_of_service
        if found is None:
            return None
        return Obstacle(
            f"the machine is out of service since {rfc3339(found.since)}",
            "return it to service with `asd-monitor alarms in-service`",
        )

    @property
    def is_exempt(self) -> bool:
        """Whether a test is not expected, however long that lasts."""
        if not self.evaluator.monitor.running or self.evaluator.out_of_service is not None:
            return True
        state = self.evaluator.state
        return self.no_sound is None and state in (MachineState.IDLE, MachineState.ALARM)

    @property
    def microphone(self) -> MicrophoneCondition:
        """Condition of the microphone by its sound."""
        return self.evaluator.microphone

    @property
    def bundle(self) -> Bundle | None:
        """The model in use."""
        return self.evaluator.model.bundle

    @property
    def rule(self) -> AlarmRule:
        """The alarm rule in use."""
        return self.evaluator.monitor.rule

    @property
    def recent_scores(self) -> RecentScores:
        """The scores of the last hours."""
        return self.evaluator.recent_scores

    @property
    def scored_windows(self) -> int:
        """Windows that were scored, those with dropouts included: they are not evaluated."""
        return self.recent_scores.windows + self.evaluator.monitor.left_out_windows

    @property
    def captured_s(self) -> float:
        """Sound that has been captured, without what was lost, in s."""
        capture = self.capture
        return capture.captured_samples / capture.rate_hz if capture.ring else 0.0

    def sound(self) -> Block | None:
        """Return a copy of the newest sound that has been evaluated."""
        ring = self.capture.ring
        if ring is None:
            return None
        return ring.newest_before(self.capture.position, round(SOUND_S * ring.stream.rate_hz))
