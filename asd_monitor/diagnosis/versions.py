"""Checks of versions: Python, libraries, shared libraries, the installation, the journal; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from asd_monitor.diagnosis.findings import Area, Check, Finding, divided

_REINSTALL = "run `pip install -c constraints.txt .` in the clone, in this environment"


@dataclass(frozen=True, slots=True)
class Library:
    """A package that this one requires."""

    requirement: Requirement
    installed: str | None  # version; None: it is absent


@dataclass(frozen=True, slots=True)
class OtherProgram:
    """Another `asd-monitor` of this computer."""

    path: str
    of: str  # who starts it
    version: str | None  # None: it does not answer


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What is installed."""

    package: str
    metadata: tuple[str, ...]  # versions of the installed packages of this name
    python: str  # 3.11.7
    requires_python: str  # >=3.11
    libraries: tuple[Library, ...]
    portaudio_problem: str | None
    needs_portaudio: bool  # not where all devices are recordings
    sndfile: str | None  # version; None: it cannot be loaded
    others: tuple[OtherProgram, ...]
    journal_problem: str | None
    journal_warnings: tuple[str, ...]
    state: Path


def check_versions(facts: VersionFacts) -> Iterator[Finding]:
    """Yield the findings."""
    check = Check(Area.VERSIONS, "python", "this environment")
    if not Requirement(f"python{facts.requires_python}").specifier.contains(facts.python):
        yield check.failed(
            f"Python {facts.python}, and {facts.requires_python} is required",
            "make the environment anew with a later Python",
        )
    else:
        yield check.ok(f"Python {facts.python}")
    yield from _libraries(facts)
    yield from _shared_libraries(facts)
    yield from _installation(facts)
    yield from _journal(facts)


def _libraries(facts: VersionFacts) -> Iterator[Finding]:
    wrong = False
    for library in facts.libraries:
        name, specifier = library.requirement.name, library.requirement.specifier
        check = Check(Area.VERSIONS, "libraries", name)
        if library.installed is None:
            wrong = True
            yield check.failed(f"not installed, {specifier} is required", _REINSTALL)
        elif not specifier.contains(library.installed, prereleases=True):
            wrong = True
            yield check.failed(
                f"version {library.installed}, and {specifier} is required", _REINSTALL
            )
    if not wrong:
        yield Check(Area.VERSIONS, "libraries", "this environment").ok(
            f"{len(facts.libraries)} libraries as required"
        )


def _shared_libraries(facts: VersionFacts) -> Iterator[Finding]:
    check = Check(Area.VERSIONS, "portaudio", "libportaudio")
    if facts.portaudio_problem is not None and facts.needs_portaudio:
        yield check.failed(*divided(facts.portaudio_problem))
    elif facts.portaudio_problem is not None:
        what, _ = divided(facts.portaudio_problem)
        yield check.not_checked(f"{what}; it is not needed, since the devices are recordings")
    else:
        yield check.ok("can be loaded")
    check = Check(Area.VERSIONS, "sndfile", "libsndfile")
    if facts.sndfile is None:
        yield check.failed("it cannot be loaded", "`apt install libsndfile1`")
    else:
        yield check.ok(facts.sndfile)


def _installation(facts: VersionFacts) -> Iterator[Finding]:
    check = Check(Area.VERSIONS, "package", "asd-monitor")
    if len(facts.metadata) > 1:
        listed = ", ".join(facts.metadata)
        yield check.failed(
            f"the environment lists several installations ({listed})",
            "`pip uninstall asd-monitor` until none is left, then install it again",
        )
    elif facts.metadata and facts.metadata[0] != facts.package:
        yield check.failed(
            f"the program is {facts.package}, and the environment lists {facts.metadata[0]}",
            _REINSTALL,
        )
    elif not facts.metadata:
        yield check.warning("it runs without being installed", _REINSTALL)
    else:
        yield check.ok(facts.package)
    for other in facts.others:
        check = Check(Area.VERSIONS, "installations", other.path)
        if other.version is None:
            yield check.failed(
                f"{other.of} starts this program, which does not say its version",
                "correct the path in the unit, or install asd-monitor there",
            )
        elif other.version != facts.package:
            yield check.failed(
                f"{other.of} starts version {other.version}, and this is {facts.package}",
                "install the same version in both environments",
            )
        else:
            yield check.ok(f"{other.of} starts another installation of the same version")


def _journal(facts: VersionFacts) -> Iterator[Finding]:
    check = Check(Area.VERSIONS, "journal", str(facts.state))
    if facts.journal_problem is not None:
        yield check.failed(*divided(facts.journal_problem))
    for text in facts.journal_warnings:
        yield check.warning(*divided(text))
    if facts.journal_problem is None and not facts.journal_warnings:
        yield check.ok("can be read")
