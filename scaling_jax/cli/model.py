"""`scaling-jax model`: what one given model reaches, and what it costs."""

import dataclasses
from typing import TYPE_CHECKING

from scaling_jax.cli.options import DemandOptions, DollarOptions, OptionalFloat, Switch
from scaling_jax.cli.show import numbers, print_json, print_table, quantity, start_jax

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
    law: str = "hoffmann2022"
    """A published law (`scaling-jax laws`) or a JSON file."""
    prices: DollarOptions
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Evaluate and print."""
        start_jax()
        from scaling_jax import laws  # noqa: PLC0415
        from scaling_jax.planning import PlanError  # noqa: PLC0415

        law = laws.load(self.law)
        given = {
            name: value
            for name in ("params", "tokens", "train_flops", "loss")
            if (value := getattr(self, name)) is not None
        }
        for name, value in given.items():
            if not 0 < value < float("inf"):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is {value:g}; it must be positive and finite")
        found = law.compute_optimal(**given) if self.chinchilla else _complete(given)
        loss = law(found.params, found.tokens)
        dollars = self.prices.cost() if self.prices.dollars else None
        answer = numbers(found, loss, self.demand.demand(), dollars)
        if answer["loss"] != answer["loss"]:
            raise PlanError(f"loss {self.loss:g} cannot be reached under {self.law}")
        if self.json:
            print_json(answer)
        else:
            rows = [(name, quantity(name, value)) for name, value in answer.items()]
            print_table("Model", ("", "value"), rows)


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
