"""A visitor of the page in Chromium, who notes whatever the browser complains about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

DESK, PHONE, NARROW = (1280, 900), (390, 844), (360, 740)
PATIENCE_MS = 60_000


@dataclass
class Visitor:
    """A page of a browser context of its own."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    """Errors of the console, violations of the policy, requests to other hosts."""

    def go(self, path: str) -> None:
        """Load a page, which must be there."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"

    def log_in(self, token: str) -> None:
        """Give the token by the form."""
        self.go("/login")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("heading", name="Machines").wait_for()

    def submit(self, section: str, *, button: str | None = None, **fields: str) -> None:
        """Open a section of the actions, fill its fields by name, and press its button.

        ``button`` names one of several.
        """
        summary = self.page.get_by_text(section, exact=True).and_(self.page.locator("summary"))
        details = self.page.locator("details", has=summary)
        if details.get_attribute("open") is None:
            summary.click()
        for name, value in fields.items():
            details.locator(f'input[name="{name}"]').fill(value)
        details.get_by_role("button", name=button, exact=True).click()
        self.page.locator("#outcome", has_text="Done.").wait_for()

    def mark(self) -> None:
        """Leave a mark, which a load of the page removes."""
        self.page.evaluate("() => { window.markOfTest = true }")

    def is_marked(self) -> bool:
        """Return whether the page was not loaded again since `mark`."""
        return bool(self.page.evaluate("() => window.markOfTest === true"))

    def look(self, size: tuple[int, int], scheme: Any) -> None:
        """Show the page in a size and a colour scheme."""
        width, height = size
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)


def visitor(browser: Browser, url: str, **options: Any) -> Visitor:
    """Return a visitor with a new context."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    found = Visitor(context.new_page(), url)

    def note_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != url:
            found.faults.append(f"request to {request.url}")

    context.on("request", note_request)
    context.on(
        "console",
        lambda message: (
            found.faults.append(f"{message.type}: {message.text}")
            if message.type == "error"
            else None
        ),
    )
    context.on("weberror", lambda each: found.faults.append(f"exception: {each.error}"))
    return found


def expect(found: Locator) -> Any:
    """Return what waits for an element to be as it is expected."""
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=PATIENCE_MS)
    return expected(found)
