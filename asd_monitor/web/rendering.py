"""HTML of the templates, and the files that they refer to."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from asd_monitor.web.access_token import Access
from asd_monitor.web.event_words import event_words
from asd_monitor.web.guard import Visitor
from asd_monitor.web.live_state import LiveState
from asd_monitor.wording import named_period, rfc3339

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_YEAR_S = 31_536_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page."""

    content: bytes
    media_type: str
    version: str


def _static_files() -> dict[str, StaticFile]:
    found = {}
    for each in (resources.files("asd_monitor.web") / "static").iterdir():
        suffix = each.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = each.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:16]
            found[each.name] = StaticFile(content, _TYPES[suffix], version)
    return found


class Pages:
    """Renders the templates.

    Args:
        live: What every page shows of the box.
        access: Signs the forms.

    """

    def __init__(self, live: LiveState, access: Access) -> None:
        self._live = live
        self._access = access
        self._files = _static_files()
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("asd_monitor.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["moment"] = moment
        self._environment.filters["period"] = named_period
        self._environment.filters["with_times"] = with_times
        self._environment.filters["event_words"] = event_words
        self._environment.globals["asset"] = self._asset

    def page(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> HTMLResponse:
        """Return a page as the answer to a request."""
        visitor: Visitor = request.state.visitor
        common = {
            "box": self._live.setup.box,
            "version": self._live.setup.version,
            "path": request.url.path,
            "form_key": self._access.form_key(visitor.session),
            "is_known": visitor.is_known,
            "can_log_out": not self._access.is_open and visitor.is_known,
            "now": rfc3339(datetime.now(UTC)),
            "fresh": self._live.is_fresh,
            "can_load_again": request.method == "GET",
        }
        text = self._environment.get_template(template).render(**common, **values)
        return HTMLResponse(text, status)

    async def static(self, request: Request) -> Response:
        """Answer a request for a file; its address changes with its content."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("there is no such file\n", 404)
        headers = {"cache-control": f"public, max-age={_YEAR_S}, immutable"}
        return Response(file.content, media_type=file.media_type, headers=headers)

    def _asset(self, name: str) -> str:
        return f"/static/{name}?v={self._files[name].version}"


def moment(time: datetime | str | None, form: str = "full") -> Markup:
    """Return a time as an element, in UTC; the script shows it in the zone of the browser.

    ``form`` is full, short, date or ago.
    """
    if time is None:
        return Markup("–")
    iso = time if isinstance(time, str) else rfc3339(time)
    text = f"{iso[:10]} {iso[11:19]} UTC"
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(iso, form, text)


def with_times(text: str) -> Markup:
    """Return a text in which each time, as messages write it, is an element."""
    parts = _TIME.split(text)
    return Markup("").join(moment(part) if at % 2 else part for at, part in enumerate(parts))
