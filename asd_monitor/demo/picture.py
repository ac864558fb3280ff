"""A display on a terminal as an SVG picture, such as the last one of the demonstration."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console, RenderableType

_WIDTH = 101  # columns of the picture
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save_picture(display: RenderableType, path: Path, title: str = "asd-monitor demo") -> None:
    """Write the display to `path`.  The picture refers to no font or file on the web."""
    console = Console(
        record=True, file=io.StringIO(), width=_WIDTH, force_terminal=True, color_system="truecolor"
    )
    console.print(display)
    svg = console.export_svg(title=title, unique_id=title.rsplit(maxsplit=1)[-1])
    svg = _FONT_FACE.sub("", svg).replace("Fira Code, monospace", "monospace")
    path.write_text(svg, encoding="utf-8")
