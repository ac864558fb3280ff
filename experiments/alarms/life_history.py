"""The models of one machine from its training to the end of its commissioning, and their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector
from experiments.alarms.segments import HOUR_S, Array, Floats, Segments

_BATCH = 32  # segments that are scored at once


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of n segments of w windows."""

    evidence: Floats  # (n, w)
    fused: Floats  # (n, w)
    shifts: Floats  # (n, v): median log distance of each view, above its centre


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is noted of a model."""

    time_s: float  # local time of the fit
    hours: int  # that its sound is from
    blocks: int
    modes: int
    learned: float  # share of the live segments so far
    tails: tuple[ScaleTail, ...]
    effect_bound: float
    views: tuple[str, ...]
    fused_mean: float  # out-of-fold, in the training windows
    fused_deviation: float

    @staticmethod
    def of(fitted: FittedDetector, time_s: float, learned: float) -> ModelFacts:
        """Return the facts of a fitted model."""
        detector = fitted.detector
        return ModelFacts(
            time_s,
            fitted.blocks.hours,
            len(fitted.blocks),
            len(detector.evidence_calibration.modes),
            learned,
            detector.tails,
            detector.effect_bound,
            tuple(view.kind.name for view in detector.views),
            float(fitted.fused.mean()),
            float(fitted.fused.std()),
        )

    @staticmethod
    def from_json(facts: dict[str, Any]) -> ModelFacts:
        """Return the facts from their JSON."""
        tails = tuple(ScaleTail(**tail) for tail in facts["tails"])
        return ModelFacts(**(facts | {"tails": tails, "views": tuple(facts["views"])}))


@dataclass(frozen=True, slots=True, eq=False)
class LifeModel:
    """A model and its scores by the name of the segments."""

    facts: ModelFacts
    scores: Mapping[str, Scores]


@dataclass(frozen=True, slots=True, eq=False)
class LifeHistory:
    """The models of one machine in order of time: the first one, the refits, the commissioned."""

    begin_s: float  # local time of the end of training
    models: tuple[LifeModel, ...]

    @property
    def provisional(self) -> LifeModel:
        """The first model, of the training sound alone."""
        return self.models[0]

    @property
    def commissioned(self) -> LifeModel:
        """The last one."""
        return self.models[-1]

    def after_h(self, hours: float) -> LifeModel:
        """Return the model in use so many hours after the training."""
        at = self.begin_s + hours * HOUR_S
        return [model for model in self.models if model.facts.time_s <= at][-1]

    def save(self, path: Path) -> None:
        """Write the history: ``path`` with the suffixes .npz and .json, which is written last."""
        arrays: dict[str, Any] = {}
        for number, model in enumerate(self.models):
            for name, scores in model.scores.items():
                for kind, values in asdict(scores).items():
                    arrays[f"{number}/{name}/{kind}"] = values.astype(np.float32)
        np.savez(path.with_suffix(".npz"), **arrays)
        facts = [asdict(model.facts) for model in self.models]
        path.with_suffix(".json").write_text(
            json.dumps({"begin_s": self.begin_s, "models": facts}, indent=1) + "\n"
        )

    @staticmethod
    def load(path: Path) -> LifeHistory:
        """Read a history."""
        noted = json.loads(path.with_suffix(".json").read_text())
        found: list[dict[str, dict[str, Array]]] = [{} for _ in noted["models"]]
        with np.load(path.with_suffix(".npz")) as arrays:
            for key in arrays.files:
                number, name, kind = key.split("/")
                found[int(number)].setdefault(name, {})[kind] = arrays[key].astype(np.float64)
        models = [
            LifeModel(
                ModelFacts.from_json(facts),
                {name: Scores(**values) for name, values in scores.items()},
            )
            for facts, scores in zip(noted["models"], found, strict=True)
        ]
        return LifeHistory(noted["begin_s"], tuple(models))


def score(detector: Detector, segments: Segments) -> Scores:
    """Return the scores of segments."""
    count, width = len(segments), len(segments.starts)
    names = [view.kind.name for view in detector.views]
    units = np.array([view.calibration.unit for view in detector.views])
    evidence, fused = np.empty((count, width)), np.empty((count, width))
    shifts = np.empty((count, len(names)))
    for begin in range(0, count, _BATCH):
        numbers: Sequence[int] = range(begin, min(count, begin + _BATCH))
        scores = detector.score([w for number in numbers for w in segments.windows(number)])
        for row, number in enumerate(numbers):
            own = scores[row * width : (row + 1) * width]
            evidence[number] = [window.evidence for window in own]
            fused[number] = [window.fused for window in own]
            by_view = np.array([[window.views[name] for name in names] for window in own])
            shifts[number] = np.median(by_view, axis=0) * units
    return Scores(evidence, fused, shifts)
