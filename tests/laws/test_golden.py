"""Numbers that were printed in papers or computed from their constants, each held."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import optimize

from scaling_jax import laws
from scaling_jax.laws import experts, precision
from scaling_jax.laws.rules import RULES
from scaling_jax.laws.samples import pass_at_k
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64


def published(name):
    return laws.PUBLISHED[name].law


KUMAR_BASE = published("kumar2024").base
CAPYBARA = published("sun2025")

LOSSES = [
    # (law, params, tokens, axes, loss, relative tolerance)
    ("kaplan2020", 1.5e9, 2.29e10, {}, 2.3103037889624214, 1e-12),
    ("kaplan2020", 1e9, 1e11, {}, 2.33078245170318, 1e-12),
    ("kaplan2020-steps", 1e9, 1e5 * 2e6, {"batch_tokens": 2e6}, 2.4005, 5e-5),
    ("busbridge2025", 1e9, 2e10, {}, 2.3746922483534956, 1e-12),
    ("busbridge2025", 7.75e9, 512e9, {}, 1.9328877114471341, 1e-12),
    ("busbridge2025-distilled", 1e9, 2e10, {"teacher_loss": 2.0}, 2.2768105808, 1e-10),
    ("busbridge2025-distilled", 1e9, 2e10, {"teacher_loss": 2.2}, 2.3169533749, 1e-10),
    ("busbridge2025-distilled", 1e9, 2e10, {"teacher_loss": 2.5}, 2.5048158744, 1e-10),
    ("olmo2024-ladder", 13.2024e9, 5e12, {}, 2.34847, 3e-6),
    ("olmo2024-ladder", 6.8878e9, 3.945e12, {}, 2.43604, 1e-5),
    ("kumar2024", 220e6, 26e9, {"train_bits": 16}, 3.1975856613, 1e-10),
    ("kumar2024", 220e6, 26e9, {"train_bits": 8}, 3.2271084995, 1e-10),
    ("kumar2024", 220e6, 26e9, {"train_bits": 4}, 3.5918467575, 1e-10),
    ("kumar2024", 220e6, 26e9, {"train_bits": 1e5}, 3.1966050753, 1e-10),
    ("sun2025", 1e9, 1e11, {"train_bits": 8}, 2.5630699111, 1e-10),
    ("sun2025", 1e9, 1e11, {"train_bits": 8, "exponent_bits": 4}, 2.5630699111, 1e-10),
    ("sun2025", 1e9, 1e11, {"train_bits": 4, "block_size": 128}, 2.5978659460, 1e-10),
    ("frantar2023", 1e8, 1e11, {"sparsity": 0.0}, 1.6927785990, 1e-10),
    ("frantar2023", 1e8, 1e11, {"sparsity": 0.5}, 1.6202477470, 1e-10),
    ("frantar2023", 1e8, 1e11, {"sparsity": 0.75}, 1.5762754532, 1e-10),
    ("abnar2025", 18.8e9, 110.2e9, {"experts": 50}, 2.1693352660281358, 1e-12),
    ("abnar2025", 18.8e9, 110.2e9, {"experts": 100, "active_experts": 2}, 2.1693352660, 1e-10),
    ("abnar2025", 1e9, 2e10, {"experts": 1}, 2.5656813083550216, 1e-12),
    ("parscale2025-pile", 4.4145e9, 4.2e10, {"parallel_streams": 8}, 1.77854, 3e-6),
]


@pytest.mark.parametrize(("name", "params", "tokens", "axes", "loss", "rel"), LOSSES)
def test_losses(name, params, tokens, axes, loss, rel):
    assert published(name)(params, tokens, **axes) == approx(loss, rel)


# --- precision --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "worth"), [(16, 0.9936592), (8, 0.8277601), (6, 0.6112910), (4, 0.1909882)]
)
def test_what_parameters_of_few_bits_count_for(bits, worth):
    assert jnp.exp(published("kumar2024").log_worth(train_bits=bits)) == approx(worth, 1e-6)


def best_bits(law):
    """The bits that make most of N P: most effective parameters per bit."""
    found = optimize.minimize_scalar(
        lambda bits: np.log(bits) - float(law.log_worth(train_bits=bits)),
        bounds=(3.3, 16),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return found.x


@pytest.mark.parametrize("flops", [1e19, 1e22])
def test_the_best_precision_of_training_is_seven_bits_at_any_compute(flops):
    law = published("kumar2024")
    assert best_bits(law) == approx(7.002, 1e-4)
    bits = np.linspace(6.0, 8.0, 201)  # cost is 6 N D P / 16, and N is what is left to choose
    best = [
        law.as_power_sum(train_bits=b).compute_optimal(train_flops=flops * 16 / b) for b in bits
    ]
    losses = [law(x.params, x.tokens, train_bits=b) for x, b in zip(best, bits, strict=True)]
    assert bits[np.argmin(losses)] == approx(7.0, 1e-3)


def test_without_offsets_the_best_precision_would_be_less_than_four_bits():
    bare = precision.Kumar(base=KUMAR_BASE, n_w=0.0, n_a=0.0, n_kv=0.0)
    bits = np.linspace(1, 16, 1501)
    worth = [float(bare.log_worth(train_bits=b)) - np.log(b) for b in bits]
    assert bits[np.argmax(worth)] == approx(3.47, 3e-3)


def test_training_below_four_bits_forces_models_more_than_four_times_larger():
    assert jnp.exp(-published("kumar2024").log_worth(train_bits=4.0)) > 4


@pytest.mark.parametrize(
    ("axis", "least"),
    [("train_bits", 0.81), ("train_activation_bits", 3.11), ("train_kv_bits", 2.32)],
)
def test_too_few_bits_carry_nothing(axis, least):
    law = published("kumar2024")
    axes = dict(train_bits=8.0, train_activation_bits=8.0, train_kv_bits=8.0)
    assert jnp.isfinite(law(1e8, 1e10, **axes | {axis: least + 0.01}))
    assert jnp.isnan(law(1e8, 1e10, **axes | {axis: least - 0.01}))


def test_what_quantising_after_training_adds():
    served = precision.PostTrainingQuantised(base=KUMAR_BASE)
    added = served(30e6, 26e9, serve_bits=4) - KUMAR_BASE(30e6, 26e9)
    assert added == approx(0.0348937, 1e-5)
    full = served(30e6, 26e9, serve_bits=16) - KUMAR_BASE(30e6, 26e9)
    assert 0 < full < 1e-8


@pytest.mark.parametrize(("bits", "tokens"), [(3, 1.638e10), (4, 8.856e10), (8, 7.559e13)])
def test_more_tokens_than_so_many_harm_a_model_that_is_quantised(bits, tokens):
    served = precision.PostTrainingQuantised(base=KUMAR_BASE)
    assert served.falls_until(30e6, serve_bits=bits) == approx(tokens, 3e-4)


@pytest.mark.parametrize(
    ("bits", "tokens", "rel"),
    [(16, 1729.5e12, 1e-4), (8, 27.33e12, 2e-4), (4, 0.3928e12, 2e-4)],
)
def test_more_tokens_than_so_many_harm_training_in_floating_point(bits, tokens, rel):
    assert CAPYBARA.falls_until(1e9, train_bits=bits) == approx(tokens, rel)


@pytest.mark.parametrize(
    ("bits", "exponent", "mantissa"), [(4, 2, 1), (6, 3, 2), (8, 4, 3), (16, 8, 7)]
)
def test_best_layouts_of_floating_point(bits, exponent, mantissa):
    assert CAPYBARA.best_exponent_bits(bits) == exponent
    assert bits - 1 - exponent == mantissa
    losses = [CAPYBARA(1e9, 1e11, train_bits=bits, exponent_bits=x) for x in range(1, bits)]
    assert np.argmin(losses) + 1 == exponent


QAT = [("w4a4", 0.0572794495), ("w4a16", 0.0209963634), ("w16a4", 0.0399568855)]


@pytest.mark.parametrize(("bits", "added"), QAT)
def test_what_quantisation_aware_training_adds(bits, added):
    law = published(f"chen2025-{bits}")
    assert law.base(595e6, 1e11) == approx(2.7406605627183005, 1e-12)
    assert law(595e6, 1e11, group_size=128) - law.base(595e6, 1e11) == approx(added, 1e-8)


def damage(bits, params, tokens, group):
    law = published(f"chen2025-{bits}")
    return law(params, tokens, group_size=group) - law.base(params, tokens)


@pytest.mark.parametrize(
    ("ratio", "group", "computed", "printed"),
    [(100, 32, 1.646, 1.67), (1000, 32, 1.226, 1.20), (1000, 256, 1.647, 1.62)],
)
def test_activations_against_weights(ratio, group, computed, printed):
    found = damage("w16a4", 594e6, ratio * 594e6, group)
    found = found / damage("w4a16", 594e6, ratio * 594e6, group)
    assert found == approx(computed, 5e-4)
    assert found == approx(printed, 0.025)


def test_ten_times_the_tokens_make_quantisation_worse():
    grown = damage("w4a16", 594e6, 1e11, 128) / damage("w4a16", 594e6, 1e10, 128)
    assert grown == approx(1.449, 5e-4)  # printed: 43 %
    both = damage("w4a16", 594e6, 1e11, 128) + damage("w16a4", 594e6, 1e11, 128)
    assert damage("w4a4", 594e6, 1e11, 128) == approx(0.906 * both, 0.05)


@pytest.mark.parametrize(
    ("bits", "value"), [(1, 0.328), (2, 1.215), (3, 2.310), (4, 2.767), (8, 2.032)]
)
def test_quest_is_worth_most_per_bit_at_four_bits(bits, value):
    per_bit = 16 / bits * jnp.exp(published("quest2025").log_worth(train_bits=bits))
    assert per_bit == approx(value, 5e-4)
    assert per_bit <= 4 * jnp.exp(published("quest2025").log_worth(train_bits=4.0))


# --- experts ----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "expected"), [(1, 2.0732), (8, 8.81237), (32, 29.70422)])
def test_effective_experts(count, expected):
    assert experts.effective_experts(count, 2.0732, 290.4521) == approx(expected, 1e-6)


@pytest.mark.parametrize(
    ("flops", "count", "params", "tokens", "loss", "printed"),
    [
        (1e20, 1, 1.727e9, 9.651e9, 2.58970, (1.7e9, 9.7e9)),
        (1e22, 32, 1.228e10, 1.357e11, 2.06939, (12.2e9, 136.9e9)),
    ],
)
def test_compute_optimal_experts(flops, count, params, tokens, loss, printed):
    law = published("ludziejewski2025")
    best = law.as_power_sum(experts=count).compute_optimal(train_flops=flops)
    assert best.params == approx(params, 5e-4)
    assert best.tokens == approx(tokens, 5e-4)
    assert (best.params, best.tokens) == (approx(printed[0], 0.02), approx(printed[1], 0.01))
    assert law(best.params, best.tokens, experts=count) == approx(loss, 3e-6)


def test_one_expert_is_the_dense_law_of_the_same_paper():
    dense = laws.Chinchilla(E=1.3637, A=30.3640, alpha=0.1817, B=53.9838, beta=0.1965)
    one = published("ludziejewski2025").as_power_sum(experts=1.0)
    for name, value in vars(dense).items():
        assert getattr(one, name) == approx(value, 5e-3)


@pytest.mark.parametrize(
    ("active", "tokens", "granularity", "flops", "loss", "printed"),
    [
        (1e8, 4.37e9, 8, 2.944e18, 3.1097, (2.95e18, 3.133)),
        (1e9, 28.94e9, 16, 1.934e20, 2.4714, (1.93e20, 2.491)),
        (7e9, 137.6e9, 32, 6.468e21, 2.0596, (6.46e21, 2.076)),
        (1e12, 7.94e12, 64, 4.981e25, 1.3558, (4.97e25, 1.367)),
    ],
)
def test_granular_experts(active, tokens, granularity, flops, loss, printed):
    law, params = published("krajewski2024"), 43 * active
    found = law.train_flops(params, tokens, granularity=granularity)
    assert (found, found) == (approx(flops, 5e-4), approx(printed[0], 5e-3))
    value = law(params, tokens, granularity=granularity)
    assert value == approx(loss, 3e-5)
    assert abs(value - printed[1]) < 0.025


@pytest.mark.parametrize(
    ("router", "printed"), [("s-base", 937e9), ("rl-r", 85e9), ("hash", 83e9)]
)
def test_routing_stops_helping_beyond_a_size(router, printed):
    law = published(f"clark2022-{router}")
    # The printed c is rounded to 1e-3, and the size is 10^(-b / c).
    low, high = (10 ** (-law.b / (law.c + half)) for half in (0.0005, -0.0005))
    assert low < printed < high
    size = 10 ** (-law.b / law.c)
    assert law(size / 2, 130e9, experts=64) < law(size / 2, 130e9, experts=8)
    assert law(size * 2, 130e9, experts=64) > law(size * 2, 130e9, experts=8)


def test_leverage_of_experts_over_dense_models():
    law = experts.Leverage(base=laws.BESIROGLU_2024)
    axes = {"experts": 1000.0, "active_experts": 31.0}
    assert law.leverage(1e22, granularity=12.0, **axes) == approx(7.2449, 2e-4)
    found = optimize.minimize_scalar(
        lambda g: -float(law.leverage(1e22, granularity=g, **axes)),
        bounds=(2, 40),
        method="bounded",
    )
    assert found.x == approx(11.34, 1e-3)
    assert law(1e9, 1e11, granularity=12.0, **axes) == approx(
        law.base(1e9 * law.leverage(6e20, granularity=12.0, **axes), 1e11), 1e-12
    )
    shared = law.leverage(
        1e22, granularity=12.0, experts=992.0, active_experts=23.0, shared_experts=8.0
    )
    assert shared == approx(7.2449, 2e-4)


# --- distillation -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "student", "supervised", "teacher"),
    [
        (1e8, 2.5206, 2.5331, 2.330),
        (1e9, 2.0880, 2.0788, 1.958),
        (1e10, 1.7876, 1.7816, 1.674),
        (1e11, 1.5752, 1.5873, 1.448),
    ],
)
def test_the_best_teacher_with_endless_data(params, student, supervised, teacher):
    law = published("busbridge2025-distilled")
    assert law.base(params, 1e40) == approx(supervised, 3e-5)
    found = optimize.minimize_scalar(
        lambda x: float(law(params, 1e40, teacher_loss=x)), bounds=(1.25, 3), method="bounded"
    )
    assert (found.fun, found.x) == (approx(student, 3e-5), approx(teacher, 5e-4))


def test_limits_of_distillation():
    law = published("busbridge2025-distilled")
    assert law(1e40, 1e40, teacher_loss=2.0) == approx(2.0, 1e-9)
    assert law(1e9, 1e11, teacher_loss=20.0) == approx(20.0, 1e-9)


# --- samples, schedules, rules ----------------------------------------------------------


def test_pass_at_k():
    assert pass_at_k(0.3, 2.0, 1.0) == approx(0.3, 1e-12)
    assert pass_at_k(0.3, 2.0, 10.0) == approx(0.7355393352, 1e-9)
    assert pass_at_k(0.3, 2.0, 100.0) == approx(0.9293945472, 1e-9)


@pytest.mark.parametrize("mean", [1e-6, 0.1, 0.9])
@pytest.mark.parametrize("concentration", [1e-3, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("samples", [1.0, 7.0, 1e3, 1e6])
def test_pass_at_k_against_mpmath(mean, concentration, samples):
    a, b = mean * concentration, (1 - mean) * concentration
    expected = 1 - mpmath.beta(a, b + samples) / mpmath.beta(a, b)
    assert pass_at_k(mean, concentration, samples) == approx(expected, 3e-9)


RULED = [
    ("steplaw2025-learning-rate", {"params": 1e9, "tokens": 1e11}, 1.6325e-3, 5e-5),
    ("steplaw2025-batch", {"tokens": 1e11}, 1.10771e6, 5e-6),
    ("deepseek2024-flops-per-token", {"train_flops": 1e20}, 5.2513e9, 1e-5),
    ("deepseek2024-tokens", {"train_flops": 1e20}, 1.90453e10, 5e-6),
    ("deepseek2024-learning-rate", {"train_flops": 1e20}, 9.860e-4, 1e-4),
    ("deepseek2024-batch", {"train_flops": 1e20}, 1.0171e6, 5e-5),
    ("llama3-2024-tokens", {"train_flops": 3.8e25}, 1.6294e13, 5e-5),
    ("llama3-2024-tokens", {"train_flops": 3.8e25}, 16.55e12, 0.02),
    ("schaipp2026-batch", {"tokens": 1e11}, 1.12234e6, 5e-6),
    ("power-lines2025-batch", {"tokens": 3e9}, 267_171, 1e-4),
    ("kaplan2020-critical-batch", {"loss": 2.5}, 2.547e6, 2e-4),
    ("ludziejewski2025-learning-rate", {"params": 1e9, "experts": 1}, 2.2580e-4, 5e-5),
    ("ludziejewski2025-learning-rate", {"params": 1e9, "experts": 8}, 1.3426e-4, 5e-5),
]


@pytest.mark.parametrize(("name", "given", "value", "rel"), RULED)
def test_rules(name, given, value, rel):
    assert RULES[name].law(**given) == approx(value, rel)


def test_a_rule_reads_six_n_d_and_names_what_is_missing():
    rule = RULES["llama3-2024-tokens"].law
    assert rule(params=1e9, tokens=1e11) == approx(rule(train_flops=6e20), 1e-12)
    with pytest.raises(ValueError, match="the rule needs train_flops, which is not given"):
        rule(params=1e9)
    two = RULES["deepseek2024-tokens"].law(train_flops=1e20)
    two = two * RULES["deepseek2024-flops-per-token"].law(train_flops=1e20)
    assert two == approx(1.00012e20, 1e-5)
    sizes = np.array([1e8, 1e9])
    assert jax.vmap(lambda n: rule(params=n, tokens=1e11))(sizes).shape == (2,)
