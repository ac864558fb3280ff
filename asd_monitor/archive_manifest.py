"""What the manifests of all archives have: the format, who wrote it, and the members."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class ManifestPart(BaseModel):
    """A part of a manifest; keys of later versions are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


class MemberEntry(ManifestPart):
    """One member of an archive."""

    name: Annotated[str, StringConstraints(max_length=300)]
    bytes: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class ArchiveManifest(ManifestPart):
    """The keys of each manifest; those of its kind, and ``members``, are in its subclass."""

    format: Literal[1]
    package: Annotated[str, StringConstraints(max_length=100)]
    """The version of asd-monitor that wrote it."""
