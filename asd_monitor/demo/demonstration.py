"""The demonstration from beginning to end: make, train, run, watch, tell.

Training and monitoring are the commands that a user would type, in processes of their own.
"""

from __future__ import annotations

import queue
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import soundfile
import yaml
from rich.console import Console
from rich.live import Live

from asd_monitor.demo.broker import EmbeddedBroker
from asd_monitor.demo.observer import Observer
from asd_monitor.demo.scenario import (
    GROWS_FROM_S,
    NORMAL_FILE_S,
    NORMAL_FILES,
    RATE_HZ,
    SOUND_S,
    Scenario,
)
from asd_monitor.demo.screen import MARGIN, Screen, loudest, plain_line
from asd_monitor.demo.terminal_spectrogram import spectrogram
from asd_monitor.demo.timeline import Timeline
from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.errors import OperationError
from asd_monitor.records import Samples

MACHINE = "demo01"
NORMAL = "normal"
MONITORED = "growing-fault.flac"
CONFIG = "asd-monitor.yaml"
MQTT_LOG = "mqtt.jsonl"
TRAIN_LOG = "train.log"
RUN_LOG = "run.log"

LASTS_S = 70.0  # the whole of it, where the computer is quick enough
SLOWEST, FASTEST = 4.0, 15.0  # times real time
ENDS_AFTER_S = 85.0  # the daemon is stopped then, wherever the sound is
SMALLEST = (60, 24)  # columns and rows of a terminal that the picture fits into
_SILENCE_S = 20.0  # without a score, there will be none
_STOPS_WITHIN_S = 10.0
_PLAIN_EVERY_S = 10.0  # of sound
_DRAW_EVERY_S = 0.2
_HEARS = {kind.name: kind.description for kind in VIEW_KINDS}


def perform(scenario: Scenario, folder: Path, console: Console) -> None:
    """Give the demonstration; everything that it makes lies in `folder` afterwards.

    Raises OperationError where a step fails or the alarm does not come as it should.
    """
    began = time.monotonic()
    _make_normals(scenario, folder, console)
    train = ["train", "--machine", MACHINE, "--normal", NORMAL, "--models", "models"]
    with _command(train, folder, TRAIN_LOG, console) as training:
        # meanwhile on the other core
        sound = scenario.growing_fault()
        soundfile.write(folder / MONITORED, sound, RATE_HZ)
        _finish(training, "training", folder / TRAIN_LOG, console)
    took_s = time.monotonic() - began
    speed = round(min(FASTEST, max(SLOWEST, SOUND_S / max(1.0, LASTS_S - took_s - 6.0))), 1)
    timeline = Timeline(RATE_HZ)
    with EmbeddedBroker() as broker, Observer(broker.host, broker.port, folder / MQTT_LOG) as heard:
        _write_config(folder / CONFIG, broker.host, broker.port)
        console.print(f"An MQTT broker of its own listens on {broker.host}:{broker.port}.")
        run = ["run", "--config", CONFIG, "--models", "models", "--state", "state"]
        run += ["--speed", f"{speed:g}"]
        deadline = max(began + ENDS_AFTER_S, time.monotonic() + SOUND_S / FASTEST + _SILENCE_S)
        with _command(run, folder, RUN_LOG, console) as daemon:
            roomy = console.width >= SMALLEST[0] and console.height >= SMALLEST[1]
            show = _show_live if console.is_terminal and roomy else _show_plain
            show(scenario, sound, console, _played(daemon, heard, timeline, deadline))
            _drain(heard, timeline)
            ended = daemon.poll()
    _tell_end(timeline, folder, console, time.monotonic() - began)
    reason = timeline.verdict()
    if ended:
        reason = f"the daemon ended with {ended}: {_last_line(folder / RUN_LOG)}"
    if reason is not None:
        raise OperationError(f"the demonstration failed: {reason}; see {folder / RUN_LOG}")


def _make_normals(scenario: Scenario, folder: Path, console: Console) -> None:
    (folder / NORMAL).mkdir()
    with console.status("making the sound of a machine …"):
        for number in range(NORMAL_FILES):
            path = folder / NORMAL / f"normal-{number + 1}.flac"
            soundfile.write(path, scenario.normal(number), RATE_HZ)
    console.print(
        f"A made {scenario.machine.family} runs in a made hall: {NORMAL_FILES} recordings of "
        f"{NORMAL_FILE_S:g} s of it, all normal."
    )


@contextmanager
def _command(
    arguments: list[str], folder: Path, log: str, console: Console
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our commands in `folder`, all that it says in a file; ends with the block."""
    console.print(
        f"$ asd-monitor {shlex.join(arguments)}", style="bold cyan", highlight=False, soft_wrap=True
    )
    with (folder / log).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "asd_monitor", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOPS_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _finish(process: subprocess.Popen[bytes], what: str, log: Path, console: Console) -> None:
    with console.status(f"{what} …"):
        code = process.wait()
    if code != 0:
        raise OperationError(f"{what} failed: {_last_line(log)}; see {log}")
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


def _played(
    daemon: subprocess.Popen[bytes], heard: Observer, timeline: Timeline, deadline: float
) -> Iterator[Timeline]:
    """Yield the story several times a second until the daemon has ended, or is given up."""
    scores, hopeless = 0, time.monotonic() + _SILENCE_S
    while daemon.poll() is None and time.monotonic() < min(deadline, hopeless):
        with suppress(queue.Empty):
            timeline.take(heard.arrived.get(timeout=0.15))
        _drain(heard, timeline)
        if len(timeline.scores) > scores:
            scores, hopeless = len(timeline.scores), time.monotonic() + _SILENCE_S
        yield timeline


def _drain(heard: Observer, timeline: Timeline) -> None:
    while not heard.arrived.empty():
        timeline.take(heard.arrived.get())


def _show_live(
    scenario: Scenario, sound: Samples, console: Console, played: Iterator[Timeline]
) -> None:
    columns = min(120, max(30, console.width - MARGIN - 4))
    rows = 5 if console.height < 30 else 8
    picture = spectrogram(sound, RATE_HZ, bands=2 * (rows + 1), columns=columns)
    fault = scenario.fault.replace("_", " ")
    title = (
        f"{MACHINE}, a made {scenario.machine.family} · {fault} fault from {GROWS_FROM_S:g} s on"
    )
    screen = Screen(title, picture, _HEARS, rows)
    drawn_s, timeline = 0.0, None
    with Live(console=console, auto_refresh=False) as live:
        for timeline in played:
            if time.monotonic() > drawn_s + _DRAW_EVERY_S:
                drawn_s = time.monotonic()
                live.update(screen.draw(timeline), refresh=True)
        if timeline is not None:
            live.update(screen.draw(timeline), refresh=True)


def _show_plain(
    _scene: Scenario, _sound: Samples, console: Console, played: Iterator[Timeline]
) -> None:
    told_s, told_moments = -_PLAIN_EVERY_S, 0
    for timeline in played:
        if timeline.scores and timeline.at_s >= told_s + _PLAIN_EVERY_S:
            told_s = timeline.at_s
            console.print(plain_line(timeline), highlight=False)
        for moment in timeline.moments[told_moments:]:
            console.print(f"      {moment.text}", highlight=False)
        told_moments = len(timeline.moments)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _tell_end(timeline: Timeline, folder: Path, console: Console, took_s: float) -> None:
    console.print()
    if timeline.alarm is not None and timeline.alarm_at_s is not None:
        newest = timeline.scores[-1]
        name, hears = loudest(newest, _HEARS)
        after_s = timeline.alarm_at_s - GROWS_FROM_S
        console.print(
            f"ALARM at {timeline.alarm_at_s:.0f} s of sound, {after_s:.0f} s "
            f"after the fault began to grow: the alarm score passed {newest.thresholds.alarm:.1f}, "
            f"which chance does about once a month, and reached {timeline.peak:.1f}.",
            style="bold red",
            highlight=False,
            soft_wrap=True,
        )
        console.print(f"What differs most: {name}, {hears}.", highlight=False)
        console.print("The alarm stands until somebody acknowledges it (`alarms ack`, below).")
    console.print(f"\nThat took {took_s:.0f} s.  All of it lies in {folder}:", highlight=False)
    report = next((folder / "models" / MACHINE).glob("v*/report.html"), folder / "models")
    for path, what in (
        (NORMAL, "what was learned"),
        (str(report.relative_to(folder)), "what was learned of it; open it in a browser"),
        (MONITORED, f"what was monitored; the fault grows from {GROWS_FROM_S:g} s on"),
        (CONFIG, "the daemon's configuration"),
        (MQTT_LOG, "every message that it published"),
        (RUN_LOG, "what it logged"),
    ):
        console.print(f"  {path:<30} {what}", highlight=False, soft_wrap=True)
    console.print("\nTry next:", highlight=False)
    program = _program()
    alarm = timeline.alarm.id if timeline.alarm is not None and timeline.alarm.id else "ID"
    model = f"--machine {MACHINE} --models models"
    for command in (
        f"cd {shlex.quote(str(folder))}",
        f"{program} backtest {MONITORED} {model}",
        f"{program} alarms list --state state",
        f"{program} alarms ack {alarm} --state state",
        f"{program} score {MONITORED} {model}",
        f"{program} devices",
    ):
        console.print(f"  {command}", style="cyan", highlight=False, soft_wrap=True)


def _program() -> str:
    """Return how this program is called in the user's shell."""
    if shutil.which("asd-monitor"):
        return "asd-monitor"
    return shlex.quote(str(Path(sys.executable).with_name("asd-monitor")))
