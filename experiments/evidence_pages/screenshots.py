"""Pictures of a page by headless Chromium: of a desk and a telephone, light and dark."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from asd_monitor.errors import OperationError

SIZES = {"desk": (1240, 1750), "phone": (390, 2600)}
_SCHEMES = {"light": 1, "dark": 0}
_LIMIT_S = 60.0


def take_screenshots(page: Path, output: Path, name: str) -> list[Path]:
    """Write pictures of a page; return their files.

    Raises:
        OperationError: Chromium is missing or fails.

    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise OperationError("chromium is missing: install it, or omit --screenshots")
    files = []
    for size, (width, height) in SIZES.items():
        for scheme, number in _SCHEMES.items():
            target = output / f"{name}-{size}-{scheme}.png"
            _take(program, page, target, width=width, height=height, scheme=number)
            files.append(target)
    return files


def _take(program: str, page: Path, target: Path, *, width: int, height: int, scheme: int) -> None:
    """Take one; a window is at least 500 pixels wide, so that a narrow page is in a frame."""
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        frame.write_text(
            '<body style="margin:0;background:#888"><iframe style="border:0;display:block" '
            f'width="{width}" height="{height}" src="{page.resolve().as_uri()}"></iframe>'
        )
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={max(width, 500)},{height}",
            "--virtual-time-budget=3000",
            f"--screenshot={target.resolve()}",
            frame.as_uri(),
        ]
        ended = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
    if ended.returncode or not target.exists():
        raise OperationError(f"chromium failed: {ended.stderr.decode(errors='replace')[-500:]}")
