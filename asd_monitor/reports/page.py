"""Reports as HTML pages: the parts that both have in common, and their rendering with Jinja2.

A report is a view model, a frozen dataclass with everything that its template shows.  All text
is escaped by the template engine; charts and pictures are `Markup` already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from asd_monitor.wording import clock, count, length


class Page(Protocol):
    """What the frame of every page shows."""

    @property
    def title(self) -> str:
        """Heading and title of the document."""

    @property
    def subtitle(self) -> str:
        """Line below the heading."""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A figure at the top of a page."""

    value: str
    label: str
    rating: str = ""  # good, fair, bad, or none


@dataclass(frozen=True, slots=True)
class Meter:
    """A bar with a mark, both in percent of the whole length."""

    value_percent: int
    mark_percent: int

    @staticmethod
    def of(value: float, *, mark: float, full: float) -> Meter:
        """Return the bar of a value on a scale from 0 to ``full``."""
        value_share, mark_share = (min(1.0, max(0.0, each / full)) for each in (value, mark))
        return Meter(round(100 * value_share), round(100 * mark_share))


def render(template: str, page: Page, *, package: str = "asd_monitor.reports") -> str:
    """Return a page as HTML.

    ``template`` is a file in the folder ``templates`` of a package; it can extend those of this
    one.
    """
    own = PackageLoader("asd_monitor.reports")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(clock=clock, length_s=length, count_of=count)
    return environment.get_template(template).render(page=page).lstrip()
