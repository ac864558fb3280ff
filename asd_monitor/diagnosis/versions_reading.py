"""Facts of what is installed."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path

from packaging.requirements import Requirement

from asd_monitor import __version__
from asd_monitor.diagnosis.disk_reading import is_absent
from asd_monitor.diagnosis.programs import output_of
from asd_monitor.diagnosis.versions import Library, OtherProgram, VersionFacts
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.sqlite_errors import JournalError

NAME = "asd-monitor"


def read_versions(
    state: Path,
    *,
    portaudio_problem: str | None,
    needs_portaudio: bool,
    service_program: str | None,
) -> VersionFacts:
    """Return what is installed.

    Args:
        state: the state folder, whose journal is read.
        portaudio_problem: why PortAudio cannot be used; None: it can.
        needs_portaudio: whether a device is captured by it.
        service_program: the program that the unit of the service starts; None: there is no unit.

    """
    installed = _installed()
    problem, warnings = _journal(state)
    return VersionFacts(
        package=__version__,
        metadata=tuple(sorted({each.version for each in installed})),
        python=platform.python_version(),
        requires_python=next(
            (python for each in installed if (python := each.metadata["Requires-Python"])), ">=3.11"
        ),
        libraries=tuple(_libraries(installed)),
        portaudio_problem=portaudio_problem,
        needs_portaudio=needs_portaudio,
        sndfile=_sndfile(),
        others=tuple(_others(service_program)),
        journal_problem=problem,
        journal_warnings=warnings,
        state=state,
    )


def _installed() -> list[Distribution]:
    return list(distributions(name=NAME))


def _libraries(installed: list[Distribution]) -> Iterator[Library]:
    required = installed[0].requires if installed else None
    for text in required or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            yield Library(requirement, version(requirement.name))
        except PackageNotFoundError:
            yield Library(requirement, None)


def _sndfile() -> str | None:
    try:
        import soundfile  # noqa: PLC0415 - fails where the shared library is absent
    except OSError:
        return None
    return str(soundfile.__libsndfile_version__)


def _others(service_program: str | None) -> Iterator[OtherProgram]:
    """Yield the programs of other environments: that of the service, and that of the shell."""
    here = Path(sys.prefix).resolve()
    in_shell = shutil.which(NAME)
    seen: set[Path] = set()
    for program, of in ((service_program, "the service"), (in_shell, "the shell")):
        if program is None:
            continue
        path = Path(program).resolve()
        if path in seen or path.parent.parent == here:
            continue
        seen.add(path)
        shown = output_of([str(path), "--version"])
        words = (shown or "").split()
        yield OtherProgram(program, of, words[1] if len(words) == 2 else None)


def _journal(state: Path) -> tuple[str | None, tuple[str, ...]]:
    if is_absent(state):
        return None, ()
    try:
        journal = read_journal(state)
    except JournalError as error:
        return str(error), ()
    return None, () if journal is None else tuple(journal.warnings)
