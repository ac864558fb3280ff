"""The pictures of terminals in the documents are those of the program."""

import re
from pathlib import Path

import pytest

from experiments.terminal_pictures import main

DOCS = Path(__file__).parents[2] / "docs"


def words(picture: Path) -> list[str]:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text("utf-8"))
    return [text for text in texts if re.search("[a-z]{2}", text)]


def test_the_pictures_are_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    main(["--output", str(tmp_path)])
    for name in ("setup.svg", "run.svg"):
        assert len(words(tmp_path / name)) > 5
        assert words(tmp_path / name) == words(DOCS / name), (
            "python -m experiments.terminal_pictures --output docs"
        )
        assert "http" not in re.sub(r'xmlns="[^"]*"|<!--.*?-->', "", (tmp_path / name).read_text())
