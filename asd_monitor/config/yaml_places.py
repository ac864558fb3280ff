"""Where in the file a setting stands that pydantic speaks of."""

from __future__ import annotations

from asd_monitor.config.yaml_text import Document, Place
from asd_monitor.config.yaml_text import Path as KeyPath


def find(document: Document, path: KeyPath, *, of_key: bool = False) -> Place:
    """Return where a setting stands, or what holds it where it was not written."""
    found = written(document, path)
    place = document.place(found, of_key=of_key)
    while place is None and found:
        found = found[:-1]
        place = document.place(found)
    return place or Place(1, 1)


def written(document: Document, path: KeyPath) -> KeyPath:
    """Return the path as written: what a machine does not say itself, `defaults` said."""
    if path not in document.values and path[:1] == ("machines",) and len(path) > 2:
        default = ("defaults", *path[2:])
        if default in document.values:
            return default
    return path
