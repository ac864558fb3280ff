"""Trains an encoder further, on the sound of certain machines; what adapting and `ids` share.

What shall sound alike is told from all else by the contrastive loss, and where there are
several machines these from each other by angles with a margin, at every tapped layer.  The
augmentations are those of the first training, but weaker: few machines are to be learned here,
and each in its own hall.  Heads begin anew, so that the network stands still until they have
learned something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from asd_monitor.training.augment import (
    log_mixup_exp,
    loudness,
    random_resize_crop,
    uniform,
    with_background,
)
from asd_monitor.training.losses import AngularMargin, contrastive
from asd_monitor.training.network import BANDS, EMBEDDING, Head, Network, pooled
from asd_monitor.training.pretrain import cut, normalised
from asd_monitor.training.recordings import Progress
from asd_monitor.training.supply import Backgrounds, LogMel

FAULTY = -1  # the machine of a sound with something wrong: none
BACKGROUNDS = 8


@dataclass(frozen=True, slots=True)
class Tuning:
    """How far and how."""

    steps: int = 200
    seed: int = 1
    rate: float = 3e-4  # of the network
    head_rate: float = 2e-3
    heads_first: float = 0.2  # share of the steps in which the network stands still
    lengths: tuple[int, ...] = (100, 150, 200, 300)  # steps of a window, 10 ms each
    snr_db: tuple[float, float] = (6.0, 30.0)
    mixup: float = 0.1  # most energy of another window that is mixed in, as a share
    stretch_bands: float = 0.005
    stretch_time: float = 0.05
    margin: float = 1.0  # weight of telling the machines apart
    threads: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips to cut windows from; each label stands there an even number of times."""

    clips: Sequence[LogMel]
    labels: Sequence[int]  # alike or not
    machines: Sequence[int]  # from 0, or FAULTY


class Tuned(nn.Module):
    """The network with a head, and where machines are told apart their centres, at each tap."""

    def __init__(self, network: Network, machines: int) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            maps = network.eval()(torch.zeros(1, 100, BANDS))
        heads = [Head(3 * frames.shape[2]) for frames in maps]
        self.heads = nn.ModuleList(heads)
        margins = [AngularMargin(EMBEDDING, machines) for _ in heads]
        self.margins = nn.ModuleList(margins if machines > 1 else [])

    def embed(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """Return the embeddings (B, 128) at each tap of windows (b, T, F) of several lengths."""
        maps = [self.network(normalised(group)) for group in groups]
        return [
            head(torch.cat([pooled(frames) for frames in of_tap]))
            for head, of_tap in zip(self.heads, zip(*maps, strict=True), strict=True)
        ]


def tune(
    network: Network,
    draw: Callable[[np.random.Generator], Batch],
    machines: int,
    tuning: Tuning,
    *,
    progress: Progress,
    what: str,
) -> Tuned:
    """Train a network further, in place, and return it with its heads, ready to be used.

    What is drawn depends on the seed and the step alone.
    """
    halls = Backgrounds(tuning.seed, ())
    backgrounds = [halls.background(number) for number in range(BACKGROUNDS)]
    with one_of_its_own(tuning.seed, tuning.threads):
        tuned = Tuned(network, machines)
        still = round(tuning.heads_first * tuning.steps)
        of_heads = [*tuned.heads.parameters(), *tuned.margins.parameters()]
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.0)
        optimiser.add_param_group({"params": of_heads})
        tuned.train()
        for step in range(tuning.steps):
            progress(what, step / tuning.steps)
            rng = np.random.default_rng((tuning.seed, 6, step))
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            slope = 0.02 + 0.49 * (1 + np.cos(np.pi * step / tuning.steps))
            optimiser.param_groups[0]["lr"] = tuning.rate * slope * (step >= still)
            optimiser.param_groups[1]["lr"] = tuning.head_rate * slope
            loss = _loss(
                tuned,
                draw(rng),
                backgrounds=backgrounds,
                tuning=tuning,
                rng=rng,
                generator=generator,
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(tuned.parameters(), 5.0)
            optimiser.step()
    return tuned.eval()


@contextmanager
def one_of_its_own(seed: int, threads: int) -> Iterator[None]:
    """Give torch so many threads and a seed, and leave it as it was found."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def _loss(
    tuned: Tuned,
    batch: Batch,
    *,
    backgrounds: Sequence[LogMel],
    tuning: Tuning,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    lengths = rng.choice(tuning.lengths, 2)  # the windows of a label by turns: segmentation
    groups, order = [], []
    for turn, steps in enumerate(lengths.tolist()):
        rows = range(turn, len(batch.clips), 2)
        order += list(rows)
        clips = [batch.clips[row] for row in rows]
        groups.append(
            _windows(
                clips,
                steps,
                backgrounds=backgrounds,
                tuning=tuning,
                rng=rng,
                generator=generator,
            )
        )
    labels = torch.tensor([batch.labels[row] for row in order])
    machines = torch.tensor([batch.machines[row] for row in order])
    embeddings = tuned.embed(groups)
    losses = [contrastive(each, labels) for each in embeddings]
    well = machines != FAULTY
    losses += [
        tuning.margin * margin(each[well], machines[well])
        for margin, each in zip(tuned.margins, embeddings, strict=False)
    ]
    return torch.stack(losses).sum() / len(embeddings)


def _windows(
    clips: Sequence[LogMel],
    steps: int,
    *,
    backgrounds: Sequence[LogMel],
    tuning: Tuning,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    """Cut a window from each clip, in a hall, a little bent: (B, steps, F)."""
    reach = int(np.ceil(steps * (1.0 + tuning.stretch_time))) + 1
    x = torch.from_numpy(np.stack([_cut(clip, reach, rng) for clip in clips])).float()
    behind = rng.integers(len(backgrounds), size=len(clips)).tolist()
    z = torch.from_numpy(np.stack([_cut(backgrounds[k], reach, rng) for k in behind])).float()
    snr_db = uniform((len(clips),), *tuning.snr_db, generator)
    x = with_background(x, z, snr_db, loudness(x))
    other = x[torch.randperm(len(x), generator=generator)]
    share = uniform((len(x),), 0.0, tuning.mixup, generator).clamp_min(1e-3)
    x = log_mixup_exp(x, other, loudness(x) - loudness(other) + 10.0 * share.log10())
    return random_resize_crop(x, steps, generator, tuning.stretch_bands, tuning.stretch_time)


def _cut(clip: LogMel, steps: int, rng: np.random.Generator) -> LogMel:
    """Cut so many steps from anywhere; a shorter clip goes round."""
    if len(clip) < steps:
        clip = np.tile(clip, (-(-steps // len(clip)), 1))
    return cut(clip, steps, rng)
