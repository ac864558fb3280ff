"""The demonstration: renders recordings, trains a model, monitors a growing fault.

Training and monitoring are the commands `train` and `run`, in processes of their own.
"""

from __future__ import annotations

import queue
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import soundfile
import yaml
from rich.console import Console
from rich.live import Live

from asd_monitor.demo.broker import EmbeddedBroker
from asd_monitor.demo.files import (
    CONFIG,
    DISPLAY,
    MACHINE,
    MODELS,
    MONITORED,
    MQTT_LOG,
    RUN_LOG,
    STATE,
    TRAIN_LOG,
    TRAINING,
)
from asd_monitor.demo.picture import save_picture
from asd_monitor.demo.scenario import (
    FAULT_START_S,
    MONITORED_S,
    RATE_HZ,
    TRAINING_RECORDING_S,
    TRAINING_RECORDINGS,
    Scenario,
)
from asd_monitor.demo.screen import MARGIN, Screen, status_line
from asd_monitor.demo.subscriber import Subscriber
from asd_monitor.demo.summary import print_summary
from asd_monitor.demo.terminal_spectrogram import spectrogram
from asd_monitor.demo.timeline import Timeline
from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.errors import OperationError
from asd_monitor.records import Samples

TARGET_S = 70.0  # duration of the demonstration on a computer that is fast enough
MIN_SPEED, MAX_SPEED = 4.0, 15.0  # of the monitored recording, relative to real time
STOP_AFTER_S = 85.0  # the daemon is stopped then, also before the end of the recording
MIN_COLUMNS, MIN_ROWS = 60, 24  # of a terminal for the display
_SCORE_TIMEOUT_S = 20.0  # without a new score, the daemon is stopped
_PROCESS_STOP_TIMEOUT_S = 10.0
_STATUS_INTERVAL_S = 10.0  # of sound
_REFRESH_INTERVAL_S = 0.2
_PICTURE_COLUMNS = 80
_PROGRESS = re.compile(r"… \d+ %$")
_DESCRIPTIONS = {kind.name: kind.description for kind in VIEW_KINDS}


def run_demonstration(scenario: Scenario, folder: Path, console: Console) -> None:
    """Run the demonstration; all its files are in `folder` afterwards.

    Raises:
        OperationError: a step failed, or the alarm was not raised after the start of the fault.

    """
    began = time.monotonic()
    _write_training_recordings(scenario, folder, console)
    train = ["train", "--machine", MACHINE, "--normal", TRAINING, "--models", MODELS]
    with (
        ThreadPoolExecutor(1, "render") as pool,
        (folder / TRAIN_LOG).open("wb") as log,
        _command(train, folder, subprocess.PIPE, console) as training,
    ):
        rendering = pool.submit(_write_monitored_recording, scenario, folder)
        _follow(training, log, console)
        _finish(training, folder / TRAIN_LOG, console)
        sound = rendering.result()
    left_s = TARGET_S - (time.monotonic() - began) - 6.0
    speed = round(min(MAX_SPEED, max(MIN_SPEED, MONITORED_S / max(1.0, left_s))), 1)
    timeline = Timeline(RATE_HZ)
    with (
        EmbeddedBroker() as broker,
        Subscriber(broker.host, broker.port, folder / MQTT_LOG) as subscriber,
    ):
        _write_config(folder / CONFIG, broker.host, broker.port)
        console.print(f"MQTT broker of the demonstration: {broker.host}:{broker.port}")
        run = ["run", "--config", CONFIG, "--models", MODELS, "--state", STATE]
        run += ["--speed", f"{speed:g}"]
        deadline = max(
            began + STOP_AFTER_S, time.monotonic() + MONITORED_S / MAX_SPEED + _SCORE_TIMEOUT_S
        )
        with (
            (folder / RUN_LOG).open("wb") as log,
            _command(run, folder, log, console) as daemon,
        ):
            fits = console.width >= MIN_COLUMNS and console.height >= MIN_ROWS
            show = _show_live if console.is_terminal and fits else _show_lines
            show(scenario, sound, console, _updates(daemon, subscriber, timeline, deadline))
            _drain(subscriber, timeline)
            exit_code = daemon.poll()
    if timeline.scores:
        screen = _screen(scenario, sound, columns=_PICTURE_COLUMNS, rows=8)
        save_picture(screen.draw(timeline), folder / DISPLAY)
    print_summary(timeline, folder, console, time.monotonic() - began)
    failure = timeline.failure()
    if exit_code:
        failure = f"the daemon ended with exit code {exit_code}: {_last_line(folder / RUN_LOG)}"
    if failure is not None:
        raise OperationError(f"the demonstration failed: {failure}; see {folder / RUN_LOG}")


def _write_training_recordings(scenario: Scenario, folder: Path, console: Console) -> None:
    (folder / TRAINING).mkdir()
    with console.status("rendering recordings …"):
        for number in range(TRAINING_RECORDINGS):
            path = folder / TRAINING / f"normal-{number + 1}.flac"
            soundfile.write(path, scenario.training_recording(number), RATE_HZ)
    console.print(
        f"Synthetic {scenario.machine.family} in a factory hall: {TRAINING_RECORDINGS} training "
        f"recordings of {TRAINING_RECORDING_S:g} s"
    )


def _write_monitored_recording(scenario: Scenario, folder: Path) -> Samples:
    sound = scenario.monitored_recording()
    soundfile.write(folder / MONITORED, sound, RATE_HZ)
    return sound


@contextmanager
def _command(
    arguments: list[str], folder: Path, output: IO[bytes] | int, console: Console
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of the package in `folder`, its output in a file or pipe; end it."""
    console.print(
        f"$ asd-monitor {shlex.join(arguments)}", style="bold cyan", highlight=False, soft_wrap=True
    )
    with subprocess.Popen(
        [sys.executable, "-m", "asd_monitor", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_PROCESS_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _follow(training: subprocess.Popen[bytes], log: IO[bytes], console: Console) -> None:
    """Write the output of a training to its log, and show its progress meanwhile."""
    with console.status("training …") as status:
        for line in training.stdout or ():
            log.write(line)
            step = line.decode(errors="replace").strip()
            if not _PROGRESS.search(step):
                continue
            if console.is_terminal:
                status.update(f"training: {step}")
            else:
                console.print(f"  {step}", highlight=False, markup=False)
    log.flush()


def _finish(process: subprocess.Popen[bytes], log: Path, console: Console) -> None:
    code = process.wait()
    if code != 0:
        raise OperationError(f"training failed: {_last_line(log)}; see {log}")
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith((f"{MACHINE} v", "Alarm threshold")):
            console.print(f"  {line}", highlight=False, soft_wrap=True)


def _write_config(path: Path, host: str, port: int) -> None:
    config = {
        "version": 1,
        "box": "demo",
        "mqtt": {"host": host, "port": port},
        "machines": {MACHINE: {"device": f"file:{MONITORED}"}},
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _updates(
    daemon: subprocess.Popen[bytes], subscriber: Subscriber, timeline: Timeline, deadline: float
) -> Iterator[Timeline]:
    """Yield the timeline several times per second until the daemon ends or a timeout."""
    scores, score_deadline = 0, time.monotonic() + _SCORE_TIMEOUT_S
    while daemon.poll() is None and time.monotonic() < min(deadline, score_deadline):
        with suppress(queue.Empty):
            timeline.add(subscriber.messages.get(timeout=0.15))
        _drain(subscriber, timeline)
        if len(timeline.scores) > scores:
            scores, score_deadline = len(timeline.scores), time.monotonic() + _SCORE_TIMEOUT_S
        yield timeline


def _drain(subscriber: Subscriber, timeline: Timeline) -> None:
    while not subscriber.messages.empty():
        timeline.add(subscriber.messages.get())


def _show_live(
    scenario: Scenario, sound: Samples, console: Console, updates: Iterator[Timeline]
) -> None:
    columns = min(120, max(30, console.width - MARGIN - 4))
    screen = _screen(scenario, sound, columns, rows=5 if console.height < 30 else 8)
    drawn_s, timeline = 0.0, None
    with Live(console=console, auto_refresh=False) as live:
        for timeline in updates:
            if time.monotonic() > drawn_s + _REFRESH_INTERVAL_S:
                drawn_s = time.monotonic()
                live.update(screen.draw(timeline), refresh=True)
        if timeline is not None:
            live.update(screen.draw(timeline), refresh=True)


def _screen(scenario: Scenario, sound: Samples, columns: int, rows: int) -> Screen:
    picture = spectrogram(sound, RATE_HZ, bands=2 * (rows + 1), columns=columns)
    fault = scenario.fault.replace("_", " ")
    title = (
        f"{MACHINE}, a synthetic {scenario.machine.family} · {fault} fault from "
        f"{FAULT_START_S:g} s on"
    )
    return Screen(title, picture, _DESCRIPTIONS, rows)


def _show_lines(
    _scenario: Scenario, _sound: Samples, console: Console, updates: Iterator[Timeline]
) -> None:
    printed_s, printed_changes = -_STATUS_INTERVAL_S, 0
    for timeline in updates:
        if timeline.scores and timeline.at_s >= printed_s + _STATUS_INTERVAL_S:
            printed_s = timeline.at_s
            console.print(status_line(timeline), highlight=False)
        for change in timeline.changes[printed_changes:]:
            console.print(f"      {change.text}", highlight=False)
        printed_changes = len(timeline.changes)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
