"""Encoders from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asd_monitor.dsp.window_features import NAMES
from asd_monitor.encoders.card import MAX_CARD_BYTES, parse_card
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import MAX_NETWORK_BYTES, EncoderError
from asd_monitor.encoders.validation import try_network
from asd_monitor.errors import OperationError

SHIPPED = "encoder.onnx"

_PACKAGE = Path(__file__).parents[1]


def load_encoder(path: Path) -> Encoder:
    """Read a network and its card and try it out.

    Raises:
        EncoderError: not a network, or not one that does what its card says.
        OperationError: no permission.

    """
    onnx = _read(path, MAX_NETWORK_BYTES, "give a file of ONNX")
    card_path = path.with_suffix(".yaml")
    described = "describe the network there, see docs/encoders.md"
    card = parse_card(_read(card_path, MAX_CARD_BYTES, described), str(card_path))
    encoder = Encoder.from_bytes(onnx, card)
    try:
        try_network(encoder.network, card)
    except EncoderError as error:
        raise EncoderError(f"{path}: {error}") from error
    return encoder


def _read(path: Path, largest: int, remedy: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise EncoderError(f"{path}: no such file: {remedy}") from error
    except IsADirectoryError as error:
        raise EncoderError(f"{path}: this is a folder: {remedy}") from error
    except OSError as error:
        raise OperationError(
            f"{path}: cannot be read ({error.strerror or error}): let this user read it"
        ) from error
    if len(content) > largest:
        raise EncoderError(f"{path}: larger than {largest / 2**20:g} MiB: {remedy}")
    return content


def shipped_encoder() -> Encoder | None:
    """Return the encoder that comes with the package, or None where there is none.

    Raises as `load_encoder`.
    """
    for folder in (_PACKAGE / "models", _PACKAGE.parent / "models"):
        if (folder / SHIPPED).exists():
            return load_encoder(folder / SHIPPED)
    return None


def chosen_encoders(paths: Iterable[Path], *, instead: bool) -> tuple[Encoder, ...]:
    """Return the networks to listen with: the shipped one, if not ``instead``, and these.

    Raises:
        EncoderError: one cannot be used, or two of them have a view of one name.
        OperationError: no permission to read one.

    """
    shipped = None if instead else shipped_encoder()
    found = [] if shipped is None else [(shipped, "the network that ships with asd-monitor")]
    found += [(load_encoder(path), str(path)) for path in paths]
    taken = dict.fromkeys(NAMES, "a statistic")
    for encoder, where in found:
        for name in dict.fromkeys([encoder.name, *encoder.view_names]):
            if name in taken:
                raise EncoderError(
                    f"{where}: the name {name!r} is that of {taken[name]}: write another one into "
                    "the card"
                )
            taken[name] = where
    return tuple(encoder for encoder, _ in found)
