"""The dated catalogue of accelerators: dense peaks, memory, bandwidth, list price.

Peaks are vendors' dense figures (no sparsity) in FLOP/s, or operations/s for int8; a fleet's
MFU is a fraction of them. Prices age quickly: they are the ones of the cited sources, and a
chip without one needs yours.
"""

import difflib
from collections.abc import Mapping
from typing import NamedTuple

from scaling_jax._pytree import Number

CATALOGUE_DATE = "2026-11-24"


class Chip(NamedTuple):
    """One accelerator.

    `peaks` maps dtype to dense FLOP/s; `memory` is in bytes, `bandwidth` in bytes/s;
    `dollars_per_hour` is a list price with its own source, or None. What serving asks for
    besides: `link`, bytes/s one way and per chip to the others of a group of `linked` chips;
    `network`, bytes/s per chip beyond it; `watts`, the design power of the chip alone; and
    `usable`, the bytes that the driver shows (an H100 of "80 GB" has 85.5e9).
    """

    name: str
    peaks: Mapping[str, float]
    memory: float
    bandwidth: float
    source: str
    dollars_per_hour: float | None = None
    price_source: str = ""
    link: float | None = None
    linked: int = 8
    network: float | None = None
    watts: float | None = None
    usable: float | None = None

    @property
    def usable_memory(self) -> float:
        """Bytes that the driver shows, or else the vendor's figure."""
        return self.memory if self.usable is None else self.usable

    def peak(self, dtype: str) -> float:
        """Return the dense peak FLOP/s.

        Raises:
            ValueError: the chip has no such dtype; the sentence says which it has.
        """
        if dtype not in self.peaks:
            has = ", ".join(self.peaks)
            raise ValueError(f"{self.name} has no {dtype} peak; it has {has}")
        return self.peaks[dtype]

    def price(self, given: Number | None = None) -> Number:
        """Return the given price per hour, or else the list price.

        Raises:
            ValueError: neither exists.
        """
        if given is not None:
            return given
        if self.dollars_per_hour is None:
            raise ValueError(
                f"the catalogue has no price for {self.name}; give its price per hour"
            )
        return self.dollars_per_hour


_LAMBDA = "Lambda Labs, 2023-10-02, as cited by Sardana et al. (arXiv 2401.00448)"
_REFERENCE = "default of the reference code of Sardana et al. (arXiv 2401.00448), 2025-04"
_TABLES = "vendor figures, collected in stas00/ml-engineering, 2026-08-22"
_BOOK = "jax-ml/scaling-book, 2025-02"
_AMD_MI355X = "AMD Instinct MI355X datasheet, dense; stas00/ml-engineering has 2500 and 5000"
_GOOGLE_V7X = f"{_TABLES}; Google Cloud, TPU7x (Ironwood): 192 GiB, 7.38 TB/s"
_NVIDIA_A100 = "NVIDIA A100 datasheet (40 GB: 1.555 TB/s)"


def _chip(name: str, tera: dict[str, float], memory: float, bandwidth: float, source: str,
          price: float | None = None, price_source: str = "") -> Chip:  # fmt: skip
    """TFLOP/s, decimal GB and TB/s, as the sources print them."""
    peaks = {dtype: peak * 1e12 for dtype, peak in tera.items()}
    return Chip(name, peaks, memory * 1e9, bandwidth * 1e12, source, price, price_source)


# fmt: off
CHIPS: dict[str, Chip] = {each.name: each for each in (
    _chip("A100-40GB", {"bf16": 312, "int8": 624}, 40, 1.555, _NVIDIA_A100, 1.10, _LAMBDA),
    _chip("A100-80GB", {"bf16": 312, "int8": 624}, 80, 2.00, _TABLES, 1.50, _LAMBDA),
    _chip("L4", {"bf16": 121, "fp8": 242, "int8": 242}, 24, 0.30,
          "NVIDIA L4 datasheet, its sparse peaks halved"),
    _chip("L40S", {"bf16": 362, "fp8": 733, "int8": 733}, 48, 0.86, _TABLES),
    _chip("H100-PCIe", {"bf16": 756, "fp8": 1513, "int8": 1513}, 80, 2.00, _TABLES),
    _chip("H100-SXM", {"bf16": 989, "fp8": 1979, "int8": 1979}, 80, 3.35, _TABLES,
          2.00, _REFERENCE),
    _chip("H200", {"bf16": 989, "fp8": 1979, "int8": 1979}, 141, 4.80, _TABLES),
    _chip("B200", {"bf16": 2250, "fp8": 4500, "int8": 4500}, 180, 8.00, _TABLES),
    _chip("B300", {"bf16": 2250, "fp8": 4500}, 288, 8.00, _TABLES),
    _chip("GB200", {"bf16": 2500, "fp8": 5000, "int8": 5000}, 186, 8.00, _TABLES),
    _chip("MI300X", {"bf16": 1300, "fp8": 2610, "int8": 2600}, 192, 5.30, _TABLES),
    _chip("MI325X", {"bf16": 1300, "fp8": 2610, "int8": 2600}, 256, 6.00, _TABLES),
    _chip("Gaudi3", {"bf16": 1677, "fp8": 1677}, 128, 3.70, _TABLES),
    _chip("Trainium2", {"bf16": 667, "fp8": 1299}, 96, 2.90, _TABLES),
    _chip("TPU-v4", {"bf16": 275, "int8": 275}, 32, 1.20, f"{_TABLES}; {_BOOK}"),
    _chip("TPU-v5e", {"bf16": 197, "int8": 394}, 16, 0.82, f"{_TABLES}; {_BOOK}",
          1.20, _BOOK),
    _chip("TPU-v5p", {"bf16": 459, "int8": 918}, 95, 2.76,
          f"{_TABLES} ({_BOOK} has 96 GB and 2.8 TB/s)", 4.20, _BOOK),
    _chip("TPU-v6e", {"bf16": 918, "fp8": 918, "int8": 1836}, 32, 1.60,
          f"{_TABLES} ({_BOOK} has 920 and 1840)"),
    # What serving adds.
    _chip("H800-SXM", {"bf16": 989, "fp8": 1979, "int8": 1979}, 80, 3.35,
          "an H100-SXM with half its NVLink", 2.00,
          "deepseek-ai/open-infra-index, day 6, 2025-02"),
    _chip("GH200", {"bf16": 989, "fp8": 1979, "int8": 1979}, 96, 4.00, _TABLES),
    _chip("GB300", {"bf16": 2500, "fp8": 5000}, 288, 8.00, _TABLES),
    _chip("MI355X", {"bf16": 2300, "fp8": 4600, "int8": 4600, "fp4": 9200}, 288, 8.00,
          _AMD_MI355X),
    _chip("Gaudi2", {"bf16": 432, "fp8": 865}, 96, 2.46, _TABLES),
    _chip("TPU-v7x", {"bf16": 2307, "fp8": 4614}, 206, 7.38, _GOOGLE_V7X),
)}
# fmt: on

# Links in GB/s one way and per chip (in a group of so many; beyond it), watts, memory in MiB as
# the driver shows it. A100 to L40S: system files of ai-dynamo/aiconfigurator and logs of
# nvidia-smi; MI300X: stas00/ml-engineering, AMD; TPU: scaling-book, all links of a chip
# together, a data-centre network of 25 GB/s per host of four to eight chips. Power: vendors'
# datasheets; Google states none.
# fmt: off
_SERVING = {
    "A100-40GB": (300, 8, 25, 400, 40_960),
    "A100-80GB": (300, 8, 25, 400, 81_920),
    "L4": (31, 8, 12.5, 72, 23_034),
    "L40S": (31, 8, 25, 350, 46_068),
    "H100-PCIe": (63, 8, 50, 350, 81_559),
    "H100-SXM": (450, 8, 50, 700, 81_559),
    "H800-SXM": (200, 8, 50, 700, 81_559),
    "H200": (450, 8, 50, 700, 143_771),
    "GH200": (450, 8, 50, 700, 97_871),
    "B200": (900, 8, 100, 1000, 183_359),
    "B300": (900, 8, 100, 1400, None),
    "GB200": (900, 72, 100, 1200, 189_471),
    "GB300": (900, 72, 100, 1400, None),
    "MI300X": (448, 8, 50, 750, 196_592),
    "MI325X": (448, 8, 50, 1000, None),
    "MI355X": (537, 8, 50, 1400, None),
    "Gaudi2": (262, 8, 37, 600, None),
    "Gaudi3": (525, 8, 75, 900, None),
    "Trainium2": (512, 16, 25, 500, None),
    "TPU-v4": (270, 4096, 6.25, None, None),
    "TPU-v5e": (180, 256, 3.1, None, None),
    "TPU-v5p": (540, 8960, 6.25, None, None),
    "TPU-v6e": (360, 256, 6.25, None, None),
    "TPU-v7x": (600, 9216, 12.5, None, None),
}
# NVIDIA Blackwell datasheets, dense.
_FOUR_BITS = {"B200": 9000, "GB200": 10_000, "B300": 13_500, "GB300": 15_000}
# fmt: on
for _name, (_link, _linked, _network, _watts, _mib) in _SERVING.items():
    _four = {"fp4": _FOUR_BITS[_name] * 1e12} if _name in _FOUR_BITS else {}
    CHIPS[_name] = CHIPS[_name]._replace(
        peaks={**CHIPS[_name].peaks, **_four},
        link=_link * 1e9,
        linked=_linked,
        network=_network * 1e9,
        watts=_watts,
        usable=None if _mib is None else _mib * 2.0**20,
    )


def chip(name: str | Chip) -> Chip:
    """Return a chip of the catalogue by name, in upper or lower case; a `Chip` as it is.

    Raises:
        ValueError: no such chip; the sentence names the nearest.

    Example:
        >>> chip("tpu-v5e").peak("int8")
        394000000000000.0
    """
    if isinstance(name, Chip):
        return name
    known = {each.lower(): each for each in CHIPS}
    if name.lower() in known:
        return CHIPS[known[name.lower()]]
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.3)
    hint = f"the nearest is {known[close[0]]}" if close else f"known: {', '.join(CHIPS)}"
    raise ValueError(f"no chip is called {name!r}; {hint}")
