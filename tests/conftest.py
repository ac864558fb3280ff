"""Fixtures that several folders share; this also puts their modules on the import path."""

from hypothesis import settings

pytest_plugins = ["mosquitto", "virtual_microphone", "command_line"]

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
