"""`scaling-jax grid`: plans at every point of a product of axes."""

import dataclasses
import operator
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax.cli.options import (
    AxesOptions,
    CostOptions,
    DemandOptions,
    LawOptions,
    LimitOptions,
    OptionalPath,
    QualityOptions,
    Repeated,
    Switch,
    demand_of,
)
from scaling_jax.cli.scenario import Known, Priced, known_law, priced
from scaling_jax.cli.show import (
    print_json,
    print_table,
    progress,
    quantity,
    start_jax,
    unit_words,
)

if TYPE_CHECKING:
    from scaling_jax import grids
    from scaling_jax.planning import Plan

_LIMITS = ("params", "tokens", "max_params", "max_tokens")
_TARGETS = ("loss", "budget", "match_params", "match_tokens")
_DEMANDS = ("inference_tokens", "requests", "input_tokens", "output_tokens")
_PRICES = ("train_price", "train_mfu", "serve_price", "prefill_mfu", "decode_mfu")
_RATIOS = ("params_ratio", "tokens_ratio", "cost_ratio", "saving", "marginal_cost", "status")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Plans for a whole grid of scenarios, written to a file.

    Example: --axis loss=1.8:3.0:200 --axis inference-tokens=1e9:1e14:200:log
    --value cost_ratio --out grid.parquet
    """

    axis: Repeated = ()
    """NAME=first:last:count, or …:log for even ratios; NAME is an option such as loss, or what
    the law or the cost reads, such as unique-tokens."""
    value: Repeated = ()
    """What to keep of each plan: params, tokens, cost_ratio, total_flops, baseline.params …"""
    quality: QualityOptions
    demand: DemandOptions
    limit: LimitOptions
    law: LawOptions
    axes: AxesOptions
    prices: CostOptions
    memory: float = 1.0
    """GiB that the computation may take."""
    out: OptionalPath = None
    """A .parquet table, or a .zarr store: streamed, and taken up again after a kill."""
    plot: OptionalPath = None
    """Draw each value into this file: of one axis a line, of two a labelled contour map."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Evaluate, write and print."""
        start_jax()
        from scaling_jax import grids  # noqa: PLC0415

        suffix = "" if self.out is None else self.out.suffix
        if suffix not in ("", ".parquet", ".zarr") or (self.out and not suffix):
            raise ValueError(f"--out is {self.out}; it must end in .parquet or .zarr")
        with progress() as stage:
            moved = stage("finding the law" if self.law.runs else "reading the law")
            known = known_law(self.law, resample=False, progress=moved)
            cost = priced(self.prices)
            axes = dict(_axis(text, known, cost) for text in self.axis)
            chosen = list(self.axes.given()[1])
            values = _getters(self.value, cost.unit, chosen)
            evaluate = self._function(axes, known, cost, values)
            stage("planning")
            start = time.perf_counter()
            result = grids.grid(
                evaluate,
                axes,
                units=_units([*axes, *self.value], cost.unit),
                memory=int(self.memory * 2**30),
                out=self.out if suffix == ".zarr" else None,
                progress=stage("planning"),
            )
        seconds = time.perf_counter() - start
        if suffix == ".parquet":
            assert self.out is not None
            result.to_parquet(self.out)
        if self.plot is not None:
            from scaling_jax import plotting  # noqa: PLC0415

            plotting.save(plotting.all_scenarios(result), self.plot)
        answer = _summary(result) | {
            "out": None if self.out is None else str(self.out),
            "seconds": seconds,
        }
        print_json(answer) if self.json else _print(answer)

    def _function(
        self,
        axes: dict[str, str],
        known: Known,
        cost: Priced,
        values: dict[str, Callable[["Plan"], Any]],
    ) -> Callable[..., dict[str, Any]]:
        """Return the plan's values as a function of the axes, other options held."""
        from scaling_jax._axes import check_axes  # noqa: PLC0415
        from scaling_jax.planning import plan  # noqa: PLC0415

        given, choices = self.axes.given()
        self.demand.demand()  # for its checks
        fixed = self.quality.target() | self.demand.given() | self.limit.given() | given
        for name in axes:
            if name in fixed | choices:
                raise ValueError(f"{name} is given as an axis and as an option; give one")
            if name in _PRICES and not self.prices.dollars:
                raise ValueError(f"an axis of {name} needs --dollars")
        every = fixed | axes
        if demand_of(dict.fromkeys(set(_DEMANDS) & set(every), 1.0)) is None:
            raise ValueError("grid needs the demand: give inference-tokens or requests")
        own = [name for name in every if name not in _OPTIONS]
        check_axes(known.law, cost.cost, [*own, *choices])

        def evaluate(**point: Any) -> dict[str, Any]:
            now = fixed | point
            prices = {name: now[name] for name in _PRICES if name in now}
            counted = cost.cost
            if prices:
                counted = dataclasses.replace(self.prices, **prices).prices()
            query: dict[str, Any] = {
                name: now[name] for name in (*_TARGETS, *_LIMITS) if name in now
            }
            further = {"axes": {name: now[name] for name in own}, "choices": choices}
            query |= {name: each for name, each in further.items() if each}
            best = plan(known.law, counted, demand_of(_part(now, _DEMANDS)), **query)
            return {name: get(best) for name, get in values.items()}

        return evaluate


_OPTIONS = {*_TARGETS, *_DEMANDS, *_LIMITS, *_PRICES}


def _part(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _axis(text: str, known: Known, cost: Priced) -> tuple[str, str]:
    """Return the name and the range of an axis."""
    from scaling_jax._axes import cost_axes, law_axes  # noqa: PLC0415

    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    readers = law_axes(known.law), cost_axes(cost.cost)
    read = [each for reader in readers for each in reader.names]
    names = [*_TARGETS, *_DEMANDS, *_LIMITS, *_PRICES, *read]
    if name not in names and not any(reader.open for reader in readers):
        listed = ", ".join(each.replace("_", "-") for each in names)
        raise ValueError(
            f"--axis is {text!r}; it must be NAME=first:last:count, NAME of {listed}"
        )
    return name, values


def _units(names: Sequence[str], unit: str) -> dict[str, str]:
    """Return the units of what the vocabulary has none for."""
    said = unit_words(unit)
    known = {"marginal_cost": f"{said} per nat/token", "budget": said}
    known |= {f"{part}_{unit}": said for part in ("train", "serve", "total")}
    known |= {f"baseline.{name}": each for name, each in known.items()}
    known |= {"match_params": "parameters", "match_tokens": "tokens"}
    return {name: known[name] for name in names if name in known}


def _getters(
    names: tuple[str, ...], unit: str, chosen: Sequence[str]
) -> dict[str, Callable[["Plan"], Any]]:
    """Return what reads each value off a plan; costs are called by their unit."""
    model = {name: name for name in ("params", "tokens", "loss", "tokens_per_param")}
    model |= {f"{part}_{unit}": f"{part}_cost" for part in ("train", "serve", "total")}
    paths = model | {name: name for name in _RATIOS}
    paths |= {f"baseline.{name}": f"baseline.{path}" for name, path in model.items()}
    known: dict[str, Callable[[Plan], Any]] = {
        name: operator.attrgetter(path) for name, path in paths.items()
    }
    for name in chosen:
        known[name] = lambda best, name=name: best.choices[name]
    for name in names:
        if name not in known:
            raise ValueError(f"--value is {name!r}; it must be one of {', '.join(known)}")
    if not names:
        raise ValueError("grid needs at least one --value, such as cost_ratio")
    return {name: known[name] for name in names}


def _summary(result: "grids.Grid") -> dict[str, Any]:
    """Return the axes' ends and each value's range; plans that do not exist are NaN."""
    import numpy as np  # noqa: PLC0415

    axes = {
        name: {"first": float(each[0]), "last": float(each[-1]), "count": len(each)}
        for name, each in result.axes.items()
    }
    values = {}
    for name, each in result.values.items():
        low, high, missing = np.inf, -np.inf, 0
        for row in range(each.shape[0]):  # one slice of a store at a time
            part = np.asarray(each[row])
            absent = np.isnan(part)
            missing += int(absent.sum())
            if not absent.all():
                low, high = min(low, np.nanmin(part)), max(high, np.nanmax(part))
        values[name] = {"min": float(low), "max": float(high), "missing": missing}
    return {"points": int(np.prod(result.shape)), "axes": axes, "values": values}


def _print(answer: dict[str, Any]) -> None:
    rows = [
        (name, quantity(name, row["min"]), quantity(name, row["max"]), f"{row['missing']:,}")
        for name, row in answer["values"].items()
    ]
    axes = " x ".join(f"{name} ({each['count']})" for name, each in answer["axes"].items())
    print_table(f"{answer['points']:,} plans: {axes}", ("", "from", "to", "no plan"), rows)
    print(f"Computed in {answer['seconds']:.2f} s.")
    if answer["out"] is not None:
        print(f"Written to {answer['out']}.")
