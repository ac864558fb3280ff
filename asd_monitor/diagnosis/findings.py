"""Findings: the result of one check, with what was found, where, and the remedy; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """Result of a check; a value in the JSON of `doctor`."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


class Area(StrEnum):
    """What a check is about; a value in the JSON of `doctor`."""

    CONFIGURATION = "configuration"
    SOUND = "sound"
    MODELS = "models"
    BROKER = "broker"
    CLOCK = "clock"
    DISK = "disk"
    LOAD = "load"
    VERSIONS = "versions"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    area: Area
    check: str  # which check: one word or several, joined by _
    result: Result
    where: str  # file, device, machine, topic or setting
    what: str  # one sentence, without the place
    remedy: str | None = None  # None: nothing is to be done


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one place: makes its finding."""

    area: Area
    name: str
    where: str

    def ok(self, what: str) -> Finding:
        """Return that all is well."""
        return Finding(self.area, self.name, Result.OK, self.where, what)

    def warning(self, what: str, remedy: str | None) -> Finding:
        """Return what may be wrong, or will be."""
        return Finding(self.area, self.name, Result.WARNING, self.where, what, remedy)

    def failed(self, what: str, remedy: str | None) -> Finding:
        """Return what is wrong."""
        return Finding(self.area, self.name, Result.FAILED, self.where, what, remedy)

    def not_checked(self, what: str, remedy: str | None = None) -> Finding:
        """Return why the check was not made."""
        return Finding(self.area, self.name, Result.NOT_CHECKED, self.where, what, remedy)


def worst(findings: Iterable[Finding]) -> Result:
    """Return `FAILED` where one failed, `WARNING` where one warns, else `OK`."""
    results = {each.result for each in findings}
    for result in (Result.FAILED, Result.WARNING):
        if result in results:
            return result
    return Result.OK


def divided(message: str) -> tuple[str, str | None]:
    """Return what is wrong, and the remedy, of a message ``[place: ]what: remedy``.

    A place is a path or a device: a word with a slash or a colon.
    """
    first, rest = _parted(message)
    if rest is not None and " " not in first and ("/" in first or ":" in first):
        what, remedy = _parted(rest)
        return f"{first}: {what}", remedy
    return first, rest


def _parted(text: str) -> tuple[str, str | None]:
    """Return what is before and after the first colon that is in no brackets."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and text.startswith(": ", position):
            return text[:position], text[position + 2 :]
    return text, None
