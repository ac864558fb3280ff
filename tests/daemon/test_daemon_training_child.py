"""Training in a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import cast

import pytest
import structlog
from structlog.testing import capture_logs

from asd_monitor.daemon import training_child
from asd_monitor.daemon.training_child import end_process, run_child, train
from asd_monitor.parent_process import with_parent
from tests.doubles.killed_parent import endless, ends_with
from tests.doubles.waiting import until

BY_HAND = (
    "run `asd-monitor train --machine m --normal S --models M`, which has no limits and shows its "
    "output"
)


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
        ("sys.exit(3)", f"training ended with code 3: {BY_HAND}"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "training was killed by SIGKILL: the computer was short of memory if `journalctl -k` "
            "has `Out of memory`; free some, or monitor fewer machines on it",
        ),
        ("import os; os.abort()", f"training was ended by SIGABRT: {BY_HAND}"),
        (
            "raise MemoryError",
            f"training needs more memory than the computer has (MemoryError): {BY_HAND}",
        ),
    ],
)
async def test_failure_has_its_reason_and_the_remedy(tmp_path, text, failure):
    outcome = await train(
        "m", Path("S"), Path("M"), program=program(tmp_path, f"import sys\n{text}")
    )
    assert outcome.failure == failure


async def test_a_reason_is_of_limited_length(tmp_path):
    text = "import sys; sys.exit('asd-monitor: no bundle' + 'x' * 7000)"
    outcome = await train("m", Path("S"), Path("M"), program=program(tmp_path, text))
    assert outcome.failure is not None
    assert outcome.failure.startswith("no bundle")
    assert len(outcome.failure) <= 500


async def test_a_command_that_does_not_end_in_time_has_the_remedy(tmp_path):
    command = program(tmp_path, "import time; time.sleep(600)")
    ended = await run_child(
        command, ["models", "refit", "-m", "a b", "--automatic", "--json"], "the refit", limit_s=0.6
    )
    assert ended.failure == (
        "the refit did not end within 0.01 minutes: the computer is too busy, run `asd-monitor "
        "models refit -m 'a b'`, which has no limits and shows its output"
    )


_DAEMON = """
import asyncio, sys
from asd_monitor.daemon.training_child import run_child
asyncio.run(run_child(sys.argv[1:], ["models", "refit"], "the refit", limit_s=600))
"""


async def test_a_command_ends_with_a_daemon_that_is_killed(tmp_path):
    ready = tmp_path / "pid"
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DAEMON, *program(tmp_path, endless(ready))
    )
    assert await ends_with(daemon, ready)


def test_a_command_does_not_begin_where_the_daemon_has_ended_before(tmp_path):
    called = tmp_path / "called"
    command = with_parent(["touch", str(called)])
    of_daemon = command.index(str(os.getpid()))
    command[of_daemon] = str(os.getppid())
    assert subprocess.run(command, check=False).returncode == 1
    assert not called.exists()
    command[of_daemon] = str(os.getpid())
    assert subprocess.run(command, check=False).returncode == 0
    assert called.exists()


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

    async def wait(self) -> int:
        await self._ended.wait()
        return 0

    def receive(self, number: int) -> None:
        self.signals.append(signal.Signals(number).name)
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
async def test_process_is_killed_and_abandoned_at_its_limits(
    ends_after, signals, abandoned, monkeypatch
):
    process = StubbornProcess(ends_after)
    monkeypatch.setattr(training_child, "send_signal", StubbornProcess.receive)
    with structlog.testing.capture_logs() as logs:
        await asyncio.wait_for(
            end_process(cast(Process, process), terminate_s=0.01, kill_s=0.01), 10
        )
    assert process.signals == signals
    assert bool(logs) is abandoned
