"""Who may send requests to the page, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.web.access_token import Access
from asd_monitor.web.attempts import FAILURES, WITHIN_S, Attempts
from tests.doubles.page_client import TOKEN, PageClient, page_client

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def client(tmp_path: Path) -> PageClient:
    return page_client(tmp_path)


@pytest.fixture
def closed(tmp_path: Path) -> PageClient:
    return page_client(tmp_path, token=TOKEN)


async def log_in(client: PageClient, token: str = TOKEN) -> int:
    answer = await client.post("/login", {"token": token})
    cookie = answer.header("set-cookie")
    if cookie is not None:
        client.headers["cookie"] = cookie.partition(";")[0]
    return answer.status


async def test_on_loopback_no_token_is_needed(client: PageClient) -> None:
    assert (await client.get("/")).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", ""]
)
async def test_a_name_that_is_resolved_to_loopback_is_refused(
    client: PageClient, host: str
) -> None:
    assert (await client.get("/", host=host)).status == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:9464", "LOCALHOST:9464"])
async def test_names_of_loopback_are_accepted_at_any_port(client: PageClient, host: str) -> None:
    assert (await client.get("/", host=host)).status == 200


async def test_every_answer_has_the_headers(client: PageClient) -> None:
    for path in ("/", "/healthz", "/no-such-page", "/static/page.js"):
        answer = await client.get(path)
        assert "default-src 'none'" in (answer.header("content-security-policy") or "")
        assert "unsafe" not in (answer.header("content-security-policy") or "")
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        assert answer.header("x-frame-options") == "DENY"
    assert (await client.get("/")).header("cache-control") == "no-store"


async def test_pages_have_no_inline_script_or_style(client: PageClient) -> None:
    for path in ("/", "/machines/fan01"):
        body = (await client.get(path)).body
        assert not re.search(r"<script(?![^>]* src=)", body)
        assert not re.search(r"<style| style=| on\w+=", body)


@pytest.mark.parametrize("path", ["/", "/machines/fan01", "/stream", "/metrics", "/readyz", "/x"])
async def test_a_stranger_gets_nothing_without_the_token(closed: PageClient, path: str) -> None:
    answer = await closed.get(path)
    assert answer.status == 401
    assert "edge" not in answer.body
    assert "fan01" not in answer.body


async def test_a_browser_is_led_to_the_login(closed: PageClient) -> None:
    answer = await closed.get("/machines/fan01", accept="text/html")
    assert (answer.status, answer.header("location")) == (303, "/login?next=/machines/fan01")
    form = await closed.get("/login?next=/machines/fan01")
    assert form.status == 200
    assert "fan01" not in form.body.replace("next=/machines/fan01", "")
    assert "edge" not in form.body


async def test_health_is_for_everybody_without_details(closed: PageClient) -> None:
    assert (await closed.get("/healthz")).body == "ok\n"


async def test_the_token_opens_a_session(closed: PageClient) -> None:
    answer = await closed.post("/login?next=/alarms", {"token": TOKEN})
    assert (answer.status, answer.header("location")) == (303, "/alarms")
    cookie = answer.header("set-cookie") or ""
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    closed.headers["cookie"] = cookie.partition(";")[0]
    assert (await closed.get("/")).status == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
async def test_the_login_leads_to_no_other_site(closed: PageClient, target: str) -> None:
    answer = await closed.post(f"/login?next={target}", {"token": TOKEN})
    assert answer.header("location") == "/"


async def test_a_wrong_token_opens_none_and_is_limited(closed: PageClient) -> None:
    for _ in range(FAILURES):
        assert await log_in(closed, "wrong") == 403
    assert await log_in(closed, TOKEN) == 429
    assert (await closed.get("/", authorization=f"Bearer {TOKEN}")).status == 401


def test_attempts_are_possible_again_after_a_minute() -> None:
    attempts = Attempts()
    for number in range(FAILURES):
        attempts.note_failure("10.0.0.1", float(number))
    assert attempts.wait_s("10.0.0.1", 10.0) == WITHIN_S - 10.0
    assert attempts.wait_s("10.0.0.2", 10.0) == 0.0
    assert attempts.wait_s("10.0.0.1", WITHIN_S) == 0.0


async def test_programs_send_the_token_in_a_header(closed: PageClient) -> None:
    assert (await closed.get("/metrics", authorization=f"Bearer {TOKEN}")).status == 200
    assert (await closed.get("/metrics", authorization=f"Bearer {TOKEN}x")).status == 401
    assert (await closed.get("/metrics", authorization=f"Basic {TOKEN}")).status == 401


@pytest.mark.parametrize(
    "change", [lambda c: c + "0", lambda c: "9" + c, lambda c: c[:-1], lambda _: "…"]
)
async def test_a_changed_cookie_is_no_session(closed: PageClient, change: Any) -> None:
    await log_in(closed)
    name, _, value = closed.headers["cookie"].partition("=")
    closed.headers["cookie"] = f"{name}={change(value)}"
    assert (await closed.get("/")).status == 401


async def test_a_session_ends_by_itself_and_with_another_token(closed: PageClient) -> None:
    cookie = closed.access.new_session(1000.0)
    assert closed.access.is_session(cookie, 1000.0 + 86_400)
    assert not closed.access.is_session(cookie, 1000.0 + 8 * 86_400)
    other = page_client(Path("/nonexistent"), token=TOKEN + "!").access
    assert not other.is_session(cookie, 1000.0)


def test_a_session_of_a_clock_that_was_ahead_ends_when_it_is_set() -> None:
    access, now_s = Access(TOKEN, b"0" * 32), 1_800_000_000.0
    cookie = access.new_session(now_s)
    assert access.is_session(cookie, now_s - 3600)
    assert not access.is_session(cookie, now_s - 5 * 365 * 86_400)


async def test_logging_out_needs_its_form_and_deletes_the_cookie(closed: PageClient) -> None:
    await log_in(closed)
    assert (await closed.ask("POST", "/logout", FORM, b"form_key=x")).status == 403
    answer = await closed.post("/logout", {})
    assert answer.status == 303
    assert "Max-Age=0" in (answer.header("set-cookie") or "")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1234"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_forms_of_other_sites_are_refused(
    closed: PageClient, headers: dict[str, str]
) -> None:
    await log_in(closed)
    assert (await closed.post("/logout", {}, **headers)).status == 403


async def test_a_form_of_this_page_is_accepted(closed: PageClient) -> None:
    await log_in(closed)
    same = {"origin": "http://localhost:9464", "sec_fetch_site": "same-origin"}
    assert (await closed.post("/logout", {}, **same)).status == 303


async def test_the_key_of_another_session_is_refused(closed: PageClient) -> None:
    await log_in(closed)
    before = closed.access.form_key(closed.session)
    await log_in(closed)
    assert (await closed.ask("POST", "/logout", FORM, f"form_key={before}".encode())).status == 403


async def test_what_is_too_large_is_refused(client: PageClient) -> None:
    assert (await client.ask("POST", "/logout", FORM, b"x" * 20_000)).status == 413
    assert (await client.get("/" + "x" * 2000)).status == 414
    assert (await client.ask("PUT", "/", {})).status == 405
    assert (await client.ask("POST", "/logout", {"content-type": "text/plain"}, b"")).status == 400


@pytest.mark.parametrize("name", ["../guard.py", "..%2fguard.py", "page.py", "/etc/passwd"])
async def test_only_files_of_the_page_are_served(client: PageClient, name: str) -> None:
    assert (await client.get(f"/static/{name}")).status == 404


@pytest.mark.parametrize("other", ['prefs={"a": 1}', "a=b c", 'q="open', f"a={'x' * 6000}"])
async def test_cookies_of_other_programs_on_this_computer_do_not_matter(
    closed: PageClient, other: str
) -> None:
    assert await log_in(closed) == 303
    session = closed.headers["cookie"]
    assert (await closed.get("/", cookie=f"{other}; {session}")).status == 200
    assert (await closed.get("/", cookie=f"{session}; {other}")).status == 200


async def test_a_form_that_is_cut_off_does_nothing(client: PageClient) -> None:
    body = f"form_key={client.access.form_key('')}&minutes=2".encode()  # of 20
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status"))

    scope = client.scope("POST", "/recordings/fan01/record", FORM)
    await client.app(scope, receive, send)
    assert statuses[0] == 400
    assert client.jobs.newest is None
