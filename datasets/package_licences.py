"""Licences of the files of a Debian package: the machine-readable copyright format 1.0."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from pathlib import Path

FREE = frozenset(
    (
        *("mit", "expat", "isc", "zlib", "bsd-2", "bsd-2-clause", "bsd-3-clause", "apache-2.0"),
        *("cc0", "cc0-1.0", "public-domain", "pd", "cc-by-3.0", "cc-by-4.0"),
    )
)
"""Licences that allow everyone to use, change and pass on, and require at most attribution."""


def free_licences(
    copyright_file: Path, source: Callable[[str], str]
) -> Callable[[str], str | None]:
    """Return a function from the path of a file to its free licence, or None.

    ``source`` returns the path of the file in the source package, which the copyright file
    lists.  The last matching paragraph applies (format 1.0, "Files"); of alternatives ("or")
    the first that is free.
    """
    stanzas: list[tuple[list[str], str]] = []
    for block in re.split(r"\n\s*\n", copyright_file.read_text("utf-8", "replace")):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", block))
        if "Files" in fields and "License" in fields:
            licence = (fields["License"].strip() or "none").splitlines()[0].strip()
            lines = [line.strip() for line in fields["Files"].splitlines()]
            # the format wants ? for a space in a name, but some files have the space
            stanzas.append(([*lines, *fields["Files"].split()], licence))

    def licence_of(inner: str) -> str | None:
        found = [licence for patterns, licence in stanzas if _matches(source(inner), patterns)]
        choice = found[-1].split(" or ") if found else []
        return next((licence for licence in choice if licence.lower() in FREE), None)

    return licence_of


def _matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern.removeprefix("./")) for pattern in patterns)
