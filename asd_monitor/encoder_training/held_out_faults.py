"""Validation during pretraining: detection of faults in held-out instances.

One recording of each instance is the reference, another one is normal, and some have a fault;
all have backgrounds.  The score of a window is its Euclidean distance to the nearest window of
the reference, after division by the standard deviation of each component over all windows.  The
result is the AUC at each tapped layer, averaged over the instances.
"""

from __future__ import annotations

import numpy as np
import torch

from asd_monitor.dsp.frames import Matrix
from asd_monitor.encoder_training.augmentation import add_background, uniform
from asd_monitor.encoder_training.augmented_windows import clip_level_db, random_crops
from asd_monitor.encoder_training.instance_pool import InstancePool
from asd_monitor.encoder_training.log_mel_frames import FRONT_END
from asd_monitor.encoder_training.network import Network, normalise, pooled_statistics
from asd_monitor.metrics import auc

WINDOW_FRAMES = FRONT_END.window_frames  # the windows that a detector scores
REFERENCE_WINDOWS, NORMAL_WINDOWS, FAULTY_WINDOWS = 8, 4, 4  # the last of each fault
SNR_DB = (0.0, 20.0)


class HeldOutValidation:
    """Windows of held-out instances, drawn once."""

    def __init__(self, pool: InstancePool, seed: int) -> None:
        rng = np.random.default_rng((seed, 5))
        generator = torch.Generator().manual_seed(seed)
        self._windows: list[torch.Tensor] = []
        self._anomalous: list[list[bool]] = []
        for instance in pool.instances:
            clips = [instance.reference[0]] * REFERENCE_WINDOWS
            clips += [instance.reference[1]] * NORMAL_WINDOWS
            clips += [fault for fault in instance.faults for _ in range(FAULTY_WINDOWS)]
            windows = random_crops(clips, WINDOW_FRAMES, rng)
            background = pool.backgrounds[int(rng.integers(len(pool.backgrounds)))]
            backgrounds = random_crops([background] * len(clips), WINDOW_FRAMES, rng)
            reference_level_db = torch.full((len(clips),), clip_level_db(instance.reference[0]))
            snr_db = uniform((1,), *SNR_DB, generator).expand(len(clips))
            self._windows.append(add_background(windows, backgrounds, snr_db, reference_level_db))
            faulty = FAULTY_WINDOWS * len(instance.faults)
            self._anomalous.append([False] * NORMAL_WINDOWS + [True] * faulty)

    def auc_by_layer(self, network: Network) -> list[float]:
        """Return the AUC at each tapped layer; the network is left in the mode it is in."""
        was_training = network.training
        network.eval()
        device = next(network.parameters()).device
        with torch.no_grad():
            maps = [
                [
                    pooled_statistics(frames).cpu().numpy()
                    for frames in network(normalise(windows.to(device)))
                ]
                for windows in self._windows
            ]
        network.train(was_training)
        return [
            self._auc([of_instance[layer] for of_instance in maps])
            for layer in range(len(network.taps))
        ]

    def _auc(self, vectors: list[Matrix]) -> float:
        """Return the AUC, given the vectors (windows, D) of each instance."""
        scale = np.concatenate(vectors).std(0) + 1e-6
        areas = []
        for each, anomalous in zip(vectors, self._anomalous, strict=True):
            reference, tested = np.split(each / scale, [REFERENCE_WINDOWS])
            distances = np.linalg.norm(tested[:, None] - reference[None], axis=2).min(1)
            areas.append(auc(anomalous, distances))
        return float(np.mean(areas))
