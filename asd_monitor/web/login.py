"""Logging in with the token, and out."""

from __future__ import annotations

import math
import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from asd_monitor.errors import UsageError
from asd_monitor.web.access_token import SESSION_S, Access
from asd_monitor.web.attempts import Attempts
from asd_monitor.web.forms import read_form
from asd_monitor.web.rendering import Pages


class Login:
    """The form for the token.

    Args:
        pages: Renders it.
        access: Checks the token.

    """

    def __init__(self, pages: Pages, access: Access) -> None:
        self._pages = pages
        self._access = access

    async def show(self, request: Request) -> Response:
        """Show the form, or go on where no token is needed."""
        target = _target(request.query_params.get("next", "/"))
        if request.state.visitor.is_known:
            return RedirectResponse(target, 303)
        return self._form(request, target)

    async def enter(self, request: Request) -> Response:
        """Begin a session where the token is right."""
        target = _target(request.query_params.get("next", "/"))
        try:
            fields = await read_form(request, self._access)
        except UsageError as error:
            return self._form(request, target, str(error), 400)
        attempts: Attempts = request.state.attempts
        address = "" if request.client is None else request.client.host
        now_s = time.monotonic()
        wait_s = attempts.wait_s(address, now_s)
        if wait_s:
            text = f"Too many wrong tokens: wait {math.ceil(wait_s)} s."
            response = self._form(request, target, text, 429)
            response.headers["retry-after"] = str(math.ceil(wait_s))
            return response
        if not self._access.is_token(fields.get("token", "")):
            attempts.note_failure(address, now_s)
            text = "This is not the token: it is in the file that http.token_file names."
            return self._form(request, target, text, 403)
        response = RedirectResponse(target, 303)
        response.set_cookie(
            request.state.cookie,
            self._access.new_session(time.time()),
            max_age=SESSION_S,
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def leave(self, request: Request) -> Response:
        """Delete the cookie of the session."""
        await read_form(request, self._access)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(request.state.cookie, path="/", httponly=True, samesite="strict")
        return response

    def _form(
        self, request: Request, target: str, problem: str | None = None, status: int = 200
    ) -> Response:
        return self._pages.page(request, "login.html", status, target=target, problem=problem)


def _target(address: str) -> str:
    """Return an address of this page; an address elsewhere becomes the first page."""
    is_own = address.startswith("/") and not address.startswith(("//", "/\\", "/login"))
    return address if is_own and address.isprintable() else "/"
