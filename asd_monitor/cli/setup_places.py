"""Where `setup` writes: for the service of a configuration, or for the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

from asd_monitor.cli.options import default_models_dir, default_state_dir
from asd_monitor.cli.setup_answers import Answers
from asd_monitor.guided_setup.service_unit import ServiceFolders, service_name

_NAME = "machines.yaml"


@dataclass(frozen=True, slots=True)
class SetupPlaces:
    """The configuration and the folders of one `setup`."""

    config: Path
    state: Path
    models: Path
    folders: ServiceFolders
    is_of_service: bool  # whether a service reads the configuration
    is_root: bool

    @property
    def instance(self) -> str:
        """The instance of the service that the configuration has or could have."""
        return self.config.stem

    @property
    def service(self) -> str:
        """Its name."""
        return service_name(self.instance)

    def recordings(self, machine: str) -> Path:
        """Return the folder of recordings where none is given."""
        return self.state / "recordings" / machine


def places_of(answers: Answers, folders: ServiceFolders, *, is_root: bool) -> SetupPlaces:
    """Return what options name, else what is usual for a service or for the user."""
    config = answers.config
    if config is None and is_root and folders.has_systemd:
        config = folders.configurations / _NAME
    elif config is None:
        config = Path(platformdirs.user_config_dir("asd-monitor")) / _NAME
    is_of_service = config.parent == folders.configurations
    state = folders.state(config.stem) if is_of_service else default_state_dir()
    state = answers.state or state
    models = state / "models" if is_of_service else default_models_dir()
    return SetupPlaces(config, state, answers.models or models, folders, is_of_service, is_root)
