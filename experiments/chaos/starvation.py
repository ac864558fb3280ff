"""Little processor time, memory or patience, a crowded broker, and a clock that steps."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import soundfile

from experiments.chaos.box import Box
from experiments.chaos.process import ChaosProcess
from experiments.chaos.product import CYCLE_S, MACHINES, RATE_HZ, processors
from experiments.chaos.scenario import Findings, Place, Scenario
from tests.doubles.mosquitto import Subscriber
from tests.doubles.virtual_microphone import VirtualSound

_RUN_S = 40.0
_ADDRESS_SPACE_BYTES = 400_000_000
_MEMORY_FACTOR = 1.2
_RETAINED = 10_000
_DAY_S = 86_400
_SUMMER_TIME_END = "2026-10-25 02:59:30"  # in _ZONE
_ZONE = "Europe/Berlin"
_FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
_FAKETIME_VARIABLE = "CHAOS_FAKETIME"


@contextlib.contextmanager
def busy_loops(count: int, folder: Path) -> Iterator[None]:
    """Occupy so many processors."""
    with contextlib.ExitStack() as stack:
        for number in range(count):
            command = [sys.executable, "-S", "-c", "while True: pass"]
            log = folder / f"busy{number}.log"
            stack.enter_context(ChaosProcess(command, log, environment=os.environ))
        yield


@dataclass(frozen=True, slots=True)
class BusyLoops:
    """As many busy loops as processors, beside the daemon."""

    name: str = "busy"
    fault: str = "a busy loop on each processor"
    times: int = 3
    seconds_each: float = 60.0

    def run(self, place: Place, times: int) -> Findings:
        """Let alarms rise meanwhile."""
        findings = Findings(times)
        with Box(place.product, place.folder) as box:
            box.start_broker()
            run = box.start()
            box.wait_alarm(run.started_s)
            for _ in range(times):
                with busy_loops(processors(), place.folder):
                    began_s = time.monotonic()
                    raised_s = box.wait_alarm(began_s)
                    findings.require(raised_s, "no alarm rises under load")
                    run.wait(max(0.1, began_s + _RUN_S - time.monotonic()))
                ended_s = time.monotonic()
                back_s = box.wait_evaluated(ended_s)
                findings.recovered_s.append(float("inf") if back_s is None else back_s - ended_s)
            _stop_and_audit(box, run, findings)
        return findings


@dataclass(frozen=True, slots=True)
class LittleMemory:
    """A limit of the address space of the daemon."""

    name: str = "address-space"
    fault: str = "400 MB of address space"
    times: int = 1
    seconds_each: float = 60.0

    def run(self, place: Place, times: int) -> Findings:
        """Let alarms rise with this limit, or require the reason why none is monitored."""
        findings = Findings(times)
        for number in range(times):
            with Box(place.product, place.folder / str(number)) as box:
                box.start_broker()
                run = box.start(before=("prlimit", f"--as={_ADDRESS_SPACE_BYTES}"))
                _monitor_or_report(box, run, findings)
        return findings


@dataclass(frozen=True, slots=True)
class MemoryControlGroup:
    """A control group with 1.2 times the memory that the daemon has used without a limit."""

    name: str = "cgroup"
    fault: str = "control group of 1.2 × the measured memory"
    times: int = 1
    seconds_each: float = 120.0

    def run(self, place: Place, times: int) -> Findings:
        """Measure the memory, and run once more with the limit."""
        findings = Findings(times)
        group = _new_group()
        if group is None:
            findings.notes.append("not injected: no control group for memory is writable here")
            return findings
        folder, limit = group
        try:
            with Box(place.product, place.folder / "measured") as box:
                box.start_broker()
                run = box.start()
                box.wait_alarm(run.started_s)
                run.wait(_RUN_S / 2)
                peak_mb = run.peak_mb()
                run.kill()
            (folder / limit).write_text(str(round(peak_mb * _MEMORY_FACTOR * 1e6)))
            enter = f'echo $$ > {folder}/cgroup.procs && exec "$@"'
            with Box(place.product, place.folder / "limited") as box:
                box.start_broker()
                run = box.start(before=("sh", "-c", enter, "sh"))
                findings.notes.append(f"{peak_mb:.0f} MB without a limit")
                _monitor_or_report(box, run, findings)
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return findings


def _new_group() -> tuple[Path, str] | None:
    """Return a new group and the name of its limit; None where none can be created."""
    root = Path("/sys/fs/cgroup")
    places = ((root / "memory", "memory.limit_in_bytes"), (root, "memory.max"),
              (root / "unified", "memory.max"))  # fmt: skip
    for parent, limit in places:
        folder = parent / f"chaos-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():
            return folder, limit
        folder.rmdir()
    return None


@dataclass(frozen=True, slots=True)
class CrowdedBroker:
    """Thousands of retained messages, also below the topics of the daemon."""

    name: str = "retained"
    fault: str = f"{_RETAINED:,} retained messages on the broker"
    times: int = 1
    seconds_each: float = 60.0

    def run(self, place: Place, times: int) -> Findings:
        """Start the daemon with this broker."""
        findings = Findings(times)
        for number in range(times):
            with Box(place.product, place.folder / str(number)) as box:
                box.start_broker()
                with Subscriber(box.broker.port, "nothing") as client:
                    for topic in range(_RETAINED):
                        name = f"asd/ghost{topic:05}/state" if topic % 2 else f"plc/{topic:05}"
                        wait = topic == _RETAINED - 1
                        client.publish(name, b"{}" * 50, qos=int(wait), retain=True)
                run = box.start()
                online_s = box.wait_online(run.started_s)
                findings.require(online_s, "no connection")
                _monitor_or_report(box, run, findings)
        return findings


@dataclass(frozen=True, slots=True)
class ClockSteps:
    """The system clock is set while the daemon runs, by libfaketime."""

    name: str
    fault: str
    steps_s: tuple[int, ...]
    zone: str = "UTC"
    start: str | None = None
    times: int = 2
    seconds_each: float = 100.0

    def run(self, place: Place, times: int) -> Findings:
        """Step the clock under a daemon, and restart it after each."""
        findings = Findings(times)
        library = _faketime()
        if library is None:
            findings.notes.append(
                f"not injected: apt install faketime, or name the library in {_FAKETIME_VARIABLE}"
            )
            return findings
        if missing := VirtualSound.missing():
            findings.notes.append(f"not injected: {missing}")
            return findings
        cycle, _ = soundfile.read(place.product.cycle)
        with VirtualSound({"fan": 1}, rate_hz=RATE_HZ) as sound:
            # the time of a recording is that of its start, whatever the clock shows
            sound["fan"].play(cycle, loop=True)
            devices = {MACHINES[0]: f"name:{sound['fan'].device}"}
            with Box(place.product, place.folder, devices=devices) as box:
                box.start_broker()
                for _ in range(times):
                    self._run_once(box, library, sound.variables, findings)
                box.finish(findings)
                _check_order(box, findings)
        return findings

    def _run_once(
        self, box: Box, library: str, variables: Mapping[str, str], findings: Findings
    ) -> None:
        stamp = box.folder / "faketime"
        offset_s = _start_offset_s(self.start, self.zone)
        stamp.write_text(f"{offset_s:+d}s\n")
        environment = {**variables, **_clock_environment(library, stamp, self.zone)}
        run = box.start(environment=environment, speed=1.0)
        findings.require(box.wait_alarm(run.started_s), f"no alarm: {run.log[-300:]}")
        for step_s in self.steps_s:
            offset_s += step_s
            stamp.write_text(f"{offset_s:+d}s\n")
            stepped_s = time.monotonic()
            back_s = box.wait_evaluated(stepped_s)
            findings.recovered_s.append(float("inf") if back_s is None else back_s - stepped_s)
            problem = box.acknowledged(box.acknowledge())
            findings.require(problem is None, f"alarms ack: {problem}")
            raised_s = box.wait_alarm(time.monotonic(), 2 * CYCLE_S)
            findings.require(raised_s, f"no alarm after a step of {step_s} s")
        if self.start is not None:
            run.wait(_RUN_S)
        run.send(signal.SIGTERM)
        findings.require(run.wait() == 0, f"the daemon does not stop: {run.log[-300:]}")
        run.kill()
        box.read_journal()


def _clock_environment(library: str, stamp: Path, zone: str) -> Mapping[str, str]:
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": zone,
    }


def _start_offset_s(start: str | None, zone: str) -> int:
    if start is None:
        return 0
    wanted = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    return round(wanted.timestamp() - time.time())


def _faketime() -> str | None:
    named = os.environ.get(_FAKETIME_VARIABLE)
    return next((path for path in (named, *_FAKETIME) if path and Path(path).exists()), None)


def _check_order(box: Box, findings: Findings) -> None:
    """Check that alarms are ordered by their ids, and cleared after they were raised."""
    alarms = box.audit.newest.alarms
    for machine in box.machines:
        ids = [alarm.id for alarm in alarms if alarm.machine == machine]
        findings.require(ids == sorted(ids), f"{machine}: alarms are not in the order of their ids")
        findings.require(len(ids) == len(set(ids)), f"{machine}: two alarms with one id")


def _monitor_or_report(box: Box, run: ChaosProcess, findings: Findings) -> None:
    """Require alarms, or that the state of each machine has the reason why there are none."""
    raised_s = box.wait_alarm(run.started_s, _RUN_S)
    if raised_s is not None:
        findings.recovered_s.append(raised_s - run.started_s)
        run.wait(_RUN_S / 2)
        findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
        findings.notes.append(f"at most {run.peak_mb():.0f} MB")
        _stop_and_audit(box, run, findings)
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


def _stop_and_audit(box: Box, run: ChaosProcess, findings: Findings) -> None:
    findings.require("Traceback" not in run.log, f"traceback in {run.log_path}")
    run.send(signal.SIGTERM)
    findings.require(run.wait() == 0, f"the daemon does not stop: {run.log[-300:]}")
    run.kill()
    box.finish(findings)


SCENARIOS: tuple[Scenario, ...] = (
    BusyLoops(),
    LittleMemory(),
    MemoryControlGroup(),
    CrowdedBroker(),
    ClockSteps("clock-back", "clock set back by a day, and forward", (-_DAY_S, _DAY_S)),
    ClockSteps("clock-forward", "clock set forward by a day, and back", (_DAY_S, -_DAY_S)),
    ClockSteps("clock-zone", "end of summer time", (), _ZONE, _SUMMER_TIME_END),
)
