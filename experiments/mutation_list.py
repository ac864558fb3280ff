"""The mutations of `experiments.mutations`: small errors that the tests must detect."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """A replacement of one piece of text in one file."""

    name: str
    file: str  # from the root of the repository
    old: str  # occurs exactly once in the file
    new: str
    area: str  # folder or file below tests/ whose fast tests must fail


MUTATIONS: tuple[Mutation, ...] = ()
