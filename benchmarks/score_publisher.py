"""Publishes scores as the daemon does, through its session with a broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from asd_monitor.config.settings import Mqtt
from asd_monitor.dsp.front_end import MAX_RATE_HZ
from asd_monitor.errors import OperationError
from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.messages import Score
from asd_monitor.records import MachineState, MicrophoneState, Thresholds, WindowScore

_PATIENCE_S = 10.0
_MAX_PENDING = 100  # messages; the daemon waits likewise when it reads recordings
_POLL_S = 0.0005


def machine_name(number: int) -> str:
    """Return the id of a machine of the benchmarks."""
    return f"machine{number:02d}"


class ScorePublisher:
    """Publishes scores to a broker on loopback; use it with ``with``."""

    def __init__(self, port: int) -> None:
        self._session = BrokerSession(Mqtt(host="127.0.0.1", port=port), "bench")
        self.published = 0

    def __enter__(self) -> Self:
        self._session.start()
        if not self._session.wait_for(lambda s: s.connected, _PATIENCE_S):
            raise OperationError("no connection to the mosquitto of the benchmark")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.stop()

    @property
    def dropped(self) -> int:
        """Messages that were not sent."""
        return self._session.counters.dropped

    def publish(self, machine: int, score: WindowScore) -> None:
        """Publish the score of a window in the daemon's full message."""
        self.drain(_MAX_PENDING)
        self.published += 1
        name = machine_name(machine)
        message = Score(
            machine=name,
            time=datetime.now(UTC),
            sample=score.end,
            seq=self.published,
            window_s=(score.end - score.start) / MAX_RATE_HZ,
            score=score.score,
            alarm_score=score.score,
            views=score.views,
            thresholds=Thresholds(3.0, 5.0),
            state=MachineState.NORMAL,
            microphone=MicrophoneState.OK,
            rms_dbfs=score.rms_dbfs,
            lost_samples=0,
            model="v1",
        )
        topic = self._session.topics.score(name)
        self._session.publish(topic, message.payload(), qos=0, retain=False)

    def drain(self, most: int = 0) -> None:
        """Block until at most so many messages are pending.

        Raises:
            OperationError: the broker does not accept them within 10 s.

        """
        deadline = time.monotonic() + _PATIENCE_S
        while self._session.pending > most:
            if time.monotonic() > deadline:
                raise OperationError("the mosquitto of the benchmark accepts no more messages")
            time.sleep(_POLL_S)  # the session has no event for this
