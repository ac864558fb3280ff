"""The frame of a report: one page that needs nothing but itself, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfbf9; --card: #ffffff; --ink: #1d2430; --soft: #626c7a; --line: #e3e5e8;
  --accent: #2f6db3; --fill: #9dbfe2; --warn: #b7791f; --alarm: #c0392b; --good: #2c7a4b;
  --held: #2f6db31c; --off: #8884; --warnback: #fdf5e3; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171c; --card: #1c2027; --ink: #e4e7eb; --soft: #97a1af; --line: #323943;
  --accent: #74aae6; --fill: #3d6591; --warn: #e0b04c; --alarm: #f0705f; --good: #6cc493;
  --held: #74aae622; --off: #8883; --warnback: #2b2618; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.75rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.08rem; margin: 0 0 4px; }
p { margin: 4px 0 10px; } .soft, .sub { color: var(--soft); } .sub { margin: 0 0 18px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 18px 20px; margin: 16px 0; overflow-x: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 16px; }
.figures b { display: block; font-size: 1.4rem; font-weight: 600; line-height: 1.25; }
.figures span { color: var(--soft); font-size: .88rem; display: block; }
.good b { color: var(--good); } .bad b { color: var(--alarm); } .fair b { color: var(--warn); }
.warnings { background: var(--warnback); border-color: var(--warn); }
.warnings li { margin: 5px 0; } ul { margin: 6px 0; padding-left: 20px; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th { text-align: left; color: var(--soft); font-weight: 500; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .86em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
svg { display: block; width: 100%; min-width: 620px; height: auto; margin-top: 6px; }
svg text { font: 11.5px system-ui, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); }
.grid { stroke: var(--line); } .boundary { stroke: var(--line); stroke-dasharray: 2 3; }
.boundary.over { stroke: #fff8; } .bar { fill: var(--fill); }
polyline { fill: none; stroke-width: 1.3; stroke-linejoin: round; }
.expected { stroke: var(--soft); stroke-dasharray: 5 4; } .quiet { stroke: var(--accent); }
.strong { stroke: var(--ink); stroke-width: 2; }
line.alarm { stroke: var(--alarm); stroke-width: 1.5; }
line.warning { stroke: var(--warn); stroke-dasharray: 6 3; }
svg .name { paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .name.alarm { fill: var(--alarm); } svg .name.warning { fill: var(--warn); }
.held { fill: var(--held); } .off { fill: var(--off); } .mark { fill: var(--warn); }
.calm { fill: var(--accent); }
.key { display: inline-block; width: 22px; height: 10px; margin: 0 5px 0 14px;
  border-radius: 2px; vertical-align: baseline; } .key:first-child { margin-left: 0; }
.key.held { background: var(--held); border: 1px solid var(--accent); }
.key.off { background: var(--off); } .key.quiet { background: var(--accent); height: 3px; }
.key.strong { background: var(--ink); height: 3px; }
.key.mark { background: var(--warn); width: 10px; border-radius: 50%; }
.meter { display: inline-block; width: 110px; height: 8px; border-radius: 4px;
  background: var(--line); position: relative; vertical-align: middle; }
.meter i { position: absolute; inset: 0 auto 0 0; background: var(--fill); border-radius: 4px; }
.meter u { position: absolute; top: -2px; width: 2px; height: 12px; background: var(--ink); }
@media print { section, .figures div { break-inside: avoid; } }
"""


def page(title: str, sub: str, parts: Iterable[str]) -> str:
    """Return the whole document; ``title`` and ``sub`` are text, the parts are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="sub">{escape(sub)}</p>'
        f"{''.join(parts)}</main></body></html>\n"
    )


def section(title: str, *parts: str, style: str = "") -> str:
    """Return a card; the title is text, the parts are HTML."""
    return f'<section class="{style}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def figures(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return key figures: (the figure, what it is, ``good``, ``fair``, ``bad`` or nothing)."""
    return (
        '<div class="figures">'
        + "".join(
            f'<div class="{mood}"><b>{escape(figure)}</b><span>{escape(what)}</span></div>'
            for figure, what, mood in entries
        )
        + "</div>"
    )


def paragraph(text: str, style: str = "soft") -> str:
    """Return a paragraph of text."""
    return f'<p class="{style}">{escape(text)}</p>'


def bullets(lines: Iterable[str]) -> str:
    """Return a list of lines of text."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return a table; cells are HTML, the columns of these numbers are aligned right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if column in numbers else ''}>{cell}</{tag}>"
            for column, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


def meter(value: float, mark: float, full: float) -> str:
    """Return a bar up to ``value`` with a tick at ``mark``, of a scale that ends at ``full``."""
    share, tick = (100 * min(1.0, max(0.0, v / full)) for v in (value, mark))
    return (
        f'<span class="meter"><i style="width:{share:.0f}%"></i>'
        f'<u style="left:{tick:.0f}%"></u></span>'
    )
