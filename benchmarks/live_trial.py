"""Play recordings into the real daemon through virtual microphones, and report its alarms.

    python -m benchmarks.live_trial NAME=TRAIN:PLAY[:FAULT_FROM_S] ...

For each machine NAME a model is trained on TRAIN.  Then one `asd-monitor run` monitors all of
them, each through a microphone of its own that plays PLAY, with a real mosquitto.  Prints the
times of the alarms from the begin of PLAY (and from FAULT_FROM_S), the number of windows, the
lost samples, and the memory and processor time of the daemon and its capture processes.  The exit
code is 0 if every machine with a fault raised one alarm within 20 s of it, and no other did.

Needs what the tests need: mosquitto, pulseaudio, libasound2-plugins, libportaudio2.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
from paho.mqtt.client import MQTTMessage

from asd_monitor.errors import AsdMonitorError
from asd_monitor.records import Samples
from benchmarks.daemon_process import DaemonProcess, train
from benchmarks.mosquitto import MosquittoProcess
from benchmarks.mqtt_subscriber import MqttSubscriber
from tests.doubles.virtual_sound import VirtualSound

RATE_HZ = 16000
PATIENCE_S = 60.0
MAX_DELAY_S = 20.0  # of an alarm after the begin of the fault


@dataclass
class TrialMachine:
    """A machine: what it is trained on and plays, and what the daemon published."""

    name: str
    train: Path
    play: Path
    fault_from_s: float | None
    began: float = 0.0  # monotonic
    windows: int = 0
    lost_samples: int = 0
    undelivered: int = 0  # samples that the virtual microphone could not deliver
    max_alarm_score: float = 0.0
    alarms: dict[str, float] = field(default_factory=dict)  # by id: seconds since `began`

    @staticmethod
    def parse(text: str) -> TrialMachine:
        """Return the machine of ``NAME=TRAIN:PLAY[:FAULT_FROM_S]``.

        Raises:
            argparse.ArgumentTypeError: the text has another form.

        """
        name, _, paths = text.partition("=")
        parts = paths.split(":")
        if not name or len(parts) not in {2, 3}:
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TRAIN:PLAY[:FAULT_FROM_S]")
        fault_from_s = float(parts[2]) if len(parts) == 3 else None
        return TrialMachine(name, Path(parts[0]), Path(parts[1]), fault_from_s)

    def receive(self, topic: str, message: dict[str, Any], at_s: float) -> None:
        """Note a score or the rise of an alarm; ``at_s`` is monotonic."""
        if topic.endswith("/score"):
            self.windows += 1
            self.lost_samples = message["lost_samples"]
            self.max_alarm_score = max(self.max_alarm_score, message["alarm_score"])
        elif topic.endswith("/event") and message["to"] == "unacknowledged":
            self.alarms.setdefault(message["alarm_id"], at_s - self.began)

    @property
    def passed(self) -> bool:
        """Whether it raised one alarm soon after its fault, or none without a fault."""
        if self.fault_from_s is None:
            return not self.alarms
        delays = [at_s - self.fault_from_s for at_s in self.alarms.values()]
        return len(delays) == 1 and 0 <= delays[0] <= MAX_DELAY_S

    def report(self) -> str:
        """Return what was published, as text."""
        lines = [
            f"{self.name}: {self.windows} windows, {self.lost_samples} samples lost "
            f"({self.undelivered} by the virtual microphone), "
            f"highest alarm score {self.max_alarm_score:.2f}"
        ]
        for identity, at_s in self.alarms.items():
            delay = "" if self.fault_from_s is None else f", {at_s - self.fault_from_s:.1f} s after"
            lines.append(f"  alarm at {at_s:.1f} s{delay} ({identity})")
        return "\n".join(lines) + "\n"


class Received(NamedTuple):
    """A message of the daemon."""

    at_s: float  # monotonic
    topic: str
    content: dict[str, Any]


Messages = queue.Queue[Received]


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live_trial",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "machine", nargs="+", type=TrialMachine.parse, metavar="NAME=TRAIN:PLAY[:FAULT_FROM_S]"
    )
    machines: list[TrialMachine] = parser.parse_args().machine
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run(machines, Path(folder))
    except AsdMonitorError as error:
        sys.stderr.write(f"live_trial: {error}\n")
        return error.exit_code
    return 0 if all(machine.passed for machine in machines) else 1


def _run(machines: Sequence[TrialMachine], folder: Path) -> None:
    models = folder / "models"
    for machine in machines:
        train(machine.name, machine.train, models)
    cards = {machine.name: number for number, machine in enumerate(machines, start=1)}
    with ExitStack() as stack:
        broker = stack.enter_context(MosquittoProcess(folder / "broker"))
        sound = stack.enter_context(VirtualSound(cards, rate_hz=RATE_HZ))
        messages = Messages()
        stack.enter_context(_subscriber(broker.port, messages))
        config = {
            "version": 1,
            "box": "trial",
            "mqtt": {"port": broker.port},
            "machines": {name: {"device": f"hw:{card}"} for name, card in cards.items()},
        }
        daemon = stack.enter_context(
            DaemonProcess(folder, config, models, environment=sound.environment)
        )
        _wait_until_evaluated(messages, machines)
        longest_s = 0.0
        for machine in machines:
            samples = _read(machine.play)
            machine.began = time.monotonic()
            machine.undelivered = -sound[machine.name].undelivered
            sound[machine.name].play(samples)
            longest_s = max(longest_s, len(samples) / RATE_HZ)
        before_s, began = daemon.cpu_s(), time.monotonic()
        _receive(messages, machines, until=began + longest_s)
        cores = (daemon.cpu_s() - before_s) / (time.monotonic() - began)
        children_mb = daemon.children_pss_mb()
        daemon_mb = daemon.pss_mb() - children_mb
        for machine in machines:
            machine.undelivered += sound[machine.name].undelivered
        exit_code = daemon.stop()
    sys.stdout.write(
        f"daemon: {daemon_mb:.0f} MB, capture {children_mb:.0f} MB (PSS); "
        f"{cores:.1%} of one core over {longest_s:.0f} s\n"
        f"exit code after SIGTERM: {exit_code}\n"
    )
    for machine in machines:
        sys.stdout.write(machine.report())


def _read(path: Path) -> Samples:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return np.asarray(
        soxr.resample(samples, rate_hz, RATE_HZ) if rate_hz != RATE_HZ else samples, np.float32
    )


def _subscriber(port: int, messages: Messages) -> MqttSubscriber:
    def put(message: MQTTMessage) -> None:
        if not message.topic.endswith("availability"):
            content = json.loads(message.payload)
            messages.put(Received(time.monotonic(), message.topic, content))

    return MqttSubscriber(port, "asd/#", put)


def _wait_until_evaluated(messages: Messages, machines: Sequence[TrialMachine]) -> None:
    """Wait until the state of every machine is evaluated."""
    left = {machine.name for machine in machines}
    while left:
        received = messages.get(timeout=PATIENCE_S)
        if received.topic.endswith("/state") and received.content["evaluated"]:
            left.discard(received.content["machine"])


def _receive(messages: Messages, machines: Sequence[TrialMachine], until: float) -> None:
    by_name = {machine.name: machine for machine in machines}
    while (left := until - time.monotonic()) > 0:
        try:
            received = messages.get(timeout=left)
        except queue.Empty:
            return
        machine = by_name.get(received.content.get("machine", ""))
        if machine is not None:
            machine.receive(received.topic, received.content, received.at_s)


if __name__ == "__main__":
    sys.exit(main())
