"""The final display of the demonstration as an SVG picture."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console, RenderableType

_WIDTH = 101  # columns of the picture
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save_picture(display: RenderableType, path: Path) -> None:
    """Write the display to `path`.  The picture refers to no font or file on the web."""
    console = Console(
        record=True, file=io.StringIO(), width=_WIDTH, force_terminal=True, color_system="truecolor"
    )
    console.print(display)
    svg = console.export_svg(title="asd-monitor demo", unique_id="demo")
    svg = _FONT_FACE.sub("", svg).replace("Fira Code, monospace", "monospace")
    path.write_text(svg, encoding="utf-8")
