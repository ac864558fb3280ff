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

from asd_monitor.encoder_training.batches import Ways, heard, loudness_db
from asd_monitor.encoder_training.losses import AngularMargin, contrastive
from asd_monitor.encoder_training.network import EMBEDDING, Headed, Network
from asd_monitor.encoder_training.optimisation import descend, slope
from asd_monitor.encoder_training.sound_supply import Backgrounds, LogMel
from asd_monitor.model_training.reference import Progress

FAULTY = -1  # the machine of a sound with something wrong: none
BACKGROUNDS = 8


@dataclass(frozen=True, slots=True)
class Tuning(Ways):
    """How far and how."""

    snr_db: tuple[float, float] = (6.0, 30.0)
    mixup: float = 0.1
    stretch_bands: float = 0.005
    stretch_time: float = 0.05
    steps: int = 200
    seed: int = 1
    rate: float = 3e-4  # of the network
    head_rate: float = 2e-3
    heads_first: float = 0.2  # share of the steps in which the network stands still
    margin: float = 1.0  # weight of telling the machines apart
    threads: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips to cut windows from; each label stands there an even number of times."""

    clips: Sequence[LogMel]
    labels: Sequence[int]  # alike or not
    machines: Sequence[int]  # from 0, or FAULTY


class Tuned(Headed):
    """The network with its heads and, where machines are told apart, their centres at each."""

    def __init__(self, network: Network, machines: int) -> None:
        super().__init__(network)
        margins = [AngularMargin(EMBEDDING, machines) for _ in self.heads]
        self.margins = nn.ModuleList(margins if machines > 1 else [])


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
            share = slope(step, tuning.steps)
            optimiser.param_groups[0]["lr"] = tuning.rate * share * (step >= still)
            optimiser.param_groups[1]["lr"] = tuning.head_rate * share
            batch = draw(rng)
            usual_db = [loudness_db(clip) for clip in batch.clips]
            groups, order = heard(
                batch.clips, usual_db, tuning, backgrounds, rng=rng, generator=generator
            )
            descend(optimiser, tuned, _loss(tuned, groups, order, batch, tuning.margin))
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
    tuned: Tuned, groups: Sequence[Tensor], order: Sequence[int], batch: Batch, weight: float
) -> Tensor:
    labels = torch.tensor([batch.labels[row] for row in order])
    machines = torch.tensor([batch.machines[row] for row in order])
    embeddings = tuned.embed(groups)
    losses = [contrastive(each, labels) for each in embeddings]
    well = machines != FAULTY
    losses += [
        weight * margin(each[well], machines[well])
        for margin, each in zip(tuned.margins, embeddings, strict=False)
    ]
    return torch.stack(losses).sum() / len(embeddings)
