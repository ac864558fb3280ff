"""A mosquitto of the bench's own on loopback, and who speaks to it as the daemon does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_monitor.errors import OperationError
from asd_monitor.config.settings import Mqtt
from asd_monitor.publish.messages import Score
from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.records import MachineState, MicrophoneState, Thresholds, WindowScore

_PATIENCE_S = 10.0
_MOST_WAITING = 100  # messages; then they are waited for, as the daemon does with recordings


def machine_name(number: int) -> str:
    """Return the id of a machine of the bench."""
    return f"machine{number:02d}"


class Broker:
    """Runs within a ``with``; logs nothing."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "log_type none"]
        if os.geteuid() == 0:
            lines.append("user root")
        self._config.write_text("\n".join([*lines, "persistence false", ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
        program = shutil.which("mosquitto", path=search)
        if program is None:
            raise OperationError("mosquitto is not installed: apt-get install mosquitto")
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise OperationError(f"mosquitto does not listen on port {self.port}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE_S)


class Publisher:
    """Sends every score through the daemon's own session; use it with ``with``."""

    def __init__(self, port: int) -> None:
        self._session = BrokerSession(Mqtt(host="127.0.0.1", port=port), "bench")
        self.sent = 0

    def __enter__(self) -> Self:
        self._session.start()
        if not self._session.wait_for(lambda s: s.connected, _PATIENCE_S):
            raise OperationError("no connection to the bench's own mosquitto")
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
        """Messages that never left."""
        return self._session.counters.dropped

    def tell(self, machine: int, score: WindowScore) -> None:
        """Publish a window's score with all that the daemon says of it."""
        self.drain(_MOST_WAITING)
        self.sent += 1
        name = machine_name(machine)
        message = Score(
            machine=name,
            time=datetime.now(UTC),
            sample=score.end,
            seq=self.sent,
            window_s=(score.end - score.start) / 16_000,
            score=score.score,
            alarm_score=score.sustained,
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
        """Wait until no more than so many messages wait for the network."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._session.pending > most:
            if time.monotonic() > deadline:
                raise OperationError("the bench's own mosquitto takes no more messages")
            time.sleep(0.0005)
