"""The topics on which this box has published for Home Assistant: ``<state>/homeassistant.json``.

Messages on them are retained.  By the record they are removed when their machine is not configured
any more, also where that has changed while no daemon was running.  It is replaced atomically, and
ends with its own SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog

from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import sync_folder, write_private_file
from asd_monitor.sealed_json import parsed_json, seal_of, sealed_json

log = structlog.get_logger()

FILE = "homeassistant.json"
_MAX_BYTES = 8 << 20  # a thousand machines, with prefixes of the greatest length, have 1 MiB


class DiscoveryRecord:
    """The file of one box; its methods block.

    Args:
        state: The state folder.
        box: Id of the box: the record of another one is not used, since that box may still run.

    """

    def __init__(self, state: Path, box: str) -> None:
        self._path = state / FILE
        self._box = box
        self._log = log.bind(file=str(self._path))
        self._failed = False

    def load(self) -> frozenset[str]:
        """Return the topics; none where there is no file, or it is damaged or of another box."""
        try:
            box, topics = _parsed(read_limited(self._path, _MAX_BYTES))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._log.warning(
                "what was published for Home Assistant is not known: machines that were removed"
                " meanwhile stay there",
                reason=str(error).splitlines()[0],
                hint="delete such devices in Home Assistant",
            )
            return frozenset()
        if box == self._box:
            return topics
        self._log.info(
            "what another box has published for Home Assistant is left as it is",
            box=box,
            hint="where that box is no more, delete its devices in Home Assistant",
        )
        return frozenset()

    def save(self, topics: Collection[str]) -> None:
        """Write the topics; a failure is logged once until it succeeds again."""
        partial = self._path.with_name(f".{self._path.name}.partial")
        content, _ = sealed_json({"format": 1, "box": self._box, "topics": sorted(topics)})
        try:
            write_private_file(partial, content)
            partial.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            if not self._failed:
                self._log.warning(
                    "what is published for Home Assistant cannot be saved: machines that are"
                    " removed while no daemon runs will stay there",
                    reason=str(error),
                )
            self._failed = True
        else:
            self._failed = False


def _parsed(content: bytes) -> tuple[str, frozenset[str]]:
    """Return the box and the topics in a file.

    Raises ValueError, KeyError, TypeError or RecursionError where it is none.
    """
    if seal_of(content) is None:
        raise ValueError("the file does not end with its hash")
    document = parsed_json(content)
    return str(document["box"]), frozenset(str(each) for each in document["topics"])
