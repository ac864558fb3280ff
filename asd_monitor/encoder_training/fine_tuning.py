"""Fine-tuning of an encoder on given machines, for `adaptation` and `outlier_exposure`.

Two losses are added at every tapped layer: the contrastive loss of the pretraining and, if
there are several machines, the angular margin loss that classifies them.  The augmentations are
those of the pretraining, but weaker: the machines are few, and each stays in its own
surroundings.  The heads are new and random; the network is frozen until they are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from asd_monitor.encoder_training.augmentation import AugmentationConfig
from asd_monitor.encoder_training.augmented_windows import augmented_windows, clip_level_db
from asd_monitor.encoder_training.log_mel_frames import LogMel
from asd_monitor.encoder_training.losses import AngularMarginLoss, supervised_contrastive_loss
from asd_monitor.encoder_training.network import EMBEDDING, Network, NetworkWithHeads
from asd_monitor.encoder_training.optimisation import cosine_schedule, gradient_step
from asd_monitor.encoder_training.sound_sources import Backgrounds, ClipLengths
from asd_monitor.model_training.training_progress import Progress

NO_MACHINE = -1
"""In place of a machine's number, for clips with a fault: not classified."""


@dataclass(frozen=True, slots=True)
class FineTuningConfig(AugmentationConfig):
    """Settings of the fine-tuning."""

    snr_db: tuple[float, float] = (6.0, 30.0)
    mixup: float = 0.1
    stretch_bands: float = 0.005
    stretch_time: float = 0.05
    steps: int = 200
    seed: int = 1
    learning_rate: float = 3e-4  # of the network
    head_learning_rate: float = 2e-3
    heads_only_share: float = 0.2  # share of the steps in which the network is frozen
    margin_weight: float = 1.0  # of the angular margin loss
    backgrounds: int = 8  # synthetic halls
    background_s: float = 20.0  # of each
    threads: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClips:
    """The clips of a batch; each label must occur an even number of times."""

    clips: Sequence[LogMel]
    labels: Sequence[int]  # of the contrastive loss
    machines: Sequence[int]  # class of the angular margin loss, from 0, or `NO_MACHINE`


class FineTunedNetwork(NetworkWithHeads):
    """The network with heads and, for two machines or more, an angular margin loss at each."""

    def __init__(self, network: Network, machines: int) -> None:
        super().__init__(network)
        margins = [AngularMarginLoss(EMBEDDING, machines) for _ in self.heads]
        self.margins = nn.ModuleList(margins if machines > 1 else [])


def fine_tune(
    network: Network,
    draw: Callable[[np.random.Generator], LabelledClips],
    machines: int,
    config: FineTuningConfig,
    *,
    progress: Progress,
    step_name: str,
) -> FineTunedNetwork:
    """Train a network further, in place; return it with its heads, in evaluation mode.

    Args:
        network: the network.
        draw: returns the clips of a batch; its result must depend on the generator alone.
        machines: number of classes of the angular margin loss.
        config: the settings.
        progress: called before each gradient step.
        step_name: what ``progress`` reports.

    """
    halls = Backgrounds(config.seed, (), lengths=ClipLengths(background=config.background_s))
    backgrounds = [halls.background(number) for number in range(config.backgrounds)]
    with isolated_torch(config.seed, config.threads):
        tuned = FineTunedNetwork(network, machines)
        frozen_steps = round(config.heads_only_share * config.steps)
        heads = [*tuned.heads.parameters(), *tuned.margins.parameters()]
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.0)
        optimiser.add_param_group({"params": heads})
        tuned.train()
        for step in range(config.steps):
            progress(step_name, step / config.steps)
            rng = np.random.default_rng((config.seed, 6, step))
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            share = cosine_schedule(step, config.steps)
            trains = step >= frozen_steps
            optimiser.param_groups[0]["lr"] = config.learning_rate * share * trains
            optimiser.param_groups[1]["lr"] = config.head_learning_rate * share
            batch = draw(rng)
            levels_db = [clip_level_db(clip) for clip in batch.clips]
            groups, order = augmented_windows(
                batch.clips, levels_db, config, backgrounds, rng=rng, generator=generator
            )
            loss = _loss(tuned, groups, order, batch, config.margin_weight)
            gradient_step(optimiser, tuned, loss)
    return tuned.eval()


@contextmanager
def isolated_torch(seed: int, threads: int) -> Iterator[None]:
    """Set torch's threads and random state within the context, and restore both after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def _loss(
    tuned: FineTunedNetwork,
    groups: Sequence[Tensor],
    order: Sequence[int],
    batch: LabelledClips,
    margin_weight: float,
) -> Tensor:
    labels = torch.tensor([batch.labels[row] for row in order])
    machines = torch.tensor([batch.machines[row] for row in order])
    embeddings = tuned.embed(groups)
    losses = [supervised_contrastive_loss(each, labels) for each in embeddings]
    classified = machines != NO_MACHINE
    losses += [
        margin_weight * margin(each[classified], machines[classified])
        for margin, each in zip(tuned.margins, embeddings, strict=False)
    ]
    return torch.stack(losses).sum() / len(embeddings)
