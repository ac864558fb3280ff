"""Fixtures that several folders share; this also puts their modules on the import path."""

pytest_plugins = ["mosquitto", "virtual_microphone"]
