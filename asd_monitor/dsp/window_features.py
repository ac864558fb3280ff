"""Names of the statistics of a window, as bundles and messages carry them."""

NAMES = (
    *("level", "spectrum", "peaks", "spread", "change"),
    *("tone", "texture", "rhythm", "pattern"),
)
