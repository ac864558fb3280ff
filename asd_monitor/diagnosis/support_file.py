"""The support file: what helps another person to help, without secrets, sound or evidence."""

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml

from asd_monitor.diagnosis.box_messages import read_box_messages
from asd_monitor.diagnosis.disk_reading import ANSWER_S, is_absent
from asd_monitor.diagnosis.findings import Finding
from asd_monitor.diagnosis.known_secrets import KnownSecrets, find_secrets
from asd_monitor.diagnosis.programs import within
from asd_monitor.diagnosis.redaction import Redaction
from asd_monitor.diagnosis.report import report_of
from asd_monitor.diagnosis.service_reading import read_log
from asd_monitor.diagnosis.shown_settings import shown_settings
from asd_monitor.diagnosis.subject import Subject
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.private_files import create_private_file
from asd_monitor.wording import rfc3339

_FIGURES_DAYS = 30.0


def check_target(path: Path) -> None:
    """Check that a support file can be written there.

    Raises:
        UsageError: there is a file already.
        OperationError: the folder cannot be written.

    """
    if os.path.lexists(path):
        raise UsageError(f"{path}: exists already: choose another name, it is not overwritten")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise OperationError(f"{path}: its folder cannot be written: choose another with --bundle")


def write_support_file(
    path: Path,
    subject: Subject,
    findings: Sequence[Finding],
    now: datetime,
    *,
    read_log: Callable[[str], Sequence[str]] = read_log,
) -> list[str]:
    """Write the support file, for its owner only; return the names of what is in it.

    Args:
        path: the file, which must not exist.
        subject: what was examined.
        findings: the result.
        now: a time with time zone.
        read_log: returns the last lines of the log of a service.

    Raises:
        UsageError: there is a file already.
        OperationError: it cannot be written.

    """
    secrets = find_secrets(subject, os.environ)
    log = None
    if subject.unit is not None and not secrets.unreadable:
        log = read_log(subject.unit)
    contents = _contents(subject, findings, secrets, now, log=log)
    files = _redacted(contents, Redaction(secrets.values))
    try:
        create_private_file(path)
    except FileExistsError as error:
        raise UsageError(
            f"{path}: exists already: choose another name, it is not overwritten"
        ) from error
    except OSError as error:
        raise OperationError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        _write(path, files, now)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OperationError(
            f"{path}: cannot be written ({error.strerror or error}): free space, or choose another "
            "place with --bundle"
        ) from error
    return list(files)


def _contents(
    subject: Subject,
    findings: Sequence[Finding],
    secrets: KnownSecrets,
    now: datetime,
    *,
    log: Sequence[str] | None,
) -> dict[str, Any]:
    """Return text, or documents, by name of the file."""
    contents: dict[str, Any] = {"doctor.json": report_of(findings, now)}
    notes = []
    config = subject.config
    if config is not None:
        contents["configuration.yaml"] = shown_settings(config)
        contents["box.json"] = read_box_messages(config)
    contents["journal.json"] = within(
        ANSWER_S,
        partial(_journal, subject.state, now),
        {"problem": f"no answer of the disk within {ANSWER_S:g} s"},
    )
    contents["versions.json"] = _versions()
    if secrets.unreadable:
        listed = ", ".join(map(str, secrets.unreadable))
        notes.append(f"The log is left out, since secrets in it could not be recognised: {listed}")
    if log is not None:
        contents["log.txt"] = "\n".join(log) + "\n"
    contents["contents.txt"] = _description(contents, notes, now)
    return contents


def _description(contents: dict[str, Any], notes: list[str], now: datetime) -> str:
    lines = [
        f"Support file of asd-monitor, {rfc3339(now)}: {', '.join(contents)}.",
        "It holds no sound, no evidence, and of the settings those of an allow-list.",
        "Known passwords, tokens and keys were searched for and removed; hosts, topics and names "
        "of machines are in it.",
        *notes,
    ]
    return "\n".join(lines) + "\n"


def _redacted(contents: dict[str, Any], redaction: Redaction) -> dict[str, bytes]:
    files = {}
    for name, content in contents.items():
        if isinstance(content, str):
            text = redaction.text(content)
        elif name.endswith(".yaml"):
            text = yaml.safe_dump(redaction.document(content), sort_keys=False, allow_unicode=True)
        else:
            text = json.dumps(redaction.document(content), indent=2) + "\n"
        files[name] = text.encode("utf-8", "backslashreplace")
    return files


def _journal(state: Path, now: datetime) -> dict[str, Any]:
    """Return the figures of the alarms; no text that a person has written."""
    try:
        journal = None if is_absent(state) else read_journal(state)
    except JournalError as error:
        return {"problem": str(error)}
    if journal is None:
        return {}
    figures = journal.figures(None, days=_FIGURES_DAYS, now=now)
    return {
        "figures": asdict(figures),
        "warnings": list(journal.warnings),
        "machines": journal.machines,
        "alarms": len(journal.alarms),
    }


def _versions() -> dict[str, Any]:
    installed = {str(each.metadata["Name"]): each.version for each in distributions()}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "packages": dict(sorted(installed.items())),
    }


def _write(path: Path, files: dict[str, bytes], now: datetime) -> None:
    folder = path.name.partition(".")[0]
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(now.timestamp())
            archive.addfile(member, io.BytesIO(content))
