"""Encoders from files: one given by the user, and the one that ships with the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from asd_monitor.config.yaml_text import read_yaml
from asd_monitor.dsp.window_features import NAMES
from asd_monitor.encoders.card import (
    MAX_CARD_BYTES,
    Card,
    CardError,
    card_from_values,
    joined_problems,
)
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.network_trial import try_network
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import MAX_NETWORK_BYTES, EncoderError, Network
from asd_monitor.encoders.validation import validate_network
from asd_monitor.errors import OperationError
from asd_monitor.limited_reading import read_limited

ValidateNetwork = Callable[[bytes, Card], None]
"""(network, card); raises EncoderError."""

SHIPPED_FILE = "encoder.onnx"
SHIPPED_NAME = "the network that ships with asd-monitor"

_PACKAGE = Path(__file__).parents[1]
SHIPPED_FOLDERS = (_PACKAGE / "models", _PACKAGE.parent / "models")
"""Where it is searched for, in this order: in an installation, and in a checkout."""


def load_encoder(path: Path, validate: ValidateNetwork = try_network) -> Encoder:
    """Read a network and the card beside it, and validate the network.

    Args:
        path: the network.
        validate: validates the network; by default in a child process, with limits of memory and
            time, since its origin is unknown.

    Raises:
        EncoderError: not a network, or one that does not match its card.
        CardError: the card is malformed.
        OperationError: no permission.

    """
    onnx = _read(path, MAX_NETWORK_BYTES, "give an ONNX file")
    card_path = path.with_suffix(".yaml")
    remedy = "describe the network there, see docs/encoders.md"
    card = parse_card(_read(card_path, MAX_CARD_BYTES, remedy), str(card_path))
    try:
        validate(onnx, card)
    except EncoderError as error:
        raise EncoderError(f"{path}: {error}") from error
    return Encoder.from_bytes(onnx, card)


def validate_here(onnx: bytes, card: Card) -> None:
    """Validate a network of known origin in this process; raises EncoderError."""
    validate_network(Network.from_bytes(onnx, Runtime()), card)


def parse_card(content: bytes, where: str) -> Card:
    """Return the card of a file's content; ``where`` names the file in messages.

    Raises CardError with every problem.
    """
    if len(content) > MAX_CARD_BYTES:
        raise CardError(f"{where}: larger than any card: is it the right file?")
    if not content.strip():
        raise CardError(f"{where}: the file is empty: write the card, see docs/encoders.md")
    document = read_yaml(content)
    if document.errors:
        raise CardError(
            joined_problems(
                [
                    f"{where}:{finding.place.line}:{finding.place.column}: {finding.message}"
                    for finding in sorted(set(document.errors))
                ]
            )
        )
    return card_from_values(document.value, where)


def _read(path: Path, limit: int, remedy: str) -> bytes:
    try:
        return read_limited(path, limit)
    except FileNotFoundError as error:
        raise EncoderError(f"{path}: no such file: {remedy}") from error
    except IsADirectoryError as error:
        raise EncoderError(f"{path}: this is a folder: {remedy}") from error
    except OSError as error:
        raise OperationError(
            f"{path}: cannot be read ({error.strerror or error}): let this user read it"
        ) from error
    except ValueError as error:
        raise EncoderError(f"{path.parent}: {error}: {remedy}") from error


def shipped_encoder(folders: Iterable[Path] = SHIPPED_FOLDERS) -> Encoder | None:
    """Return the encoder that ships with the package; None where no folder has it.

    Raises the exceptions of `load_encoder`.
    """
    for folder in folders:
        if (folder / SHIPPED_FILE).exists():
            return load_encoder(folder / SHIPPED_FILE, validate_here)
    return None


def select_encoders(
    shipped: Encoder | None, paths: Iterable[Path], validate: ValidateNetwork = try_network
) -> tuple[Encoder, ...]:
    """Return the encoders of a model: the shipped one, where one is given, and those of files.

    Raises the exceptions of `load_encoder`, and EncoderError where a name of an encoder or view
    is taken twice or is that of a feature.
    """
    found = [] if shipped is None else [(shipped, SHIPPED_NAME)]
    found += [(load_encoder(path, validate), str(path)) for path in paths]
    taken = dict.fromkeys(NAMES, "a feature")
    for encoder, where in found:
        for name in dict.fromkeys([encoder.name, *encoder.view_names]):
            if name in taken:
                raise EncoderError(
                    f"{where}: the name {name!r} is that of {taken[name]}: write another one into "
                    "the card"
                )
            taken[name] = where
    return tuple(encoder for encoder, _ in found)
