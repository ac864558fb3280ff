"""Places in the file of the settings that pydantic names by their path."""

from __future__ import annotations

from asd_monitor.config.yaml_text import Document, Place
from asd_monitor.config.yaml_text import Path as KeyPath


def find_place(document: Document, path: KeyPath, *, of_key: bool = False) -> Place:
    """Return the place of a setting, or of the section that would contain it."""
    found = written_path(document, path)
    place = document.place(found, of_key=of_key)
    while place is None and found:
        found = found[:-1]
        place = document.place(found)
    return place or Place(1, 1)


def written_path(document: Document, path: KeyPath) -> KeyPath:
    """Return the path in the file: a setting that a machine inherits is under `defaults`."""
    if path not in document.values and path[:1] == ("machines",) and len(path) > 2:
        default = ("defaults", *path[2:])
        if default in document.values:
            return default
    return path
