"""Processor time of functions and sections, without what is timed within them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class CpuProfiler:
    """Sums the processor time of this thread by name; nested sections are not counted twice."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._active: list[str] = []
        self._since_s = 0.0

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time the context under a name."""
        self._switch()
        self._active.append(name)
        try:
            yield
        finally:
            self._switch()
            self._active.pop()

    @contextmanager
    def timing(
        self, owner: object, function: str, name_of: Callable[..., str | None]
    ) -> Iterator[None]:
        """Time the calls of a function of a module or class within the context.

        ``name_of`` returns the name for the arguments of a call, or None not to time it.
        """
        original = getattr(owner, function)

        def timed(*arguments: Any) -> Any:
            name = name_of(*arguments)
            if name is None:
                return original(*arguments)
            with self.section(name):
                return original(*arguments)

        setattr(owner, function, timed)
        try:
            yield
        finally:
            setattr(owner, function, original)

    def _switch(self) -> None:
        """Add the time since the last switch to the innermost section."""
        now_s = time.thread_time()
        if self._active:
            self.seconds[self._active[-1]] += now_s - self._since_s
        self._since_s = now_s
