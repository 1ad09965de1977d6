"""The house rules that a machine can hold: who imports whom, and what the root costs."""

import ast
import subprocess
import sys
from pathlib import Path

import scaling_jax

PACKAGE = Path(scaling_jax.__file__).parent

# From the bottom up: a room leans only on rooms of lower rank.
RANK = {
    "_errors": 0,
    "_files": 0,
    "_json": 0,
    "_pytree": 0,
    "_axes": 1,
    "_numerics": 1,
    "hardware": 2,
    "shapes": 2,
    "solve": 2,
    "laws": 3,
    "costs": 4,
    "runs": 4,
    "planning": 5,
    "fitting": 5,
    "grids": 5,
    "serving": 5,
    "comparing": 6,
    "training": 6,
    "deciding": 7,
    "plotting": 8,
    "cli": 9,
}
FORBIDDEN = {
    ("laws", "optax"),
    ("costs", "optax"),
    ("solve", "scaling_jax.laws"),
    ("training", "scaling_jax.fitting"),
}


def imports() -> list[tuple[str, str, Path]]:
    found = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found += [(room, alias.name, path) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found += [(room, name, path) for name in names]
    return found


def test_rooms_lean_only_downwards():
    for room, name, path in imports():
        parts = name.split(".")
        if parts[0] != "scaling_jax" or len(parts) < 2 or room == "__init__":
            continue
        other = parts[1]
        if other in RANK and other != room:
            assert RANK[other] < RANK[room], f"{path} imports {name}"


def test_forbidden_imports():
    for room, name, path in imports():
        for forbidden_room, module in FORBIDDEN:
            wrong = room == forbidden_room and f"{name}.".startswith(f"{module}.")
            assert not wrong, f"{path} imports {name}"


def test_heavy_libraries_stay_in_their_rooms():
    heavy = {
        **{name: {"training"} for name in ("flax", "grain", "orbax", "tokenizers")},
        "matplotlib": {"plotting"},
        **{name: {"cli"} for name in ("tyro", "rich")},
    }
    for room, name, path in imports():
        library = name.split(".")[0]
        assert library not in heavy or room in heavy[library], f"{path} imports {name}"


def test_the_root_loads_no_library_that_is_slow_to_import():
    script = (
        "import sys, scaling_jax as sj; sj.plan, sj.Flops, sj.laws.HOFFMANN_2022; "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert "jax" in loaded
    assert not {"optax", "flax", "matplotlib", "tyro", "rich", "orbax", "grain"} & loaded


def test_the_contents_page_is_what_type_checkers_see():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {alias.name for node in block.body for alias in node.names}  # pyright: ignore
    lazy = {*scaling_jax._NAMES, *scaling_jax._ROOM_OF}
    assert declared == lazy
    assert all(getattr(scaling_jax, name) is not None for name in lazy)
