"""Small pools of synthetic machines to train an encoder on, rendered in this process."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from asd_monitor.encoder_training.batch_feed import ShardBuilder
from asd_monitor.encoder_training.instance_pool import InstancePool, TrainingSounds
from asd_monitor.encoder_training.pretraining_choices import SoundSource
from asd_monitor.encoder_training.sound_sources import ClipLengths

if TYPE_CHECKING:
    from asd_monitor.encoder_training.network import Layer
    from asd_monitor.encoder_training.optimisation import PretrainingConfig

INSTANCES = 6
LENGTHS = ClipLengths(reference=2.0, faulty=2.0, background=3.0)
SMALL: dict[str, Any] = {"instances": 3, "reference": 2, "faults": 1, "lengths": (31, 40)}
"""Settings for which these pools are large enough."""


def small_config(**changes: Any) -> "PretrainingConfig":
    """Return these settings with changes; needs torch."""
    from asd_monitor.encoder_training.optimisation import PretrainingConfig

    return PretrainingConfig(**(SMALL | changes))


def small_layers() -> "tuple[Layer, ...]":
    """Return the layers of a network of a third of the channels; needs torch."""
    from asd_monitor.encoder_training.network import LAYERS, Layer

    return tuple(Layer(each.kernel, each.stride, each.channels // 3) for each in LAYERS)


SYNTHETIC = TrainingSounds(3, (), (), SoundSource.SYNTHETIC, 0.0)


@cache
def synthetic_pool() -> InstancePool:
    """Six machines and two halls."""
    shard = ShardBuilder(SYNTHETIC, LENGTHS).shard(0, INSTANCES, 2)
    return InstancePool(shard.instances, shard.backgrounds)


@cache
def held_out_instances() -> InstancePool:
    """The last two of the machines."""
    return InstancePool(synthetic_pool().instances[-2:], synthetic_pool().backgrounds)


def pool_at(step: int) -> InstancePool:
    """Other machines at every step."""
    whole = synthetic_pool()
    first = step % (INSTANCES - SMALL["instances"])
    return InstancePool(whole.instances[first : first + SMALL["instances"]], whole.backgrounds)


@dataclass
class SyntheticFeed:
    """A `PoolFeed` of these pools, without a process."""

    sounds: TrainingSounds

    def close(self) -> None: ...

    def pool_at(self, step: int) -> InstancePool:
        return pool_at(step)
