"""Figures 1, 2 and 6 of Sardana et al. 2024 (arXiv 2401.00448): what demand changes."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scaling_jax.costs import Demand, Dollars, Flops, LinearCost, ServeFleet, TrainFleet
from scaling_jax.grids import Grid, grid
from scaling_jax.laws import HOFFMANN_2022, PowerSum
from scaling_jax.planning import plan
from scaling_jax.plotting.plans import contours
from scaling_jax.plotting.style import BLUE, GREY, ORANGE, Columns, count, new_panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The two models of Figure 1: the size whose quality is wanted, and the smaller one.
LARGE, SMALL = 13e9, 7e9
DEMAND = 2e12
_COLOURS = {"large": ORANGE, "small": BLUE}
_DASHES = {"large": "--", "small": "-"}


def section_5_prices() -> Dollars:
    """Return the setting of Figure 6 as the paper states it, in its section 5."""
    return Dollars(
        train=TrainFleet.of("A100-80GB", "bf16", dollars_per_hour=1.50, mfu=0.5),
        serve=ServeFleet.of(
            "A100-40GB", "int8", dollars_per_hour=1.10, prefill_mfu=0.5, decode_mfu=0.01
        ),
    )


def figure1_data(law: PowerSum = HOFFMANN_2022) -> dict[str, Columns]:
    """Return what Figure 1 draws, as tables for its panels.

    A 13B model trained the Chinchilla way, and a 7B one trained on until it is as good.
    """
    large = law.compute_optimal(params=LARGE)
    loss = law(LARGE, large.tokens)
    sizes = {"large": LARGE, "small": SMALL}
    tokens = {name: float(law.tokens_for(loss, size)) for name, size in sizes.items()}
    seen = np.geomspace(1e11, 3e12, 121)
    served = np.linspace(0, 3e12, 121)
    losses: Columns = {"tokens": seen}
    totals: Columns = {"inference_tokens": served}
    rows = []
    for name, size in sizes.items():
        losses[f"loss_of_{name}"] = np.asarray(law(size, seen))
        totals[f"total_flops_of_{name}"] = np.asarray(
            Flops()(size, tokens[name], Demand(output_tokens=served)).total
        )
        bill = Flops()(size, tokens[name], Demand(output_tokens=DEMAND))
        start = float(law.compute_optimal(params=size).tokens)
        rows.append(
            (size, start, tokens[name], float(loss), bill.train, bill.serve, bill.total)
        )
    names = "params compute_optimal_tokens tokens loss train_flops serve_flops total_flops"
    models = {
        name: np.array(column, float)
        for name, column in zip(names.split(), zip(*rows, strict=True), strict=True)
    }
    return {"figure1a": losses, "figure1b": totals, "figure1c": models}


@styled()
def figure1(tables: dict[str, Columns], axes: Any = None) -> Any:
    """Draw why a smaller model trained longer is cheaper; three Axes."""
    axes = new_panels(1, 3, width=10.5, height=3.5) if axes is None else axes
    models = tables["figure1c"]
    _training(axes[0], tables["figure1a"], models)
    _lifetime(axes[1], tables["figure1b"])
    _bill(axes[2], models)
    return axes


def _training(ax: "Axes", losses: Columns, models: Columns) -> None:
    for i, name in enumerate(_COLOURS):
        ax.plot(
            losses["tokens"],
            losses[f"loss_of_{name}"],
            color=_COLOURS[name],
            linestyle=_DASHES[name],
            label=f"{count(models['params'][i])} parameters",
        )
        first = models["compute_optimal_tokens"][i]
        at = np.interp(first, losses["tokens"], losses[f"loss_of_{name}"])
        ax.plot(first, at, "s", color=_COLOURS[name], markerfacecolor="white", zorder=3)
        ax.plot(models["tokens"][i], models["loss"][i], "o", color=_COLOURS[name], zorder=3)
        ax.annotate(
            f"{count(models['tokens'][i])}",
            (models["tokens"][i], models["loss"][i]),
            (4, 5),
            textcoords="offset points",
            fontsize=8.5,
        )
    ax.axhline(models["loss"][0], color=GREY, linewidth=0.8, linestyle=":")
    ax.plot([], [], "ks", markerfacecolor="white", label="compute-optimal")
    ax.plot([], [], "ko", label=f"as good as the {count(models['params'][0])}")
    ax.set(xscale="log", xlabel="training tokens", ylabel="loss (nats/token)")
    ax.set_title("(a) The same quality, twice")
    ax.legend()


def _lifetime(ax: "Axes", totals: Columns) -> None:
    large, small = totals["total_flops_of_large"], totals["total_flops_of_small"]
    served = totals["inference_tokens"]
    for name, total in {"large": large, "small": small}.items():
        size = count({"large": LARGE, "small": SMALL}[name])
        ax.plot(
            served / 1e12,
            total / 1e22,
            color=_COLOURS[name],
            linestyle=_DASHES[name],
            label=f"{size} parameters",
        )
    even = float(np.interp(0.0, large - small, served))
    height = float(np.interp(even, served, large)) / 1e22
    ax.annotate(
        f"break-even:\n{count(even)} tokens",
        (even / 1e12, height),
        (14, -38),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": GREY},
        fontsize=8.5,
    )
    ax.axvline(DEMAND / 1e12, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(xlabel="inference tokens (trillions)", ylabel="total compute (1e22 FLOPs)", xlim=0)
    ax.set_ylim(bottom=3)
    ax.set_title("(b) Training and serving so far")
    ax.legend(loc="upper left")


def _bill(ax: "Axes", models: Columns) -> None:
    train, serve = models["train_flops"] / 1e22, models["serve_flops"] / 1e22
    total = models["total_flops"] / 1e22
    names = [
        f"{count(size)} on\n{count(d)} tokens"
        for size, d in zip(models["params"], models["tokens"], strict=True)
    ]
    ax.bar(names, train, 0.5, color=GREY, label="training")
    ax.bar(names, serve, 0.5, bottom=train, color="#bbbbbb", hatch="//", label="serving")
    for i, each in enumerate(total):
        ax.text(i, each + 0.15, f"{each:.2f}", ha="center", fontsize=9)
    saved = total[0] - total[1]
    ax.set_title(f"(c) At {count(DEMAND)}: {saved:.1f}e22 saved ({saved / total[0]:.0%})")
    ax.set(ylabel="total compute (1e22 FLOPs)", ylim=(0, 1.35 * total.max()))
    ax.grid(visible=False, axis="x")
    ax.legend(ncols=2, loc="upper center")


def ratios_data(
    cost: LinearCost,
    law: PowerSum = HOFFMANN_2022,
    *,
    loss: str = "1.8:3.0:241",
    inference_tokens: str = "1e9:1e14:401:log",
) -> Grid:
    """Return what Figures 2 and 6 draw: optimal over Chinchilla-style, for equal loss."""

    def ratios(loss: Any, inference_tokens: Any) -> dict[str, Any]:
        best = plan(law, cost, Demand.of_tokens(inference_tokens), loss=loss)
        names = ("cost_ratio", "params_ratio", "tokens_ratio")
        return {name: getattr(best, name) for name in names}

    return grid(ratios, {"loss": loss, "inference_tokens": inference_tokens})


class _Map(NamedTuple):
    value: str
    title: str
    levels: tuple[float, ...]
    unit: str  # of the levels, after the number


# Levels and units of (a) and (b) are the paper's; (a) is Chinchilla-style over optimal.
_MAPS = (
    _Map("cost_ratio", "(a) {cost}", (1.01, 1.05, 1.1, 1.25, 1.5, 2, 3, 5), "x"),
    _Map("params_ratio", "(b) parameters", (0.99, 0.95, 0.9, 0.75, 0.5, 0.33, 0.25, 0.2), "%"),
    _Map(
        "tokens_ratio", "(c) training tokens", (1.1, 1.5, 2, 3, 5, 10, 30, 100, 300, 1000), "x"
    ),
)


@styled()
def ratio_maps(plans: Grid, cost_name: str, axes: Any = None) -> Any:
    """Draw Figure 2 or 6: three contour maps of what demand changes; three Axes.

    Args:
        plans: as `ratios_data` returns it.
        cost_name: what the first panel is about, such as total FLOPs.
        axes: three Axes to draw into.
    """
    axes = new_panels(1, 3, width=10.5, height=3.9) if axes is None else axes
    x, y = plans.axes["inference_tokens"], plans.axes["loss"]
    for ax, each in zip(axes, _MAPS, strict=True):
        z = np.asarray(plans[each.value])
        contours(
            ax,
            x,
            y,
            1 / z if each.value == "cost_ratio" else z,
            each.levels,
            lambda level, unit=each.unit: (
                f"{100 * level:.0f} %" if unit == "%" else f"{level:g}x"
            ),
        )
        over = "Chinchilla / optimal" if each.value == "cost_ratio" else "optimal / Chinchilla"
        ax.set_title(f"{each.title.format(cost=cost_name)}, {over}")
        ax.set(xlabel="inference tokens", ylabel="loss (nats/token)")
    return axes
