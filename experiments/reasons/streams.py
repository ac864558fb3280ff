"""What is said of recorded machines whose fault has a time but no known kind.

A folder has ``labels.json``: for ``NAME_fault`` the range of the fault, with the training sound in
``NAME_train``; for a run to failure the range that it is trained on and the time of the failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asd_monitor.explanation.explain import explain
from asd_monitor.records import Samples
from experiments.reasons.changes import RATE_HZ
from experiments.reasons.models import TEST_S, profile_of, read_at_rate

_SHARES = (0.5, 0.7, 0.85, 1.0)


def stream_sentences(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield stream, place and sentence."""
    labels: dict[str, Any] = json.loads((folder / "labels.json").read_text())
    for name, facts in labels.items():
        sound = read_at_rate(folder / f"{name}.flac")
        if "fault_from_s" in facts:
            training = read_at_rate(folder / f"{name.removesuffix('_fault')}_train.flac")
            begin_s = facts["fault_from_s"]
            places = [begin_s - 1.0, begin_s + TEST_S, facts["fault_to_s"]]
            texts = ["before the fault", "after 10 s of it", "its end"]
        elif "failure_at_s" in facts:
            low_s, high_s = facts["train_run_in_s"]
            training = _part(sound, low_s, high_s)
            end_s = facts["failure_at_s"]
            places = [share * end_s for share in _SHARES]
            texts = [f"{100 * share:.0f} % of life" for share in _SHARES]
        else:
            continue
        profile = profile_of([training])
        for at_s, text in zip(places, texts, strict=True):
            excerpt = _part(sound, at_s - TEST_S, at_s)
            yield name, text, explain(profile, excerpt, RATE_HZ, {}).sentence


def _part(sound: Samples, from_s: float, to_s: float) -> Samples:
    return sound[max(0, round(from_s * RATE_HZ)) : round(to_s * RATE_HZ)]
