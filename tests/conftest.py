"""Fixtures that the tests of several areas share."""

from hypothesis import settings

pytest_plugins = [
    "tests.doubles.mosquitto",
    "tests.doubles.virtual_microphone",
    "tests.doubles.command_line",
]

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
