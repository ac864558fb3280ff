"""Networks of the user's own: trained with, scored with, shown and taken along."""

import json
from pathlib import Path

import pytest

from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.encoders import loading as encoder_module
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
def nothing_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the shipped network would lie."""
    monkeypatch.setattr(encoder_module, "_PACKAGE", tmp_path / "package")
    (tmp_path / "package/models").mkdir(parents=True)
    return tmp_path / "package/models"


def test_from_training_to_scores(
    command_line: CommandLine, normal: Path, networks: tuple[Path, Path], tmp_path: Path
) -> None:
    models = ("-m", "fan01", "--models", tmp_path / "m")
    called = command_line("train", "-n", normal, "--encoder", *networks, *models)
    assert called.code == 0, called.err
    assert "listens with the network toy too" in called.out
    assert "listens with the network patchy too" in called.out
    report = (tmp_path / "m/fan01/v1/report.html").read_text()
    assert "sounds that are new to the network patchy" in report
    fault = write(tmp_path / "fault.wav", machine_sound(20.0, seed=4, fault=1.0))
    lines = command_line("score", fault, *models, "--json").out.splitlines()
    views = [json.loads(line)["views"] for line in lines]
    assert {frozenset(view) for view in views} == {frozenset(STATISTICS | {"toy", "patchy"})}
    assert min(view["toy"] for view in views) > 1.5
    backtest = command_line("backtest", fault, *models, "--json")
    assert json.loads(backtest.out)["alarms"]
    shown = command_line("models", "show", *models).out
    assert "network    toy  CC0-1.0  sha256 " in shown
    assert "toy, patchy" in shown
    assert command_line("models", "export", tmp_path / "there", *models).code == 0
    there = ("-m", "fan01", "--models", tmp_path / "there")
    assert command_line("score", fault, *there, "--json").out.splitlines() == lines


def test_the_shipped_one_listens_unless_left_out(
    command_line: CommandLine,
    normal: Path,
    networks: tuple[Path, Path],
    nothing_ships: Path,
    tmp_path: Path,
) -> None:
    write_network(nothing_ships, maps_network(5), maps_card("encoder"))
    train = ("train", "-m", "fan01", "--models", tmp_path / "m", "-n", normal, "--json")
    for options, expected in (
        ((), ["encoder"]),
        (("--no-shipped-encoder", "--encoder", networks[0]), ["toy"]),
    ):
        called = command_line(*train, *options)
        assert called.code == 0, called.err
        assert json.loads(called.out)["encoders"] == expected


@pytest.mark.parametrize(
    ("rate_hz", "reach", "told"),
    [
        (8_000, FAR["reach"], "it takes sound of 16000 Hz, and this is heard at 8000 Hz"),
        (16_000, 300, "needs windows of"),
    ],
)
def test_a_network_that_cannot_look_is_left_out_and_told(
    command_line: CommandLine, tmp_path: Path, rate_hz: int, reach: int, told: str
) -> None:
    card = patch_card("patchy", reach=reach)
    network = write_network(tmp_path, patch_network(steps=reach), card)
    normal = write(tmp_path / "n.wav", machine_sound(62.0, rate_hz=rate_hz), rate_hz)
    train = ("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m")
    called = command_line(*train, "--encoder", network)
    assert called.code == 0, called.err
    assert "warning: the network patchy is left out, the other views stay" in called.err
    assert told in called.err
    manifest = json.loads((tmp_path / "m/fan01/v1/manifest.json").read_text())
    assert {view["name"] for view in manifest["views"]} == STATISTICS
    assert manifest["encoders"] == []


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_network_that_cannot_be_used_ends_training_before_it_begins(
    command_line: CommandLine, normal: Path, tmp_path: Path, check: tuple[str, ...]
) -> None:
    train = ("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m", *check)
    for network, told in (
        (tmp_path / "none.onnx", "none.onnx: no such file"),
        (write_network(tmp_path, b"x", maps_card("bad")), "bad.onnx: onnxruntime"),
        (
            write_network(tmp_path, maps_network(), maps_card("worse", licence="")),
            "worse.yaml: licence: this is empty",
        ),
    ):
        called = command_line(*train, "--encoder", network)
        assert called.code == 2
        assert told in called.message
        assert called.err.strip() == called.message
    assert not (tmp_path / "m").exists()


def test_two_networks_of_one_name_are_refused(
    command_line: CommandLine, normal: Path, networks: tuple[Path, Path], tmp_path: Path
) -> None:
    train = ("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m")
    called = command_line(*train, "--encoder", networks[0], networks[0])
    assert called.code == 2
    assert "the name 'toy' is that of" in called.message
