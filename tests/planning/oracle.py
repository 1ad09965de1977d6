"""Plans with 50 digits, from equation 12 of the paper and nothing of the library."""

import math

import mpmath

DIGITS = 50


def optimum(law: dict[str, float], loss: float, demand: float) -> tuple[float, float]:
    """Return (N*, D*) of least 6 N D + 2 N demand at a loss, correctly rounded.

    Equation 12, 0 = (E - l) + (beta B / alpha + B) D^-beta + (demand beta B / (3 alpha))
    D^-(beta + 1), is strictly decreasing in D: bisection on log D, then Newton in mpmath.
    """
    low, high = -700.0, 700.0
    for _ in range(90):
        middle = (low + high) / 2
        if _equation(law, loss, demand, middle, math) > 0:
            low = middle
        else:
            high = middle
    with mpmath.workdps(DIGITS):
        exact = {name: mpmath.mpf(value) for name, value in law.items()}
        loss, demand = mpmath.mpf(loss), mpmath.mpf(demand)
        x = mpmath.mpf(low)
        for _ in range(4):
            value = _equation(exact, loss, demand, x, mpmath)
            x -= value / _slope(exact, demand, x)
        data = exact["B"] * mpmath.exp(-exact["beta"] * x)
        params = (exact["A"] / (loss - exact["E"] - data)) ** (1 / exact["alpha"])
        return float(params), float(mpmath.exp(x))


def _equation(law, loss, demand, x, m):
    alpha, beta, b = law["alpha"], law["beta"], law["B"]
    first = (beta * b / alpha + b) * m.exp(-beta * x)
    # exp(-x) apart: demand / D can be large where D^-beta is not.
    second = demand * beta * b / (3 * alpha) * m.exp(-(beta + 1) * x)
    return law["E"] - loss + first + second


def _slope(law, demand, x):
    alpha, beta, b = law["alpha"], law["beta"], law["B"]
    first = beta * (beta * b / alpha + b) * mpmath.exp(-beta * x)
    second = (beta + 1) * demand * beta * b / (3 * alpha) * mpmath.exp(-(beta + 1) * x)
    return -(first + second)
