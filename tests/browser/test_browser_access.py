"""Who has not given the token gets nothing; who has gets everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doubles.page_client import page_client
from tests.doubles.page_plant import FAULTY, TOKEN, PagePlant
from tests.doubles.page_visitor import Visitor, visitor

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PUBLIC = {"GET /login", "POST /login", "GET /healthz", "GET /static/page.css"}
NOT_READY = "/readyz"  # a machine has no microphone
STREAMS = {"/stream", f"/machines/{FAULTY}/stream"}
"""They never end."""


@pytest.fixture
def stranger(chromium: Browser, plant: PagePlant) -> Iterator[Visitor]:
    found = visitor(chromium, plant.url)
    yield found
    found.page.context.close()


def addresses(folder: Path, alarm: str) -> set[tuple[str, str]]:
    """Return method and address of all that the page answers."""
    values = {"machine": FAULTY, "alarm": alarm, "version": "v1", "verb": "ack"}
    found = set()
    for route in page_client(folder).app._app.routes:
        names = values | {"name": "page.css" if "static" in route.path else "index.html"}
        path = re.sub(r"\{(\w+)\}", lambda match: names[match[1]], route.path)  # noqa: B023
        found |= {(method, path) for method in route.methods - {"HEAD"}}
    return found


def ask(someone: Visitor, method: str, path: str, **headers: str) -> APIResponse:
    return someone.page.context.request.fetch(
        someone.url + path, method=method, headers=headers, max_redirects=0, timeout=20_000
    )


def test_a_stranger_gets_the_form_and_the_health_alone(
    stranger: Visitor, ann: Visitor, plant: PagePlant, tmp_path: Path
) -> None:
    all_addresses = addresses(tmp_path, plant.alarm_with_evidence())
    assert len(all_addresses) > 20
    for method, path in sorted(all_addresses):
        refused = ask(stranger, method, path)
        is_public = f"{method} {path}" in PUBLIC
        assert (refused.status == 401) is not is_public, f"{method} {path}: {refused.status}"
        assert is_public or refused.text() == "a token is needed\n"
        page = ask(stranger, method, path, Accept="text/html")
        if method == "GET" and not is_public:
            assert (page.status, page.headers["location"].partition("?")[0]) == (303, "/login")
            if path not in STREAMS:
                assert ask(ann, method, path).ok or path == NOT_READY, path


def test_forms_of_other_places_are_refused_also_with_the_cookie(
    ann: Visitor, plant: PagePlant
) -> None:
    path = f"/machines/{FAULTY}/out-of-service"
    for origin in ("null", "http://evil.example"):
        refused = ask(ann, "POST", path, Origin=origin)
        assert (refused.status, refused.text()) == (403, "forms of other sites are not accepted\n")


def test_the_token_lets_in_and_leaving_ends_it(stranger: Visitor) -> None:
    page = stranger.page
    page.goto(f"{stranger.url}/alarms")
    page.get_by_label("Token").fill("not the token at all")
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("This is not the token").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Alarms", exact=True).wait_for()
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Token").wait_for()
    assert not page.context.cookies()
