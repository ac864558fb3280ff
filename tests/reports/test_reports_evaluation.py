"""The report: it stands alone, tells the worst clips, and plays them or not as asked."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.doubles.small_trees import small_tree
from tests.doubles.synthetic_sounds import machine_sound, write

from asd_monitor.evaluation import dcase_layouts
from asd_monitor.evaluation.dcase_layouts import Clip, find_data_set
from asd_monitor.evaluation.dcase_rules import Rules
from asd_monitor.evaluation.results import FUSED, MachineResult, Results
from asd_monitor.evaluation.runner import evaluate
from asd_monitor.reports.evaluation_report import report_html
from asd_monitor.reports.misjudged_clips import (
    LONGEST_S,
    MOST,
    MOST_OF_A_MACHINE,
    playable,
    read_clip,
    spectrogram,
    worst_clips,
)
from asd_monitor.reports.score_charts import Curve, roc_chart, score_histogram


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = small_tree(tmp_path_factory.mktemp("tree"), "2023")
    return evaluate(find_data_set(root))


class _Tags(HTMLParser):
    """Collects what is opened, and whether all of it is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(results: Results) -> None:
    text = report_html(results)
    tags = _Tags(text)
    assert not tags.open
    assert all(address.startswith("data:") for address in tags.addresses)
    assert text.count("<audio") == text.count("data:audio/flac") == 8  # 4 of each class
    assert text.count("data:image/png") == 8
    for told in ("DCASE 2023", "official score", "AUC target", "statistics", "fan section_00"):
        assert told in text
    assert 'class="target"' in text  # the ROC curve of the other domain
    assert "zone of the partial AUC" in text
    assert len(text) < 10e6


def test_sound_can_be_left_out(results: Results) -> None:
    text = report_html(results, sound=False)
    assert "audio" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert text.count("data:image/png") == 8


def test_what_is_played_is_the_clip(tmp_path: Path) -> None:
    sound = machine_sound(20.0, rate_hz=48000, gain=0.001)
    path = write(tmp_path / "quiet.wav", sound, 48000, subtype="FLOAT")
    rate_hz, samples = read_clip(path, None)
    assert (rate_hz, len(samples)) == (16000, LONGEST_S * 16000)
    address = playable(samples, rate_hz)
    played, its_rate_hz = soundfile.read(io.BytesIO(base64.b64decode(address.split(",")[1])))
    assert its_rate_hz == 16000
    assert np.corrcoef(played, samples)[0, 1] > 0.999
    assert np.sqrt(np.mean(played**2)) == pytest.approx(0.08, rel=0.02)
    assert np.isfinite(
        soundfile.read(io.BytesIO(base64.b64decode(playable(0 * samples, 16000).split(",")[1])))[0]
    ).all()
    assert spectrogram(samples[:100], rate_hz).startswith("data:image/png")
    loud = np.zeros(16000, np.float32)
    loud[0] = 1.0
    played, _ = soundfile.read(io.BytesIO(base64.b64decode(playable(loud, 16000).split(",")[1])))
    assert np.abs(played).max() == pytest.approx(0.9, abs=1e-3)


def test_a_page_of_loud_noise_stays_small() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, round(LONGEST_S * 16000)).astype(np.float32)
    clips = 2 * MOST * (len(playable(noise, 16000)) + len(spectrogram(noise, 16000)))
    assert clips < 10e6


def _result(kind: str, scores: dict[bool, list[float]], threshold: float = 1.0) -> MachineResult:
    clips = [
        (Clip(Path(f"{kind}_{wrong}_{at}.wav"), wrong), score)
        for wrong, those in scores.items()
        for at, score in enumerate(those)
    ]
    machine = dcase_layouts.TestedMachine(kind, "id_00", (), tuple(clip for clip, _ in clips))
    fused = tuple(score for _, score in clips)
    return MachineResult(machine, Rules.Y2020, 1.0, threshold, {FUSED: fused}, {}, ())


def test_what_scores_above_the_threshold_is_decided_to_be_anomalous() -> None:
    result = _result("fan", {False: [0.5, 1.0, 1.5], True: [0.9, 1.1, 3.0]})
    assert result.decided == [False, False, True, False, True, True]


def test_the_worst_are_the_furthest_on_the_wrong_side() -> None:
    fan = _result("fan", {False: [0.1, 3.0, 2.0, 1.0], True: [5.0, 0.2, 4.0]})
    pump = _result("pump", {False: [10.0, 1.0], True: [2.0, 1.0]}, threshold=10.0)
    reference = worst_clips([fan, pump], anomalous=False)
    assert [(each.result.machine.type, each.score) for each in reference] == [
        ("fan", 3.0),
        ("fan", 2.0),
        ("pump", 10.0),
        ("pump", 1.0),
    ]
    anomalies = worst_clips([fan, pump], anomalous=True)
    assert [each.score for each in anomalies] == [1.0, 0.2, 2.0, 4.0]
    assert MOST_OF_A_MACHINE == 2
    alone = worst_clips([_result("fan", {False: list(range(9)), True: [1.0]})], anomalous=False)
    assert [each.score for each in alone] == [8, 7, 6, 5, 4, 3]


def test_curves_end_in_the_corners() -> None:
    chart = roc_chart([Curve("all", "quiet", [False, True, True], [1.0, 0.5, 2.0])])
    [points] = re.findall(r'<polyline class="quiet" points="([^"]+)"', chart)
    first, *_, last = points.split()
    assert (first, last) == ("34.0,170.0", "204.0,14.0")


def test_histograms_hold_every_clip() -> None:
    chart = score_histogram([1.0, 1.1, 5.0], [2.0] * 4, 3.0)
    counted = [int(n) for n in re.findall(r"<title>(\d+) (?:normal|anomalous)", chart)]
    assert sum(counted) == 7
    assert "threshold 3" in chart
    assert "nan" not in score_histogram([1.0], [1.0], 1.0)
