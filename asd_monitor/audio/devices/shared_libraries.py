"""Import of packages that search for a shared library, without starting other programs.

`ctypes.util.find_library` runs ``ldconfig``, ``gcc`` and ``ld``, in each capture child anew: tens
of milliseconds, and a compiler that a service has no reason to start.  The dynamic loader searches
the same folders by itself.
"""

from __future__ import annotations

import contextlib
import ctypes.util
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def found_by_loader(names: Mapping[str, str]) -> Iterator[None]:
    """Answer `find_library` by file names, which the dynamic loader then searches.

    Args:
        names: file name for each name of a library, such as ``libportaudio.so.2`` for
            ``portaudio``; others are not found.

    """

    def find_library(name: str) -> str | None:
        return names.get(name)

    original = ctypes.util.find_library
    ctypes.util.find_library = find_library
    try:
        yield
    finally:
        ctypes.util.find_library = original
