"""Data sets of a few short clips in every layout of DCASE Task 2.

The two domains differ in hum and level; faults are a modulated tone.
"""

from pathlib import Path

import numpy as np

from datasets.dcase_tree import DcaseTree
from tests.doubles.synthetic_sounds import Sound, machine_sound

TRAIN, TARGET_TRAIN, TEST = 4, 2, 2
CONDITION = {"source": "spd_24_hall_A", "target": "spd_31_hall_B"}


def small_tree(
    root: Path, layout: str, sections: tuple[int, ...] = (0,), types: tuple[str, ...] = ("fan",)
) -> Path:
    """Write a data set and return its folder.

    Each section has 4 training clips of 5 s (from 2021 on 2 more, of the target domain), and 2
    test clips of 3 s of each class and domain.
    """
    tree = DcaseTree(root, layout)
    for kind in types:
        for section in sections:
            seed = 1000 * section + 100 * types.index(kind)
            domains = ("source",) if layout == "2020" else ("source", "target")
            hidden = layout == "2024" or (layout == "2025" and kind == types[0])
            for number, domain in enumerate(domains):
                named = {"domain": domain, "condition": "" if hidden else CONDITION[domain]}
                for n in range(TRAIN - number * TARGET_TRAIN):
                    clip = _clip(5.0, domain, seed + n, layout)
                    tree.add(kind, "train", section, clip, **named)
                for n in range(TEST):
                    clip = _clip(3.0, domain, seed + 20 + n, layout, far_fault=1.0)
                    tree.add(kind, "test", section, clip, **named)
                    clip = _clip(3.0, domain, seed + 40 + n, layout, fault=1.0)
                    tree.add(kind, "test", section, clip, **named, fault="whine")
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
    far_fault: float = 0.0,
) -> Sound:
    """Return a clip; in 2026 with a second channel that has a fault of its own."""
    seed += 7 * (domain == "target")
    gain = 0.1 if domain == "source" else 0.08
    near = machine_sound(seconds, seed=seed, fault=fault, gain=gain)
    if layout != "2026":
        return near
    return np.stack([near, machine_sound(seconds, seed=seed + 500, fault=far_fault)], axis=1)
