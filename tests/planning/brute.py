"""Plans by brute force in NumPy, with nothing of the library: a grid over log D, then zooms.

Laws and costs are plain formulas that take the module of their functions, `xp`, so that the
oracle evaluates them with NumPy and the planner with JAX.
"""

import numpy as np

_LOG_PARAMS = (5.0, 39.0)
_LOG_TOKENS = (12.0, 46.0)
_POINTS = 20_001


def coupled(p, n, d, xp):
    return p["E"] + (p["A"] / n ** p["a"] + p["B"] / d ** p["b"]) ** p["k"]


def ratio(p, n, d, xp):
    """Data count by tokens per parameter; falls in N for c > b."""
    return p["E"] + p["A"] / n ** p["a"] + p["B"] * n ** -p["c"] * (d / n) ** -p["b"]


def wiggle(p, n, d, xp):
    data = p["B"] / d ** p["b"] * (1 + 0.08 * xp.sin(3 * xp.log(d)))
    return p["E"] + p["A"] / n ** p["a"] + data


def damage(p, n, d, xp):
    """Rises in D beyond a point, as quantised models do."""
    return p["E"] + p["A"] / n ** p["a"] + p["B"] / d ** p["b"] + p["c"] * d**0.5 / n**0.35


def capped(p, n, d, xp):
    """Tokens beyond c N count for less and less."""
    useful = d / (1 + d / (p["c"] * n))
    return p["E"] + p["A"] / n ** p["a"] + p["B"] / useful ** p["b"]


def smooth(n, d, demand, xp):
    return 6 * n * d, 2 * n * demand * (1 + (1e10 / n) ** 2) ** 0.25


def roofline(n, d, demand, xp):
    return 6 * n * d, 2 * demand * xp.maximum(n, 8e9 * (n / 8e9) ** 0.3)


def chips(n, d, demand, xp):
    """Every 4e9 parameters take one more chip."""
    return 6 * n * d, demand * 1e10 * xp.ceil(2 * n / 8e9)


def doubled(n, d, demand, xp):
    return 6 * n * d, 2 * n * demand * xp.where(n > 20e9, 2.0, 1.0)


def two_minima(n, d, demand, xp):
    return 6 * n * d, 2 * n * demand * (1 + 2.5 * xp.exp(-((xp.log(n) - 23) ** 2) / 0.08))


def per_token(n, d, demand, xp):
    """Preparing data costs as well."""
    return 6 * n * d + 3e9 * d, 2 * n * demand


LAWS = {f.__name__: f for f in (coupled, ratio, wiggle, damage, capped)}
COSTS = {f.__name__: f for f in (smooth, roofline, chips, doubled, two_minima, per_token)}
STEPPED = ("chips", "doubled")


def coefficients(name, rng):
    """Return plausible coefficients of a law."""
    if name == "coupled":
        spans = dict(E=(1.0, 1.7), A=(1e3, 5e3), a=(0.35, 0.5), B=(5e3, 3e4), b=(0.35, 0.5))
        spans["k"] = (0.35, 0.9)
    elif name == "ratio":
        spans = dict(E=(1.4, 1.8), A=(100, 500), a=(0.25, 0.36), B=(30, 200), c=(0.15, 0.28))
        spans["b"] = (0.15, 0.4)
    else:
        spans = dict(E=(1.4, 1.9), A=(200, 600), a=(0.28, 0.38), B=(200, 1500), b=(0.26, 0.38))
    p = {key: float(rng.uniform(*span)) for key, span in spans.items()}
    if name == "damage":
        p["c"] = float(10 ** rng.uniform(-5, -3.6))
    if name == "capped":
        p["c"] = float(10 ** rng.uniform(3, 5))
    return p


def best(law, p, cost, demand, *, loss=None, budget=None, max_params=None, max_tokens=None):
    """Return the lowest cost at a loss, or the lowest loss at a budget; infinity for none."""
    top = _LOG_PARAMS[1] if max_params is None else np.log(max_params)
    end = _LOG_TOKENS[1] if max_tokens is None else np.log(max_tokens)

    def losses(n, t):
        return LAWS[law](p, np.exp(n), np.exp(t), np)

    def costs(n, t):
        return sum(COSTS[cost](np.exp(n), np.exp(t), demand, np))

    def value(t):
        n = _crossing(lambda n: losses(n, t) > loss, t, top) if loss is not None else None
        if n is not None:
            reached = losses(n, t) <= loss * (1 + 1e-14)
            return np.where(reached, costs(n, t), np.inf)
        # The largest of the sizes that are paid for: of a few branches, from a coarse scan.
        scan = np.linspace(_LOG_PARAMS[0], top, 69)
        paid = np.stack([costs(np.full_like(t, x), t) <= budget for x in scan])
        last = len(scan) - 1 - np.argmax(paid[::-1], axis=0)
        low = scan[last]
        high = np.minimum(low + scan[1] - scan[0], top)
        n, _ = _bisect(lambda n: costs(n, t) <= budget, low, high)
        n = np.where(last == len(scan) - 1, top, n)
        return np.where(paid.any(0), losses(n, t), np.inf)

    return _lowest(value, _LOG_TOKENS[0], end)


def _crossing(above, t, top):
    """Return the smallest log N at which the loss is reached, from a coarse scan on."""
    scan = np.linspace(_LOG_PARAMS[0], top, 35)
    reached = np.stack([~above(np.full_like(t, x)) for x in scan])
    first = np.argmax(reached, axis=0)
    low, high = scan[np.maximum(first - 1, 0)], scan[first]
    _, n = _bisect(above, low, high)
    return np.where(reached.any(0), n, top)


def _bisect(true_at_left, low, high, steps=60):
    low, high = np.broadcast_to(low, high.shape).copy(), high.copy()
    for _ in range(steps):
        middle = 0.5 * (low + high)
        left = true_at_left(middle)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return low, high


def _lowest(value, start, end):
    grid = np.linspace(start, end, _POINTS)
    values = value(grid)
    lowest = float(np.min(values))
    if not np.isfinite(lowest):
        return np.inf
    inner = (values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])
    near = [i + 1 for i in np.flatnonzero(inner) if values[i + 1] < lowest * 1.01]
    near = sorted({*near, int(np.argmin(values))}, key=lambda i: values[i])[:12]
    for i in near:
        centre, width = grid[i], grid[1] - grid[0]
        for _ in range(5):
            fine = np.clip(np.linspace(centre - width, centre + width, 201), None, end)
            found = value(fine)
            j = int(np.argmin(found))
            lowest, centre, width = min(lowest, float(found[j])), fine[j], width / 50
    return lowest
