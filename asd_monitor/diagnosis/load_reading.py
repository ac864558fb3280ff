"""Facts of processor, memory and limits."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Sequence
from pathlib import Path

from asd_monitor.daemon.capacity import estimate_capacity
from asd_monitor.detector.detector import Detector
from asd_monitor.diagnosis.load import Limits, LoadFacts
from asd_monitor.diagnosis.programs import output_of
from asd_monitor.encoders.session import EncoderError

_THROTTLED = {
    0: "the supply voltage is too low now",
    1: "the processor is slowed down now",
    2: "the processor is throttled now",
    16: "the supply voltage was too low since the start",
    18: "the processor was throttled since the start",
}
"""Bits of `vcgencmd get_throttled` of a Raspberry Pi."""
_UNLIMITED = 1 << 60
_MIN_CORES = 0.01


def read_load(
    detectors: Sequence[Detector], machines: int, *, pid: int | None, root: Path = Path("/")
) -> LoadFacts:
    """Read processor, memory and limits; takes as long as scoring some windows.

    Args:
        detectors: those in use.
        machines: how many are configured.
        pid: process of the daemon, whose limits are read; None: this one.
        root: below it are /proc and /sys.

    """
    capacity = None
    if detectors:
        try:
            capacity = estimate_capacity(detectors)
        except EncoderError:  # a finding of the model
            capacity = None
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE))
    return LoadFacts(
        machines=machines,
        capacity=capacity,
        cores=len(os.sched_getaffinity(0)),
        load=_number(_text(root / "proc/loadavg").partition(" ")[0]),
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
        or None,
        throttled=_throttled(root),
        memory_bytes=_kilobytes(memory.get("MemTotal")),
        available_bytes=_kilobytes(memory.get("MemAvailable")),
        limits=read_limits(pid, root),
    )


def read_limits(pid: int | None, root: Path = Path("/")) -> Limits:
    """Return the limits of a process; None: of this one."""
    cores, memory = _control_group(root, pid)
    if pid is None:
        return Limits(
            of="this process",
            cores=cores,
            memory_bytes=memory,
            address_space_bytes=_limited(resource.getrlimit(resource.RLIMIT_AS)[0]),
            descriptors=_limited(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        )
    text = _text(root / f"proc/{pid}/limits")
    return Limits(
        of=f"the daemon (process {pid})",
        cores=cores,
        memory_bytes=memory,
        address_space_bytes=_soft_limit(text, "Max address space"),
        descriptors=_soft_limit(text, "Max open files"),
    )


def _control_group(root: Path, pid: int | None) -> tuple[float | None, int | None]:
    """Return cores and memory that the control groups of a process permit, version 2."""
    line = re.search(r"^0::(/.*)$", _text(root / f"proc/{pid or 'self'}/cgroup"), re.MULTILINE)
    base = root / "sys/fs/cgroup"
    folder = base / (line[1].lstrip("/") if line else "")
    cores, memory = [], []
    for each in (folder, *folder.parents):
        quota = re.match(r"(\d+) (\d+)", _text(each / "cpu.max"))
        if quota:
            cores.append(max(_MIN_CORES, int(quota[1]) / int(quota[2])))
        if (limit := _text(each / "memory.max").strip()).isdecimal():
            memory.append(int(limit))
        if each == base:
            break
    return min(cores, default=None), min(memory, default=None)


def _throttled(root: Path) -> str | None:
    shown = output_of(["vcgencmd", "get_throttled"], 3.0) if root == Path("/") else None
    found = re.search(r"0x([0-9a-fA-F]+)", shown or "")
    if found:
        bits = int(found[1], 16)
        return next((text for bit, text in _THROTTLED.items() if bits >> bit & 1), None)
    for name in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        if _text(name).strip() == "rpi_volt" and _text(name.with_name("in0_lcrit_alarm")) == "1\n":
            return _THROTTLED[16]
    return None


def _soft_limit(limits: str, name: str) -> int | None:
    found = re.search(rf"^{name}\s+(\d+)", limits, re.MULTILINE)
    return int(found[1]) if found else None


def _limited(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY or value > _UNLIMITED else value


def _kilobytes(text: str | None) -> int | None:
    return None if text is None else int(text) * 1024


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
