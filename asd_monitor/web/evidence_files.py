"""The evidence of an alarm as it lies in the state folder."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from asd_monitor.errors import UsageError
from asd_monitor.evidence.package_names import EARLIER_SOUND, PAGE, SOUND
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.journal.content import JournalContent
from asd_monitor.limited_reading import read_limited
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.own_policy import page_with_own_policy

_SOUNDS = (SOUND, EARLIER_SOUND)
_MAX_PAGE_BYTES = 64 << 20


class EvidenceFiles:
    """Serves the page and the sound of an alarm.

    Args:
        journal: Knows which alarms there are.

    """

    def __init__(self, journal: JournalView) -> None:
        self._journal = journal

    async def show(self, request: Request) -> Response:
        """Answer with a file; the names are those of a package and no other."""
        alarm, name = request.path_params["alarm"], request.path_params["name"]
        if name not in (PAGE, *_SOUNDS):
            return _absent()

        def find(content: JournalContent | None) -> Path:
            if content is None:
                raise UsageError("there is no journal")
            return package_folder(self._journal.state, content.alarm(alarm).machine, alarm)

        try:
            folder = await self._journal.read(find)
            if name != PAGE:
                return _sound(folder / name)
            return page_with_own_policy(await self._journal.work(lambda: _read_page(folder / name)))
        except (UsageError, OSError, ValueError):
            return _absent()


def _read_page(path: Path) -> bytes:
    return read_limited(path, _MAX_PAGE_BYTES)


def _absent() -> Response:
    return PlainTextResponse("there is no such evidence: it was not written, or was deleted\n", 404)


def _sound(path: Path) -> Response:
    if not path.is_file() or path.is_symlink():
        return _absent()
    return FileResponse(path, media_type="audio/flac")
