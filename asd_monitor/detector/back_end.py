"""The interface of the back ends: one-class anomaly scores of feature vectors.

A back end is fitted once to the training vectors and is a set of float32 arrays afterwards,
which a bundle stores.  Back ends of several machines are evaluated in one call: that shares
the overhead of the numpy calls, and only products with large arrays run machine by machine.

Axes: m machines, q windows of each, d coordinates of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.spans import Spans

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BackEnd(ABC):
    """A fitted back end; its fields are float32 arrays."""

    kind: ClassVar[str]
    """Name in manifests and cards."""
    shapes: ClassVar[Mapping[str, tuple[str | int, ...]]]
    """Shape of each array: d coordinates of a vector, k any number of columns."""

    @classmethod
    @abstractmethod
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        """Fit to the training vectors.

        Args:
            reference: feature vectors of the training windows, (n, d), n ≥ 2.
            spans: position of each of these windows in the training recordings.

        """

    @classmethod
    @abstractmethod
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        """Return the anomaly scores of m machines' own vectors.

        Args:
            machines: a fitted back end for each machine, m in all.
            vectors: feature vectors, (m, q, d).

        Returns:
            Scores (m, q), ≥ 0, high is anomalous.

        """

    def score(self, vectors: Vectors) -> Vectors:
        """Return the anomaly scores (k,) of vectors (k, d)."""
        return np.asarray(type(self).score_each([self], vectors[None])[0])

    def arrays(self) -> dict[str, Vectors]:
        """Return the arrays that a bundle stores, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Vectors], coordinates: int) -> Self:
        """Return the back end with these arrays, for vectors of so many coordinates.

        Raises ValueError where an array is missing, unknown or of another shape.
        """
        names = [field.name for field in fields(cls)]
        if arrays.keys() != set(names):
            raise ValueError(f"the arrays {sorted(arrays)} in place of {sorted(names)}")
        sizes = {"d": coordinates, "d + 2": coordinates + 2}
        for name in names:
            found, expected = arrays[name].shape, cls.shapes[name]
            matches = len(found) == len(expected) and all(
                size == sizes.get(str(axis), size if axis == "k" else axis) and size > 0
                for size, axis in zip(found, expected, strict=True)
            )
            if not matches:
                raise ValueError(f"the array {name} of shape {found}, which does not fit")
        return cls(**arrays)

    @classmethod
    def in_single_precision(cls, *arrays: Floats) -> Self:
        """Return the back end with these arrays, in the order of its fields."""
        return cls(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def stack_rows(arrays: Sequence[Vectors]) -> Vectors:
    """Return m arrays (d,) as one (m, 1, d)."""
    joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return joined.reshape(len(arrays), 1, -1)


def products(vectors: Vectors, weights: Sequence[Vectors]) -> Vectors:
    """Return vectors (m, q, d) times the weights (d, k) of their machine: (m, q, largest k).

    Rows of machines with fewer columns are padded with zeros.
    """
    # `dot` takes a microsecond less than `@`, of the five of a product
    own = [rows.dot(each) for rows, each in zip(vectors, weights, strict=True)]
    if all(each.shape == own[0].shape for each in own):
        return np.concatenate(own).reshape(*vectors.shape[:2], -1)
    result = np.zeros((*vectors.shape[:2], max(each.shape[1] for each in own)), np.float32)
    for row, each in zip(result, own, strict=True):
        row[:, : each.shape[1]] = each
    return result


def root_mean_square(vectors: Vectors) -> Vectors:
    """Return the root mean square (m, q) over the coordinates of vectors (m, q, d)."""
    means = np.vecdot(vectors, vectors)
    means /= np.float32(vectors.shape[2])
    return np.asarray(np.sqrt(means, out=means))
