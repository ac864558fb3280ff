"""Checks of processor, memory and limits: whether they suffice for the machines; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asd_monitor.diagnosis.findings import Area, Check, Finding
from asd_monitor.wording import count

BASE_BYTES, MACHINE_BYTES = 150_000_000, 15_000_000
"""Memory of the daemon, and of each machine with its sound of a minute (docs/method/speed.md)."""
REFIT_BYTES = 300_000_000
"""That of a refit, one at a time."""
BASE_DESCRIPTORS, MACHINE_DESCRIPTORS = 64, 8
"""Open files of the daemon, and of each machine with its capture process."""
_ONE_CORE = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a process; None: there is none."""

    of: str  # whose they are
    cores: float | None = None  # that it may use in the mean
    memory_bytes: int | None = None
    address_space_bytes: int | None = None
    descriptors: int | None = None


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """Processor, memory and limits."""

    machines: int
    capacity: int | None  # machines that one core can monitor; None: not measured
    cores: int
    load: float | None  # mean number of running tasks in the last minute
    governor: str | None  # of the processor's frequency
    throttled: str | None  # why the processor is or was slowed down
    memory_bytes: int | None  # of the computer
    available_bytes: int | None
    limits: Limits


def check_load(facts: LoadFacts) -> Iterator[Finding]:
    """Yield the findings."""
    yield from _capacity(facts)
    yield from _processor(facts)
    yield from _memory(facts)
    yield from _descriptors(facts)


def _capacity(facts: LoadFacts) -> Iterator[Finding]:
    check = Check(Area.LOAD, "capacity", "this computer")
    if facts.capacity is None:
        yield check.not_checked("there is no model to measure with", "train a model first")
        return
    # one interpreter uses one core
    share = min(_ONE_CORE, facts.limits.cores or _ONE_CORE)
    capacity = max(1, int(facts.capacity * share))
    what = f"{count(facts.machines, 'machine')} of about {capacity} that it can monitor"
    if facts.machines > capacity:
        yield check.failed(
            what, "raise hop_s, monitor some machines on another box, or raise the processor limit"
        )
    elif facts.machines > 0.8 * capacity:
        yield check.warning(what, "expect skipped windows under other load; raise hop_s")
    else:
        yield check.ok(what)


def _processor(facts: LoadFacts) -> Iterator[Finding]:
    check = Check(Area.LOAD, "processor", "this computer")
    limit = facts.limits.cores
    if limit is not None and limit < 0.5:
        yield check.warning(
            f"{facts.limits.of} may use {limit:g} of a core",
            "raise CPUQuota= of the unit, or the processor limit of the container",
        )
    elif facts.load is not None and facts.load > 2 * facts.cores:
        yield check.warning(
            f"other programs load it: {facts.load:.1f} tasks run on {count(facts.cores, 'core')}",
            "end them, or move them to another computer (`top`)",
        )
    elif facts.governor == "powersave":
        yield check.warning(
            "the frequency governor is powersave: the processor may stay slow",
            "choose `schedutil` or `performance`: "
            "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    else:
        yield check.ok(count(facts.cores, "core"))
    check = Check(Area.LOAD, "power", "this computer")
    if facts.throttled is not None:
        yield check.warning(
            facts.throttled, "use the power supply and cable of the maker, and cool the computer"
        )
    else:
        yield check.ok("no under-voltage or throttling was seen")


def _memory(facts: LoadFacts) -> Iterator[Finding]:
    needed = BASE_BYTES + facts.machines * MACHINE_BYTES
    limits = facts.limits
    bounds = {
        f"the memory limit of {limits.of}": limits.memory_bytes,
        f"the address space of {limits.of}": limits.address_space_bytes,
        "the memory of this computer": facts.memory_bytes,
        "the memory that is available now": facts.available_bytes,
    }
    check = Check(Area.LOAD, "memory", "this computer")
    known = {name: bound for name, bound in bounds.items() if bound is not None}
    if not known:
        yield check.not_checked("its memory is unknown")
        return
    name = min(known, key=lambda each: known[each])
    what = (
        f"{name} is {known[name] / 1e6:.0f} MB; the daemon needs about {needed / 1e6:.0f} MB, and "
        f"{REFIT_BYTES / 1e6:.0f} MB more during a refit"
    )
    remedy = "raise MemoryMax= of the unit or the limit, or end other programs"
    if known[name] < needed:
        yield check.failed(what, remedy)
    elif known[name] < needed + REFIT_BYTES:
        yield check.warning(what, remedy)
    else:
        yield check.ok(f"{name} is {known[name] / 1e6:.0f} MB")


def _descriptors(facts: LoadFacts) -> Iterator[Finding]:
    needed = BASE_DESCRIPTORS + facts.machines * MACHINE_DESCRIPTORS
    check = Check(Area.LOAD, "descriptors", facts.limits.of)
    limit = facts.limits.descriptors
    if limit is not None and limit < needed:
        yield check.failed(
            f"{limit} open files are permitted, and {count(facts.machines, 'machine')} may need "
            f"{needed}",
            "raise LimitNOFILE= of the unit, or `ulimit -n`",
        )
    else:
        yield check.ok("no limit" if limit is None else f"{limit} open files are permitted")
