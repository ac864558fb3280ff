"""Training in a process of its own."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from asd_monitor.daemon.training_child import end_process, train
from tests.doubles.waiting import until


def program(tmp_path: Path, text: str) -> tuple[str, ...]:
    """Return the command line of a Python program with this text."""
    script = tmp_path / "program.py"
    script.write_text(text)
    return (sys.executable, str(script))


async def test_training_is_called_with_machine_sound_and_configuration(tmp_path):
    text = f"import sys; open({str(tmp_path / 'called')!r}, 'w').write(' '.join(sys.argv[1:]))"
    outcome = await train(
        "fan01", Path("S"), Path("M"), config=Path("C"), program=program(tmp_path, text)
    )
    assert outcome.failure is None
    called = (tmp_path / "called").read_text()
    assert called == "train --machine fan01 --normal S --models M --config C"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (
            "print('reading …\\rmore', file=sys.stderr);"
            "print('asd-monitor: 31 s are too little', file=sys.stderr); sys.exit(2)",
            "31 s are too little",
        ),
        ("sys.exit(3)", "training ended with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "training was killed by SIGKILL"),
    ],
)
async def test_failure_has_its_reason(tmp_path, text, failure):
    outcome = await train(
        "m", Path("S"), Path("M"), program=program(tmp_path, f"import sys\n{text}")
    )
    assert outcome.failure == failure


async def test_findings_of_the_training_are_logged(tmp_path):
    text = "import sys; print('fitting …', 'warning: 70 s is little', sep='\\n', file=sys.stderr)"
    with capture_logs() as logs:
        outcome = await train("fan01", Path("S"), Path("M"), program=program(tmp_path, text))
    assert outcome.failure is None
    assert [(each["machine"], each["finding"]) for each in logs] == [("fan01", "70 s is little")]


async def test_program_that_cannot_be_started_is_a_failure(tmp_path):
    outcome = await train("m", Path("S"), Path("M"), program=(str(tmp_path / "nothing"),))
    assert "could not be started" in str(outcome.failure)


async def test_cancellation_ends_the_process(tmp_path):
    ready = tmp_path / "pid"
    text = (
        f"import os, time; open({str(ready)!r} + '~', 'w').write(str(os.getpid()));"
        f"os.rename({str(ready)!r} + '~', {str(ready)!r}); time.sleep(600)"
    )
    task = asyncio.create_task(train("m", Path("S"), Path("M"), program=program(tmp_path, text)))
    await until(ready.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(ready.read_text()), 0)


class StubbornProcess:
    """A process that ends after so many signals, or never."""

    pid = 1

    def __init__(self, ends_after: int | None) -> None:
        self.signals: list[str] = []
        self._ends_after = ends_after
        self._ended = asyncio.Event()

    def terminate(self) -> None:
        self._receive("SIGTERM")

    def kill(self) -> None:
        self._receive("SIGKILL")

    async def wait(self) -> int:
        await self._ended.wait()
        return 0

    def _receive(self, signal: str) -> None:
        self.signals.append(signal)
        if len(self.signals) == self._ends_after:
            self._ended.set()


@pytest.mark.parametrize(
    ("ends_after", "signals", "abandoned"),
    [
        (1, ["SIGTERM"], False),
        (2, ["SIGTERM", "SIGKILL"], False),
        (None, ["SIGTERM", "SIGKILL"], True),
    ],
)
async def test_process_is_killed_and_abandoned_at_its_limits(ends_after, signals, abandoned):
    process = StubbornProcess(ends_after)
    with structlog.testing.capture_logs() as logs:
        await asyncio.wait_for(end_process(process, terminate_s=0.01, kill_s=0.01), 10)
    assert process.signals == signals
    assert bool(logs) is abandoned
