"""`pretrain`: from nothing to an encoder that can be shipped, or as far as it gets.

The folder holds `checkpoint.pt` (to go on from), and when it is done `encoder.onnx`,
`encoder.yaml` and `training.json`: what it was trained on, how, how long, and how it did.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
import yaml

from asd_monitor import __version__
from asd_monitor.detector.durable import replace_durably, write_durably
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.features.card import CardView
from asd_monitor.features.encoder import Encoder
from asd_monitor.training.export import encoder_of
from asd_monitor.training.feed import Feed, Sources, held_out_pool
from asd_monitor.training.held_out import HeldOut
from asd_monitor.training.network import Network
from asd_monitor.training.pool import Supply
from asd_monitor.training.pretrain import Recipe, Trainee, steps

CHECKPOINT = "checkpoint.pt"
HELD_OUT_INSTANCES, HELD_OUT_BACKGROUNDS = 64, 12
TELL_EVERY, TRY_EVERY, KEEP_EVERY = 20, 200, 100  # steps

SHIPPED_VIEWS = (
    CardView(name="encoder", outputs=("maps1",), pool=("mean",), back_end="neighbour"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a training is."""

    step: int
    total: int
    loss: float
    sound_s_per_s: float  # seconds of sound learned from in a second
    areas: tuple[float, ...]  # AUC on what is held out, at each tapped layer; empty until tried


Tell = Callable[[Standing], None]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network and the way to it."""

    network: Network
    recipe: Recipe
    total: int
    seconds: float
    tried: tuple[tuple[int, tuple[float, ...]], ...]  # AUC on what is held out, by step


def pretrain(sources: Sources, recipe: Recipe, total: int, folder: Path, tell: Tell) -> Trained:
    """Train for so many steps, going on from the folder's checkpoint where there is one.

    Raises:
        UsageError: no sound to train on, or a checkpoint of another training.
        OperationError: the folder cannot be written, or the checkpoint not be read.

    """
    identity = _identity(sources, recipe, total)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    trainee = Trainee(recipe).to(device)
    state = _load(folder / CHECKPOINT, identity)
    begun, seconds, tried, optimiser_state = 0, 0.0, [], None
    if state is not None:
        trainee.load_state_dict(state["trainee"])
        begun, seconds, optimiser_state = state["step"], state["seconds"], state["optimiser"]
        tried = [(step, tuple(areas)) for step, areas in state["tried"]]
    trial = HeldOut(
        held_out_pool(_held_out(sources), HELD_OUT_INSTANCES, HELD_OUT_BACKGROUNDS), recipe.seed
    )
    if not tried:
        tried.append((0, tuple(trial.areas(trainee.network))))
    sound_s = recipe.instances * (recipe.normals + 2 * recipe.faults) * _mean(recipe.lengths) / 100
    clock, losses = time.monotonic(), []
    with Feed(sources) as feed:
        for step, loss, optimiser in steps(
            trainee, recipe, feed.pool_at, total, begun=begun, optimiser_state=optimiser_state
        ):
            done = step + 1
            losses.append(loss)
            now = time.monotonic()
            if done % TRY_EVERY == 0 or done == total:
                tried.append((done, tuple(trial.areas(trainee.network))))
            if done % TELL_EVERY == 0 or done == total:
                pace = sound_s * len(losses) / max(now - clock, 1e-9)
                tell(Standing(done, total, _mean(losses), pace, tried[-1][1]))
            if done % KEEP_EVERY == 0 or done == total:
                seconds += time.monotonic() - clock
                clock, losses = time.monotonic(), []
                _keep(
                    folder / CHECKPOINT,
                    {
                        "identity": identity,
                        "step": done,
                        "seconds": seconds,
                        "trainee": trainee.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "tried": [[at, list(areas)] for at, areas in tried],
                    },
                )
    trainee.network.cpu().eval()
    return Trained(trainee.network, recipe, total, seconds, tuple(tried))


def write(folder: Path, trained: Trained, sources: Sources, command: str) -> Encoder:
    """Write the encoder, its card and what is known of its training; return it.

    Raises:
        OperationError: the folder cannot be written, or the export went wrong.

    """
    encoder = encoder_of(trained.network, SHIPPED_VIEWS)
    parameters = sum(p.numel() for p in trained.network.parameters())
    facts = {
        "package": __version__,
        "command": command,
        "recipe": _plain(trained.recipe),
        "steps": trained.total,
        "seconds": round(trained.seconds),
        "machine": f"{os.cpu_count()} cores"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
        "torch": torch.__version__,
        "parameters": parameters,
        "multiply_adds_a_second": trained.network.multiply_adds(100),
        "sha256": encoder.sha256,
        "held_out_auc_by_layer": [[step, *map(_rounded, areas)] for step, areas in trained.tried],
        "sounds": _hashes(sources.sounds),
        "noises": _hashes(sources.noises),
    }
    with told(folder):
        write_durably(folder / "encoder.onnx", encoder.onnx)
        card = yaml.safe_dump(encoder.card.to_json(), sort_keys=False)
        write_durably(folder / "encoder.yaml", card.encode())
        write_durably(folder / "training.json", (json.dumps(facts, indent=1) + "\n").encode())
    return encoder


class told:  # noqa: N801 - a context, as in the standard library
    """Turns what the system says of a folder into a message."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Tell an OSError as an OperationError."""
        if isinstance(error, OSError):
            raise OperationError(
                f"{error.filename or self._folder}: cannot be written ({error.strerror}): choose "
                "another folder with --output, or free some space"
            ) from error


def _held_out(sources: Sources) -> Sources:
    """Return the same trial for every choice of supply and backgrounds, so that they compare."""
    return Sources(
        sources.seed,
        sources.sounds,
        sources.noises,
        Supply.BOTH if sources.sounds else Supply.MADE,
        0.5 if sources.noises else 0.0,
        held_out=True,
    )


def _identity(sources: Sources, recipe: Recipe, total: int) -> dict[str, Any]:
    return {
        "recipe": _plain(recipe),
        "steps": total,
        "supply": str(sources.supply),
        "recorded_backgrounds": sources.recorded_backgrounds,
        "sounds": hashlib.sha256("\n".join(p.name for p in sources.sounds).encode()).hexdigest(),
        "noises": hashlib.sha256("\n".join(p.name for p in sources.noises).encode()).hexdigest(),
    }


def _plain(recipe: Recipe) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return plain


def _load(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    mend = "choose another folder with --output, or delete it to begin anew"
    try:
        _see_that_it_is_whole(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(state["identity"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationError(f"{path}: cannot be read ({error.strerror}): {mend}") from error
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise OperationError(f"{path}: not a checkpoint, or a damaged one: {mend}") from error
    differing = sorted(key for key in identity if found.get(key) != identity[key])
    if differing:
        told_of = ", ".join(differing)
        raise UsageError(
            f"{path}: the checkpoint of another training ({told_of} differ): give the same "
            f"options as then, {mend}"
        )
    return state


def _see_that_it_is_whole(path: Path) -> None:
    with ZipFile(path) as archive:  # torch looks at no checksum
        if archive.testzip() is not None:
            raise BadZipFile


def _keep(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()  # writing to a full disk itself, torch raises no OSError
    torch.save(state, buffer)
    with told(path.parent):
        replace_durably(path, buffer.getvalue())


def _hashes(paths: Sequence[Path]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for path in _sorted(paths):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {"files": len(paths), "sha256": digest.hexdigest()}


def _sorted(paths: Sequence[Path]) -> Iterator[Path]:
    yield from sorted(paths, key=lambda path: path.name)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _rounded(number: float) -> float:
    return round(number, 4)
