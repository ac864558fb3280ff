"""Fixtures of the self-test."""

from tests.doubles.trained_fan import fan_reference, fan_result, fan_training

__all__ = ["fan_reference", "fan_result", "fan_training"]
