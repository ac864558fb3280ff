"""Draw synthetic machines and their faults as spectrograms.

    python -m experiments.machine_page docs/method/synthetic-machines.png
    python -m experiments.machine_page machines.html --seed 3

The first part has a machine of each family: without a fault, then with two faults of increasing
severity.  The second has one machine with each of the faults that can be injected into any
recording; the third has a machine in a hall.  The panels of a row are the same recording but for
what the captions state, and are drawn on the same scale.  An HTML page also plays each sound.
The same seed gives the same output.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from asd_monitor.dsp.spectrogram import mel_spectrogram
from asd_monitor.records import Samples
from asd_monitor.reports.page import render as render_page
from asd_monitor.reports.png import as_picture, data_url
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import with_fault
from asd_monitor.synthesis.hall import draw_hall, mix, render_hall
from asd_monitor.synthesis.injection import INJECTED, inject
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.rendering import render
from experiments.bitmap_text import TEXT_HEIGHT, draw_text
from experiments.command_line import parser_of

Picture = npt.NDArray[np.float64]
"""Brightness 0 … 1, (rows from the top, columns)."""

RATE_HZ = 16_000
SECONDS = 3.0
WIDTH, HEIGHT = 160, 88
"""Pixels of one spectrogram."""
LEVELS = 40
"""Steps of brightness; more of them make the file larger without visible effect."""
FAULTS = {  # two of each family; every kind at least once
    "fan": ("imbalance", "blocked"),
    "pump": ("bearing", "leak"),
    "gearbox": ("gear_tooth", "rub"),
    "slider": ("sluggish", "loose"),
    "valve": ("leak", "sluggish"),
    "compressor": ("loose", "bearing"),
    "conveyor": ("squeal", "rub"),
    "motor": ("speed", "squeal"),
}
GRADES = (0.3, 0.6, 1.0)
NOMINAL_RMS = 0.05
"""RMS of the first sound of each row."""


@dataclass(frozen=True)
class Panel:
    """A sound and its caption."""

    caption: str
    sound: Samples


@dataclass(frozen=True)
class Part:
    """A part of the page: rows of panels, each with a scale of its own."""

    title: str
    text: str
    rows: tuple[tuple[Panel, ...], ...]


def _families(seed: int) -> Part:
    rows = []
    for number, family in enumerate(FAMILIES):
        spec = draw_machine(family, np.random.default_rng((seed, number)))
        healthy = _recording(spec, (seed, number, 1))
        gain = _gain(healthy)
        panels = [Panel(family, gain * healthy)]
        for kind in FAULTS[family]:
            for grade in GRADES:
                faulty = _recording(with_fault(spec, kind, grade), (seed, number, 1))
                panels.append(Panel(f"{kind.replace('_', ' ')} {grade:g}", gain * faulty))
        rows.append(tuple(panels))
    text = "a machine of each family, then with faults: 1 is gross, below 0.2 inaudible."
    return Part("synthetic machines and their faults", text, tuple(rows))


def _recording(spec: MachineSpec, seed: tuple[int, ...]) -> Samples:
    return render(spec, SECONDS, np.random.default_rng(seed))


def _injected(seed: int) -> Part:
    spec = draw_machine("pump", np.random.default_rng((seed, 100)))
    clip = _recording(spec, (seed, 101))
    clip = _gain(clip) * clip
    panels = [Panel("pump", clip)]
    for number, kind in enumerate(INJECTED):
        for grade in (0.5, 1.0):
            faulty = inject(clip, kind, grade, np.random.default_rng((seed, 102, number)))
            panels.append(Panel(f"{kind} {grade:g}", faulty))
    rows = [(panels[0], *panels[at : at + 6]) for at in range(1, len(panels), 6)]
    text = "faults that can be injected into any recording, here into that of a pump."
    return Part("injected faults", text, tuple(rows))


def _hall(seed: int) -> Part:
    rng = np.random.default_rng((seed, 200))
    spec = draw_machine("gearbox", rng)
    hall = render_hall(draw_hall(rng), SECONDS, rng)
    clip = render(spec, SECONDS, rng)
    clip = _gain(clip) * clip
    panels = [Panel("gearbox", clip)]
    panels += [
        Panel(f"in a hall, {snr_db} db", mix(clip, hall, snr_db, NOMINAL_RMS))
        for snr_db in (6, 0, -6)
    ]
    panels.append(Panel("the hall alone", (NOMINAL_RMS * hall).astype(np.float32)))
    text = "with background sound: air, other machines, impacts, at a signal-to-noise ratio."
    return Part("in a hall", text, (tuple(panels),))


def _gain(sound: Samples) -> np.float32:
    return np.float32(NOMINAL_RMS / float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))))


def _levels(sound: Samples) -> Picture:
    """Return mel levels in dB, (HEIGHT, WIDTH), the high bands on top."""
    frame, hop = 1024, round(SECONDS * RATE_HZ / WIDTH)
    padded = np.pad(sound.astype(np.float64), frame // 2, mode="reflect")
    mel = mel_spectrogram(padded, RATE_HZ, frame, hop, HEIGHT)[:WIDTH]
    return np.asarray(10.0 * np.log10(mel + 1e-9).T[::-1])


def _spectrograms(row: tuple[Panel, ...]) -> list[Picture]:
    """Return the spectrograms of a row, on a common scale."""
    levels = [_levels(panel.sound) for panel in row]
    low = float(np.percentile(levels[0], 3.0))
    high = max(float(np.percentile(level, 99.8)) for level in levels)
    return [np.round(np.clip((x - low) / (high - low), 0.0, 1.0) * LEVELS) / LEVELS for x in levels]


def _lines(parts: list[Part]) -> Iterator[Picture]:
    """Yield the picture in strips of equal width, from the top."""
    columns = max(len(row) for part in parts for row in part.rows)
    whole = columns * (WIDTH + 4) + 4
    for part in parts:
        yield np.zeros((6, whole))
        for text in (part.title, part.text):
            yield np.hstack([np.zeros((TEXT_HEIGHT, 4)), draw_text(text, whole - 4)])
        for row in part.rows:
            cells = []
            for panel, drawn in zip(row, _spectrograms(row), strict=True):
                cell = np.vstack([draw_text(panel.caption, WIDTH), drawn])
                cells.append(np.pad(cell, ((2, 2), (4, 0))))
            strip = np.hstack(cells)
            yield np.pad(strip, ((0, 0), (0, whole - strip.shape[1])))


@dataclass(frozen=True)
class PagePanel:
    """A panel of the HTML page; picture and sound are data URLs."""

    caption: str
    picture: str
    sound: str


@dataclass(frozen=True)
class PagePart:
    """A section of the HTML page."""

    title: str
    text: str
    rows: tuple[tuple[PagePanel, ...], ...]


@dataclass(frozen=True)
class MachinePage:
    """What the template ``machine_page.html`` shows."""

    title: str
    subtitle: str
    parts: tuple[PagePart, ...]


def _html(parts: list[Part], seed: int) -> str:
    subtitle = f"{SECONDS:g} s each, 0 to 8 kHz in {HEIGHT} mel bands; seed {seed}"
    shown = tuple(
        PagePart(part.title.capitalize(), part.text.capitalize(), tuple(map(_page_row, part.rows)))
        for part in parts
    )
    page = MachinePage("Synthetic machines", subtitle, shown)
    return render_page("machine_page.html", page, package="experiments")


def _page_row(row: tuple[Panel, ...]) -> tuple[PagePanel, ...]:
    panels = []
    for panel, drawn in zip(row, _spectrograms(row), strict=True):
        stream = io.BytesIO()
        soundfile.write(stream, panel.sound, RATE_HZ, format="FLAC", subtype="PCM_16")
        sound = base64.b64encode(stream.getvalue()).decode()
        panels.append(
            PagePanel(
                panel.caption,
                data_url(as_picture(drawn, 0.0, 1.0)),
                f"data:audio/flac;base64,{sound}",
            )
        )
    return tuple(panels)


def main() -> int:
    """Draw the picture or write the page."""
    parser = parser_of("machine_page", __doc__)
    parser.add_argument("out", type=Path, help="a name ending in .png or .html")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.out.suffix not in (".png", ".html"):
        parser.error(f"{options.out} must end in .png or .html")
    parts = [_families(options.seed), _injected(options.seed), _hall(options.seed)]
    try:
        if options.out.suffix == ".png":
            options.out.write_bytes(as_picture(np.vstack(list(_lines(parts))), 0.0, 1.0))
        else:
            options.out.write_text(_html(parts, options.seed), "utf-8")
    except OSError as error:
        sys.stderr.write(f"machine_page: {options.out} cannot be written: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
