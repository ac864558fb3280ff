"""What `setup` was told by options and answers, and how answers are read."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.cli.run import parse_broker
from asd_monitor.config.quantities import parse_budget
from asd_monitor.errors import UsageError


@dataclass(frozen=True, slots=True)
class Answers:
    """What was given by options, and what was answered; None: not yet."""

    device: str | None = None
    machine: str | None = None
    broker: str | None = None
    username: str | None = None
    password_file: Path | None = None
    false_alarms: str | None = None
    target_s: float = 600.0  # of sound to be recorded
    minutes: str = "10"  # the same as it was given
    config: Path | None = None
    models: Path | None = None
    state: Path | None = None
    recordings: Path | None = None
    service: bool | None = None

    def command(self, config: Path) -> str:
        """Return the command that goes on with these answers."""
        options: list[tuple[str, object]] = [
            ("--device", self.device),
            ("--machine", self.machine),
            ("--broker", self.broker),
            ("--username", self.username),
            ("--password-file", self.password_file),
            ("--false-alarms", self.false_alarms),
            ("--minutes", None if self.minutes == "10" else self.minutes),
            ("--config", config),
            ("--models", self.models),
            ("--state", self.state),
            ("--recordings", self.recordings),
        ]
        given = [f"{name} {shlex.quote(str(value))}" for name, value in options if value]
        return " ".join(["setup", *given])


def broker_text(text: str) -> str:
    """Return the text of a broker.  Raises `UsageError`."""
    parse_broker(text)
    return text


def budget_text(text: str) -> str:
    """Return the text of a budget.  Raises `UsageError`."""
    return str(parse_budget(text))


def existing_password_file(text: str) -> Path:
    """Return the path of a file with a password.  Raises `UsageError`."""
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file: correct the path, or make one in another terminal: `install "
            "-m 600 /dev/stdin ~/broker.password`, then type the password, Enter and Ctrl-D"
        )
    return path


def minutes_from(text: str) -> float:
    """Return a number of minutes.  Raises `UsageError`."""
    try:
        minutes = float(text)
    except ValueError as error:
        raise UsageError("write a number of minutes; 0: go on") from error
    if not 0 <= minutes < 10_000:
        raise UsageError("write a number of minutes from 0")
    return minutes
