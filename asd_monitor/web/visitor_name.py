"""The name of the person at the browser, which forms are filled with the next time."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from asd_monitor.wording import printable

_COOKIE = "asd_who"
_YEAR_S = 365 * 86_400
_MAX_CHARS = 80


def visitor_name(request: Request) -> str:
    """Return the name that was last given, or an empty text."""
    return printable(unquote(request.cookies.get(_COOKIE, "")))[:_MAX_CHARS]


def keep_visitor_name(response: Response, name: str) -> None:
    """Let the browser keep a name."""
    response.set_cookie(
        _COOKIE,
        quote(name[:_MAX_CHARS]),
        max_age=_YEAR_S,
        path="/",
        httponly=True,
        samesite="strict",
    )
