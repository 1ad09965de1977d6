"""Laws, costs and axes of one's own, from the command."""

import json

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.cli import main
from tests.conftest import needs_x64
from tests.support import approx

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytestmark = needs_x64

LAWS = '''
import math
import jax.numpy as jnp
import scaling_jax as sj

class Worn(sj.Law):
    """Tokens beyond the unique ones are worth less and less."""
    E: sj.Floor
    A: sj.Positive
    alpha: sj.Exponent
    B: sj.Positive
    beta: sj.Exponent
    R: sj.Positive = 15.0

    def loss(self, params, tokens, *, unique_tokens=1e15):
        repeats = jnp.maximum(tokens / unique_tokens - 1, 0.0)
        worth = jnp.minimum(tokens, unique_tokens) * (1 - self.R * jnp.expm1(-repeats / self.R))
        return self.E + self.A / params**self.alpha + self.B / worth**self.beta

class Nested(sj.Law):
    base: sj.Chinchilla = sj.laws.HOFFMANN_2022
    factor: sj.Fraction = 0.5
    def loss(self, params, tokens):
        return self.base(params * self.factor, tokens)

class Levelled(sj.Tied):
    """A sum of powers, so that decisions are quick."""

class Formless(sj.Law):
    E: sj.Floor

class Shapeless(sj.Law):
    base: sj.Chinchilla
    def loss(self, params, tokens):
        return self.base(params, tokens)

instance = Worn(E=1.69, A=406.4, alpha=0.336, B=410.7, beta=0.283)

def formula(params, tokens):
    return 1.69 + 406.4 / params**0.336 + 410.7 / tokens**0.283

def short(params):
    return 2.0

def empty(params, tokens):
    pass

def broken(params, tokens):
    scale = 2 * params
    return scale / missing

def by_math(params, tokens):
    return 1.69 + math.exp(-params)

def late(params, tokens):
    if params.ndim == 0 and hasattr(params, "_trace"):
        raise RuntimeError("too late")
    return 1.69 + 406.4 / params**0.336 + 410.7 / tokens**0.283

number = 3.0
'''
COSTS = '''
import jax.numpy as jnp
import scaling_jax as sj

class Hours(sj.Cost):
    """Chip hours, bound by memory below a size."""
    unit = "hours"
    speed: sj.Positive = 4e14

    def __call__(self, params, tokens, demand, *, bits=16.0):
        chips = jnp.maximum(2 * params / 16e9, 1.0)
        train = 6 * params * tokens / self.speed / 3600
        return sj.Bill(train=train, serve=chips * demand.tokens * (1 + bits / 16) / 1e8)

class Bare(sj.Cost):
    speed: sj.Positive
    def __call__(self, params, tokens, demand):
        return sj.Bill(train=params, serve=tokens)

def flops(params, tokens, demand):
    return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens)

def smooth(params, tokens, demand, *, bits=16.0):
    return sj.Bill(train=6 * params * tokens, serve=params * demand.tokens * (1 + bits / 16))

def product(params, tokens, demand):
    return params * tokens
'''
NUMBERS = {"E": 1.69, "A": 406.4, "alpha": 0.336, "B": 410.7, "beta": 0.283}
ASKED = "--loss 2.1 --inference-tokens 1e12"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of a user, who stands in it."""
    files = {
        "mylaws.py": LAWS,
        "mycosts.py": COSTS,
        "syntax.py": "x = 1\ndef law(:\n",
        "raises.py": "x = 1\ny = x / 0\n",
        "leaves.py": "raise SystemExit('bye')\n",
        "helper.py": "import no_such_module_at_all\n",
        "c.json": json.dumps(NUMBERS),
        "misspelt.json": json.dumps(NUMBERS | {"betta": 1}),
        "few.json": json.dumps({"E": 1.69}),
        "negative.json": json.dumps(NUMBERS | {"A": -3}),
        "word.json": json.dumps(NUMBERS | {"A": "many"}),
        "list.json": "[1]",
        "broken.json": "{",
        "nested.json": json.dumps({"base.E": 1.5, "factor": 0.25}),
        "tied.json": json.dumps({"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.31}),
        "base.json": json.dumps({"base.E": 1.5}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command; return its exit code, output and error text."""

    def call(command: str) -> tuple[int, str, str]:
        try:
            code = main(command.split())
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def answer(run):
    def call(command: str) -> dict:
        code, out, err = run(f"{command} --json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


@pytest.mark.parametrize(
    "law",
    ["mylaws.py:Worn --coefficients c.json", "mylaws.py:formula"],
)
def test_a_law_that_is_hoffmanns_plans_as_hoffmanns(answer, law):
    mine, theirs = answer(f"plan {ASKED} --law {law}"), answer(f"plan {ASKED}")
    for name in ("params", "tokens", "total_flops", "marginal_cost"):
        assert mine[name] == approx(theirs[name], rel=1e-6), name
    assert mine["method"] == "reduced"


def test_coefficients_are_dotted_paths_and_defaults_stay(answer):
    mine = answer(f"plan {ASKED} --law mylaws.py:Nested --coefficients nested.json")
    base = laws.with_coefficients(laws.HOFFMANN_2022, {"E": 1.5})
    halved = sj.plan(
        lambda n, d: base(0.25 * n, d), sj.Flops(), sj.Demand.of_tokens(1e12), loss=2.1
    )
    assert mine["params"] == approx(halved.params, rel=1e-6)


def test_an_own_cost_is_counted_in_its_unit_and_nothing_else(answer, run):
    plan = answer(f"plan {ASKED} --cost mycosts.py:Hours --max-params 7.9e9")
    costs = [name for name in plan if name.split("_")[0] in ("train", "serve", "total")]
    assert costs == ["train_hours", "serve_hours", "total_hours"]
    train = 6 * plan["params"] * plan["tokens"] / 4e14 / 3600
    assert plan["train_hours"] == approx(train, rel=1e-12)
    assert plan["serve_hours"] == approx(1e12 * 2 / 1e8, rel=1e-12)  # one chip
    code, out, _ = run(
        f"plan {ASKED} --cost mycosts.py:Hours --max-params 7.9e9 --elasticities"
    )
    assert code == 0
    assert "of the lifetime hours of" in out
    assert "cost.speed" in out


def test_a_function_as_cost(answer):
    mine, theirs = answer(f"plan {ASKED} --cost mycosts.py:flops"), answer(f"plan {ASKED}")
    assert mine["total_units"] == approx(theirs["total_flops"], rel=1e-9)


def test_axes_are_given_and_chosen_from_a_list(answer, run):
    asked = (
        f"plan {ASKED} --law mylaws.py:instance --cost mycosts.py:Hours --axes bits=8,4,16 "
        "--axes unique-tokens=2e10"
    )
    best = answer(asked)
    assert best["axes"] == {"bits": 4.0, "unique_tokens": 2e10}
    chips = np.maximum(2 * best["params"] / 16e9, 1.0)
    assert best["serve_hours"] == approx(chips * 1e12 * 1.25 / 1e8, rel=1e-12)
    worth = 2e10 * (1 - 15 * np.expm1(-(best["tokens"] / 2e10 - 1) / 15))
    assert laws.HOFFMANN_2022(best["params"], worth) == approx(2.1, rel=1e-9)
    code, out, _ = run(asked)
    assert code == 0
    assert "bits is 4, the best of 8, 4, 16." in out
    assert "unique_tokens is 2e+10." in out


@pytest.mark.slow
def test_an_axis_in_an_interval(answer):
    plan = answer(f"plan {ASKED} --law mylaws.py:instance --axes unique-tokens=1e10..1e11")
    assert plan["method"] == "general"
    assert plan["axes"]["unique_tokens"] == approx(1e11, rel=1e-4)


@pytest.mark.slow
def test_a_published_law_with_an_axis(answer, run):
    plan = answer(
        "plan --loss 2.5 --requests 1e9 --law muennighoff2023 --axes unique_tokens=2e10"
    )
    loss = laws.MUENNIGHOFF_2023(plan["params"], plan["tokens"], unique_tokens=2e10)
    assert loss == approx(2.5, rel=1e-9)
    code, _, err = run("plan --loss 2.5 --requests 1e9 --law muennighoff2023")
    assert code == 2
    assert "the law needs the axis 'unique_tokens', which is not given" in err


def test_model_with_axes(answer):
    model = answer(
        "model --params 1e9 --tokens 1e11 --requests 1e9 --law mylaws.py:instance "
        "--cost mycosts.py:Hours --axes unique-tokens=2e10 --axes bits=8"
    )
    worth = 2e10 * (1 - 15 * np.expm1(-4 / 15))
    assert model["loss"] == approx(laws.HOFFMANN_2022(1e9, worth), rel=1e-12)
    assert model["serve_hours"] == approx(285e9 * 1.5 / 1e8, rel=1e-12)
    assert model["axes"] == {"unique_tokens": 2e10, "bits": 8.0}


@pytest.mark.slow
def test_a_grid_over_an_axis_of_the_law_and_one_of_the_cost(answer, folder):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the grid extra is not installed")
    own = "--law mylaws.py:instance --cost mycosts.py:smooth --loss 2.1 --inference-tokens 1e12"
    summary = answer(
        f"grid {own} --axis unique-tokens=1e10:1e12:3:log --axis bits=4:8:2 "
        "--value total_units --value params --out grid.parquet"
    )
    assert summary["axes"]["unique_tokens"] == {"first": 1e10, "last": 1e12, "count": 3}
    table = parquet.read_table(folder / "grid.parquet").to_pydict()
    alone = answer(f"plan {own} --axes unique-tokens=1e11 --axes bits=8")
    assert table["total_units"][3] == approx(alone["total_units"], rel=1e-9)
    units = parquet.read_schema(folder / "grid.parquet").field("total_units").metadata
    assert units[b"units"] == b"units"


def test_a_decision(run):
    code, out, err = run(
        "decide --loss 2.1 --demand 1e12 --demand-factor 3 --samples 20 --max-tokens 1e12 "
        "--law mylaws.py:Levelled --coefficients tied.json"
    )
    assert (code, err) == (0, "")
    assert "FLOPs" in out


@pytest.mark.slow
def test_a_report(run, folder):
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    code, _, err = run(
        f"report {ASKED} --law mylaws.py:instance --cost mycosts.py:Hours --out plan.html "
        "--axes unique-tokens=1e11 --axes bits=8"
    )
    assert (code, err) == (0, "")
    text = (folder / "plan.html").read_text()
    for words in (
        "training, hours",
        "Chip hours, bound by memory below a size. Your own, mycosts.py:Hours",
        "law (Worn)",
        "with unique tokens 1e+11 and bits 8",
        "the axis unique tokens",
        "the cost&#x27;s speed",
    ):
        assert words in text, words
    assert "FLOPs" not in text
    assert "Every training token is new" not in text
    assert "MFU" not in text


BAD = [
    ("--law nowhere.py:Law", "no file is called 'nowhere.py'"),
    ("--law mylaws.py", "it must be mylaws.py:NAME, one of Worn, Nested, Levelled, Formless"),
    ("--law mylaws.py:Wron", "mylaws.py has no 'Wron'; the nearest is Worn"),
    ("--law mylaws.py:number", "which is a float; it must be a Law"),
    ("--law mylaws.py:math", "which is a module; it must be a Law"),
    ("--law mylaws.py:Formless", "has no loss(self, params, tokens)"),
    ("--law mylaws.py:Worn", "Worn needs the coefficient 'E'; give --coefficients FILE.json"),
    ("--law mylaws.py:short", "takes (params); it must take (params, tokens)"),
    ("--law mylaws.py:empty", "the law's loss is None; it must be a number"),
    ("--law mylaws.py:broken", "mylaws.py, line 50, in broken: NameError: name 'missing'"),
    ("--law mylaws.py:by_math", "in by_math: ConcretizationTypeError"),
    ("--law mylaws.py:by_math", "needs the functions of jax.numpy"),
    ("--law syntax.py:law", "syntax.py, line 2: invalid syntax"),
    ("--law raises.py:law", "raises.py, line 2: ZeroDivisionError: division by zero"),
    ("--law leaves.py:law", "leaves.py, line 1: SystemExit: bye"),
    ("--law helper.py:law", "helper.py, line 1: ModuleNotFoundError: No module named"),
    ("--law mylaws.py:Worn --coefficients misspelt.json", "Worn has no coefficient 'betta'"),
    ("--law mylaws.py:Worn --coefficients few.json", "needs the coefficient 'A'"),
    (
        "--law mylaws.py:Worn --coefficients negative.json",
        "A of Worn is -3; it must be positive",
    ),
    ("--law mylaws.py:Worn --coefficients word.json", "A in word.json is 'many'"),
    ("--law mylaws.py:Worn --coefficients list.json", "it is not a JSON object"),
    ("--law mylaws.py:Worn --coefficients broken.json", "does not hold coefficients"),
    ("--law mylaws.py:Worn --coefficients no.json", "no file of coefficients is called"),
    ("--law mylaws.py:Shapeless --coefficients base.json", "a law in its field 'base'"),
    ("--law mylaws.py:formula --coefficients c.json", "is a function, which has none"),
    ("--law hoffmann2022 --coefficients c.json", "are of a law of your own"),
    ("--cost mycosts.py:Hour", "mycosts.py has no 'Hour'; the nearest is Hours"),
    ("--cost mycosts.py:Bare", "a class without defaults for speed"),
    ("--cost mycosts.py:product", "the cost returns a number; it must be a Bill"),
    ("--cost mycosts.py:Hours --dollars", "has its own prices; give no --dollars"),
    ("--train-price 3", "--train-price does not count in FLOPs; give --dollars too"),
    ("--cost mycosts.py:Hours --axes bitz=4", "reads the axis 'bitz'; they read bits"),
    ("--cost mycosts.py:Hours --axes bits", "it must be NAME=VALUE"),
    ("--cost mycosts.py:Hours --axes bits=four", "its value must be a number, a list"),
    ("--cost mycosts.py:Hours --axes bits=8..4", "the lower end first"),
    ("--cost mycosts.py:Hours --axes bits=4 --axes bits=8", "gives bits twice"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[each for each, _ in BAD])
def test_what_is_wrong_is_one_sentence_that_says_where(run, options, message):
    code, out, err = run(f"plan {ASKED} {options}")
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("scaling-jax: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["decide", "model --params 1e9 --tokens 1e10"])
def test_one_number_for_each_axis(run, command):
    asked = "" if command.startswith("model") else ASKED
    code, _, err = run(f"{command} {asked} --cost mycosts.py:Hours --axes bits=4,8")
    assert code == 2
    assert "takes one number for each axis; bits has several" in err


@pytest.mark.slow
def test_a_file_that_holds_law_and_cost_is_run_once(answer, folder):
    both = "import pathlib\nwith pathlib.Path('ran').open('a') as file: file.write('x')\n"
    (folder / "both.py").write_text(both + LAWS + COSTS)
    answer(f"plan {ASKED} --law both.py:instance --cost both.py:Hours")
    assert (folder / "ran").read_text() == "x"


def test_a_file_beside_it_can_be_imported(answer, folder):
    (folder / "levels_of_mine.py").write_text("E = 1.69\n")
    law = "lambda params, tokens: E + 406.4 / params**0.336 + 410.7 / tokens**0.283"
    (folder / "using.py").write_text(f"from levels_of_mine import E\nlaw = {law}\n")
    assert answer(f"plan {ASKED} --law using.py:law")["loss"] == approx(2.1, rel=1e-9)
