"""What every request passes before it is answered: who asks, from where, and how much.

The rules follow the OWASP cheat sheets on cross-site request forgery and HTTP headers, and Fetch
Metadata (https://www.w3.org/TR/fetch-metadata/).  A request with another ``Host`` than a name of
this computer is refused where the page listens on loopback: so a name that an attacker resolves to
127.0.0.1 does not reach it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asd_monitor.config.listen_address import host_and_port, is_loopback
from asd_monitor.web.access_token import Access
from asd_monitor.web.attempts import Attempts

MAX_BODY_BYTES = 16_384
_BODY_LIMIT_S = 10.0
_MAX_PATH_CHARS = 1024
_METHODS = {"GET", "HEAD", "POST"}
_PUBLIC = ("/healthz", "/login")
_PUBLIC_FOLDER = "/static/"
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # by no-referrer a browser sends `Origin: null` with forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sends a request."""

    session: str
    """The cookie, or an empty text for who needs none."""
    is_known: bool
    """Whether the token was given, or is not needed."""
    by_header: bool = False
    """Whether the token is in the header, as programs send it and browsers never do."""


class Guard:
    """ASGI middleware in front of everything.

    Args:
        app: Answers the requests that pass.
        access: Checks tokens and sessions.
        listen: ADDRESS:PORT on which the page listens.

    """

    def __init__(self, app: ASGIApp, access: Access, listen: str) -> None:
        self._app = app
        self._access = access
        self._attempts = Attempts()
        self._is_loopback = is_loopback(listen)
        self.cookie = cookie_name(listen)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return  # nothing else is served
        headers = Headers(scope=scope)
        guarded = _with_headers(send)
        visitor = self._visitor(headers, _address(scope))
        refused = self._refusal(scope, headers, visitor)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        if scope["method"] == "POST":
            body = await _read_body(receive)
            if isinstance(body, Response):
                await body(scope, receive, guarded)
                return
            receive = _replayed(body, receive)
        scope.setdefault("state", {}).update(
            visitor=visitor, attempts=self._attempts, cookie=self.cookie
        )
        await self._app(scope, receive, guarded)

    def _visitor(self, headers: Headers, address: str) -> Visitor:
        if self._access.is_open:
            return Visitor("", is_known=True)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            now_s = time.monotonic()
            if self._attempts.wait_s(address, now_s):
                return Visitor("", is_known=False)
            is_right = self._access.is_token(token.strip())
            if not is_right:
                self._attempts.note_failure(address, now_s)
            return Visitor("", is_known=is_right, by_header=True)
        session = _cookie(headers, self.cookie)
        return Visitor(session, self._access.is_session(session, time.time()))

    def _refusal(self, scope: Scope, headers: Headers, visitor: Visitor) -> Response | None:
        """Return the answer to a request that is not passed on; None: it is."""
        path, method = scope["path"], scope["method"]
        malformed: Response | None = None
        if method not in _METHODS:
            malformed = PlainTextResponse("use GET or POST\n", 405, {"allow": "GET, HEAD, POST"})
        elif len(path) > _MAX_PATH_CHARS:
            malformed = PlainTextResponse("the address is too long\n", 414)
        elif not self._is_expected_host(headers):
            text = "this page is for this computer: open it as http://localhost\n"
            malformed = PlainTextResponse(text, 421)
        return malformed or self._denial(scope, headers, visitor)

    def _denial(self, scope: Scope, headers: Headers, visitor: Visitor) -> Response | None:
        """Return the answer to who may not send a request; None: it is passed on."""
        path, method = scope["path"], scope["method"]
        is_public = path in _PUBLIC or path.startswith(_PUBLIC_FOLDER)
        if not visitor.is_known and not is_public:
            if method == "GET" and "text/html" in headers.get("accept", ""):
                return RedirectResponse(f"/login?next={quote(path)}", 303)
            return PlainTextResponse(
                "a token is needed\n", 401, {"www-authenticate": 'Bearer realm="asd-monitor"'}
            )
        if method == "POST" and not visitor.by_header and not _is_same_origin(headers):
            return PlainTextResponse("forms of other sites are not accepted\n", 403)
        return None

    def _is_expected_host(self, headers: Headers) -> bool:
        if len(headers.getlist("host")) != 1:
            return False
        name = _host_name(headers["host"])
        return name is not None and (not self._is_loopback or name in _LOOPBACK_NAMES)


def cookie_name(listen: str) -> str:
    """Return the name of the session's cookie: cookies are shared by all ports of a computer."""
    return f"asd_page_{host_and_port(listen)[1]}"


def _host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case; None where it is malformed."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":")
        try:
            name = str(ipaddress.IPv6Address(name))
        except ValueError:
            return None
    else:
        name, colon, port = host.lower().partition(":")
        bracket = colon
        if not name.replace("-", "").replace(".", "").replace("_", "").isalnum():
            return None
    if port and not (port.isascii() and port.isdigit()):
        return None
    return name.rstrip(".") if bracket or not port else None


def _is_same_origin(headers: Headers) -> bool:
    """Return whether a browser has sent a form of this page, as far as its headers say."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return False
    return origin is None or origin.lower() in {
        f"{scheme}://{headers['host'].lower()}" for scheme in ("http", "https")
    }


def _cookie(headers: Headers, name: str) -> str:
    """Return a cookie, whatever those of other programs on this computer are."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _read_body(receive: Receive) -> bytes | Response:
    """Return the body of a request, or the answer to one that is too large, too slow or cut off."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_LIMIT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":  # half a form says something else
                    return PlainTextResponse("the form is incomplete\n", 400)
                body += bytes(message.get("body", b""))
                if len(body) > MAX_BODY_BYTES:
                    return PlainTextResponse("the form is too large\n", 413)
                if not message.get("more_body"):
                    return body
    except TimeoutError:
        return PlainTextResponse("the form arrived too slowly\n", 408)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what delivers a body that was read, and then what follows."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    """Return what sends responses with the headers of all; one that is set there is kept."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
