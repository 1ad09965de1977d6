"""`scaling-jax model`: what one given model reaches, and what it costs."""

import dataclasses
from typing import TYPE_CHECKING

from scaling_jax.cli.options import (
    AxesOptions,
    CostOptions,
    DemandOptions,
    LawOptions,
    OptionalFloat,
    Switch,
)
from scaling_jax.cli.scenario import Scenario, known_law, scenario
from scaling_jax.cli.show import print_json, print_table, progress, quantity, start_jax

if TYPE_CHECKING:
    from scaling_jax.laws import Allocation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The loss and the cost of a model: any two of --params, --tokens, --train-flops.

    With --chinchilla, any one of --params, --tokens, --train-flops, --loss gives the model
    that is optimal for training compute.
    """

    params: OptionalFloat = None
    """Parameters."""
    tokens: OptionalFloat = None
    """Training tokens."""
    train_flops: OptionalFloat = None
    """Training compute, 6 N D."""
    loss: OptionalFloat = None
    """Target loss, nats per token (with --chinchilla)."""
    chinchilla: Switch = False
    """The model of least training compute."""
    demand: DemandOptions
    law: LawOptions
    axes: AxesOptions
    prices: CostOptions
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Evaluate and print."""
        start_jax()
        given = self._given()
        with progress() as stage:
            moved = stage("finding the law" if self.law.runs else "reading the law")
            asked = scenario(
                "model",
                law=known_law(self.law, resample=False, progress=moved),
                prices=self.prices,
                demand=self.demand,
                axes=self.axes,
                query={},
            )
            if asked.choices:
                name = next(iter(asked.choices))
                raise ValueError(f"model takes one number for each axis; {name} has several")
            found = self._chinchilla(asked, given) if self.chinchilla else _complete(given)
        row = _row(asked, found)
        warnings = asked.known.warnings(found.params, found.tokens, asked.axes)
        if self.json:
            axes = {"axes": asked.axes} if asked.axes else {}
            print_json(row | axes | {"warnings": warnings})
            return
        lines = [(name, quantity(name, value)) for name, value in (row | asked.axes).items()]
        print_table("Model", ("", "value"), lines)
        for warning in warnings:
            print(f"Beware: {warning}")

    def _given(self) -> dict[str, float]:
        names = ("params", "tokens", "train_flops", "loss")
        given = {name: x for name in names if (x := getattr(self, name)) is not None}
        for name, value in given.items():
            if not 0 < value < float("inf"):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is {value:g}; it must be positive and finite")
        return given

    def _chinchilla(self, asked: Scenario, given: dict[str, float]) -> "Allocation":
        from scaling_jax.planning import PlanError, compute_optimal  # noqa: PLC0415

        found = compute_optimal(asked.law, axes=asked.axes, **given)
        if float(found.params) != float(found.params):
            name, value = next(iter(given.items()))
            raise PlanError(f"{name} {value:g} cannot be reached under {self.law.law}")
        return found


def _row(asked: Scenario, model: "Allocation") -> dict[str, float]:
    from scaling_jax._axes import call_cost, call_law  # noqa: PLC0415

    point = model.params, model.tokens
    loss = call_law(asked.law, *point, **asked.axes)
    bill = call_cost(asked.priced.cost, *point, asked.served, **asked.axes)
    return asked.row(model, loss, bill, asked.axes)


def _complete(given: dict[str, float]) -> "Allocation":
    from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN, Allocation  # noqa: PLC0415

    if len(given) != 2 or "loss" in given:
        names = ", ".join(given) or "none"
        raise ValueError(
            "model takes any two of --params, --tokens and --train-flops, or any one with "
            f"--chinchilla; it was given {names}"
        )
    product = given.get("train_flops", 0.0) / TRAIN_FLOPS_PER_PARAM_TOKEN
    params = given.get("params") or product / given["tokens"]
    return Allocation(params=params, tokens=given.get("tokens") or product / params)
