"""Small pools of made machines to train an encoder on, made in this process."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from asd_monitor.encoder_training.batch_feed import Maker, Sources
from asd_monitor.encoder_training.pool import Pool, Supply

if TYPE_CHECKING:
    from asd_monitor.encoder_training.optimisation import Recipe

INSTANCES = 9
SMALL: dict[str, Any] = {"instances": 5, "reference": 2, "faults": 1, "lengths": (60, 80)}
"""What a recipe may have that these pools are enough for."""


def small_recipe(**changes: Any) -> "Recipe":
    """Return such a recipe; needs torch."""
    from asd_monitor.encoder_training.optimisation import Recipe

    return Recipe(**(SMALL | changes))


MADE = Sources(3, (), (), Supply.MADE, 0.0)


@cache
def synthetic_pool() -> Pool:
    """Nine machines in two halls."""
    chapter = Maker(MADE).chapter(0, INSTANCES, 2)
    return Pool(chapter.instances, chapter.backgrounds)


def pool_at(step: int) -> Pool:
    """Other machines at every step."""
    whole = synthetic_pool()
    first = step % (INSTANCES - SMALL["instances"])
    return Pool(whole.instances[first : first + SMALL["instances"]], whole.backgrounds)


@dataclass
class MadeFeed:
    """In the place of the feed."""

    sources: Sources

    def close(self) -> None: ...

    def pool_at(self, step: int) -> Pool:
        return pool_at(step)
