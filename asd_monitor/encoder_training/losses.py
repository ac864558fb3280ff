"""Loss functions.

- `supervised_contrastive_loss`: Khosla et al., "Supervised contrastive learning", arXiv
  2004.11362, eq. 2, with the negatives of the batch.
- `AngularMarginLoss`: classification by angles with an additive margin; Deng et al., "ArcFace",
  arXiv 1801.07698, eq. 3.  With machines as classes it is outlier exposure as in DCASE 2020
  Task 2: Koizumi et al., arXiv 2006.05822.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

TEMPERATURE = 0.1
MARGIN, SCALE = 0.3, 20.0
_EXCLUDED = -1e4  # a logit whose exponential is zero


def supervised_contrastive_loss(
    embeddings: Tensor, labels: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Return the mean loss over the windows with a positive in the batch; 0 where there is none.

    ``embeddings`` (B, D) have unit length; ``labels`` (B,) are integers.  Windows of the same
    label are positives.
    """
    same = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positives = (labels[:, None] == labels) & ~same
    logits = (embeddings @ embeddings.T / temperature).masked_fill(same, _EXCLUDED)
    log_probability = logits - logits.logsumexp(1, keepdim=True)
    count = positives.sum(1)
    has_positive = count > 0
    if not has_positive.any():
        return embeddings.sum() * 0.0
    sums = (log_probability * positives).sum(1)
    return -(sums[has_positive] / count[has_positive]).mean()


class AngularMarginLoss(nn.Module):
    """Embeddings of unit length (B, D) and classes (B,) → loss; the class centres are trained."""

    def __init__(
        self, width: int, classes: int, margin: float = MARGIN, scale: float = SCALE
    ) -> None:
        """Create centres for embeddings of this width; ``margin`` is in radians."""
        super().__init__()
        self.margin, self.scale = margin, scale
        self.centres = nn.Parameter(torch.empty(classes, width))
        nn.init.xavier_uniform_(self.centres)

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Return the cosines of the angles to the class centres, (B, classes)."""
        return embeddings @ nn.functional.normalize(self.centres, dim=1).T

    @override
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosines = self.cosines(embeddings).clamp(-1 + 1e-6, 1 - 1e-6)
        own = nn.functional.one_hot(labels, cosines.shape[1]).bool()
        with_margin = torch.cos(torch.acos(cosines) + self.margin)
        logits = self.scale * torch.where(own, with_margin, cosines)
        return nn.functional.cross_entropy(logits, labels)
