"""A browser that shows the page, as a desk and as a telephone, light and dark."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asd_monitor.errors import OperationError

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
_PATIENCE_MS = 90_000
_COLOURS = 40
_TWO_FRAMES = """() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(done))
})"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Open Chromium, which Playwright drives.

    Raises:
        OperationError: One of them is missing.

    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise OperationError("chromium is missing: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise OperationError(
            "playwright is missing: pip install -c constraints.txt '.[browser]'"
        ) from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """A page in a browser, which begins with the form for the token."""

    def __init__(self, browser: Any, url: str) -> None:
        self._url = url
        self.page = browser.new_page()
        self.page.set_default_timeout(_PATIENCE_MS)
        self.go("/login")

    def log_in(self, token: str) -> None:
        """Give the token."""
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("heading", name="Machines").wait_for()

    def go(self, path: str) -> None:
        """Load a page of the daemon."""
        self.page.goto(self._url + path)

    def shoot(self, output: Path, name: str, *, whole: bool = True) -> list[Path]:
        """Write a picture of the page in each size and scheme; return the files."""
        files = []
        for size, scheme in itertools.product(SIZES, SCHEMES):
            width, height = SIZES[size]
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.emulate_media(color_scheme=scheme)
            self.page.evaluate(_TWO_FRAMES)
            file = output / f"{name}-{size}-{scheme}.png"
            self.page.screenshot(path=file, full_page=whole)
            files.append(file)
        return files


def shrink(file: Path, target: Path, height: int | None) -> None:
    """Write the upper part of a picture with few colours, as documents show it; None: all of it.

    Raises:
        OperationError: ffmpeg is missing or fails.

    """
    part = "null" if height is None else f"crop=iw:{height}:0:0"
    palette = (
        f"{part},split[a][b];[a]palettegen=max_colors={_COLOURS}[p];[b][p]paletteuse=dither=none"
    )
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(file), "-filter_complex", palette]
    try:
        subprocess.run([*command, str(target)], check=True, capture_output=True)
    except FileNotFoundError as error:
        raise OperationError("ffmpeg is missing: apt-get install ffmpeg") from error
    except subprocess.CalledProcessError as error:
        raise OperationError(f"ffmpeg failed: {error.stderr.decode(errors='replace')}") from error
