"""Where the time of a training step goes, for each size of `train_throughput.py`.

XLA's profile of the compiled program, operation by operation. The named scopes of the model say
whose an operation is; time in which several run at once is shared between them. Beside each
part's share of the time stands how near the matmul peak its products come. Run:

    python benchmarks/train_breakdown.py
"""

import collections
import glob
import re
import sys
import tempfile
import time
from collections.abc import Iterable

import jax
import numpy as np
from train_throughput import CASES, LENGTH, config_of

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.config import RunConfig
from scaling_jax.training.mesh import make_mesh, to_devices
from scaling_jax.training.peak import matmul_peak
from scaling_jax.training.programs import programs

NO_PRODUCT = "norms, GELU, residuals"
HEAD = "embedding, head, loss"
# The part of the table that an operation is of, by its innermost named scope.
PARTS = {
    "attention": "attention",
    "projections": "projections",
    "mlp": "MLP",
    "activation": NO_PRODUCT,
    "norm": NO_PRODUCT,
    "block": NO_PRODUCT,
    "loss": HEAD,
    "optimizer": "optimizer",
}
SCOPE = re.compile(r"\b(" + "|".join(PARTS) + r")\b")
DISPATCH = "loop, dispatch"  # all that is of no part, and the time in which nothing runs
STEPS = 4  # in a call
SECONDS = 8.0  # of calls without the profiler, which the processor gets up to speed in
REPEATS = 5  # with it
Event = tuple[float, float, str]  # start, end, operation


def owners(program: str) -> dict[str, str]:
    """Return the part of each operation in the text of a compiled program."""
    found = re.findall(r'%([\w.\-]+) = .*op_name="([^"]*)"', program)
    scopes = {op: SCOPE.findall(name) for op, name in found}
    return {op: PARTS[scope[-1]] for op, scope in scopes.items() if scope}


def events(folder: str) -> list[Event]:
    """Return the operations of a profile, on all threads."""
    (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
    return [
        (event.start_ns, event.start_ns + event.duration_ns, dict(event.stats)["hlo_op"])
        for plane in jax.profiler.ProfileData.from_file(path).planes
        for line in plane.lines
        for event in line.events
        if "hlo_op" in dict(event.stats)
    ]


def shared(operations: Iterable[Event]) -> dict[str, float]:
    """Return the time of each operation, where at any moment those that run share it."""
    edges = sorted(
        edge
        for start, end, op in operations
        if not op.startswith("while")  # the loop itself, around them
        for edge in ((start, 1, op), (end, -1, op))
    )
    running: collections.Counter[str] = collections.Counter()
    total: dict[str, float] = collections.defaultdict(float)
    before = 0.0
    for now, change, op in edges:
        for each, count in running.items():
            total[each] += (now - before) * count / running.total()
        running[op] += change
        running += collections.Counter()  # drops what has ended
        before = now
    return total


def flops(shape: TransformerShape) -> dict[str, float]:
    """Return the FLOPs a token of each part's matrix products, attention counted whole."""
    d = shape.d_model
    per_layer = {
        "attention": 2 * LENGTH * d,
        "projections": 2 * (d + shape.kv_dim) * d,
        "MLP": 2 * d * shape.d_ff,
    }
    found = {part: 6.0 * each * shape.layers for part, each in per_layer.items()}
    found[HEAD] = 6.0 * d * shape.vocab_size
    assert np.isclose(sum(found.values()), shape.train_flops(LENGTH, causal=False))
    return found


def measure(config: RunConfig) -> tuple[float, dict[str, float], float]:
    """Return the seconds of a step and of each of its parts, profiled, and the matmul peak."""
    mesh = make_mesh()
    made = programs(config.shape, config.options, config.recipe, config.accumulate, mesh)
    size = (STEPS, config.batch, LENGTH + 1)
    windows = np.random.default_rng(0).integers(0, 256, size, dtype=np.int32)
    batch, state = to_devices(mesh, windows, 1), made.start(config.seed)
    lowered = made.advance.lower(config.schedule, state, batch, STEPS)  # pyright: ignore
    program = lowered.compile()

    def call() -> float:
        nonlocal state
        start = time.perf_counter()
        state, metrics = program(config.schedule, state, batch, STEPS)
        metrics.loss.block_until_ready()
        return (time.perf_counter() - start) / STEPS

    calls, profiles, peak = [], [], 0.0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        calls.append(call())
        peak = max(peak, matmul_peak.__wrapped__(config.options.dtype))
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                seconds = call()
            profiles.append((seconds, shared(events(folder))))
    seconds, operations = min(profiles, key=lambda profile: profile[0])
    if seconds > 1.1 * min(calls):
        print("the profiler slowed the next size, or the machine was busy: trust no share")
    owner = owners(program.as_text())
    spent = collections.defaultdict(float, {DISPATCH: seconds})
    for op, nanoseconds in operations.items():
        part = owner.get(op, DISPATCH)
        spent[part] += nanoseconds / 1e9 / STEPS
        spent[DISPATCH] -= nanoseconds / 1e9 / STEPS
    return seconds, spent, peak


def main(sizes: list[str]) -> None:
    print("d_model  step (ms)  part                    of the time  share of the matmul peak")
    for case in CASES:
        if sizes and str(case[0]) not in sizes:
            continue
        config = config_of(*case)
        seconds, spent, peak = measure(config)
        counted = flops(config.shape)
        for part, spent_here in sorted(spent.items(), key=lambda pair: -pair[1]):
            line = (
                f"{case[0]:7d}  {1e3 * seconds:9.1f}  {part:22s}  {spent_here / seconds:11.1%}"
            )
            if part in counted:
                line += f"  {counted[part] * config.step_tokens / spent_here / peak:24.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
