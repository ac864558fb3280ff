"""Trees of a few short clips in every layout: two domains that sound unlike, faults that whine."""

from pathlib import Path

import numpy as np

from datasets.dcase_tree import Tree
from tests.doubles.synthetic_sounds import Sound, machine_sound

TRAIN, TARGET_TRAIN, TEST = 4, 2, 2
CONDITION = {"source": "spd_24_hall_A", "target": "spd_31_hall_B"}


def small_tree(
    root: Path, layout: str, sections: tuple[int, ...] = (0,), types: tuple[str, ...] = ("fan",)
) -> Path:
    """Write a tree; of each section 4 train clips (2 of the target), 2 test clips a class and
    domain.  Clips of 5 and 3 s."""
    tree = Tree(root, layout)
    for kind in types:
        for section in sections:
            seed = 1000 * section + 100 * types.index(kind)
            domains = ("source",) if layout == "2020" else ("source", "target")
            hidden = layout == "2024" or (layout == "2025" and kind == types[0])
            for at, domain in enumerate(domains):
                told = {"domain": domain, "condition": "" if hidden else CONDITION[domain]}
                for n in range(TRAIN - at * TARGET_TRAIN):
                    clip = _clip(5.0, domain, seed + n, layout)
                    tree.add(kind, "train", section, clip, **told)
                for n in range(TEST):
                    clip = _clip(3.0, domain, seed + 20 + n, layout, far=1.0)
                    tree.add(kind, "test", section, clip, **told)
                    clip = _clip(3.0, domain, seed + 40 + n, layout, fault=1.0)
                    tree.add(kind, "test", section, clip, **told, fault="whine")
            if layout >= "2025":
                clip = _clip(3.0, "source", seed + 60, layout)
                tree.add_supplemental(kind, section, clip, "machine")
    tree.close()
    return root


def _clip(
    seconds: float,
    domain: str,
    seed: int,
    layout: str,
    *,
    fault: float = 0.0,
    far: float = 0.0,
) -> Sound:
    """Return a clip; in 2026 with a second channel that whines for itself (``far``)."""
    seed += 7 * (domain == "target")
    gain = 0.1 if domain == "source" else 0.08
    near = machine_sound(seconds, seed=seed, fault=fault, gain=gain)
    if layout != "2026":
        return near
    return np.stack([near, machine_sound(seconds, seed=seed + 500, fault=far)], axis=1)
