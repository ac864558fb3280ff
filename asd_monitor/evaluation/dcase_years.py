"""The years of DCASE Task 2, each with rules of its own."""

from __future__ import annotations

from enum import StrEnum


class Rules(StrEnum):
    """A year of the challenge."""

    Y2020 = "2020"
    Y2021 = "2021"
    Y2022 = "2022"
    Y2023 = "2023"
    Y2024 = "2024"
    Y2025 = "2025"
    Y2026 = "2026"

    @property
    def has_domains(self) -> bool:
        """Whether source and target domain are distinguished; a machine then is a section."""
        return self is not Rules.Y2020

    @property
    def splits_anomalies(self) -> bool:
        """Whether a domain is measured with its own anomalies only."""
        return self is Rules.Y2021
