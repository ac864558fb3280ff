"""The cards and programs of docs/encoders.md work."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.encoders.card import card_from_values
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder, parse_card
from asd_monitor.encoders.streaming import EncoderStream

TEXT = (Path(__file__).parents[2] / "docs/encoders.md").read_text()


def _first(pattern: str, block: str) -> str:
    return str(re.findall(pattern, block)[0])


CARDS = {
    _first(r"name: (\w+)", block): block
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    if "name: " in block  # the others are configuration
}
PROGRAMS = {
    _first(r'"(\w+)\.onnx"', block): block
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S)
}

# the parts of BEATs that its program uses, on a small scale
STAND_IN = """
import torch


class BEATsConfig:
    def __init__(self, cfg):
        self.channels = cfg["channels"]


class BEATs(torch.nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.patches = torch.nn.Conv2d(1, cfg.channels, 16, stride=16)
        self.layer = torch.nn.TransformerEncoderLayer(cfg.channels, 2, 16, batch_first=True)

    def preprocess(self, source, fbank_mean=15.41663, fbank_std=6.55582):
        raise NotImplementedError

    def extract_features(self, source, padding_mask=None, fbank_mean=15.41663, fbank_std=6.55582):
        fbank = self.preprocess(source, fbank_mean=fbank_mean, fbank_std=fbank_std)
        return self.layer(self.patches(fbank[:, None]).flatten(2).transpose(1, 2)), padding_mask


if __name__ == "__main__":
    cfg = {"channels": 8}
    torch.save({"cfg": cfg, "model": BEATs(BEATsConfig(cfg)).state_dict()}, "BEATs_iter3_plus.pt")
"""


def _run(folder: Path, program: str) -> None:
    path = folder / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, path], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _exported(folder: Path, name: str) -> Encoder:
    _run(folder, PROGRAMS[name])
    (folder / f"{name}.yaml").write_text(CARDS[name])
    return load_encoder(folder / f"{name}.onnx")


def test_each_program_has_a_card() -> None:
    assert CARDS.keys() == PROGRAMS.keys() == {"mine", "yamnet", "beats"}


@pytest.mark.parametrize("name", CARDS)
def test_the_cards_are_valid_and_compatible_with_the_default_window(name: str) -> None:
    card = parse_card(CARDS[name].encode(), name)
    assert Encoder.from_bytes(b"", card).incompatibility(front_end_for(16_000)) is None
    if name == "mine":  # the keys that can be omitted according to the text
        short = card.to_json()
        short["views"] = []
        for key in ("slopes", "offset", "mean", "scale"):
            del short["input"][key]
        assert card_from_values(short, name).input == card.input


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_pytorch_program_exports_a_valid_network(tmp_path: Path) -> None:
    encoder = _exported(tmp_path, "mine")
    stream = EncoderStream(encoder)
    stream.push(np.random.default_rng(0).normal(size=32_000).astype(np.float32))
    assert stream.between(0, 31_744)["mine"].shape == (3 * 32,)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_beats_program_exports_a_network_that_matches_its_card(tmp_path: Path) -> None:
    (tmp_path / "BEATs.py").write_text(STAND_IN)
    _run(tmp_path, STAND_IN)
    encoder = _exported(tmp_path, "beats")
    stream = EncoderStream(encoder)
    stream.push(np.random.default_rng(0).normal(size=48_000).astype(np.float32))
    for start in (0, 8192):
        assert stream.between(start, start + 31_744)["beats"].shape == (16,)
