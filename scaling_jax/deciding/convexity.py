"""Where outcomes are convex, so that cutting planes certify how far the best model is.

Theorem. Let L(n, d) and C(n, d) be convex in n = log N and d = log D. Then at every loss l
and budget K the outcomes of `outcomes.py` are convex in what is committed to, and the regret
of a sample is never negative.

Proof. Fixed tokens: J = C + p (L - l) with p >= 0, or L + (C - K) / p, is a sum of convex
functions. Adapted tokens: J(n) = min over d of C subject to L <= l (or of L subject to
C <= K, or of C + p (L - l)), the limits on d being an interval, is the partial minimum of a
jointly convex function over a convex set, so convex; that the first d which reaches l is the
cheapest holds as C rises in d. Means, CVaRs and largest regrets of convex functions are
convex. The least cost C*(l) of a loss is the value of a convex program, so convex in l, and
C(n, d) >= C*(L) >= C*(l) - p (L - l) with p = -dC*/dl; the same with L and C exchanged.

L is convex for a `PowerSum` whose `loss_at` is convex and rising in the log of the excess:
the log of a sum of exponentials of linear functions is convex, and so is a convex rising
function of it. For `Chinchilla` and `Tied` it is E + e^y, for `Kaplan` e^(alpha_D y), for
`Coupled` E + e^(k y), whatever k > 0; a weighted mean of convex losses is convex. A `loss_at`
that saturates is not convex, so that a family of one's own is only taken to be convex where
its class says `convex_in_logs = True`; a cost of one's own likewise. C of a `LinearCost`,
N D a + N s with rates that are zero or more, is a sum of exponentials of linear functions; a
roofline, max(N D a, N b), is convex too, and may say so.
"""

from typing import Any

from scaling_jax.costs import LinearCost
from scaling_jax.laws import Chinchilla, Coupled, Kaplan, Mixture, Tied

_PROVEN = (Chinchilla, Tied, Kaplan, Coupled)


def outcomes_are_convex(laws: tuple[Any, ...], cost: Any) -> bool:
    """Return whether every law and the cost are known to be convex in (log N, log D)."""
    return all(map(_law_is_convex, laws)) and (
        type(cost).__call__ is LinearCost.__call__ or _states_it(cost)
    )


def _law_is_convex(law: Any) -> bool:
    if isinstance(law, Mixture):
        return all(map(_law_is_convex, law.laws))
    return type(law) in _PROVEN or _states_it(law)


def _states_it(function: Any) -> bool:
    # Of the class itself: a subclass may have another formula.
    return bool(vars(type(function)).get("convex_in_logs", False))
