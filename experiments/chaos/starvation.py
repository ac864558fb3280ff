"""Little processor time and memory."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.chaos.box import Box
from experiments.chaos.process import ChaosProcess
from experiments.chaos.product import processors
from experiments.chaos.required_monitoring import require_monitored_or_reported
from experiments.chaos.scenario import Findings, Place, RepeatedFault, Scenario

_RUN_S = 40.0
_ADDRESS_SPACE_BYTES = 400_000_000
_MEMORY_FACTOR = 1.2


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
            box.stop(run, findings)
            box.finish(findings)
        return findings


def _limit_address_space(place: Place, findings: Findings) -> None:
    """Let alarms rise with this limit, or require the reason why none is monitored."""
    with Box(place.product, place.folder) as box:
        box.start_broker()
        run = box.start(before=("prlimit", f"--as={_ADDRESS_SPACE_BYTES}"))
        require_monitored_or_reported(box, run, findings)


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
            findings.leave_out(times, "no control group for memory is writable here")
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
                require_monitored_or_reported(box, run, findings)
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


SCENARIOS: tuple[Scenario, ...] = (
    BusyLoops(),
    RepeatedFault(
        "address-space", "400 MB of address space", _limit_address_space, seconds_each=60.0
    ),
    MemoryControlGroup(),
)
