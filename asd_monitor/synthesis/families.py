"""Families of machines: the ranges from which the parts of a fan, a pump, … are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from asd_monitor.synthesis.machine_spec import (
    Actuation,
    Flow,
    Hum,
    Impacts,
    LoadCycle,
    MachineSpec,
    OperatingCondition,
    Room,
    SpectralPeak,
    Tones,
)
from asd_monitor.synthesis.modal import draw_modes


def draw_machine(family: str, rng: np.random.Generator) -> MachineSpec:
    """Draw one machine of a family.

    Raises:
        ValueError: the family is not one of `FAMILIES`.

    """
    if family not in _DRAW:
        raise ValueError(f"no family {family!r}; there are {', '.join(FAMILIES)}")
    return _DRAW[family](rng)


def _base_machine(family: str, speed_hz: float, rng: np.random.Generator) -> MachineSpec:
    """Draw what every machine has: operating conditions, a microphone and a room."""
    conditions = [OperatingCondition(1.0, 1.0)]
    if rng.uniform() < 0.4:
        conditions.append(
            OperatingCondition(float(rng.uniform(0.8, 0.95)), float(rng.uniform(0.6, 0.9)))
        )
    return MachineSpec(
        family=family,
        seed=int(rng.integers(2**31)),
        speed_hz=speed_hz,
        speed_fluctuation=float(np.exp(rng.uniform(np.log(0.0005), np.log(0.004)))),
        conditions=tuple(conditions),
        level_dbfs=float(rng.uniform(-38.0, -18.0)),
        microphone_noise_dbfs=float(rng.uniform(-78.0, -64.0)),
        room=Room(
            decay_s=float(rng.uniform(0.015, 0.09)),
            wet=float(rng.uniform(0.2, 1.2)),
            low_cut_hz=float(rng.uniform(20.0, 90.0)),
            high_cut_hz=float(rng.uniform(3500.0, 9000.0)),
        ),
    )


def _harmonics(count: int, roll_off: float, rng: np.random.Generator, step: int = 1) -> Tones:
    """Return the first `count` multiples of order `step`, of amplitude number^−`roll_off`."""
    orders = tuple(step * number for number in range(1, count + 1))
    amplitudes = [
        number**-roll_off * float(np.exp(rng.normal(0.0, 0.6))) for number in range(1, count + 1)
    ]
    return Tones(orders, tuple(amplitudes), 1.0)


def _with_level(tones: Tones, level: float, rng: np.random.Generator) -> Tones:
    return replace(tones, level=level, fluctuation_db=float(rng.uniform(0.3, 1.2)))


def _mesh(teeth: int, ratio: float, level: float, rng: np.random.Generator) -> Tones:
    """Return gear mesh: harmonics of the tooth count, each with sidebands at the shaft's speed."""
    orders: list[int] = []
    amplitudes: list[float] = []
    for harmonic in range(1, 5):
        carrier = harmonic**-1.2 * float(np.exp(rng.normal(0.0, 0.5)))
        for side in range(-3, 4):
            orders.append(harmonic * teeth + side)
            depth = 1.0 if side == 0 else 0.25 ** abs(side) * float(np.exp(rng.normal(0.0, 0.4)))
            amplitudes.append(carrier * depth)
    return Tones(
        tuple(orders), tuple(amplitudes), level, ratio, float(rng.uniform(0.4, 1.2)), mesh=True
    )


def _peaks(
    count: int, low_hz: float, high_hz: float, rng: np.random.Generator
) -> tuple[SpectralPeak, ...]:
    return tuple(
        SpectralPeak(
            float(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz)))),
            float(rng.uniform(0.08, 0.4)),
            float(rng.uniform(4.0, 16.0)),
        )
        for _ in range(count)
    )


def _hum(level: float, rng: np.random.Generator) -> Hum:
    amplitudes = [float(np.exp(rng.normal(0.0, 0.5))) / number**0.7 for number in range(1, 9)]
    # magnetic forces follow the square of the current: even harmonics prevail
    amplitudes[0::2] = [0.3 * amplitude for amplitude in amplitudes[0::2]]
    return Hum(50.0, level, tuple(amplitudes))


def _fan(rng: np.random.Generator) -> MachineSpec:
    blades = int(rng.integers(5, 12))
    return replace(
        _base_machine("fan", float(rng.uniform(14.0, 58.0)), rng),
        tones=(
            _with_level(_harmonics(8, 1.0, rng), float(rng.uniform(0.1, 0.4)), rng),
            _with_level(_harmonics(6, 1.2, rng, blades), float(rng.uniform(0.2, 0.7)), rng),
        ),
        flow=Flow(
            level=float(rng.uniform(0.5, 1.0)),
            tilt_db=float(rng.uniform(-16.0, -6.0)),
            peaks=_peaks(4, 120.0, 4000.0, rng),
            pass_order=float(blades),
            pass_depth=float(rng.uniform(0.05, 0.3)),
            fluctuation_db=float(rng.uniform(0.3, 1.0)),
        ),
        hum=_hum(float(rng.uniform(0.05, 0.3)), rng),
    )


def _pump(rng: np.random.Generator) -> MachineSpec:
    vanes = int(rng.integers(3, 8))
    return replace(
        _base_machine(
            "pump", float(rng.choice([16.2, 24.3, 29.1, 48.5]) * rng.uniform(0.98, 1.0)), rng
        ),
        tones=(
            _with_level(_harmonics(12, 0.7, rng), float(rng.uniform(0.3, 0.7)), rng),
            _with_level(_harmonics(5, 0.9, rng, vanes), float(rng.uniform(0.3, 0.8)), rng),
        ),
        flow=Flow(
            level=float(rng.uniform(0.3, 0.8)),
            tilt_db=float(rng.uniform(-12.0, 2.0)),
            peaks=_peaks(3, 300.0, 6000.0, rng),
            pass_order=float(vanes),
            pass_depth=float(rng.uniform(0.2, 0.6)),
            fluctuation_db=float(rng.uniform(0.3, 1.0)),
        ),
        impacts=(
            Impacts(
                order=float(rng.uniform(3.1, 5.4)),
                level=float(rng.uniform(0.02, 0.15)),
                jitter=0.05,
                spread_db=3.0,
                modes=draw_modes(800.0, 5000.0, 5, rng, (0.001, 0.008)),
            ),
        ),
        hum=_hum(float(rng.uniform(0.1, 0.5)), rng),
    )


def _gearbox(rng: np.random.Generator) -> MachineSpec:
    first, second = int(rng.integers(17, 32)), int(rng.integers(13, 41))
    ratio = float(first / rng.integers(35, 72))
    return replace(
        _base_machine("gearbox", float(rng.uniform(12.0, 35.0)), rng),
        tones=(
            _with_level(_harmonics(6, 0.8, rng), float(rng.uniform(0.1, 0.4)), rng),
            _mesh(first, 1.0, float(rng.uniform(0.5, 1.0)), rng),
            _mesh(second, ratio, float(rng.uniform(0.2, 0.6)), rng),
        ),
        flow=Flow(
            level=float(rng.uniform(0.2, 0.6)),
            tilt_db=float(rng.uniform(-10.0, -2.0)),
            peaks=_peaks(5, 200.0, 5000.0, rng),
            pass_order=1.0,
            pass_depth=float(rng.uniform(0.05, 0.2)),
            fluctuation_db=0.5,
        ),
        hum=_hum(float(rng.uniform(0.05, 0.3)), rng),
    )


def _slider(rng: np.random.Generator) -> MachineSpec:
    strokes = int(rng.integers(1, 4))
    pattern = np.sort(rng.uniform(0.0, 0.9, strokes)) if strokes > 1 else np.zeros(1)
    return replace(
        _base_machine("slider", float(rng.uniform(8.0, 30.0)), rng),
        actuation=Actuation(
            period_s=float(rng.uniform(0.9, 2.2) * strokes**0.7),
            pattern=tuple(float(part) for part in pattern),
            jitter_s=float(rng.uniform(0.004, 0.02)),
            stroke_s=float(rng.uniform(0.25, 0.6)),
            slide_level=float(rng.uniform(0.5, 1.0)),
            slide_peaks=_peaks(5, 300.0, 5000.0, rng),
            whine_hz=float(rng.uniform(250.0, 2200.0)),
            whine_level=float(rng.uniform(0.05, 0.5)),
            impact_level=float(rng.uniform(0.3, 0.9)),
            end_impact_ratio=float(rng.uniform(0.3, 1.2)),
            modes=draw_modes(150.0, 4500.0, 9, rng, (0.003, 0.04)),
        ),
        hum=_hum(float(rng.uniform(0.05, 0.2)), rng),
    )


def _valve(rng: np.random.Generator) -> MachineSpec:
    clicks = int(rng.integers(1, 5))
    pattern = np.sort(rng.uniform(0.0, 0.9, clicks)) if clicks > 1 else np.zeros(1)
    return replace(
        _base_machine("valve", float(rng.uniform(20.0, 60.0)), rng),
        actuation=Actuation(
            period_s=float(rng.uniform(0.6, 1.5) * clicks**0.7),
            pattern=tuple(float(part) for part in pattern),
            jitter_s=float(rng.uniform(0.002, 0.012)),
            stroke_s=float(rng.uniform(0.05, 0.2)),
            slide_level=float(rng.uniform(0.2, 0.8)),
            slide_peaks=_peaks(3, 1500.0, 6500.0, rng),
            whine_hz=0.0,
            whine_level=0.0,
            impact_level=float(rng.uniform(0.6, 1.2)),
            end_impact_ratio=float(rng.uniform(0.2, 1.0)),
            modes=draw_modes(300.0, 6500.0, 8, rng, (0.001, 0.012)),
        ),
        flow=Flow(
            level=float(rng.uniform(0.05, 0.3)),
            tilt_db=float(rng.uniform(-8.0, 2.0)),
            peaks=_peaks(2, 800.0, 5000.0, rng),
        ),
        hum=_hum(float(rng.uniform(0.05, 0.2)), rng),
    )


def _compressor(rng: np.random.Generator) -> MachineSpec:
    cylinders = int(rng.integers(1, 4))
    return replace(
        _base_machine("compressor", float(rng.uniform(11.0, 25.0)), rng),
        tones=(_with_level(_harmonics(24, 0.6, rng), float(rng.uniform(0.4, 0.8)), rng),),
        flow=Flow(
            level=float(rng.uniform(0.3, 0.8)),
            tilt_db=float(rng.uniform(-12.0, -2.0)),
            peaks=_peaks(4, 100.0, 3000.0, rng),
            pass_order=float(cylinders),
            pass_depth=float(rng.uniform(0.4, 0.8)),
            fluctuation_db=0.6,
        ),
        impacts=(
            Impacts(
                order=float(2 * cylinders),
                level=float(rng.uniform(0.4, 0.9)),
                jitter=0.02,
                spread_db=1.5,
                modes=draw_modes(80.0, 3500.0, 10, rng, (0.004, 0.04)),
            ),
        ),
        hum=_hum(float(rng.uniform(0.1, 0.4)), rng),
        load_cycle=LoadCycle(float(rng.uniform(15.0, 40.0)), float(rng.uniform(6.0, 20.0)), -9.0)
        if rng.uniform() < 0.4
        else None,
    )


def _conveyor(rng: np.random.Generator) -> MachineSpec:
    rollers = int(rng.integers(2, 7))
    return replace(
        _base_machine("conveyor", float(rng.uniform(3.0, 9.0)), rng),
        tones=(_mesh(int(rng.integers(20, 40)), 4.0, float(rng.uniform(0.2, 0.6)), rng),),
        flow=Flow(
            level=float(rng.uniform(0.5, 1.0)),
            tilt_db=float(rng.uniform(-14.0, -6.0)),
            peaks=_peaks(5, 100.0, 3000.0, rng),
            pass_order=float(rollers),
            pass_depth=float(rng.uniform(0.1, 0.5)),
            fluctuation_db=1.0,
        ),
        impacts=(
            Impacts(
                order=float(rollers),
                level=float(rng.uniform(0.2, 0.7)),
                jitter=0.08,
                spread_db=3.0,
                modes=draw_modes(60.0, 2500.0, 9, rng, (0.004, 0.03)),
            ),
        ),
        hum=_hum(float(rng.uniform(0.05, 0.3)), rng),
    )


def _motor(rng: np.random.Generator) -> MachineSpec:
    poles = int(rng.choice([6, 7, 12, 14]))
    return replace(
        _base_machine("motor", float(rng.uniform(40.0, 140.0)), rng),
        tones=(
            _with_level(_harmonics(10, 0.9, rng), float(rng.uniform(0.3, 0.8)), rng),
            _with_level(_harmonics(5, 0.7, rng, poles), float(rng.uniform(0.4, 0.9)), rng),
        ),
        flow=Flow(
            level=float(rng.uniform(0.2, 0.7)),
            tilt_db=float(rng.uniform(-8.0, 0.0)),
            peaks=_peaks(4, 300.0, 6000.0, rng),
            pass_order=2.0,
            pass_depth=float(rng.uniform(0.05, 0.3)),
            fluctuation_db=0.6,
        ),
    )


_DRAW: dict[str, Callable[[np.random.Generator], MachineSpec]] = {
    "fan": _fan,
    "pump": _pump,
    "gearbox": _gearbox,
    "slider": _slider,
    "valve": _valve,
    "compressor": _compressor,
    "conveyor": _conveyor,
    "motor": _motor,
}
FAMILIES = tuple(_DRAW)
