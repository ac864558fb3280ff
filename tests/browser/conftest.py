"""One daemon and one browser for all tests of this area; a new context for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.page_plant import TOKEN, PagePlant
from tests.doubles.page_visitor import Visitor, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagePlant]:
    with PagePlant(tmp_path_factory.mktemp("plant")) as running:
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program is not None, "install chromium, as scripts/test does"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def session(chromium: Browser, plant: PagePlant) -> Any:
    """Return the cookie of who has given the token."""
    entering = visitor(chromium, plant.url)
    entering.log_in(TOKEN)
    assert not entering.faults
    cookies = entering.page.context.storage_state()
    entering.page.context.close()
    return cookies


@pytest.fixture
def ann(chromium: Browser, plant: PagePlant, session: Any) -> Iterator[Visitor]:
    """Return a visitor who has given the token; at the end the browser must have no complaint."""
    found = visitor(chromium, plant.url, storage_state=session)
    yield found
    found.page.context.close()
    assert not found.faults
