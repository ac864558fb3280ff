"""What every section of the configuration file is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the file: frozen, without unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


# A check of one key against another belongs to the later of the two: it is then made whatever other
# errors the section has.  A key that is itself invalid is missing from `data`.
