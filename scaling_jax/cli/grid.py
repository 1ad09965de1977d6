"""`scaling-jax grid`: plans at every point of a product of axes."""

import dataclasses
import operator
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

from scaling_jax.cli.options import (
    DemandOptions,
    DollarOptions,
    LimitOptions,
    OptionalPath,
    Switch,
    TargetOptions,
)
from scaling_jax.cli.show import print_json, print_table, progress, quantity, start_jax

if TYPE_CHECKING:
    from scaling_jax import grids
    from scaling_jax.costs import LinearCost
    from scaling_jax.planning import Plan

_LIMITS = ("params", "tokens", "max_params", "max_tokens")
_TARGETS = ("loss", "budget")
_DEMANDS = ("inference_tokens", "requests", "input_tokens", "output_tokens")
_PRICES = ("train_price", "train_mfu", "serve_price", "prefill_mfu", "decode_mfu")
_RATIOS = ("params_ratio", "tokens_ratio", "cost_ratio", "saving", "marginal_cost", "status")

_Repeated = Annotated[tuple[str, ...], UseAppendAction, arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Plans for a whole grid of scenarios, written to a file.

    Example: --axis loss=1.8:3.0:200 --axis inference-tokens=1e9:1e14:200:log
    --value cost_ratio --out grid.parquet
    """

    axis: _Repeated = ()
    """NAME=first:last:count, or …:log for even ratios; NAME is an option such as loss."""
    value: _Repeated = ()
    """What to keep of each plan: params, tokens, cost_ratio, total_flops, baseline.params …"""
    target: TargetOptions
    demand: DemandOptions
    limit: LimitOptions
    law: str = "hoffmann2022"
    """A published law (`scaling-jax laws`) or a JSON file."""
    prices: DollarOptions
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
        from scaling_jax import costs, grids, laws  # noqa: PLC0415

        suffix = "" if self.out is None else self.out.suffix
        if suffix not in ("", ".parquet", ".zarr") or (self.out and not suffix):
            raise ValueError(f"--out is {self.out}; it must end in .parquet or .zarr")
        axes = dict(_axis(text) for text in self.axis)
        flops = None if self.prices.dollars else costs.Flops()
        values = _getters(self.value, "flops" if flops else "dollars")
        evaluate = self._function(axes, laws.load(self.law), flops, values)
        start = time.perf_counter()
        with progress() as stage:
            result = grids.grid(
                evaluate,
                axes,
                units=self._units(),
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

    def _units(self) -> dict[str, str]:
        """Return the units of what the vocabulary has none for."""
        money = "dollars" if self.prices.dollars else "FLOPs"
        names = {*self.value, *(_axis(text)[0] for text in self.axis)}
        known = {"marginal_cost": f"{money} per nat/token", "budget": money}
        return {name: unit for name, unit in known.items() if name in names}

    def _function(
        self,
        axes: dict[str, str],
        law: Any,
        flops: "LinearCost | None",
        values: dict[str, Callable[["Plan"], Any]],
    ) -> Callable[..., dict[str, Any]]:
        """Return the plan's values as a function of the axes, other options held."""
        from scaling_jax.planning import plan  # noqa: PLC0415

        fixed = {
            name: value
            for group in (self.target, self.demand, self.limit)
            for name, value in vars(group).items()
            if value is not None
        }
        for name in axes:
            if name in fixed:
                raise ValueError(f"{name} is given as an axis and as an option; give one")
            if name in _PRICES and flops:
                raise ValueError(f"an axis of {name} needs --dollars")
        _check_demand({*fixed, *axes})

        def evaluate(**point: Any) -> dict[str, Any]:
            given = fixed | point
            prices = {name: given[name] for name in _PRICES if name in given}
            cost = flops or dataclasses.replace(self.prices, **prices).cost()
            query = {name: given.get(name) for name in (*_TARGETS, *_LIMITS)}
            best = plan(law, cost, _demand(given), **query)
            return {name: get(best) for name, get in values.items()}

        return evaluate


def _axis(text: str) -> tuple[str, str]:
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    known = (*_TARGETS, *_DEMANDS, *_LIMITS, *_PRICES)
    if name not in known:
        listed = ", ".join(each.replace("_", "-") for each in known)
        raise ValueError(
            f"--axis is {text!r}; it must be NAME=first:last:count, NAME of {listed}"
        )
    return name, values


def _getters(names: tuple[str, ...], unit: str) -> dict[str, Callable[["Plan"], Any]]:
    """Return what reads each value off a plan; costs are called by their unit."""
    model = {name: name for name in ("params", "tokens", "loss", "tokens_per_param")}
    model |= {f"{part}_{unit}": f"{part}_cost" for part in ("train", "serve", "total")}
    known = model | {name: name for name in _RATIOS}
    known |= {f"baseline.{name}": f"baseline.{path}" for name, path in model.items()}
    for name in names:
        if name not in known:
            raise ValueError(f"--value is {name!r}; it must be one of {', '.join(known)}")
    if not names:
        raise ValueError("grid needs at least one --value, such as cost_ratio")
    return {name: operator.attrgetter(known[name]) for name in names}


def _check_demand(given: set[str]) -> None:
    if "inference_tokens" in given and given & {"requests", "input_tokens", "output_tokens"}:
        raise ValueError(
            "inference-tokens and requests with its tokens are two ways to give the demand; "
            "give one of them"
        )
    if not given & {"inference_tokens", "requests"}:
        raise ValueError("grid needs the demand: give inference-tokens or requests")


def _demand(given: dict[str, Any]) -> Any:
    from scaling_jax.costs import Demand  # noqa: PLC0415

    if "inference_tokens" in given:
        return Demand.of_tokens(given["inference_tokens"])
    per_request = {
        name: given[name] for name in ("input_tokens", "output_tokens") if name in given
    }
    return Demand.of_requests(given["requests"], **per_request)


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
