"""Fixtures that several folders share; this also puts their modules on the import path."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks, datasets, experiments

pytest_plugins = ["doubles.mosquitto", "doubles.virtual_microphone", "doubles.command_line"]

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
