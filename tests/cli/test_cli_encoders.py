"""Networks of the user: training, scoring, showing and exporting."""

import functools
import json
from pathlib import Path

import pytest

from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.encoders import encoder_loading
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_networks import (
    FAR,
    maps_card,
    maps_network,
    patch_card,
    patch_network,
    write_network,
)
from tests.doubles.synthetic_sounds import machine_sound, write

pytestmark = pytest.mark.usefixtures("unmeasured")

STATISTICS = {kind.name for kind in VIEW_KINDS}


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("normal") / "normal.flac", machine_sound(65.0))


@pytest.fixture
def networks(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write_network(tmp_path, maps_network(), maps_card("toy")),
        write_network(tmp_path, patch_network(), patch_card("patchy")),
    )


@pytest.fixture(autouse=True)
def shipped_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the shipped encoder, which holds none."""
    folder = tmp_path / "package/models"
    shipped_encoder = functools.partial(encoder_loading.shipped_encoder, [folder])
    monkeypatch.setattr(encoder_loading, "shipped_encoder", shipped_encoder)
    folder.mkdir(parents=True)
    return folder


@pytest.mark.slow
def test_networks_are_trained_scored_shown_and_exported(
    command_line: CommandLine, normal: Path, networks: tuple[Path, Path], tmp_path: Path
) -> None:
    models = ("-m", "fan01", "--models", tmp_path / "m")
    result = command_line("train", "-n", normal, "--encoder", *networks, *models)
    assert result.code == 0, result.err
    assert "Uses the network toy " in result.out
    assert "Uses the network patchy " in result.out
    report = (tmp_path / "m/fan01/v1/report.html").read_text()
    assert "deviation in the outputs of the network patchy" in report
    fault = write(tmp_path / "fault.wav", machine_sound(20.0, seed=4, fault=1.0))
    lines = command_line("score", fault, *models, "--json").out.splitlines()
    views = [json.loads(line)["views"] for line in lines]
    assert {frozenset(view) for view in views} == {frozenset(STATISTICS | {"toy", "patchy"})}
    assert min(view["toy"] for view in views) > 1.5
    backtest = command_line("backtest", fault, *models, "--json")
    assert json.loads(backtest.out)["alarms"]
    shown = command_line("models", "show", *models).out
    assert "network     toy  CC0-1.0  sha256 " in shown
    assert "toy, patchy" in shown
    assert command_line("models", "export", tmp_path / "there", *models).code == 0
    there = ("-m", "fan01", "--models", tmp_path / "there")
    assert command_line("score", fault, *there, "--json").out.splitlines() == lines


def test_the_shipped_encoder_is_used_unless_excluded(
    command_line: CommandLine,
    normal: Path,
    networks: tuple[Path, Path],
    shipped_folder: Path,
    tmp_path: Path,
) -> None:
    write_network(shipped_folder, maps_network(5), maps_card("encoder"))
    train = ("train", "-m", "fan01", "--models", tmp_path / "m", "-n", normal, "--json")
    for options, expected in (
        ((), ["encoder"]),
        (("--no-shipped-encoder", "--encoder", networks[0]), ["toy"]),
    ):
        result = command_line(*train, *options)
        assert result.code == 0, result.err
        assert json.loads(result.out)["encoders"] == expected


@pytest.mark.parametrize(
    ("rate_hz", "reach", "text"),
    [
        (8_000, FAR["reach"], "it takes sound of 16000 Hz, and this sound has 8000 Hz"),
        (16_000, 300, "needs windows of"),
    ],
)
def test_an_incompatible_network_is_omitted_with_a_warning(
    command_line: CommandLine, tmp_path: Path, rate_hz: int, reach: int, text: str
) -> None:
    card = patch_card("patchy", reach=reach)
    network = write_network(tmp_path, patch_network(steps=reach), card)
    normal = write(tmp_path / "n.wav", machine_sound(62.0, rate_hz=rate_hz), rate_hz)
    train = ("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m")
    result = command_line(*train, "--encoder", network)
    assert result.code == 0, result.err
    assert "warning: the encoder patchy is left out, the other views stay" in result.err
    assert text in result.err
    manifest = json.loads((tmp_path / "m/fan01/v1/manifest.json").read_text())
    assert {view["name"] for view in manifest["views"]} == STATISTICS
    assert manifest["encoders"] == []


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_an_unusable_network_is_refused_before_training(
    command_line: CommandLine, normal: Path, tmp_path: Path, check: tuple[str, ...]
) -> None:
    train = ("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m", *check)
    for network, text in (
        (tmp_path / "none.onnx", "none.onnx: no such file"),
        (
            write_network(tmp_path, b"x", maps_card("bad")),
            "bad.onnx: it cannot be read as a network",
        ),
        (
            write_network(tmp_path, maps_network(), maps_card("worse", licence="")),
            "worse.yaml: licence: this is empty",
        ),
    ):
        result = command_line(*train, "--encoder", network)
        assert result.code == 2
        assert text in result.message
        assert result.err.strip() == result.message
    assert not (tmp_path / "m").exists()


def test_two_networks_of_the_same_name_are_refused(
    command_line: CommandLine, normal: Path, networks: tuple[Path, Path], tmp_path: Path
) -> None:
    train = ("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m")
    result = command_line(*train, "--encoder", networks[0], networks[0])
    assert result.code == 2
    assert "the name 'toy' is that of" in result.message
