"""A training result, shared by all tests of the model training."""

from tests.doubles.trained_fan import fan_reference, fan_result, fan_training, short_result

__all__ = ["fan_reference", "fan_result", "fan_training", "short_result"]
