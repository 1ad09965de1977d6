"""Efficiencies fitted to published measurements, per chip.

`benchmarks/serve_measured.py` printed them, and how far off they are: half of the 1,182 rows
within 7.0 %, nine tenths within 26 %.
"""

import dataclasses

from scaling_jax.serving.efficiency import Efficiency

_NAMES = (
    "kv_bandwidth decode_mfu prefill_mfu token_traffic layer_seconds reduce_seconds link"
).split()
# fmt: off
_CHIPS = {
    "A100-80GB": (0.870, 0.808, 0.770, 11.9, 57.7e-6, 5.05e-6, 0.307),
    "B200":      (0.855, 0.799, 0.779, 13.1, 86.8e-6, 5.07e-6, 1.170),
    "GB200":     (0.807, 0.813, 0.805, 13.3, 84.1e-6, 5.14e-6, 0.633),
    "GH200":     (0.976, 0.864, 0.853, 10.6, 49.7e-6, 5.12e-6, 0.478),
    "H100-SXM":  (1.010, 0.868, 0.805, 11.0, 50.1e-6, 4.36e-6, 0.492),
    "L40S":      (0.894, 0.825, 0.816, 10.9, 61.3e-6, 5.20e-6, 0.491),
    "MI300X":    (0.899, 0.799, 0.786, 12.0, 78.6e-6, 5.28e-6, 0.204),
    "TPU-v4":    (0.942, 0.821, 0.789, 11.9, 57.4e-6, 5.02e-6, 0.583),
}
# fmt: on
FITTED = {
    chip: dataclasses.replace(Efficiency(), **dict(zip(_NAMES, values, strict=True)))
    for chip, values in _CHIPS.items()
}


def efficiency_of(chip_name: str) -> Efficiency:
    """Return the efficiency fitted for a chip, or the one of all chips."""
    return FITTED.get(chip_name, Efficiency())
