"""Play recordings into the real daemon through virtual microphones, and tell what it did.

    python -m benchmarks.live_trial NAME=TRAIN:PLAY[:FAULT_FROM_S] ...

For each machine NAME a model is trained on TRAIN, then all are monitored at once by one
`asd-monitor run`, each on a microphone of its own that plays PLAY, with a real mosquitto.
Printed: when alarms rose, counted from the beginning of PLAY (and from FAULT_FROM_S), the
windows scored, samples lost, and what the daemon and its capture processes cost meanwhile.

Needs what the tests need: mosquitto, pulseaudio, libasound2-plugins, libportaudio2.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import typer
import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from tests.doubles.mosquitto import free_port
from tests.doubles.virtual_microphone import VirtualSound

RATE_HZ = 16000
PATIENCE_S = 60.0


@dataclass
class Trial:
    """One machine: what it plays, and what was heard of it."""

    name: str
    train: Path
    play: Path
    fault_from_s: float | None
    began: float = 0.0  # monotonic
    scores: int = 0
    lost_samples: int = 0
    undelivered: int = 0  # samples that PulseAudio did not read
    highest: float = 0.0
    alarms: list[tuple[float, str]] = field(default_factory=list)

    def risen(self, alarm_id: str, at_s: float) -> None:
        """Note an alarm, the first time it rises."""
        if alarm_id not in (known for _, known in self.alarms):
            self.alarms.append((at_s, alarm_id))


def main() -> int:
    """Run the trial; 0 when every machine with a fault alarmed after it and no other did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("machine", nargs="+", help="NAME=TRAIN:PLAY[:FAULT_FROM_S]")
    trials = [_trial_of(text) for text in parser.parse_args().machine]
    with tempfile.TemporaryDirectory() as folder:
        return _run(trials, Path(folder))


def _trial_of(text: str) -> Trial:
    name, _, paths = text.partition("=")
    train, play, *fault = paths.split(":")
    return Trial(name, Path(train), Path(play), float(fault[0]) if fault else None)


def _run(trials: list[Trial], folder: Path) -> int:
    cli = [sys.executable, "-m", "asd_monitor"]
    for trial in trials:
        models = ["--models", str(folder / "models")]
        paths = ["--machine", trial.name, "--normal", str(trial.train)]
        subprocess.run([*cli, "train", *paths, *models], check=True, stderr=subprocess.DEVNULL)
    port = free_port()
    machines = {t.name: {"device": f"hw:{card}"} for card, t in enumerate(trials, start=1)}
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump({"version": 1, "box": "trial", "mqtt": {"port": port}, "machines": machines})
    )
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )
    cards = {t.name: card for card, t in enumerate(trials, start=1)}
    with VirtualSound(cards, rate_hz=RATE_HZ) as sound:
        messages = _subscribe(port)
        places = ["--models", str(folder / "models"), "--state", str(folder / "state")]
        daemon = subprocess.Popen(
            [*cli, "run", "--config", str(config), *places], env=sound.environment
        )
        try:
            _wait_until_all_listen(messages, trials)
            longest_s = 0.0
            for trial in trials:
                samples, rate = soundfile.read(trial.play, dtype="float32")
                samples = soxr.resample(samples, rate, RATE_HZ) if rate != RATE_HZ else samples
                trial.began, trial.undelivered = time.monotonic(), sound[trial.name].undelivered
                sound[trial.name].play(np.asarray(samples))
                longest_s = max(longest_s, len(samples) / RATE_HZ)
            before = _cost(daemon.pid)
            _listen(messages, trials, until=time.monotonic() + longest_s)
            after = _cost(daemon.pid)
            for trial in trials:
                trial.undelivered = sound[trial.name].undelivered - trial.undelivered
        finally:
            daemon.terminate()
            ended = daemon.wait(PATIENCE_S)
    broker.terminate()
    broker.wait(PATIENCE_S)
    seconds = after["at_s"] - before["at_s"]
    typer.echo(
        f"daemon: {after['daemon_mib']:.0f} MiB, capture {after['children_mib']:.0f} MiB (PSS);"
    )
    share = (after["cpu_s"] - before["cpu_s"]) / seconds
    typer.echo(f"{share:.1%} of one core over {seconds:.0f} s")
    typer.echo(f"exit code after SIGTERM: {ended}")
    verdicts = [_verdict(trial) for trial in trials]
    return 0 if all(verdicts) else 1


def _subscribe(port: int) -> queue.Queue[tuple[float, str, dict[str, Any]]]:
    messages: queue.Queue[tuple[float, str, dict[str, Any]]] = queue.Queue()

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        if not message.topic.endswith("availability"):
            messages.put((time.monotonic(), message.topic, json.loads(message.payload)))

    def on_connect(client: Client, *_: object) -> None:
        client.subscribe("asd/#", qos=1)

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.on_connect = on_connect
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    return messages


def _wait_until_all_listen(messages: queue.Queue[Any], trials: list[Trial]) -> None:
    silent = {trial.name for trial in trials}
    while silent:
        _, topic, message = messages.get(timeout=PATIENCE_S)
        if topic.endswith("/state") and message["evaluated"]:
            silent.discard(message["machine"])


def _listen(messages: queue.Queue[Any], trials: list[Trial], until: float) -> None:
    by_name = {trial.name: trial for trial in trials}
    while (left := until - time.monotonic()) > 0:
        try:
            at, topic, message = messages.get(timeout=left)
        except queue.Empty:
            return
        trial = by_name.get(message.get("machine", ""))
        if trial is None:
            continue
        if topic.endswith("/score"):
            trial.scores += 1
            trial.lost_samples = message["lost_samples"]
            trial.highest = max(trial.highest, message["alarm_score"])
        elif topic.endswith("/event") and message["to"] == "unacknowledged":
            trial.risen(message["alarm_id"], at - trial.began)


def _verdict(trial: Trial) -> bool:
    typer.echo(
        f"{trial.name}: {trial.scores} windows, {trial.lost_samples} samples lost "
        f"({trial.undelivered} by the virtual microphone), "
        f"highest alarm score {trial.highest:.2f}"
    )
    for at_s, identity in trial.alarms:
        after = "" if trial.fault_from_s is None else f", {at_s - trial.fault_from_s:.1f} s after"
        typer.echo(f"  alarm at {at_s:.1f} s{after} ({identity})")
    if trial.fault_from_s is None:
        return not trial.alarms
    return len(trial.alarms) == 1 and 0 <= trial.alarms[0][0] - trial.fault_from_s <= 20


def _cost(pid: int) -> dict[str, float]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for each in (str(pid), *children):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return {
        "at_s": time.monotonic(),
        "cpu_s": ticks / 100,
        "daemon_mib": _pss_mib(str(pid)),
        "children_mib": sum(_pss_mib(child) for child in children),
    }


def _pss_mib(pid: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
