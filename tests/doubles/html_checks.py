"""Checks of an HTML page, shared by the tests of both reports."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "img", "hr"}


class PageTags(HTMLParser):
    """Fails on tags closed in the wrong order; collects the addresses that a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.unclosed: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.unclosed.append(tag)
        self._collect(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._collect(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def _collect(self, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]


def assert_self_contained(text: str) -> None:
    """Check that a page is well formed and loads nothing."""
    assert text.startswith("<!doctype html>")
    tags = PageTags(text)
    assert not tags.unclosed
    assert tags.addresses
    assert all(address.startswith("data:") for address in tags.addresses)
    assert not re.findall(r"@import|url\((?!data:)|<script", text)
    assert "prefers-color-scheme: dark" in text
