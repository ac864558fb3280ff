"""What is known beforehand of how a machine's sound varies between hours and days.

One session of recording cannot show it: neighbouring machines, doors, load, weather, the day's
temperature.  The standard deviations here were set by simulated machines in a few simulated halls;
`python -m experiments.alarms.priors` estimates them for more of them, and `experiments.alarms.life`
takes half or twice of them.
They fall with the number of hours that the training sound is from, since what an hour can
bring is then among the training windows.  A part of them stays until the sound covers a week: the
weekend of a plant is unlike any working day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PRIOR_DOF = 20.0
"""Weight of the variances here, as a number of independent observations."""

DECAY = 0.48
"""A standard deviation falls with this power of the hours: to a fifth after a day, to a twelfth
after a week."""

WEEK_SHARE = 0.14
"""Share of the shift between hours that remains until the training sound covers `WEEK_DAYS`."""
WEEK_DAYS = 7

UNIT_SHARE = 0.05
"""Share of the shift between hours that the unit of a view's deviation contains.

Views that any change of the hall moves count less in the fusion than those that only the machine
moves."""


@dataclass(frozen=True, slots=True)
class HourPrior:
    """Standard deviation between hours of a log distance or a fused score."""

    shift: float  # from one hour of training sound to any other hour

    @property
    def in_unit(self) -> float:
        """What the unit of a deviation contains of it."""
        return UNIT_SHARE * self.shift

    def after(self, hours: int, days: int) -> float:
        """Return what is left of it when the training sound is from so many hours and days."""
        of_week = 0.0 if days >= WEEK_DAYS else WEEK_SHARE
        return self.shift * math.hypot(math.pow(max(1, hours), -DECAY), of_week)

    def predictive(
        self, spread: float, *, hours: int, days: int, blocks: int
    ) -> tuple[float, float]:
        """Return scale and degrees of freedom of the predictive distribution.

        The degrees of freedom are those of the sum of two variances: F. E. Satterthwaite, "An
        approximate distribution of estimates of variance components", Biometrics Bulletin 2 (1946).

        Args:
            spread: standard deviation in the training sound, > 0.
            hours: hours that the training sound is from.
            days: days that it is from.
            blocks: independent blocks of time that it is from.

        """
        # the location is estimated from the blocks as well; the shift includes its own error
        within = spread**2 * (1.0 + 1.0 / max(1, blocks))
        between = self.after(hours, days) ** 2
        dof = (within + between) ** 2 / (within**2 / max(1, blocks - 1) + between**2 / PRIOR_DOF)
        return math.sqrt(within + between), dof


SHIFT_BY_VIEW = {
    "level": 0.95,
    "spectrum": 1.04,
    "tone": 0.56,
    "texture": 0.55,
    "rhythm": 0.09,
    "pattern": 0.27,
    "change": 0.19,
    "peaks": 0.51,
    "spread": 0.21,
    "encoder": 0.36,
}
SHIFT_OF_OTHER_VIEW = 0.36  # of a network of the user's
FUSED_SHIFT = 5.0


def view_prior(name: str) -> HourPrior:
    """Return the variation between hours of a view's log distance."""
    return HourPrior(SHIFT_BY_VIEW.get(name, SHIFT_OF_OTHER_VIEW))


FUSED_PRIOR = HourPrior(FUSED_SHIFT)
